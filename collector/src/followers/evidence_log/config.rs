//! The name of the evidence log.

use clap::Args;
use schemas::transparency::note::NoteKey;

#[derive(Debug, Clone, Args)]
pub struct EvidenceLogConfig {
    /// Name of the evidence log, such as crownest.example.com/tlog; it is fixed by the first entry
    /// [default: the public URL and /tlog]
    #[arg(long, env = "CROWNEST_LOG_ORIGIN", value_name = "NAME", value_parser = parse_origin)]
    pub log_origin: Option<String>,
    /// URL at which clients reach the API; the default name of the evidence log follows from it
    #[arg(long, env = "CROWNEST_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
}

/// Name of a log without a public address.
const NOWHERE: &str = "localhost/tlog";

impl EvidenceLogConfig {
    /// The name that a new log gets if none is configured.
    pub(super) fn default_origin(&self) -> String {
        let host = self.public_url.as_deref().and_then(|url| url.split_once("://")).map(|(_, host)| host);
        let origin = host.map(|host| format!("{}/tlog", host.trim_end_matches('/')));
        origin.filter(|origin| parse_origin(origin).is_ok()).unwrap_or_else(|| NOWHERE.to_owned())
    }
}

fn parse_origin(text: &str) -> Result<String, String> {
    NoteKey::new(text, [0; 32]).map(|key| key.name().to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_where_the_log_is_served() {
        for (url, origin) in [
            (Some("https://crownest.example.com"), "crownest.example.com/tlog"),
            (Some("http://127.0.0.1:8080/"), "127.0.0.1:8080/tlog"),
            (Some("https://example.com/crownest/"), "example.com/crownest/tlog"),
            (Some("https://exa mple"), NOWHERE),
            (None, NOWHERE),
        ] {
            let config = EvidenceLogConfig { log_origin: None, public_url: url.map(str::to_owned) };
            assert_eq!(config.default_origin(), origin);
        }
    }
}
