//! Configuration of the tables.

use std::time::Duration;

use clap::Args;
use schemas::lake::Messages;

#[derive(Debug, Clone, Args)]
pub struct TablesConfig {
    /// Interval at which sealed runs are taken into the Parquet tables, in milliseconds
    #[arg(long, env = "CROWNEST_TABLES_INTERVAL_MS", default_value_t = 20_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub tables_interval_ms: u64,
    /// Time for which a past day must have been left alone before its files are compacted, in milliseconds
    #[arg(long, env = "CROWNEST_TABLES_SETTLE_MS", default_value_t = 3_600_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(0..=604_800_000))]
    pub tables_settle_ms: u64,
    /// Include the messages of failed test cases, which may hold secrets
    #[arg(long, env = "CROWNEST_TABLES_TEST_MESSAGES")]
    pub tables_test_messages: bool,
}

impl TablesConfig {
    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(self.tables_interval_ms)
    }

    pub(super) fn settle(&self) -> Duration {
        Duration::from_millis(self.tables_settle_ms)
    }

    pub(super) fn messages(&self) -> Messages {
        if self.tables_test_messages { Messages::Keep } else { Messages::Drop }
    }
}
