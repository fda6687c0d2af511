//! Ground of the CrowNest services: RabbitMQ, S3, encryption, telemetry, configuration, shutdown and the service kit.
//! No domain rules live here.
//!
//! Start reading at [`service`], which every service is built on, then [`amqp::topology`], which names every queue.

pub mod amqp;
pub mod config;
pub mod descriptors;
pub mod keyring;
pub mod network;
pub mod ops;
pub mod s3;
pub mod service;
pub mod shutdown;
pub mod task;
pub mod telemetry;
pub mod traceparent;
