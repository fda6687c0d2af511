//! Archives on their way in: the direct upload and the staged transfer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::run::WorkspaceRun;
use crate::archive::Archive;
use crate::id::{RunId, UploadId};
use crate::word::word_enum;
use crate::{Timestamp, limits};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveAnswer {
    pub archive: Archive,
    pub workspace_run: WorkspaceRun,
}

/// An archive named by its digest; its bytes need not be stored yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredArchive {
    /// 64 hexadecimal digits.
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"))]
    pub sha256: String,
    #[schemars(range(min = 1, max = limits::ARCHIVE_BYTES))]
    pub size_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinalizeArchive {
    /// 64 hexadecimal digits.
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"))]
    pub sha256: String,
    #[schemars(range(min = 1, max = limits::ARCHIVE_BYTES))]
    pub size_bytes: u64,
    pub upload_id: UploadId,
}

word_enum! {
    /// State of a staged upload.
    TransferStatus: "one of pending, uploaded, finalized, expired" {
        Pending = "pending",
        Uploaded = "uploaded",
        Finalized = "finalized",
        Expired = "expired",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    pub id: UploadId,
    pub checksum_algorithm: String,
    pub expires_at: Timestamp,
    pub headers: BTreeMap<String, String>,
    pub max_size_bytes: u64,
    pub method: String,
    pub status: TransferStatus,
    pub upload_url: String,
    pub workspace_run_id: RunId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransferAnswer {
    pub transfer: Transfer,
}
