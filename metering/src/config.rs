//! Configuration of metering.

use std::time::Duration;

use clap::Args;
use database::PostgresConfig;
use infra::amqp::AmqpConfig;
use infra::ops::OpsConfig;

#[derive(Debug, Clone, Args)]
pub struct MeteringConfig {
    #[command(flatten)]
    pub postgres: PostgresConfig,
    #[command(flatten)]
    pub amqp: AmqpConfig,
    #[command(flatten)]
    pub ops: OpsConfig,
    #[command(flatten)]
    pub settings: MeteringSettings,
}

/// The settings that have a default.
#[derive(Debug, Clone, Args)]
pub struct MeteringSettings {
    /// Interval at which to look for waiting runs that a raised limit admits, in milliseconds
    #[arg(long, env = "CROWNEST_METERING_SWEEP_MS", default_value_t = 2_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub sweep_ms: u64,
    /// Time to finish recording after a shutdown was asked for, in milliseconds
    #[arg(long, env = "CROWNEST_METERING_DRAIN_MS", default_value_t = 10_000, value_name = "MS")]
    pub drain_ms: u64,
}

impl MeteringSettings {
    pub(crate) fn sweep(&self) -> Duration {
        Duration::from_millis(self.sweep_ms)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
