//! What the executor's process and the program `crownest-sandbox` say to each other, and what both must agree on.
pub(crate) mod control;
pub(crate) mod engine;
pub(crate) mod failure;
pub(crate) mod layout;
pub(crate) mod message;
pub(crate) mod request;
pub(crate) mod status;
pub(crate) mod task;
