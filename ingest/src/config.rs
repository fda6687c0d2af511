//! Configuration of the API service: limits, time spans and the address to listen on. Its connections bring their own flags.

use std::net::SocketAddr;

use clap::Args;
use database::PostgresConfig;
use infra::amqp::AmqpConfig;
use infra::keyring::KeyringConfig;
use infra::network::Network;
use infra::ops::OpsConfig;
use infra::s3::S3Config;
use schemas::limits::{ARCHIVE_BYTES, TIMEOUT_MS};

const MIB: u64 = 1024 * 1024;

#[derive(Debug, Clone, Args)]
pub struct IngestConfig {
    #[command(flatten)]
    pub postgres: PostgresConfig,
    #[command(flatten)]
    pub amqp: AmqpConfig,
    #[command(flatten)]
    pub s3: S3Config,
    #[command(flatten)]
    pub ops: OpsConfig,
    #[command(flatten)]
    pub keyring: KeyringConfig,
    #[command(flatten)]
    pub api: ApiConfig,
}

#[derive(Debug, Clone, Args)]
pub struct ApiConfig {
    /// Address of the API; port 0 takes a free one
    #[arg(long, env = "CROWNEST_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// URL at which clients reach this service, for URLs in answers [default: the Host header of the request]
    #[arg(long, env = "CROWNEST_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// The object store's endpoint as clients reach it: archive transfers go straight there, by presigned URLs
    /// [default: they go through this service]
    #[arg(long, env = "CROWNEST_TRANSFER_ENDPOINT", value_name = "URL", value_parser = infra::s3::parse_endpoint)]
    pub transfer_endpoint: Option<String>,
    /// Largest archive of a direct upload
    #[arg(long, env = "CROWNEST_DIRECT_UPLOAD_MAX_BYTES", default_value_t = 8 * MIB, value_name = "N")]
    pub direct_upload_max_bytes: u64,
    /// Largest archive of a staged upload
    #[arg(long, env = "CROWNEST_ARCHIVE_MAX_BYTES", default_value_t = ARCHIVE_BYTES, value_name = "N")]
    pub archive_max_bytes: u64,
    /// Time that a run waits for its archive and its start, before it fails with upload_missing
    #[arg(long, env = "CROWNEST_UPLOAD_EXPIRY_MS", default_value_t = 24 * 3_600_000, value_name = "MS")]
    pub upload_expiry_ms: u64,
    /// Time limit of a command that asks for none
    #[arg(long, env = "CROWNEST_DEFAULT_TIMEOUT_MS", default_value_t = 600_000, value_name = "MS")]
    pub default_timeout_ms: u64,
    /// Longest time limit that a command may ask for
    #[arg(long, env = "CROWNEST_MAX_TIMEOUT_MS", default_value_t = TIMEOUT_MS, value_name = "MS")]
    pub max_timeout_ms: u64,
    /// Time that a client has to send a request's headers
    #[arg(long, env = "CROWNEST_HEADER_TIMEOUT_MS", default_value_t = 10_000, value_name = "MS")]
    pub header_timeout_ms: u64,
    /// Longest silence within a request's body
    #[arg(long, env = "CROWNEST_BODY_IDLE_TIMEOUT_MS", default_value_t = 60_000, value_name = "MS")]
    pub body_idle_timeout_ms: u64,
    /// Slowest pace of an upload, in bytes per second: that much must arrive in each --body-idle-timeout-ms
    #[arg(long, env = "CROWNEST_BODY_MIN_BYTES_PER_SECOND", default_value_t = 8 * 1024, value_name = "N")]
    pub body_min_bytes_per_second: u64,
    /// Longest time in which a client takes no byte of its answer
    #[arg(long, env = "CROWNEST_WRITE_IDLE_TIMEOUT_MS", default_value_t = 60_000, value_name = "MS")]
    pub write_idle_timeout_ms: u64,
    /// Connections at once; further ones wait until one is closed
    #[arg(long, env = "CROWNEST_MAX_CONNECTIONS", default_value_t = 4096, value_name = "N")]
    pub max_connections: u32,
    /// Memory for archives and bodies that are arriving; an organization gets half of it
    #[arg(long, env = "CROWNEST_UPLOAD_BUFFER_BYTES", default_value_t = 48 * MIB, value_name = "N")]
    pub upload_buffer_bytes: u64,
    /// Memory for answers that are being sent, event streams among them; an organization gets half of it
    #[arg(long, env = "CROWNEST_ANSWER_BUFFER_BYTES", default_value_t = 32 * MIB, value_name = "N")]
    pub answer_buffer_bytes: u64,
    /// Time that a request waits for such memory, or for another upload of its key to end, before it is refused
    #[arg(long, env = "CROWNEST_BUFFER_WAIT_MS", default_value_t = 30_000, value_name = "MS")]
    pub buffer_wait_ms: u64,
    /// Uploads of one API key at once; further ones wait
    #[arg(long, env = "CROWNEST_UPLOADS_PER_KEY", default_value_t = 16, value_name = "N")]
    pub uploads_per_key: u32,
    /// Event streams, and requests that wait for the end of a run, of one API key at once
    #[arg(long, env = "CROWNEST_STREAMS_PER_KEY", default_value_t = 1024, value_name = "N")]
    pub streams_per_key: u32,
    /// Interval of heartbeats on an idle event stream
    #[arg(long, env = "CROWNEST_HEARTBEAT_MS", default_value_t = 15_000, value_name = "MS")]
    pub heartbeat_ms: u64,
    /// Time that requests in flight have to end once the service is told to stop
    #[arg(long, env = "CROWNEST_INGEST_DRAIN_MS", default_value_t = 10_000, value_name = "MS")]
    pub drain_ms: u64,
    /// Requests per minute of one key, for organizations without a plan
    #[arg(long, env = "CROWNEST_REQUESTS_PER_MINUTE", default_value_t = 120, value_name = "N")]
    pub requests_per_minute: u32,
    /// A network that webhooks may reach although it is not public, such as 10.1.0.0/16; also lets them use http.
    /// May be given several times
    #[arg(long, env = "CROWNEST_WEBHOOK_ALLOW", value_name = "NETWORK", value_delimiter = ',')]
    pub webhook_allow: Vec<Network>,
    /// Pause before a webhook message is sent again; each one after that is six times as long
    #[arg(long, env = "CROWNEST_WEBHOOK_RETRY_MS", default_value_t = 5_000, value_name = "MS")]
    pub webhook_retry_ms: u64,
    /// Price of a credit, as the usage summary reports it
    #[arg(long, env = "CROWNEST_CURRENCY_PER_CREDIT", default_value_t = 0.0, value_name = "X")]
    pub currency_per_credit: f64,
}

#[derive(Debug, thiserror::Error)]
#[error("{flag}: expected {expected}, got `{got}`")]
pub struct InvalidConfig {
    flag: &'static str,
    expected: &'static str,
    got: String,
}

impl IngestConfig {
    /// Checks what clap cannot: values that are wrong only together, or only by their meaning.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let api = &self.api;
        let check = |holds: bool, flag, expected, got: &dyn ToString| {
            if holds { Ok(()) } else { Err(InvalidConfig { flag, expected, got: got.to_string() }) }
        };
        if let Some(url) = &api.public_url {
            let valid = url.parse::<axum::http::Uri>().is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
            });
            check(valid, "--public-url", "an http or https URL without a query", url)?;
        }
        check(api.direct_upload_max_bytes > 0, "--direct-upload-max-bytes", "at least 1", &0)?;
        let staged = (api.direct_upload_max_bytes..=ARCHIVE_BYTES).contains(&api.archive_max_bytes);
        let expected = "--direct-upload-max-bytes to 5368709120 (5 GiB)";
        check(staged, "--archive-max-bytes", expected, &api.archive_max_bytes)?;
        let longest = (1..=TIMEOUT_MS).contains(&api.max_timeout_ms);
        check(longest, "--max-timeout-ms", "1 to 86400000 (24 hours)", &api.max_timeout_ms)?;
        let timeout = (1..=api.max_timeout_ms).contains(&api.default_timeout_ms);
        check(timeout, "--default-timeout-ms", "1 to --max-timeout-ms", &api.default_timeout_ms)?;
        for (flag, value) in [
            ("--upload-expiry-ms", api.upload_expiry_ms),
            ("--header-timeout-ms", api.header_timeout_ms),
            ("--body-idle-timeout-ms", api.body_idle_timeout_ms),
            ("--heartbeat-ms", api.heartbeat_ms),
            ("--write-idle-timeout-ms", api.write_idle_timeout_ms),
            ("--max-connections", api.max_connections.into()),
            ("--uploads-per-key", api.uploads_per_key.into()),
            ("--streams-per-key", api.streams_per_key.into()),
        ] {
            check(value > 0, flag, "at least 1", &value)?;
        }
        for (flag, value) in
            [("--upload-buffer-bytes", api.upload_buffer_bytes), ("--answer-buffer-bytes", api.answer_buffer_bytes)]
        {
            // Half of it is one part of an upload, or many pages of events.
            check((16 * MIB..=1024 * 1024 * MIB).contains(&value), flag, "16777216 (16 MiB) to 1 TiB", &value)?;
        }
        check(api.requests_per_minute > 0, "--requests-per-minute", "at least 1", &0)
    }
}
