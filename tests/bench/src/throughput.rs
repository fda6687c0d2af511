//! Runs per second on both sides, round by round, and where the CPU time went.

use std::time::Duration;

use crate::statistics::{max, median, min};
use crate::system::{System, Upload};
use crate::{bare, cpu};

const BARE_TIME: Duration = Duration::from_millis(1500);

/// The runs of each round.
pub(crate) struct Load {
    pub name: &'static str,
    pub command: &'static str,
    pub upload: Upload,
    pub runs: usize,
}

#[expect(clippy::print_stdout, reason = "a report for people")]
pub(crate) async fn measure(
    system: &System,
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
