//! Requested artifacts, straight from the dead sandbox's workspace into the object store: files, folders as a tar, and
//! what a pattern matches. Nothing here is fatal for the run: what cannot be collected is recorded as an artifact error.

mod bounds;
mod content_type;
mod object_name;
mod report;
mod upload;

use std::collections::HashSet;
use std::mem;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::Pin;
use std::time::Duration;

use infra::s3::StoreError;
use schemas::Timestamp;
use schemas::artifact::{ArtifactBound, ArtifactError, ArtifactErrorCode, ArtifactRequest};
use schemas::event::EventKind;
use schemas::id::ArtifactId;
use schemas::layout;
use schemas::message::CollectedArtifact;
use schemas::test_report::{ReportFormat, TestReport};

use self::bounds::{Bounds, Lacking};
use self::object_name::object_name;
use self::report::ReadReport;
use self::upload::{Upload, UploadError, Uploaded};
use super::Attempt;
use super::record::Record;
use crate::abandoned::Caller;
use crate::dispatch::halt::Halt;
use crate::workspace::{
    self, Artifact, ArtifactFile, ArtifactFolder, Budget, LeftOut, Matches, Pattern, WalkError, normalize,
    open_artifact, open_match,
};

const NO_ROOM: &str =
    "not collected: the names of a run's artifacts may take 2.5 MiB together; ask for a folder, which is one artifact";

/// Time for which a store that refuses an artifact is asked again.
const STORE_PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn artifacts(attempt: &Attempt<'_>, workspace: BorrowedFd<'_>, record: &mut Record, halt: &Halt) {
    let bounds = Bounds::start(attempt.artifact_limits());
    let (deadline, over_time) = (bounds.deadline, bounds.over_time());
    let over = Box::pin(async move {
        tokio::select! {
            stop = halt.last_call() => Lacking::stopped(stop),
            () = tokio::time::sleep_until(deadline) => over_time,
        }
    });
    let mut collection = Collection { attempt, workspace, record, budget: Budget::default(), bounds, over, cut: None };
    // Equal requests are one artifact.
    let mut asked = HashSet::new();
    for request in &attempt.job.artifacts {
        let path = normalize(&request.path).unwrap_or_else(|| request.path.clone());
        if asked.insert((path, &request.name, request.report.map(ReportFormat::title))) {
            collection.collect(request).await;
        }
    }
}

struct Collection<'a> {
    attempt: &'a Attempt<'a>,
    workspace: BorrowedFd<'a>,
    record: &'a mut Record,
    /// The part of the budget that earlier requests have left.
    budget: Budget,
    bounds: Bounds,
    /// Returns when the collection must end, and says why.
    over: Pin<Box<dyn Future<Output = Lacking> + Send + 'a>>,
    /// Why it has ended; [`Self::over`] is not asked again then.
    cut: Option<Lacking>,
}

/// Runs a step of the collection, until the collection is over.
async fn within<T>(
    over: &mut Pin<Box<dyn Future<Output = Lacking> + Send + '_>>,
    cut: &mut Option<Lacking>,
    step: impl Future<Output = T>,
) -> Result<T, Lacking> {
    let lacking = tokio::select! {
        done = step => return Ok(done),
        lacking = over => lacking,
    };
    Err(cut.insert(lacking).clone())
}

impl Collection<'_> {
    /// Collects one request. A name that exists is meant literally, whatever characters are in it.
    async fn collect(&mut self, request: &ArtifactRequest) {
        if let Some(cut) = self.cut.clone() {
            return self.lacking(&request.path, cut).await;
        }
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
        if let Err(lacking) = self.bounds.check(found.size_bytes) {
            return self.lacking(path, lacking).await;
        }
        let (id, name) = (ArtifactId::new(), object_name(name));
        if !self.record.room.take_artifact(path, &name) {
            return self.error(path, ArtifactErrorCode::ArtifactCollectFailed, NO_ROOM.to_owned()).await;
        }
        let (key, content_type) = (self.object_key(&id, &name), content_type::of_path(&name));
        let step = Box::pin(upload::file(self.upload(&key, content_type), found, declared));
        match within(&mut self.over, &mut self.cut, step).await {
            Ok(Ok((uploaded, report))) => {
                self.collected(id, path, name, content_type, key, uploaded).await;
                if let Some(report) = report {
                    self.report(path, report).await;
                }
            }
            Ok(Err(error)) => self.refused(path, error).await,
            Err(cut) => self.lacking(path, cut).await,
        }
    }

    async fn folder(&mut self, request: &ArtifactRequest, found: ArtifactFolder) {
        if let Err(lacking) = self.bounds.check(0) {
            return self.lacking(&request.path, lacking).await;
        }
        let tar_name = format!("{}.tar", found.name);
        let (id, name) = (ArtifactId::new(), object_name(request.name.as_deref().unwrap_or(&tar_name)));
        if !self.record.room.take_artifact(&request.path, &name) {
            return self.error(&request.path, ArtifactErrorCode::ArtifactCollectFailed, NO_ROOM.to_owned()).await;
        }
        let key = self.object_key(&id, &name);
        let step = Box::pin(upload::folder(self.upload(&key, upload::TAR), found, &mut self.budget));
        match within(&mut self.over, &mut self.cut, step).await {
            Ok(Ok((uploaded, left_out))) => {
                self.collected(id, &request.path, name, upload::TAR, key, uploaded).await;
                if left_out != LeftOut::default() {
                    self.lacking(&request.path, Lacking::because(left_out.to_string())).await;
                }
                if let Some(format) = request.report {
                    let message = format!(
                        "collected, but not as a test report: expected a file in {}, or a pattern for several; got a folder",
                        format.title()
                    );
                    self.error(&request.path, ArtifactErrorCode::TestReportInvalid, message).await;
                }
            }
            Ok(Err(error)) => self.refused(&request.path, error).await,
            Err(cut) => self.lacking(&request.path, cut).await,
        }
    }

    /// Every match becomes an artifact under its own path and name.
    async fn matches(&mut self, requested: &str, pattern: Pattern, declared: Option<ReportFormat>) {
        let Matches { paths, incomplete } = match self.find(pattern).await {
            Ok(matches) => matches,
            Err(lacking) => return self.lacking(requested, lacking).await,
        };
        if paths.is_empty() && incomplete.is_none() {
            let message = format!("no file in /workspace matches {requested}");
            self.error(requested, ArtifactErrorCode::FileNotFound, message).await;
        }
        for path in paths {
            if let Some(cut) = self.cut.clone() {
                // One error for all that are left.
                return self.lacking(requested, cut).await;
            }
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
            let bound = matches!(incomplete, WalkError::TooManyMatches { .. }).then_some(ArtifactBound::Artifacts);
            self.lacking(requested, Lacking { bound, ..Lacking::because(incomplete.to_string()) }).await;
        }
    }

    async fn find(&mut self, pattern: Pattern) -> Result<Matches, Lacking> {
        let workspace = self.workspace.try_clone_to_owned().map_err(|error| Lacking::because(error.to_string()))?;
        let caller = Caller::default();
        let (limit, budget) = (self.bounds.artifacts(), mem::replace(&mut self.budget, Budget::of(0)));
        let mut budget = budget.until(caller.gone());
        let found = tokio::task::spawn_blocking(move || {
            let matches = pattern.find(workspace.as_fd(), limit, &mut budget);
            (matches, budget)
        });
        let found = within(&mut self.over, &mut self.cut, found).await?;
        let (matches, budget) = found.map_err(|error| Lacking::because(error.to_string()))?;
        self.budget = budget;
        Ok(matches)
    }

    fn upload(&self, key: &str, content_type: &str) -> Upload {
        let object = self.attempt.context.store.begin(key, content_type).patient(STORE_PATIENCE);
        Upload::new(object, self.bounds.bytes())
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
        self.bounds.charge(uploaded.size_bytes);
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

    async fn refused(&mut self, path: &str, error: UploadError) {
        let lacking = match error {
            UploadError::TooLarge => self.bounds.too_large(None),
            UploadError::Content(message) => Lacking::because(message),
            UploadError::Store(error) => {
                // The store's own words are for operators.
                tracing::warn!(path, %error, "the store did not take an artifact");
                Lacking::because(match error {
                    StoreError::Full { .. } => "not collected: the object store is full",
                    _ => "not collected: the object store did not take it",
                })
            }
        };
        self.lacking(path, lacking).await;
    }

    async fn error(&mut self, path: &str, code: ArtifactErrorCode, message: String) {
        self.lacking(path, Lacking { code, bound: None, message }).await;
    }

    async fn lacking(&mut self, path: &str, lacking: Lacking) {
        let Lacking { code, bound, message } = lacking;
        let error = ArtifactError { bound, ..ArtifactError::new(code, &message, path) };
        tracing::info!(path, %code, bound = bound.map(ArtifactBound::as_str), "an artifact was not collected, or not as a whole");
        if let Some(bound) = bound {
            self.attempt.context.metrics.artifact_bounds.with_label_values(&[bound.as_str()]).inc();
        }
        self.attempt.feed.event(EventKind::ArtifactError { error: error.clone() }).await;
        self.record.artifact_error(error);
    }
}
