//! Configuration of the Iceberg catalog in which the tables are registered.

use clap::Args;
use infra::config::Secret;
use reqwest::Url;

#[derive(Debug, Clone, Args)]
pub struct IcebergConfig {
    /// Iceberg REST catalog to register the tables in, without `/v1` [default: none, the tables are files only]
    #[arg(long, env = "CROWNEST_ICEBERG_URI", value_name = "URL", value_parser = catalog_url)]
    pub iceberg_uri: Option<Url>,
    /// Warehouse in the catalog, if it has several: a name or a location such as `s3://bucket`
    #[arg(long, env = "CROWNEST_ICEBERG_WAREHOUSE", value_name = "WAREHOUSE", requires = "iceberg_uri")]
    pub iceberg_warehouse: Option<String>,
    /// Namespace of the tables in the catalog, created if it is missing; dots separate its levels
    #[arg(long, env = "CROWNEST_ICEBERG_NAMESPACE", value_name = "NAME", default_value = "crownest",
          value_parser = namespace)]
    pub iceberg_namespace: String,
    /// Client id and secret for a token of OAuth 2.0 (client credentials), as `ID:SECRET`
    #[arg(long, env = "CROWNEST_ICEBERG_CREDENTIAL", value_name = "ID:SECRET", hide_env_values = true,
          requires = "iceberg_uri", value_parser = credential)]
    pub iceberg_credential: Option<Credential>,
    /// Bearer token, instead of a credential
    #[arg(
        long,
        env = "CROWNEST_ICEBERG_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        requires = "iceberg_uri",
        conflicts_with = "iceberg_credential"
    )]
    pub iceberg_token: Option<Secret>,
    /// URL that issues tokens [default: `/v1/oauth/tokens` of the catalog]
    #[arg(long, env = "CROWNEST_ICEBERG_OAUTH2_SERVER_URI", value_name = "URL", requires = "iceberg_credential")]
    pub iceberg_oauth2_server_uri: Option<Url>,
    /// Scope of the requested tokens
    #[arg(long, env = "CROWNEST_ICEBERG_SCOPE", value_name = "SCOPE", default_value = "catalog")]
    pub iceberg_scope: String,
    /// Time that former snapshots stay in the catalog, in milliseconds. A compaction ends all of them: their files go
    #[arg(long, env = "CROWNEST_ICEBERG_KEEP_SNAPSHOTS_MS", default_value_t = 600_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    pub iceberg_keep_snapshots_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Credential {
    pub client_id: String,
    pub client_secret: Secret,
}

fn catalog_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("expected a URL such as https://catalog.example: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("expected a URL that begins with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("expected a URL without user, query and fragment; secrets go into a credential or token".to_owned());
    }
    Ok(url)
}

fn namespace(text: &str) -> Result<String, String> {
    let is_name = |level: &str| {
        !level.is_empty() && level.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    if text.len() <= 255 && text.split('.').all(is_name) {
        return Ok(text.to_owned());
    }
    Err("expected a name of a-z, 0-9 and _, or several separated by dots".to_owned())
}

fn credential(text: &str) -> Result<Credential, String> {
    match text.split_once(':') {
        Some((id, secret)) if !id.is_empty() && !secret.is_empty() => {
            Ok(Credential { client_id: id.to_owned(), client_secret: Secret::new(secret) })
        }
        // The message does not repeat the given text, which is secret.
        _ => Err("expected ID:SECRET".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_and_secrets_are_not_repeated() {
        for text in ["", "catalog", "ftp://catalog", "http://user@catalog", "http://catalog/?x", "s3://bucket"] {
            assert!(catalog_url(text).is_err(), "{text}");
        }
        assert!(catalog_url("http://127.0.0.1:8181/iceberg/").is_ok());
        for text in ["", "Crow", "a..b", ".", "a/b", "a b", "ä"] {
            assert!(namespace(text).is_err(), "{text}");
        }
        assert!(namespace("lake.crownest_2").is_ok());
        for text in ["", "xyzzy", ":xyzzy", "xyzzy:"] {
            assert!(!credential(text).unwrap_err().contains("xyzzy"));
        }
        let credential = credential("id:xyz:zy").unwrap();
        assert_eq!((credential.client_id.as_str(), credential.client_secret.reveal()), ("id", "xyz:zy"));
        assert!(!format!("{credential:?}").contains("xyz"));
    }
}
