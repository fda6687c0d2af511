//! The request for a run: the flags that `create` and `run-archive` share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use schemas::api::archive::DeclaredArchive;
use schemas::api::run::CreateRun;
use schemas::artifact::ArtifactRequest;
use schemas::egress::RunNetwork;
use schemas::id::{BatchId, ProjectId, SandboxId, TemplateVersionId};

use super::env::EnvArgs;
use super::pair::{parse_artifact, parse_ctrf, parse_junit, parse_pair};
use crate::archive_file::ArchiveFile;
use crate::client::idempotency::IdempotencyKey;
use crate::failure::Failure;
use crate::shell;

/// The way of the command after `--` into the sandbox; part of the help of both commands.
pub(crate) const COMMAND_HELP: &str = "\
The command runs by `sh -c` in /workspace, where the archive was extracted. One argument after -- is passed as \
it is, as a shell command line. Several arguments are quoted for the shell, so that the program gets exactly \
these arguments:
  … -- 'npm ci && npm test'      a shell command line
  … -- pytest -k 'not slow'      the program pytest with the arguments -k and `not slow`";

#[derive(Debug, Args)]
pub(crate) struct RunRequestArgs {
    /// Project of the run [default: the key's only project, or the organization's default]
    #[arg(long, value_name = "PRJ_ID")]
    pub project: Option<ProjectId>,
    /// Template of the sandbox, by its slug [default: python-node]
    #[arg(long, value_name = "SLUG")]
    pub template: Option<String>,
    /// Exact version of a template, instead of --template
    #[arg(long, value_name = "TPLV_ID", conflicts_with = "template")]
    pub template_version: Option<TemplateVersionId>,
    /// Wall-clock limit of the command, in milliseconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout_ms: Option<u64>,
    #[command(flatten)]
    pub env: EnvArgs,
    /// Metadata of the run, to find it again; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub metadata: Vec<(String, String)>,
    /// Origin of the archive (commit, branch, …); may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub source_metadata: Vec<(String, String)>,
    /// File or folder to keep after the run, relative to /workspace; may be repeated. The last = separates the name
    ///
    /// A folder becomes one tar. If nothing has this name, it is a pattern, and every file that matches is kept under
    /// its own name: * and ? match within a name, ** any number of folders, [ab] one character, {a,b} alternatives.
    /// Quote it, so that the shell leaves it as it is: --artifact 'reports/**/*.xml'
    #[arg(long = "artifact", value_name = "PATH[=NAME]", value_parser = parse_artifact)]
    pub artifacts: Vec<ArtifactRequest>,
    /// Test report in JUnit XML to keep and count, like --artifact; may be repeated
    ///
    /// Kept files that end in .xml or .json and begin like a report are counted without this. With it, a report that
    /// is not well-formed says so, whatever its name is: --junit 'target/surefire-reports/*.xml'
    #[arg(long, value_name = "PATH[=NAME]", value_parser = parse_junit)]
    pub junit: Vec<ArtifactRequest>,
    /// Test report in CTRF JSON to keep and count, like --junit; may be repeated
    #[arg(long, value_name = "PATH[=NAME]", value_parser = parse_ctrf)]
    pub ctrf: Vec<ArtifactRequest>,
    /// Label for runs that belong together, to list them by, such as bat_nightly7
    #[arg(long, value_name = "BAT_ID")]
    pub batch: Option<BatchId>,
    /// Network of the run: none, or egress for everything that the operator allows the project [default: none]
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<RunNetwork>,
    /// Do not remove the sandbox after the run
    #[arg(long)]
    pub keep_sandbox: bool,
    /// Run in this existing sandbox
    #[arg(long, value_name = "SBX_ID")]
    pub sandbox: Option<SandboxId>,
    /// Repeating a command with the same key does nothing twice (1 to 255 characters) [default: a random one]
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// Write the id of the run to this file as soon as there is one
    #[arg(long, value_name = "FILE")]
    pub id_file: Option<PathBuf>,
    /// The command to run, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl RunRequestArgs {
    pub(crate) fn to_request(&self) -> Result<CreateRun, Failure> {
        let artifacts: Vec<_> = self.artifacts.iter().chain(&self.junit).chain(&self.ctrf).cloned().collect();
        Ok(CreateRun {
            command: shell::command_line(&self.command),
            template: self.template.clone(),
            template_version_id: self.template_version.clone(),
            project_id: self.project.clone(),
            artifacts: (!artifacts.is_empty()).then_some(artifacts),
            metadata: to_map(&self.metadata),
            source_metadata: to_map(&self.source_metadata),
            env: self.env.read()?,
            timeout_ms: self.timeout_ms,
            network: self.network,
            keep_sandbox: self.keep_sandbox.then_some(true),
            sandbox_id: self.sandbox.clone(),
            batch_id: self.batch.clone(),
            archive: None,
            start: None,
        })
    }

    /// The request, started immediately if the server has the archive already.
    pub(crate) fn to_request_with(&self, archive: &ArchiveFile) -> Result<CreateRun, Failure> {
        let archive = DeclaredArchive { sha256: archive.sha256.clone(), size_bytes: archive.size_bytes };
        Ok(CreateRun { archive: Some(archive), start: Some(true), ..self.to_request()? })
    }
}

fn to_map(pairs: &[(String, String)]) -> Option<BTreeMap<String, String>> {
    (!pairs.is_empty()).then(|| pairs.iter().cloned().collect())
}
