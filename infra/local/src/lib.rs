//! CrowNest on one machine: the private servers that it stands on, and the four services in one process. `crownest up` and
//! the tests use this crate; no service does.
//!
//! # Start reading at [`Machine::start`]
//!
//! [`Machine`] starts the four services as `crownest up` runs them. Beneath it:
//! - [`Servers`] starts and stops PostgreSQL, RabbitMQ and SeaweedFS as child processes. `servers/server.rs` is the life of one
//!   of them, `servers/{postgres,rabbitmq,seaweedfs}.rs` are their differences.
//! - [`Connections`] has the database, the broker and the store of one service: typed for a service in this process, as flags for a program.
//! - [`Services`] holds the services that run in this process, and stops them in order.
//! - [`Executor`] is one in this process for root, and a process of its own for anybody else.
//!
//! # Dependencies
//!
//! The four services, `infra`, and what it takes to start a server and see it answer: `tokio`, `rustix`, `getrandom` and `hex`
//! (secrets), `serde` (the memory between starts), `lapin` and `tokio-postgres` (the first connection).

mod connections;
mod executor;
mod key_files;
mod machine;
mod servers;
mod services;

pub use connections::{BUCKET, Connections};
pub use executor::Executor;
pub use machine::{Machine, Started};
pub use servers::{
    Durability, LocalError, Postgres, RabbitMq, Role, S3Access, SeaweedFs, Server, Servers, installed,
    listening_addresses,
};
pub use services::Services;
