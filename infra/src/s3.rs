//! The object store: the part of S3 that CrowNest needs, and nothing vendor-specific.

mod gate;
mod hold;
mod lock;
mod multipart;
mod presign;
mod purge;
mod requests;
mod reserve;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use clap::{Args, ValueEnum};
use prometheus::Registry;

use self::requests::Requests;
use self::reserve::Reserve;
use crate::config::Secret;

pub use aws_sdk_s3::primitives::ByteStream;
pub use gate::{Gate, Watch, gate};
pub use hold::LegalHold;
pub use lock::{LockMode, ObjectLock, ObjectLockConfig};
pub use multipart::Multipart;
pub use presign::{PresignedPut, Presigner};
pub use purge::Purged;
pub use store::{Listed, Put, Store, StoreError, Version};

/// Time for a store to take one request, the longest of which have some 10 MiB. One that hangs is away.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Occasions on which the client adds and checks the newer integrity checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Checksums {
    WhenSupported,
    /// Only where S3 requires checksums, for stores without trailing checksums.
    WhenRequired,
}

#[derive(Debug, Clone, Args)]
pub struct S3Config {
    /// S3 endpoint such as <http://127.0.0.1:8333>
    #[arg(long, env = "CROWNEST_S3_ENDPOINT", value_name = "URL", value_parser = parse_endpoint)]
    pub s3_endpoint: String,
    #[arg(long, env = "CROWNEST_S3_REGION", default_value = "us-east-1", value_name = "REGION")]
    pub s3_region: String,
    #[arg(long, env = "CROWNEST_S3_BUCKET", default_value = "crownest", value_name = "NAME")]
    pub s3_bucket: String,
    #[arg(long, env = "CROWNEST_S3_ACCESS_KEY", value_name = "KEY")]
    pub s3_access_key: String,
    #[arg(long, env = "CROWNEST_S3_SECRET_KEY", value_name = "KEY", hide_env_values = true)]
    pub s3_secret_key: Secret,
    /// Integrity checksums on requests and answers
    #[arg(long, env = "CROWNEST_S3_CHECKSUMS", default_value = "when-required", value_name = "WHEN")]
    pub s3_checksums: Checksums,
    /// Folder on the disk of the store, if that is on this machine: its free space is looked at
    #[arg(long, env = "CROWNEST_S3_DISK", value_name = "DIR")]
    pub s3_disk: Option<PathBuf>,
    /// Bytes to keep back on the store's disk, for what is sealed: with less free space, no archive, artifact or template is
    /// taken, and no new run is begun
    #[arg(long, env = "CROWNEST_S3_RESERVE_BYTES", default_value_t = 0, value_name = "BYTES")]
    pub s3_reserve_bytes: u64,
}

/// Value parser of clap for an endpoint of [`S3Config`].
pub fn parse_endpoint(text: &str) -> Result<String, &'static str> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let valid = host.is_some_and(|host| host.starts_with(|first: char| first.is_alphanumeric() || first == '['));
    if valid { Ok(text.to_owned()) } else { Err("expected an http or https URL") }
}

/// Makes a client for the configured bucket; nothing is sent yet.
pub fn open(config: &S3Config) -> Store {
    store(config, None)
}

/// Makes a client whose requests are counted in the metrics.
pub fn open_counted(config: &S3Config, registry: &Registry) -> prometheus::Result<Store> {
    let requests = Requests::new()?;
    registry.register(Box::new(requests.0.clone()))?;
    Ok(store(config, Some(requests)))
}

fn store(config: &S3Config, requests: Option<Requests>) -> Store {
    let folder = config.s3_disk.clone().filter(|_| config.s3_reserve_bytes > 0);
    let reserve = folder.map(|folder| Reserve { folder, bytes: config.s3_reserve_bytes });
    Store::new(client(config, requests), config.s3_bucket.clone(), reserve)
}

fn client(config: &S3Config, requests: Option<Requests>) -> aws_sdk_s3::Client {
    let (request, response) = match config.s3_checksums {
        Checksums::WhenSupported => {
            (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported)
        }
        Checksums::WhenRequired => (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired),
    };
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    let settings = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&config.s3_endpoint)
        .region(Region::new(config.s3_region.clone()))
        .credentials_provider(Credentials::new(
            &config.s3_access_key,
            config.s3_secret_key.reveal(),
            None,
            None,
            "configuration",
        ))
        .force_path_style(true)
        .timeout_config(TimeoutConfig::builder().read_timeout(ANSWER_WITHIN).build())
        .request_checksum_calculation(request)
        .response_checksum_validation(response)
        .http_client(http);
    let settings = match requests {
        Some(requests) => settings.interceptor(requests),
        None => settings,
    };
    aws_sdk_s3::Client::from_conf(settings.build())
}
