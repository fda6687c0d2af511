//! Checks of a webhook's URL.

use std::net::IpAddr;

use infra::network::{Network, may_reach};
use reqwest::Url;
use schemas::limits::URL_BYTES;

/// Checks a URL as far as possible before its name is resolved; the error says what was expected.
pub(crate) fn check_url(text: &str, allowed: &[Network]) -> Result<Url, String> {
    if text.len() > URL_BYTES {
        return Err(format!("expected at most {URL_BYTES} bytes"));
    }
    let url: Url = text.parse().map_err(|_| "expected an https URL".to_owned())?;
    // http only where the operator allows networks by name.
    let encrypted = url.scheme() == "https";
    if !encrypted && (url.scheme() != "http" || allowed.is_empty()) {
        return Err("expected an https URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected a URL without user name and password".to_owned());
    }
    let address = match url.host() {
        None => return Err("expected a URL with a host".to_owned()),
        Some(url::Host::Domain(_)) => return Ok(url),
        Some(url::Host::Ipv4(address)) => IpAddr::V4(address),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address),
    };
    if may_reach(address, allowed) { Ok(url) } else { Err("expected a public address".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_before_they_are_kept() {
        let allowed = ["127.0.0.0/8".parse().unwrap()];
        for (url, alone, opened) in [
            ("https://example.com/hook?a=b", true, true),
            ("https://1.1.1.1/", true, true),
            ("http://example.com/", false, true),
            ("http://127.0.0.1:9/x", false, true),
            ("https://127.1/", false, true),
            ("https://0x7f000001/", false, true),
            ("https://[::1]/", false, false),
            ("https://user:pass@example.com/", false, false),
            ("ftp://example.com/", false, false),
            ("example.com", false, false),
            ("https://", false, false),
        ] {
            assert_eq!(check_url(url, &[]).is_ok(), alone, "{url}");
            assert_eq!(check_url(url, &allowed).is_ok(), opened, "{url}");
        }
        assert!(check_url(&format!("https://example.com/{}", "a".repeat(URL_BYTES)), &[]).is_err());
    }
}
