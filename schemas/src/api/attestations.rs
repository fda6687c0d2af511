//! The signed statements about a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attestation::dsse::Envelope;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttestationList {
    /// Attestations of the run; the one about everything that the run left comes first.
    pub data: Vec<Attestation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// Predicate type that the statement in the envelope claims. Trust it only once the signature is verified.
    pub predicate_type: String,
    pub object_key: String,
    pub envelope: Envelope,
}
