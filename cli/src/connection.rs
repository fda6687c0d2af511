//! The API to talk to, and the key: from flags, then the environment, then the saved configuration.

use std::env;
use std::io::BufRead as _;

use reqwest::Url;

use crate::api_key::ApiKey;
use crate::args::connection::ConnectionArgs;
use crate::config_file::ConfigFile;
use crate::failure::Failure;

#[derive(Debug)]
pub(crate) struct Connection {
    /// Ends with a slash and not with `/v1`, so that `v1/…` can be joined.
    pub api_url: Url,
    pub api_key: ApiKey,
}

impl Connection {
    pub(crate) fn resolve(args: &ConnectionArgs) -> Result<Self, Failure> {
        let saved = match ConfigFile::path() {
            Some(path) => ConfigFile::read(&path)?,
            None => ConfigFile::default(),
        };
        let given_url = args.api_url.clone().or_else(|| variable("CROWNEST_API_URL"));
        let given_key = match &args.api_key {
            Some(key) if key.expose() == "-" => Some(read_key()?),
            Some(key) => Some(key.clone()),
            None => key_variable("CROWNEST_BEARER_TOKEN")?.or(key_variable("CROWNEST_API_KEY")?),
        };
        let Some(url) = given_url.or_else(|| saved.api_url.clone()) else {
            return Err(not_configured("no API address is configured", "--api-url URL", "CROWNEST_API_URL"));
        };
        let api_url = parse_url(&url)?;
        let api_key = match given_key {
            Some(key) => key,
            None => saved_key(saved, &api_url)?,
        };
        Ok(Self { api_url, api_key })
    }
}

/// A saved key belongs to the address that it was saved with: it is not shown to any other.
fn saved_key(saved: ConfigFile, api_url: &Url) -> Result<ApiKey, Failure> {
    let Some(key) = saved.api_key else {
        return Err(not_configured("no API key is configured", "--api-key KEY", "CROWNEST_API_KEY"));
    };
    let home = saved.api_url.as_deref().map(parse_url).transpose()?;
    if home.is_some_and(|home| home.origin() == api_url.origin()) {
        return Ok(key);
    }
    let message = format!("the saved API key belongs to another address, it is not sent to {api_url}");
    Err(not_configured(&message, "--api-key KEY", "CROWNEST_API_KEY"))
}

fn not_configured(message: &str, flag: &str, variable: &str) -> Failure {
    Failure::new("not_configured", message)
        .hint(format!("Run `crownest login --api-url URL --api-key KEY`, set {variable}, or pass {flag}."))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn key_variable(name: &str) -> Result<Option<ApiKey>, Failure> {
    let parse = |text: String| text.parse().map_err(|error| Failure::new("invalid_config", format!("{name}: {error}")));
    variable(name).map(parse).transpose()
}

fn read_key() -> Result<ApiKey, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::new("file_error", format!("cannot read the API key from standard input: {error}")))?;
    line.parse().map_err(|error| Failure::new("invalid_config", format!("standard input: {error}")))
}

fn parse_url(text: &str) -> Result<Url, Failure> {
    let invalid = || {
        Failure::new("invalid_config", format!("`{}` is not an address of an API", text.escape_debug()))
            .hint("Give an address such as https://crownest.example.com or http://127.0.0.1:8080.")
    };
    let mut url = Url::parse(text.trim()).map_err(|_| invalid())?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        return Err(invalid());
    }
    let path = url.path().trim_end_matches('/');
    let path = format!("{}/", path.strip_suffix("/v1").unwrap_or(path));
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalized() {
        for (text, expected) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("https://a.example/", "https://a.example/"),
            ("https://a.example/v1/", "https://a.example/"),
            ("https://a.example/nest/v1", "https://a.example/nest/"),
            (" https://a.example/nest?x#y", "https://a.example/nest/"),
        ] {
            assert_eq!(parse_url(text).unwrap().as_str(), expected);
        }
        for text in ["", "a.example", "ftp://a.example", "localhost:8080"] {
            assert!(parse_url(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_saved_key_is_only_for_its_own_address() {
        let saved = || ConfigFile {
            api_url: Some("https://a.example".to_owned()),
            api_key: Some("cn_live_1".parse().unwrap()),
            ..ConfigFile::default()
        };
        assert!(saved_key(saved(), &parse_url("https://a.example/x").unwrap()).is_ok());
        let refused = saved_key(saved(), &parse_url("https://b.example").unwrap()).unwrap_err();
        assert_eq!(refused.code, "not_configured");
        assert!(!format!("{:?}", saved()).contains("cn_live_1"));
    }
}
