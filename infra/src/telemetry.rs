//! Structured logs on standard error: one line each, JSON unless a person is watching.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Json,
    Text,
}

/// Directives that `--log` adds to: lapin logs every refusal by the broker as an error, even one that was asked for,
/// such as whether a queue exists. Callers of lapin get the refusal too, and report it.
const QUIET: &str = "lapin::channel=off";

#[derive(Debug, Clone, Args)]
pub struct LogConfig {
    /// Log filter: a level, or directives such as `info,crownest_ingest=debug`
    #[arg(long, env = "CROWNEST_LOG", default_value = "info", value_name = "FILTER", value_parser = parse_filter)]
    pub log: String,
    /// Form of the log lines [default: text on a terminal, else json]
    #[arg(long, env = "CROWNEST_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

fn parse_filter(text: &str) -> Result<String, String> {
    let parsed = EnvFilter::try_new(text).map(|_| text.to_owned());
    parsed.map_err(|error| format!("expected a level or directives: {error}"))
}

/// Starts logging for the whole process. A second call changes nothing, so that tests may all call it.
pub fn init(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.log))
        .map_err(|error| anyhow::anyhow!("--log: expected a level or directives, got `{}`: {error}", config.log))?;
    let format =
        config.log_format.unwrap_or(if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_timer(SystemTime);
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        LogFormat::Text => builder.try_init(),
    };
    Ok(())
}
