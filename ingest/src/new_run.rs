//! Checks a request for a run without the database, and fills in defaults.

mod env;
mod metadata;

use std::collections::BTreeMap;

use schemas::api::archive::DeclaredArchive;
use schemas::api::run::CreateRun;
use schemas::artifact::ArtifactRequest;
use schemas::egress::RunNetwork;
use schemas::env::EnvValues;
use schemas::id::{BatchId, ProjectId, TemplateVersionId};
use schemas::limits::{ARTIFACTS, COMMAND_BYTES, NAME_BYTES, PATH_BYTES};
use serde_json::Value;

use crate::archive::Declared;
use crate::config::ApiConfig;
use crate::http::body;
use crate::http::error::{ApiError, Code};

pub(crate) const DEFAULT_TEMPLATE: &str = "python-node";

/// A request that is valid in itself.
#[derive(Debug)]
pub(crate) struct NewRun {
    pub command: String,
    pub template: Option<String>,
    pub template_version_id: Option<TemplateVersionId>,
    pub project_id: Option<ProjectId>,
    pub artifacts: Vec<ArtifactRequest>,
    pub metadata: BTreeMap<String, String>,
    pub source_metadata: Option<BTreeMap<String, String>>,
    pub env: EnvValues,
    pub timeout_ms: u64,
    /// `None` for a run without network.
    pub network: Option<RunNetwork>,
    pub batch_id: Option<BatchId>,
    /// An archive that the organization may have already.
    pub archive: Option<Declared>,
    /// Starts at once if the organization has the archive.
    pub start: bool,
}

impl NewRun {
    pub(crate) fn check(request: &Value, config: &ApiConfig) -> Result<Self, ApiError> {
        // Checked first: their errors have codes of their own, and never include a value of `env`.
        let env = env::check(request.get("env"))?;
        let checked = metadata::check("metadata", request.get("metadata"))?;
        let source_metadata = match request.get("sourceMetadata") {
            None | Some(Value::Null) => None,
            given => Some(metadata::check("sourceMetadata", given)?),
        };
        let asked: CreateRun = body::shape(request)?;
        if asked.keep_sandbox == Some(true) || asked.sandbox_id.is_some() {
            let message = "keepSandbox and sandboxId are not supported: every run gets a fresh sandbox of its own.";
            return Err(ApiError::new(Code::UnsupportedRuntimeOption, message));
        }
        check_command(&asked.command)?;
        let artifacts = asked.artifacts.unwrap_or_default();
        check_artifacts(&artifacts)?;
        let timeout_ms = asked.timeout_ms.unwrap_or(config.default_timeout_ms);
        if !(1..=config.max_timeout_ms).contains(&timeout_ms) {
            let message = format!("timeoutMs: expected 1 to {}, got {timeout_ms}.", config.max_timeout_ms);
            return Err(ApiError::invalid(message));
        }
        let declared =
            |archive: DeclaredArchive| Declared::new(&archive.sha256, archive.size_bytes, config.archive_max_bytes);
        let archive = asked.archive.map(declared).transpose()?;
        let start = asked.start.unwrap_or(false);
        if start && archive.is_none() {
            let message = "start: expected `archive`, too; without it, upload an archive first, then start the run.";
            return Err(ApiError::invalid(message));
        }
        Ok(Self {
            command: asked.command,
            template: asked.template,
            template_version_id: asked.template_version_id,
            project_id: asked.project_id,
            artifacts,
            metadata: checked,
            source_metadata,
            env,
            timeout_ms,
            network: asked.network.filter(|network| *network != RunNetwork::None),
            batch_id: asked.batch_id,
            archive,
            start,
        })
    }
}

fn check_command(command: &str) -> Result<(), ApiError> {
    if command.trim().is_empty() || command.len() > COMMAND_BYTES || command.contains('\0') {
        let message = format!(
            "command: expected a shell command of 1 to {COMMAND_BYTES} bytes without NUL, got {} bytes.",
            command.len()
        );
        return Err(ApiError::invalid(message));
    }
    Ok(())
}

/// Checks the requests for artifacts. A path that leads out of the workspace is accepted: the run records an artifact error.
fn check_artifacts(artifacts: &[ArtifactRequest]) -> Result<(), ApiError> {
    if artifacts.len() > ARTIFACTS {
        let message = format!("artifacts: expected at most {ARTIFACTS}, got {}.", artifacts.len());
        return Err(ApiError::invalid(message));
    }
    for (index, artifact) in artifacts.iter().enumerate() {
        let path = &artifact.path;
        if path.is_empty() || path.len() > PATH_BYTES || path.contains('\0') {
            let message = format!("artifacts[{index}].path: expected 1 to {PATH_BYTES} bytes without NUL.");
            return Err(ApiError::invalid(message));
        }
        let valid =
            |name: &String| (1..=NAME_BYTES).contains(&name.len()) && !name.chars().any(|c| c.is_control() || c == '/');
        if !artifact.name.as_ref().is_none_or(valid) {
            let message = format!(
                "artifacts[{index}].name: expected 1 to {NAME_BYTES} bytes without slashes and control characters."
            );
            return Err(ApiError::invalid(message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        api: ApiConfig,
    }

    fn check(request: &Value) -> Result<NewRun, ApiError> {
        NewRun::check(request, &Flags::parse_from(["test"]).api)
    }

    #[test]
    fn defaults_are_filled_in() {
        let run = check(&json!({"command": "make", "later": 1})).unwrap();
        assert_eq!((run.timeout_ms, run.artifacts.len(), run.source_metadata), (600_000, 0, None));
    }

    #[test]
    fn an_escaping_path_is_not_the_requests_fault() {
        for path in ["../etc/passwd", "/etc/passwd", "a/../../b"] {
            assert!(check(&json!({"command": "x", "artifacts": [{"path": path}]})).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_cannot_run_is_refused() {
        let paths = |count| vec![json!({"path": "a"}); count];
        for (request, expected) in [
            (json!({}), Code::InvalidRequest),
            (json!({"command": 5}), Code::InvalidRequest),
            (json!({"command": " \n"}), Code::InvalidRequest),
            (json!({"command": "a\u{0}b"}), Code::InvalidRequest),
            (json!({"command": "x".repeat(65537)}), Code::InvalidRequest),
            (json!({"command": "x", "timeoutMs": 0}), Code::InvalidRequest),
            (json!({"command": "x", "timeoutMs": -1}), Code::InvalidRequest),
            (json!({"command": "x", "timeoutMs": 86_400_001}), Code::InvalidRequest),
            (json!({"command": "x", "artifacts": [{"path": ""}]}), Code::InvalidRequest),
            (json!({"command": "x", "artifacts": [{"path": "a", "name": "../b"}]}), Code::InvalidRequest),
            (json!({"command": "x", "artifacts": paths(101)}), Code::InvalidRequest),
            (json!({"command": "x", "start": true}), Code::InvalidRequest),
            (json!({"command": "x", "archive": {"sha256": "ab", "sizeBytes": 1}}), Code::InvalidRequest),
            (json!({"command": "x", "archive": {"sha256": "ab".repeat(32)}}), Code::InvalidRequest),
            (
                json!({"command": "x", "archive": {"sha256": "ab".repeat(32), "sizeBytes": 1u64 << 60}}),
                Code::FileTooLarge,
            ),
            (json!({"command": "x", "keepSandbox": true}), Code::UnsupportedRuntimeOption),
            (json!({"command": "x", "sandboxId": "sbx_1"}), Code::UnsupportedRuntimeOption),
            (json!({"command": "x", "network": "host"}), Code::InvalidRequest),
            (json!({"command": "x", "env": {"HOME": "/"}}), Code::ReservedEnvKey),
            (json!({"command": "x", "env": {"A": 1}}), Code::InvalidRequest),
            (json!({"command": "x", "metadata": {"k": 1}}), Code::InvalidMetadataValue),
            (json!({"command": "x", "sourceMetadata": {"a b": ""}}), Code::InvalidMetadataKey),
        ] {
            let refused = check(&request).unwrap_err();
            assert!(matches!(refused, ApiError::Refused { code, .. } if code == expected), "{request}: {refused}");
        }
        assert!(check(&json!({"command": "x", "artifacts": paths(100), "keepSandbox": false})).is_ok());
        for (asked, expected) in [("none", None), ("egress", Some(RunNetwork::Egress))] {
            assert_eq!(check(&json!({"command": "x", "network": asked})).unwrap().network, expected);
        }
    }
}
