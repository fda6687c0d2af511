//! All measurements that were asked for, one after the other.

use std::time::Duration;

use crate::arguments::{Arguments, Measurement};
use crate::bare::{self, COMMAND, SMALL_TEST};
use crate::system::{System, Upload};
use crate::throughput::{self, Load};
use crate::{api, evidence, latency, output, sandbox, soak, tables};

const SOAK_SLOTS: u16 = 2;
const SOAK_AT_ONCE: usize = 64;
/// They need no system, or one of their own.
const WITHOUT_SYSTEM: [Measurement; 3] = [Measurement::Sandbox, Measurement::Soak, Measurement::Tables];

pub(crate) async fn all(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted = |measurement| arguments.only.is_empty() || arguments.only.contains(&measurement);
    if wanted(Measurement::Sandbox) {
        sandbox::measure(arguments.rounds).await?;
    }
    if wanted(Measurement::Soak) {
        let system = System::start(SOAK_SLOTS).await?;
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
    let system = System::start(arguments.slots).await?;
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
            throughput::measure(&system, arguments.rounds, slots, load).await?;
        }
    }
    if wanted(Measurement::Latency) {
        latency::measure(&system, COMMAND, arguments.latency_runs).await?;
    }
    if wanted(Measurement::Log) {
        output::measure(&system, arguments.log_megabytes).await?;
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
