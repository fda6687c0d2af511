//! The object store that operators' commands work on.

use clap::Args;
use infra::config::Secret;

/// The object store; the one of the system that runs on --data unless an endpoint is named.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// S3 endpoint [default: that of the system that runs on --data]
    #[arg(long = "s3-endpoint", env = "CROWNEST_S3_ENDPOINT", value_name = "URL", value_parser = infra::s3::parse_endpoint,
          requires_all = ["access_key", "secret_key"], help_heading = "Object store")]
    pub endpoint: Option<String>,
    #[arg(
        long = "s3-region",
        env = "CROWNEST_S3_REGION",
        default_value = "us-east-1",
        value_name = "REGION",
        help_heading = "Object store"
    )]
    pub region: String,
    #[arg(
        long = "s3-bucket",
        env = "CROWNEST_S3_BUCKET",
        default_value = "crownest",
        value_name = "NAME",
        help_heading = "Object store"
    )]
    pub bucket: String,
    #[arg(long = "s3-access-key", env = "CROWNEST_S3_ACCESS_KEY", value_name = "KEY", help_heading = "Object store")]
    pub access_key: Option<String>,
    #[arg(
        long = "s3-secret-key",
        env = "CROWNEST_S3_SECRET_KEY",
        value_name = "KEY",
        hide_env_values = true,
        help_heading = "Object store"
    )]
    pub secret_key: Option<Secret>,
}
