//! The signed statements about a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attestation::dsse::Envelope;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttestationList {
    /// The statement about everything that the run left first.
    pub data: Vec<Attestation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// What the statement in the envelope says that it is. Believe it when the signature is verified.
    pub predicate_type: String,
    pub object_key: String,
    pub envelope: Envelope,
}
