//! Network egress of runs: the hosts that an operator allows, and those that a run tried to reach.

mod host;
mod policy;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::word::word_enum;

pub use host::{Host, InvalidHost};
pub use policy::{EgressPolicy, EgressRule, InvalidRule, MAX_RULES};

word_enum! {
    /// Network access of a run: none, or through a proxy to what its project's egress policy allows.
    RunNetwork: "one of none, egress" {
        None = "none",
        Egress = "egress",
    }
}

word_enum! {
    /// Reason why an attempt did not reach its destination.
    EgressReason: "one of host_not_allowed, address_not_allowed, name_not_resolved, unreachable, server_name_mismatch" {
        /// No rule of the policy allows this host and port.
        HostNotAllowed = "host_not_allowed",
        /// The name resolves only to private, link-local, metadata or other special addresses.
        AddressNotAllowed = "address_not_allowed",
        NameNotResolved = "name_not_resolved",
        /// Nothing answered at the addresses.
        Unreachable = "unreachable",
        /// The TLS handshake named another server than the request for the connection.
        ServerNameMismatch = "server_name_mismatch",
    }
}

/// Distinct destinations in the report of one run.
pub const MAX_LISTED: usize = 1_000;

/// Destinations that a run with egress was allowed to reach, and those that it tried to reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressReport {
    /// The policy in force: `HOST`, `*.HOST`, `HOST:PORT`. A rule without a port allows 443 and 80.
    #[schemars(with = "Vec<String>")]
    pub allow: Vec<EgressRule>,
    /// Every destination that the run requested from the proxy, refused ones too, in the order of first requests; at
    /// most 1,000. Traffic past the proxy has no route, and is not seen.
    pub attempts: Vec<EgressAttempt>,
    /// Attempts at destinations that are not listed.
    pub attempts_not_listed: u64,
}

/// All attempts of a run at one destination with one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressAttempt {
    /// A name in lower case, or an address.
    pub host: String,
    pub port: u16,
    /// True if policy and addresses let the attempt through; it may still have failed.
    pub allowed: bool,
    /// Reason of the failure; absent if a connection was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EgressReason>,
    pub count: u64,
    /// Bytes from the run to the destination; with TLS, the encrypted bytes.
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub first_at: Timestamp,
}
