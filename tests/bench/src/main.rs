//! What CrowNest costs, as ratios against bare bubblewrap on the same machine in the same minute:
//! `cargo run --release -p crownest-tests --bin crownest-bench` (as root; build the workspace in release first).
//! Rounds are interleaved, so that a noisy machine disturbs both sides alike; medians are printed.

mod api;
mod bare;
mod cpu;
mod evidence;
mod reference;
mod sandbox;
mod soak;
mod system;
mod tables;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use system::Upload;

const SOAK_SLOTS: u16 = 2;
const SOAK_AT_ONCE: usize = 64;
/// They need no system, or one of their own.
const WITHOUT_SYSTEM: [Measurement; 3] = [Measurement::Sandbox, Measurement::Soak, Measurement::Tables];
const BARE_TIME: Duration = Duration::from_millis(1500);

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// Runs per second of a command that does nothing, on an archive that was uploaded once
    NoOp,
    /// The same, and each run uploads its archive
    NoOpUpload,
    /// Runs per second of a command that does about as little as a test can
    SmallTest,
    /// Time to the first output at a client
    Latency,
    /// Output per second until it is durable
    Log,
    /// What evidence costs, and its verification
    Evidence,
    /// Start of a sandbox and extraction of an archive, without the services
    Sandbox,
    /// Many runs at once on two slots, and whether anything is left of them
    Soak,
    /// Requests per second of the API, and what followers of a run cost, against a bare axum server
    Api,
    /// Questions about many runs: the Parquet table against the same bundles as JSON (only if asked for: takes 4 kB a run)
    Tables,
}

/// Benchmarks against the bare sandbox loop.
#[derive(Debug, Parser)]
#[command(name = "crownest-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Role>,
    /// Measure only this (may be given several times) [default: everything]
    #[arg(long)]
    only: Vec<Measurement>,
    /// Interleaved rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Runs in each round
    #[arg(long, default_value_t = 400)]
    runs: usize,
    /// Runs at the same time, on both sides: two for each core hide each other's waits
    #[arg(long, default_value_t = 4)]
    slots: u16,
    /// Runs of the latency measurement
    #[arg(long, default_value_t = 100)]
    latency_runs: usize,
    /// Runs of the soak measurement, 64 of them under way at once
    #[arg(long, default_value_t = 10_000)]
    soak_runs: usize,
    /// Runs of the tables measurement
    #[arg(long, default_value_t = 1_000_000)]
    table_runs: u64,
    /// Megabytes (10^6 bytes) of output of the log measurement
    #[arg(long, default_value_t = 200)]
    log_megabytes: u64,
}

/// What else this program is.
#[derive(Debug, Subcommand)]
enum Role {
    /// The bare server that the API is compared with
    #[command(hide = true)]
    Reference { listen: SocketAddr },
}

/// The least a command can do, so that only the system itself is measured …
const COMMAND: &str = "echo hello";
/// … and about the least that a test does: an interpreter starts and loads its test framework.
const SMALL_TEST: &str = "python3 -c \"import json, unittest; print('hello')\"";

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Role::Reference { listen }) = arguments.command {
        // As many threads as ingest has.
        return tokio::runtime::Runtime::new()?.block_on(reference::serve(listen));
    }
    // The client side has its own runtime with one thread: it competes for the cores as a client on this machine would.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(bench(&arguments))
}

async fn bench(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted = |measurement| arguments.only.is_empty() || arguments.only.contains(&measurement);
    if wanted(Measurement::Sandbox) {
        sandbox::measure(arguments.rounds).await?;
    }
    if wanted(Measurement::Soak) {
        let system = system::System::start(SOAK_SLOTS).await?;
        let soaked = soak::measure(&system, arguments.soak_runs, SOAK_AT_ONCE).await;
        system.stop().await?;
        soaked?;
    }
    if arguments.only.contains(&Measurement::Tables) {
        tables::measure(arguments.table_runs, arguments.rounds)?;
    }
    if !arguments.only.is_empty() && arguments.only.iter().all(|one| WITHOUT_SYSTEM.contains(one)) {
        return Ok(());
    }
    let system = system::System::start(arguments.slots).await?;
    let slots = usize::from(arguments.slots);
    // Both sides once, unmeasured: caches fill, connections open.
    bare::loop_for(Duration::from_millis(500), slots, COMMAND);
    system.throughput(50, COMMAND, Upload::Each).await?;

    for (measurement, name, command, upload, runs) in [
        (Measurement::NoOp, "no-op", COMMAND, Upload::Once, arguments.runs),
        (Measurement::NoOpUpload, "no-op, each with an upload", COMMAND, Upload::Each, arguments.runs),
        (Measurement::SmallTest, "small test", SMALL_TEST, Upload::Once, arguments.runs / 2),
    ] {
        if wanted(measurement) {
            let load = Load { name, command, upload, runs };
            throughput(&system, arguments.rounds, slots, load).await?;
        }
    }
    if wanted(Measurement::Latency) {
        latency(&system, arguments.latency_runs).await?;
    }
    if wanted(Measurement::Log) {
        log(&system, arguments.log_megabytes).await?;
    }
    if wanted(Measurement::Evidence) {
        evidence::measure(&system, arguments.runs, arguments.log_megabytes).await?;
    }
    if wanted(Measurement::Api) {
        // Last: it leaves runs that nobody starts.
        api::measure(&system, arguments.rounds).await?;
    }
    system.stop().await
}

#[expect(clippy::print_stdout, reason = "a report for people")]
async fn latency(system: &system::System, runs: usize) -> anyhow::Result<()> {
    let (mut bare_first, mut first) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        bare_first.push(bare::first_byte(COMMAND));
        first.push(system.first_stdout(COMMAND).await?);
    }
    println!("milliseconds to the first byte of stdout, one run at a time ({runs} runs)");
    println!("  bare bubblewrap   p50 {:>7.2}   p99 {:>7.2}", percentile(&bare_first, 50), percentile(&bare_first, 99));
    println!("  start → SSE       p50 {:>7.2}   p99 {:>7.2}", percentile(&first, 50), percentile(&first, 99));
    let ratio = |p| percentile(&first, p) / percentile(&bare_first, p);
    println!("  ratio             p50 {:>7.2}   p99 {:>7.2}\n", ratio(50), ratio(99));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a report for people")]
async fn log(system: &system::System, megabytes: u64) -> anyhow::Result<()> {
    let command =
        format!("yes 'a line of a log, as builds and tests write them, number 12345' | head -c {megabytes}000000");
    let (mut bare_logs, mut logs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let megabytes = megabytes as f64;
        bare_logs.push(megabytes / bare::to_disk(&command)?);
        logs.push(megabytes / system.seconds_to_sealed(&command).await?);
    }
    println!("MB/s of output until it is durable, one run of {megabytes} MB (median of 3)");
    println!("  bare, fsynced     {:>8.1}", median(&bare_logs));
    println!("  CrowNest, sealed  {:>8.1}", median(&logs));
    println!("  ratio             {:>8.3}", median(&logs) / median(&bare_logs));
    Ok(())
}

/// What is run in each round.
struct Load {
    name: &'static str,
    command: &'static str,
    upload: Upload,
    runs: usize,
}

/// Runs per second on both sides, round by round, and where the CPU time went.
#[expect(clippy::print_stdout, reason = "a report for people")]
async fn throughput(
    system: &system::System,
    rounds: usize,
    slots: usize,
    Load { name, command, upload, runs }: Load,
) -> anyhow::Result<()> {
    let (mut bare_rates, mut rates) = (Vec::new(), Vec::new());
    let before = cpu::Usage::of(&system.processes());
    let phases_before = system.phases().await?;
    println!("{name}: {command}");
    for round in 1..=rounds {
        // Before and after, since the machine's own speed changes from minute to minute.
        let first = bare::loop_for(BARE_TIME, slots, command);
        let measured = system.throughput(runs, command, upload).await?;
        let bare = f64::midpoint(first, bare::loop_for(BARE_TIME, slots, command));
        println!("  round {round}: bare {bare:.1}/s, CrowNest {measured:.1}/s, ratio {:.3}", measured / bare);
        bare_rates.push(bare);
        rates.push(measured);
    }
    let used = cpu::Usage::of(&system.processes()).since(&before);
    let ratios: Vec<f64> = rates.iter().zip(&bare_rates).map(|(ours, bare)| ours / bare).collect();
    println!("  runs per second with full evidence, {slots} at once (median of {rounds} rounds)");
    println!("    bare bubblewrap   {:>8.1}", median(&bare_rates));
    println!("    CrowNest          {:>8.1}", median(&rates));
    println!("    ratio             {:>8.3}   (min {:.3}, max {:.3})", median(&ratios), min(&ratios), max(&ratios));
    println!("  CPU per run, milliseconds");
    for (process, millis) in used.per_run(rounds * runs) {
        println!("    {process:<19} {millis:>6.2}");
    }
    println!("  what a run holds its slot for, milliseconds (mean)");
    for (phase, seconds) in system.phases().await? {
        let seconds = seconds - phases_before.get(&phase).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let millis = seconds * 1000.0 / (rounds * runs) as f64;
        println!("    {phase:<19} {millis:>6.2}");
    }
    println!();
    Ok(())
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// Nearest rank.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let sorted = sorted(values);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

fn min(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
