//! Time to the first output at a client.

use crate::bare;
use crate::statistics::percentile;
use crate::system::System;

#[expect(clippy::print_stdout, reason = "a report for people")]
pub(crate) async fn measure(system: &System, command: &str, runs: usize) -> anyhow::Result<()> {
    let (mut bare_first, mut first) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        bare_first.push(bare::first_byte(command));
        first.push(system.first_stdout(command).await?);
    }
    println!("milliseconds to the first byte of stdout, one run at a time ({runs} runs)");
    println!("  bare bubblewrap   p50 {:>7.2}   p99 {:>7.2}", percentile(&bare_first, 50), percentile(&bare_first, 99));
    println!("  start → SSE       p50 {:>7.2}   p99 {:>7.2}", percentile(&first, 50), percentile(&first, 99));
    let ratio = |p| percentile(&first, p) / percentile(&bare_first, p);
    println!("  ratio             p50 {:>7.2}   p99 {:>7.2}\n", ratio(50), ratio(99));
    Ok(())
}
