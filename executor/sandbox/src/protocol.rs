//! The conversation of the executor's process and the program `crownest-sandbox`, and the facts on which both must agree.
pub(crate) mod control;
pub(crate) mod engine;
pub(crate) mod failure;
pub(crate) mod layout;
pub(crate) mod message;
pub(crate) mod request;
pub(crate) mod status;
pub(crate) mod task;
