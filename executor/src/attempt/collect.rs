//! Requested artifacts, straight from the dead sandbox's workspace into the object store: files, folders as a tar, and
//! what a pattern matches. Nothing here is fatal for the run: what cannot be collected is recorded as an artifact error.

mod content_type;
mod object_name;
mod report;
mod upload;

use std::mem;
use std::os::fd::{AsFd as _, BorrowedFd};

use schemas::Timestamp;
use schemas::artifact::ArtifactRequest;
use schemas::artifact::{ArtifactError, ArtifactErrorCode};
use schemas::event::EventKind;
use schemas::id::ArtifactId;
use schemas::layout;
use schemas::message::CollectedArtifact;
use schemas::test_report::{ReportFormat, TestReport};

use self::object_name::object_name;
use self::report::ReadReport;
use self::upload::Uploaded;
use super::Attempt;
use super::record::Record;
use crate::workspace::{
    self, Artifact, ArtifactFile, ArtifactFolder, Budget, LeftOut, MATCHES, Matches, Pattern, open_artifact, open_match,
};

const NO_ROOM: &str =
    "not collected: the names of a run's artifacts may take 2.5 MiB together; ask for a folder, which is one artifact";

pub(super) async fn artifacts(attempt: &Attempt<'_>, workspace: BorrowedFd<'_>, record: &mut Record) {
    let mut collection = Collection { attempt, workspace, record, budget: Budget::default(), matches: MATCHES };
    for request in &attempt.job.artifacts {
        collection.collect(request).await;
    }
}

struct Collection<'a> {
    attempt: &'a Attempt<'a>,
    workspace: BorrowedFd<'a>,
    record: &'a mut Record,
    /// The part of the budget that earlier requests have left.
    budget: Budget,
    /// The number of files that further patterns may find.
    matches: usize,
}

impl Collection<'_> {
    /// Collects one request. A name that exists is meant literally, whatever characters are in it.
    async fn collect(&mut self, request: &ArtifactRequest) {
        match open_artifact(self.workspace, &request.path) {
            Ok(Artifact::File(found)) => {
                let base_name = found.path.rsplit('/').next().unwrap_or_default().to_owned();
                let name = request.name.as_deref().unwrap_or(&base_name);
                self.file(&request.path, name, found, request.report).await;
            }
            Ok(Artifact::Folder(found)) => self.folder(request, found).await,
            Err(workspace::ArtifactError::NotFound { path }) => match Pattern::parse(&path) {
                Some(pattern) => self.matches(&path, pattern, request.report).await,
                None => self.failed(&path, &workspace::ArtifactError::NotFound { path: path.clone() }).await,
            },
            Err(error) => self.failed(&request.path, &error).await,
        }
    }

    async fn file(&mut self, path: &str, name: &str, found: ArtifactFile, declared: Option<ReportFormat>) {
        let (id, name) = (ArtifactId::new(), object_name(name));
        if !self.record.room.take_artifact(path, &name) {
            return self.error(path, ArtifactErrorCode::ArtifactCollectFailed, NO_ROOM.to_owned()).await;
        }
        let (key, content_type) = (self.object_key(&id, &name), content_type::of_path(&name));
        match upload::file(&self.attempt.context.store, &key, content_type, found, declared).await {
            Ok((uploaded, report)) => {
                self.collected(id, path, name, content_type, key, uploaded).await;
                if let Some(report) = report {
                    self.report(path, report).await;
                }
            }
            Err(message) => self.error(path, ArtifactErrorCode::ArtifactCollectFailed, message).await,
        }
    }

    async fn folder(&mut self, request: &ArtifactRequest, found: ArtifactFolder) {
        let tar_name = format!("{}.tar", found.name);
        let (id, name) = (ArtifactId::new(), object_name(request.name.as_deref().unwrap_or(&tar_name)));
        if !self.record.room.take_artifact(&request.path, &name) {
            return self.error(&request.path, ArtifactErrorCode::ArtifactCollectFailed, NO_ROOM.to_owned()).await;
        }
        let key = self.object_key(&id, &name);
        match upload::folder(&self.attempt.context.store, &key, found, &mut self.budget).await {
            Ok((uploaded, left_out)) => {
                self.collected(id, &request.path, name, upload::TAR, key, uploaded).await;
                if left_out != LeftOut::default() {
                    let message = left_out.to_string();
                    self.error(&request.path, ArtifactErrorCode::ArtifactCollectFailed, message).await;
                }
                if let Some(format) = request.report {
                    let message = format!(
                        "collected, but not as a test report: expected a file in {}, or a pattern for several; got a folder",
                        format.title()
                    );
                    self.error(&request.path, ArtifactErrorCode::TestReportInvalid, message).await;
                }
            }
            Err(message) => self.error(&request.path, ArtifactErrorCode::ArtifactCollectFailed, message).await,
        }
    }

    /// Every match becomes an artifact under its own path and name.
    async fn matches(&mut self, requested: &str, pattern: Pattern, declared: Option<ReportFormat>) {
        let Matches { paths, incomplete } = match self.find(pattern).await {
            Ok(matches) => matches,
            Err(error) => return self.error(requested, ArtifactErrorCode::ArtifactCollectFailed, error).await,
        };
        if paths.is_empty() && incomplete.is_none() {
            let message = format!("no file in /workspace matches {requested}");
            self.error(requested, ArtifactErrorCode::FileNotFound, message).await;
        }
        for path in paths {
            let shown = path.to_string_lossy();
            match open_match(self.workspace, &path) {
                Ok(found) => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    self.file(&shown, &name, found, declared).await;
                }
                Err(error) => self.failed(&shown, &error).await,
            }
        }
        if let Some(incomplete) = incomplete {
            self.error(requested, ArtifactErrorCode::ArtifactCollectFailed, incomplete.to_string()).await;
        }
    }

    async fn find(&mut self, pattern: Pattern) -> Result<Matches, String> {
        let workspace = self.workspace.try_clone_to_owned().map_err(|error| error.to_string())?;
        let (limit, mut budget) = (self.matches, mem::replace(&mut self.budget, Budget::of(0)));
        let found = tokio::task::spawn_blocking(move || {
            let matches = pattern.find(workspace.as_fd(), limit, &mut budget);
            (matches, budget)
        });
        let (matches, budget) = found.await.map_err(|error| error.to_string())?;
        self.budget = budget;
        self.matches -= matches.paths.len();
        Ok(matches)
    }

    fn object_key(&self, id: &ArtifactId, name: &str) -> String {
        let job = self.attempt.job;
        let folder = layout::run_folder(&job.org_id, &job.project_id, &job.date, &job.run_id);
        format!("{folder}/artifacts/{id}/{name}")
    }

    async fn collected(
        &mut self,
        id: ArtifactId,
        path: &str,
        name: String,
        content_type: &str,
        object_key: String,
        uploaded: Uploaded,
    ) {
        let (artifact_id, path) = (id.clone(), path.to_owned());
        self.attempt.feed.event(EventKind::ArtifactCollected { artifact_id, path: path.clone() }).await;
        self.record.artifacts.push(CollectedArtifact {
            id,
            path,
            name,
            size_bytes: uploaded.size_bytes,
            sha256: uploaded.sha256,
            content_type: content_type.to_owned(),
            object_key,
            created_at: Timestamp::now(),
        });
    }

    /// Records the report of the artifact that was just collected. Equal files are counted once, however often they
    /// were requested.
    async fn report(&mut self, path: &str, ReadReport { format, counts }: ReadReport) {
        let counts = match counts {
            Ok(counts) => counts,
            Err(error) => {
                let message = format!("collected, but not counted as a test report in {}: {error}", format.title());
                return self.error(path, ArtifactErrorCode::TestReportInvalid, message).await;
            }
        };
        let Some((artifact, earlier)) = self.record.artifacts.split_last() else { return };
        let reports = &mut self.record.test_reports;
        let is_known = |earlier: &CollectedArtifact| {
            earlier.sha256 == artifact.sha256 && reports.iter().any(|report| report.artifact_id == earlier.id)
        };
        if !earlier.iter().any(is_known) {
            reports.push(TestReport { artifact_id: artifact.id.clone(), format, counts });
        }
    }

    async fn failed(&mut self, path: &str, error: &workspace::ArtifactError) {
        self.error(path, error.code(), error.to_string()).await;
    }

    async fn error(&mut self, path: &str, code: ArtifactErrorCode, message: String) {
        let error = ArtifactError::new(code, &message, path);
        tracing::info!(path, %code, "an artifact was not collected, or not as a whole");
        self.attempt.feed.event(EventKind::ArtifactError { error: error.clone() }).await;
        self.record.artifact_error(error);
    }
}
