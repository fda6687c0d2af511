//! The command line.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// Runs per second of a command that does nothing, on an archive that was uploaded once
    NoOp,
    /// Runs per second of that command when each run uploads its archive
    NoOpUpload,
    /// Runs per second of a command that does about as little as a test can
    SmallTest,
    /// Time to the first output at a client
    Latency,
    /// Output per second until it is durable
    Log,
    /// Cost of evidence, and its verification
    Evidence,
    /// Start of a sandbox and extraction of an archive, without the services
    Sandbox,
    /// Many concurrent runs on two slots, and a search for anything that they leave
    Soak,
    /// Requests per second of the API, and the cost of followers of a run, against a bare axum server
    Api,
    /// Questions about many runs: the Parquet table against the same bundles as JSON (only if asked for: takes 4 kB a run)
    Tables,
}

/// Benchmarks against the bare sandbox loop.
#[derive(Debug, Parser)]
#[command(name = "crownest-bench")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Option<Role>,
    /// Measure only this (may be given several times) [default: everything]
    #[arg(long)]
    pub only: Vec<Measurement>,
    /// Interleaved rounds
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Runs in each round
    #[arg(long, default_value_t = 400)]
    pub runs: usize,
    /// Concurrent runs, on both sides: two for each core hide each other's waits
    #[arg(long, default_value_t = 4)]
    pub slots: u16,
    /// Runs of the latency measurement
    #[arg(long, default_value_t = 100)]
    pub latency_runs: usize,
    /// Runs of the soak measurement, 64 of them concurrent
    #[arg(long, default_value_t = 10_000)]
    pub soak_runs: usize,
    /// Runs of the tables measurement
    #[arg(long, default_value_t = 1_000_000)]
    pub table_runs: u64,
    /// Megabytes (10^6 bytes) of output of the log measurement
    #[arg(long, default_value_t = 200)]
    pub log_megabytes: u64,
}

/// Another program that this one can be.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// The bare server that the API is compared with
    #[command(hide = true)]
    Reference { listen: SocketAddr },
}
