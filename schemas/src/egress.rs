//! Network egress of runs: which hosts an operator allows, and what a run tried to reach.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::word::word_enum;

word_enum! {
    /// What a run may reach: nothing, or what its project's egress policy allows, through a proxy.
    RunNetwork: "one of none, egress" {
        None = "none",
        Egress = "egress",
    }
}

word_enum! {
    /// Why an attempt did not reach its destination.
    EgressReason: "one of host_not_allowed, address_not_allowed, name_not_resolved, unreachable, server_name_mismatch" {
        /// No rule of the policy has this host and port.
        HostNotAllowed = "host_not_allowed",
        /// The name leads to private, link-local, metadata or other special addresses only.
        AddressNotAllowed = "address_not_allowed",
        NameNotResolved = "name_not_resolved",
        /// Nothing answered at the addresses.
        Unreachable = "unreachable",
        /// TLS was begun with another server than the one that the connection was asked for.
        ServerNameMismatch = "server_name_mismatch",
    }
}

/// Rules of one policy.
pub const MAX_RULES: usize = 200;
/// Distinct destinations that are listed of one run.
pub const MAX_LISTED: usize = 1_000;

/// Ports of a rule that names none.
const WEB_PORTS: [u16; 2] = [443, 80];

/// Where somebody wants to go: a DNS name in lower case without a dot at its end, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    Name(String),
    Address(IpAddr),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a host name such as example.org or an address, got `{0}`")]
pub struct InvalidHost(String);

impl FromStr for Host {
    type Err = InvalidHost;

    /// IPv6 addresses may have brackets.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidHost(text.chars().take(80).collect());
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
            return address.map(|address| Self::Address(address.into())).ok_or_else(invalid);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        // `127.1` and `0x7f000001` are addresses to some resolvers: no name of the internet ends in a number.
        let ends_in_number = name.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
        if name.len() > 253 || !name.split('.').all(label_ok) || ends_in_number {
            return Err(invalid());
        }
        Ok(Self::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// One allowed destination: `example.org`, `*.example.org` (every name below it, but not itself) or an address, with
/// `:PORT` behind it, or else for ports 443 and 80.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EgressRule {
    host: Host,
    /// Names below `host` instead of it.
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
            // Colons of an address without brackets separate no port.
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

/// What the operator of a run's project allowed when the run was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressPolicy {
    pub allow: Vec<EgressRule>,
}

impl EgressPolicy {
    pub fn allows(&self, host: &Host, port: u16) -> bool {
        self.allow.iter().any(|rule| rule.allows(host, port))
    }
}

/// What a run with egress was allowed to reach, and what it tried to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressReport {
    /// The policy in force: `HOST`, `*.HOST`, `HOST:PORT`. Without a port it is for 443 and 80.
    #[schemars(with = "Vec<String>")]
    pub allow: Vec<EgressRule>,
    /// Every destination that was asked of the proxy, refused ones too, in the order of their first times; at most
    /// 1,000. What does not go through the proxy has no route, and is not seen.
    pub attempts: Vec<EgressAttempt>,
    /// Attempts at destinations beyond those that are listed.
    pub attempts_not_listed: u64,
}

/// All attempts of a run at one destination with one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressAttempt {
    /// A name in lower case, or an address.
    pub host: String,
    pub port: u16,
    /// Whether policy and addresses let it through; if so, it may still have failed.
    pub allowed: bool,
    /// Why nothing was reached; absent if a connection was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EgressReason>,
    pub count: u64,
    /// Bytes from the run to the destination: of TLS, not of what is within.
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub first_at: Timestamp,
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
