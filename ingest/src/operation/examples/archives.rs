//! Examples about archives and their transfers.

use std::collections::BTreeMap;

use schemas::api::archive::{
    ArchiveAnswer, DeclaredArchive, FinalizeArchive, Transfer, TransferAnswer, TransferStatus,
};
use schemas::api::run::RunResult;
use schemas::archive::Archive;
use schemas::run::RunStatus;
use serde_json::Value;

use super::runs::run;
use super::{SHA256, SIZE, URL, at, example_id, written};

pub(crate) fn declared_archive() -> Value {
    written(DeclaredArchive { sha256: SHA256.to_owned(), size_bytes: SIZE })
}

pub(crate) fn finalize_archive() -> Value {
    written(FinalizeArchive { sha256: SHA256.to_owned(), size_bytes: SIZE, upload_id: example_id!("upl") })
}

pub(super) fn archive() -> Archive {
    Archive { sha256: SHA256.to_owned(), size_bytes: SIZE, uploaded_at: Some(at(120)) }
}

pub(crate) fn archive_answer() -> Value {
    let mut run = run();
    (run.status, run.result) = (RunStatus::ArchiveUploaded, RunResult::default());
    written(ArchiveAnswer { archive: archive(), workspace_run: run })
}

pub(crate) fn transfer_answer() -> Value {
    written(TransferAnswer {
        transfer: Transfer {
            id: example_id!("upl"),
            checksum_algorithm: "sha256".to_owned(),
            expires_at: at(24 * 3_600_000),
            headers: BTreeMap::from([("content-type".to_owned(), "application/gzip".to_owned())]),
            max_size_bytes: 5 << 30,
            method: "PUT".to_owned(),
            status: TransferStatus::Pending,
            upload_url: format!("{URL}/v1/uploads/upl_01m89bpm1vtth71tw1q0yf5swh"),
            workspace_run_id: example_id!("wsr"),
        },
    })
}
