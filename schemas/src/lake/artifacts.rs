//! `artifacts`: the files that runs left behind.

use super::table::row;
use crate::evidence::EvidenceBundle;
use crate::test_report::ReportFormat;

row! {
    ArtifactRow: "artifacts", "A stored artifact, as it was sealed: it may have been deleted since.", key ["artifact_id"] {
        workspace_run_id: String = "Id of the run.",
        org_id: String = "Organization: the tenant.",
        project_id: String = "Project of the organization.",
        artifact_id: String = "Id of the artifact.",
        name: String = "Its name.",
        path: String = "The path as it was asked for.",
        size_bytes: u64 = "Its bytes.",
        sha256: String = "Its digest, in hexadecimal.",
        content_type: String = "Media type, such as `application/xml`.",
        object_key: String = "Its object key, in the same bucket.",
        report_format: Option<String> = "`junit` or `ctrf` if it is a test report.",
    }
}

impl ArtifactRow {
    pub fn of(bundle: &EvidenceBundle) -> impl Iterator<Item = Self> {
        bundle.artifacts.iter().map(|artifact| {
            let mut reports = bundle.tests.iter().flat_map(|tests| &tests.reports);
            let format = reports.find(|report| report.artifact_id == artifact.id).map(|report| report.format);
            Self {
                workspace_run_id: bundle.workspace_run_id.to_string(),
                org_id: bundle.org_id.to_string(),
                project_id: bundle.project_id.to_string(),
                artifact_id: artifact.id.to_string(),
                name: artifact.name.clone(),
                path: artifact.path.clone(),
                size_bytes: artifact.size_bytes,
                sha256: artifact.sha256.clone(),
                content_type: artifact.content_type.clone(),
                object_key: artifact.object_key.clone(),
                report_format: format.as_ref().map(ReportFormat::to_string),
            }
        })
    }
}
