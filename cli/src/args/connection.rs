//! The address of the API and the key, for every command.

use clap::Args;

use crate::api_key::ApiKey;

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Address of the API, without /v1 [env: CROWNEST_API_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub api_url: Option<String>,
    /// API key, or - to read it from standard input [env: CROWNEST_API_KEY]
    #[arg(long, global = true, value_name = "KEY")]
    pub api_key: Option<ApiKey>,
}
