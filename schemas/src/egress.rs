//! Network egress of runs: which hosts an operator allows, and what a run tried to reach.

mod host;
mod policy;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::word::word_enum;

pub use host::{Host, InvalidHost};
pub use policy::{EgressPolicy, EgressRule, InvalidRule, MAX_RULES};

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

/// Distinct destinations that are listed of one run.
pub const MAX_LISTED: usize = 1_000;

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
