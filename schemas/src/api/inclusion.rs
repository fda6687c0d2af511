//! Proof that a run's evidence is in the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::transparency::inclusion::Inclusion;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InclusionAnswer {
    pub inclusion: Inclusion,
}
