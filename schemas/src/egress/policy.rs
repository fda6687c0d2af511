//! Egress policies: the destinations that an operator allows.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::host::Host;

/// Rules of one policy.
pub const MAX_RULES: usize = 200;
/// Ports that a rule without a port allows.
const WEB_PORTS: [u16; 2] = [443, 80];

/// One allowed destination: `example.org`, `*.example.org` (every name below `example.org`, but not `example.org`) or
/// an address, followed by `:PORT` unless ports 443 and 80 are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EgressRule {
    host: Host,
    /// Allows the names below `host` instead of `host`.
    below: bool,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST or HOST:PORT, such as example.org, *.example.org or registry.example.org:8443, got `{0}`")]
pub struct InvalidRule(String);

impl EgressRule {
    pub fn allows(&self, host: &Host, port: u16) -> bool {
        let port_ok = self.port.map_or(WEB_PORTS.contains(&port), |own| own == port);
        let host_ok = match (&self.host, host) {
            (Host::Name(own), Host::Name(asked)) if self.below => {
                asked.strip_suffix(own.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (own, asked) => own == asked,
        };
        port_ok && host_ok
    }
}

impl FromStr for EgressRule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidRule(text.chars().take(80).collect());
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an address without brackets do not introduce a port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = port.map(str::parse).transpose().map_err(|_| invalid())?;
        let (name, below) = host.strip_prefix("*.").map_or((host, false), |name| (name, true));
        let host: Host = name.parse().map_err(|_| invalid())?;
        // `*.org` would allow most of the internet by a slip.
        let broad = below && !matches!(&host, Host::Name(name) if name.contains('.'));
        if broad || port == Some(0) { Err(invalid()) } else { Ok(Self { host, below, port }) }
    }
}

impl fmt::Display for EgressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below {
            f.write_str("*.")?;
        }
        match (&self.host, self.port) {
            (Host::Address(IpAddr::V6(address)), Some(_)) => write!(f, "[{address}]")?,
            (host, _) => write!(f, "{host}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl TryFrom<String> for EgressRule {
    type Error = InvalidRule;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EgressRule> for String {
    fn from(rule: EgressRule) -> Self {
        rule.to_string()
    }
}

/// Destinations that the operator allowed the run's project when the run was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressPolicy {
    pub allow: Vec<EgressRule>,
}

impl EgressPolicy {
    pub fn allows(&self, host: &Host, port: u16) -> bool {
        self.allow.iter().any(|rule| rule.allows(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rule: &str, host: &str, port: u16) -> bool {
        rule.parse::<EgressRule>().unwrap().allows(&host.parse().unwrap(), port)
    }

    #[test]
    fn rules_allow_what_they_say() {
        for (rule, host, port, expected) in [
            ("example.org", "example.org", 443, true),
            ("example.org", "EXAMPLE.org.", 80, true),
            ("example.org", "example.org", 22, false),
            ("example.org", "a.example.org", 443, false),
            ("example.org", "example.org.evil.com", 443, false),
            ("example.org:22", "example.org", 22, true),
            ("example.org:22", "example.org", 443, false),
            ("*.example.org", "a.example.org", 443, true),
            ("*.example.org", "a.b.example.org", 443, true),
            ("*.example.org", "example.org", 443, false),
            ("*.example.org", "evilexample.org", 443, false),
            ("192.0.2.7:8080", "192.0.2.7", 8080, true),
            ("192.0.2.7", "192.0.2.8", 443, false),
            ("[2001:db8::1]:8443", "[2001:db8:0::1]", 8443, true),
            ("2001:db8::1", "2001:db8::1", 443, true),
        ] {
            assert_eq!(allows(rule, host, port), expected, "{rule} {host}:{port}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.org",
            "*.*.org",
            "a.*.org",
            "*.192.0.2.7",
            "http://example.org",
            "example.org/",
            "example.org:",
            "example.org:0",
            "example.org:65536",
            "example.org:443:443",
            "a b",
            "127.1",
            "0x7f.1",
            "a..b",
            ".a.b",
            "user@example.org",
            "é.org",
            "[::1",
            "[1.2.3.4]",
        ] {
            assert!(text.parse::<EgressRule>().is_err(), "{text}");
        }
    }

    #[test]
    fn rules_are_written_as_they_are_read() {
        for text in ["example.org", "*.example.org:8443", "192.0.2.7", "[2001:db8::1]:8443", "2001:db8::1"] {
            let rule: EgressRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
            assert_eq!(serde_json::from_value::<EgressRule>(serde_json::json!(text)).unwrap(), rule);
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_texts_never_panic(text: String) {
            let _ = text.parse::<EgressRule>();
            let _ = text.parse::<Host>();
        }
    }
}
