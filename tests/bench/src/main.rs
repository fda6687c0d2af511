//! The price of CrowNest, as ratios against bare bubblewrap on the same machine in the same minute:
//! `cargo run --release -p crownest-bench` (as root; build the workspace in release first).
//! Rounds are interleaved, so that a noisy machine disturbs both sides alike; medians are printed.
//!
//! Start reading at `measurements.rs`, which names them in order; `system.rs` is the measured side, `bare.rs` the other.
//!
//! Dependencies: `testkit` and `local` start the measured system; `executor`, `sandbox`, `collector` and `ingest` are measured
//! alone, too; `database` prepares and reads its tables; `axum` serves the bare reference, `reqwest` asks.

mod api;
mod arguments;
mod bare;
mod cpu;
mod evidence;
mod latency;
mod measurements;
mod output;
mod reference;
mod sandbox;
mod soak;
mod statistics;
mod system;
mod tables;
mod throughput;

use clap::Parser as _;

use self::arguments::{Arguments, Role};

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Role::Reference { listen }) = arguments.command {
        // As many threads as ingest has.
        return tokio::runtime::Runtime::new()?.block_on(reference::serve(listen));
    }
    // The client side has its own runtime with one thread: it competes for the cores as a client on this machine would.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measurements::all(&arguments))
}
