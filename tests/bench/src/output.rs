//! Output per second until it is durable.

use crate::bare;
use crate::statistics::median;
use crate::system::System;

#[expect(clippy::print_stdout, reason = "a report for people")]
pub(crate) async fn measure(system: &System, megabytes: u64) -> anyhow::Result<()> {
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
