//! The object store: the part of S3 that CrowNest needs, and nothing vendor-specific.

mod hold;
mod lock;
mod multipart;
mod presign;
mod purge;
mod requests;
mod store;

use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use clap::{Args, ValueEnum};
use prometheus::Registry;

use self::requests::Requests;
use crate::config::Secret;

pub use aws_sdk_s3::primitives::ByteStream;
pub use hold::LegalHold;
pub use lock::{LockMode, ObjectLock, ObjectLockConfig};
pub use multipart::Multipart;
pub use presign::{PresignedPut, Presigner};
pub use purge::Purged;
pub use store::{Listed, Put, Store, StoreError, Version};

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
}

/// Value parser of clap for an endpoint of [`S3Config`].
pub fn parse_endpoint(text: &str) -> Result<String, &'static str> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let valid = host.is_some_and(|host| host.starts_with(|first: char| first.is_alphanumeric() || first == '['));
    if valid { Ok(text.to_owned()) } else { Err("expected an http or https URL") }
}

/// Makes a client for the configured bucket; nothing is sent yet.
pub fn open(config: &S3Config) -> Store {
    Store::new(client(config, None), config.s3_bucket.clone())
}

/// Makes a client whose requests are counted in the metrics.
pub fn open_counted(config: &S3Config, registry: &Registry) -> prometheus::Result<Store> {
    let requests = Requests::new()?;
    registry.register(Box::new(requests.0.clone()))?;
    Ok(Store::new(client(config, Some(requests)), config.s3_bucket.clone()))
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
        .request_checksum_calculation(request)
        .response_checksum_validation(response)
        .http_client(http);
    let settings = match requests {
        Some(requests) => settings.interceptor(requests),
        None => settings,
    };
    aws_sdk_s3::Client::from_conf(settings.build())
}
