//! Examples about artifacts.

use std::collections::BTreeMap;

use schemas::api::artifact::{Artifact, ArtifactAnswer, DownloadUrl};
use schemas::artifact::tombstone::{self, DeletionReason, Tombstone};
use serde_json::Value;

use super::{SHA256, URL, at, example_id, list, written};

pub(super) fn artifact() -> Artifact {
    Artifact {
        id: example_id!("art"),
        org_id: example_id!("org"),
        project_id: example_id!("prj"),
        sandbox_id: example_id!("sbx"),
        workspace_run_id: example_id!("wsr"),
        name: "junit.xml".to_owned(),
        object_key: "runs/org=org_…/project=prj_…/date=2026-01-31/run=wsr_…/artifacts/art_…/junit.xml".to_owned(),
        size_bytes: 9_120,
        sha256: SHA256.to_owned(),
        created_at: at(4_600),
        content_type: Some("text/xml".to_owned()),
        source_path: Some("reports/junit.xml".to_owned()),
        deleted_at: None,
        retention_expires_at: Some(at(30 * 86_400_000)),
        deletion_reason: None,
    }
}

pub(crate) fn artifacts_of_sandbox() -> Value {
    written(list(artifact()))
}

pub(crate) fn artifact_answer() -> Value {
    written(ArtifactAnswer { artifact: artifact() })
}

pub(crate) fn download_url() -> Value {
    written(DownloadUrl {
        auth_mode: "api_key".to_owned(),
        headers: BTreeMap::new(),
        method: "GET".to_owned(),
        url: format!("{URL}/v1/artifacts/art_01m89bpm1vtth71tw1q0yf5swh/download"),
    })
}

pub(crate) fn tombstone() -> Value {
    let artifact = artifact();
    written(Tombstone {
        schema_version: tombstone::SCHEMA_VERSION.to_owned(),
        artifact_id: artifact.id,
        workspace_run_id: artifact.workspace_run_id,
        org_id: artifact.org_id,
        project_id: artifact.project_id,
        path: "reports/junit.xml".to_owned(),
        name: artifact.name,
        object_key: artifact.object_key,
        size_bytes: artifact.size_bytes,
        sha256: artifact.sha256,
        deleted_at: at(86_400_000),
        reason: DeletionReason::Client,
        deleted_by: Some(example_id!("key")),
    })
}
