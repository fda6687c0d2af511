//! Bounds of one run's collection: what its artifacts may still have of bytes and number, and until when.

use std::time::Duration;

use schemas::artifact::{ArtifactBound, ArtifactErrorCode, ArtifactLimits};
use tokio::time::Instant;

use crate::dispatch::running::Stop;

/// Why an artifact is not there, or not as a whole.
#[derive(Debug, Clone)]
pub(super) struct Lacking {
    pub code: ArtifactErrorCode,
    pub bound: Option<ArtifactBound>,
    pub message: String,
}

impl Lacking {
    pub(super) fn because(message: impl Into<String>) -> Self {
        Self { code: ArtifactErrorCode::ArtifactCollectFailed, bound: None, message: message.into() }
    }

    fn of(bound: ArtifactBound, message: String) -> Self {
        Self { bound: Some(bound), ..Self::because(message) }
    }

    /// The attempt was told to stop.
    pub(super) fn stopped(stop: Stop) -> Self {
        Self::because(match stop {
            Stop::Canceled => "not collected: the run was canceled",
            Stop::Silent => "not collected: another attempt has the run",
        })
    }
}

#[derive(Debug)]
pub(super) struct Bounds {
    artifact_bytes: u64,
    run_bytes: u64,
    artifacts: u64,
    time: Duration,
    /// The rest that earlier artifacts have left.
    left_bytes: u64,
    left_artifacts: u64,
    /// The end of the collection.
    pub deadline: Instant,
}

impl Bounds {
    /// The collection begins. A bound that is absent is none.
    pub(super) fn start(limits: ArtifactLimits) -> Self {
        let ArtifactLimits { artifact_bytes, run_bytes, artifacts, collection_ms } = limits;
        let (run_bytes, artifacts) = (run_bytes.unwrap_or(u64::MAX), artifacts.unwrap_or(u64::MAX));
        let time = Duration::from_millis(collection_ms.unwrap_or(schemas::limits::TIMEOUT_MS));
        Self {
            artifact_bytes: artifact_bytes.unwrap_or(u64::MAX),
            run_bytes,
            artifacts,
            time,
            left_bytes: run_bytes,
            left_artifacts: artifacts,
            deadline: Instant::now() + time,
        }
    }

    /// Bytes that the next artifact may have.
    pub(super) fn bytes(&self) -> u64 {
        self.artifact_bytes.min(self.left_bytes)
    }

    /// Artifacts that the run may still have.
    pub(super) fn artifacts(&self) -> usize {
        usize::try_from(self.left_artifacts).unwrap_or(usize::MAX)
    }

    /// Refuses an artifact of this size before anything of it is read.
    pub(super) fn check(&self, bytes: u64) -> Result<(), Lacking> {
        if self.left_artifacts == 0 {
            return Err(self.too_many());
        }
        if bytes > self.bytes() { Err(self.too_large(Some(bytes))) } else { Ok(()) }
    }

    /// One more artifact is stored.
    pub(super) fn charge(&mut self, bytes: u64) {
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
        self.left_artifacts = self.left_artifacts.saturating_sub(1);
    }

    pub(super) fn too_many(&self) -> Lacking {
        let message = format!("not collected: the run has the {} artifacts that it may have", self.artifacts);
        Lacking::of(ArtifactBound::Artifacts, message)
    }

    /// An artifact with more bytes than [`Self::bytes`]; how many more is not always known.
    pub(super) fn too_large(&self, bytes: Option<u64>) -> Lacking {
        let has = bytes.map_or("it has more bytes".to_owned(), |bytes| format!("it has {bytes} bytes, more"));
        if self.artifact_bytes <= self.left_bytes {
            let message = format!("not collected: {has} than the {} that one artifact may have", self.artifact_bytes);
            return Lacking::of(ArtifactBound::ArtifactBytes, message);
        }
        let (limit, left) = (self.run_bytes, self.left_bytes);
        let message = format!(
            "not collected: {has} than the {left} that are left of the {limit} that all artifacts of the run may have"
        );
        Lacking::of(ArtifactBound::RunBytes, message)
    }

    pub(super) fn over_time(&self) -> Lacking {
        let time = self.time.as_millis();
        let message = format!("not collected: the {time} ms for collecting the run's artifacts were over");
        Lacking::of(ArtifactBound::Time, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_that_is_met_first_is_named() {
        use ArtifactBound::{ArtifactBytes, Artifacts, RunBytes};
        let limits = |artifact, run, artifacts| ArtifactLimits {
            artifact_bytes: Some(artifact),
            run_bytes: Some(run),
            artifacts: Some(artifacts),
            collection_ms: Some(1),
        };
        for (limits, stored, next, expected) in [
            (limits(10, 20, 9), &[][..], 10, None),
            (limits(10, 20, 9), &[], 11, Some(ArtifactBytes)),
            (limits(10, 20, 9), &[10], 10, None),
            (limits(10, 20, 9), &[10, 1], 10, Some(RunBytes)),
            (limits(10, 20, 9), &[10, 10], 0, None),
            (limits(30, 20, 9), &[], 1 << 40, Some(RunBytes)),
            (limits(10, 20, 2), &[1, 1], 0, Some(Artifacts)),
            (ArtifactLimits::default(), &[1 << 40], 1 << 40, None),
        ] {
            let mut bounds = Bounds::start(limits);
            for &bytes in stored {
                bounds.charge(bytes);
            }
            let reached = bounds.check(next).err().and_then(|lacking| lacking.bound);
            assert_eq!(reached, expected, "{limits:?} {stored:?} {next}");
        }
    }
}
