//! The events of a run for its readers: pages of what is stored, and streams that follow it.

pub(crate) mod frame;
mod hub;
mod pages;
mod parts;
mod reader;
mod stream;

pub(crate) use hub::{Hub, Subscription};
pub(crate) use reader::{Line, Reader};
pub(crate) use stream::{Follower, StreamClient};
