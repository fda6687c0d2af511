//! The test reports of a run, fetched from the API and checked against its evidence before they are read.

use std::fs::File;
use std::io::{BufReader, Seek as _, Write as _};

use schemas::id::ArtifactId;
use schemas::test_report::{self, ReportFormat};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::cases::Cases;
use crate::client::{Client, Download};
use crate::output::field;

/// Or why they cannot be compared.
pub(super) async fn cases_of_both(a: &Value, b: &Value, client: Option<&Client>) -> Result<(Cases, Cases), String> {
    for (bundle, name) in [(a, "A"), (b, "B")] {
        if reports(bundle).is_empty() {
            return Err(format!("{name} has no test report"));
        }
    }
    let client = client.ok_or("both runs are given as files; give one by its id to fetch their reports")?;
    Ok((cases(a, client).await?, cases(b, client).await?))
}

fn reports(bundle: &Value) -> &[Value] {
    bundle["tests"]["reports"].as_array().map_or(&[], Vec::as_slice)
}

async fn cases(bundle: &Value, client: &Client) -> Result<Cases, String> {
    let mut cases = Cases::default();
    for report in reports(bundle) {
        let id = field(report, "artifactId");
        let failed = |what: &dyn std::fmt::Display| format!("the report {id} cannot be compared: {what}");
        let artifact_id: ArtifactId = id.parse().map_err(|error| failed(&error))?;
        let format: ReportFormat = field(report, "format").parse().map_err(|error| failed(&error))?;
        let artifacts = bundle["artifacts"].as_array().map_or(&[][..], Vec::as_slice);
        let sealed = artifacts.iter().find(|artifact| artifact["id"].as_str() == Some(&id));
        let sealed = sealed.ok_or_else(|| failed(&"the evidence does not have this artifact"))?;
        let file = fetch(client, &artifact_id, sealed).await.map_err(|error| failed(&error))?;
        let read = spawn_blocking(move || {
            let read = test_report::read(format, BufReader::new(file), |case| cases.insert(case));
            read.map(|_| cases)
        });
        cases = read.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    }
    Ok(cases)
}

/// A file without a name that has exactly the bytes of the evidence.
async fn fetch(client: &Client, id: &ArtifactId, sealed: &Value) -> Result<File, String> {
    let size_bytes = sealed["sizeBytes"].as_u64().ok_or("the evidence does not tell its size")?;
    let mut file = tempfile::tempfile().map_err(|error| error.to_string())?;
    let mut download = Download::artifact(client, id).await.map_err(|failure| failure.message)?;
    let mut received_bytes = 0;
    while let Some(piece) = download.next().await.map_err(|failure| failure.message)? {
        received_bytes += piece.len() as u64;
        if received_bytes > size_bytes {
            break;
        }
        file.write_all(&piece).map_err(|error| error.to_string())?;
    }
    let (_, sha256) = download.finish();
    if received_bytes != size_bytes || sealed["sha256"].as_str() != Some(&sha256) {
        return Err("what the API sent is not what the evidence says".to_owned());
    }
    file.rewind().map_err(|error| error.to_string())?;
    Ok(file)
}
