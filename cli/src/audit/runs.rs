//! Fetches what the server says about one run: its evidence, its entry in the log, its signed statement.

use schemas::Timestamp;
use schemas::id::RunId;
use schemas::transparency::inclusion::Inclusion;
use verifier::audit::{self, Finding, Served};

use super::log_reader::LogReader;
use crate::client::Client;
use crate::failure::Failure;

/// The server's answers about one ended run, compared with each other.
#[derive(Debug)]
pub(crate) enum RunAudit {
    /// Evidence and entry fit together; the log is still to be asked for the entry.
    Claimed {
        run: RunId,
        inclusion: Box<Inclusion>,
    },
    Problem(Finding),
    NotChecked(Finding),
}

/// Asks for the evidence of an ended run and for its entry, and compares them.
pub(crate) async fn collect(client: &Client, run: &RunId) -> RunAudit {
    match ask(client, run).await {
        Ok(audit) => audit,
        Err(failure) => RunAudit::NotChecked(Finding::of(run, "not_checked", failure.message)),
    }
}

async fn ask(client: &Client, run: &RunId) -> Result<RunAudit, Failure> {
    let evidence = match if_found(client.evidence(run).await) {
        Ok(Some(evidence)) => evidence,
        Ok(None) => {
            let message = "the run has ended, and its evidence is not served: it was removed";
            return Ok(RunAudit::Problem(Finding::of(run, "evidence_missing", message)));
        }
        // What was sealed is JSON.
        Err(failure) if failure.code == "invalid_response" && failure.status == Some(200) => {
            let message = format!("what is served as evidence is no Evidence Bundle: {}", failure.message);
            return Ok(RunAudit::Problem(Finding::of(run, "evidence_replaced", message)));
        }
        Err(failure) => return Err(failure),
    };
    let served = match Served::read(run, &evidence) {
        Ok(served) => served,
        Err(finding) => return Ok(RunAudit::Problem(finding)),
    };
    let Some(inclusion) = if_found(client.inclusion(run).await)? else {
        let judged = audit::not_logged(run, &served, Timestamp::now());
        return Ok(judged.map_or_else(RunAudit::Problem, RunAudit::NotChecked));
    };
    let statements = if_found(client.attestations(run).await)?;
    let statement = statements.map(audit::statement_sha256).transpose();
    let statement = statement.map_err(|error| Failure::invalid_answer(error.to_string()))?.flatten();
    Ok(match audit::claim(run, &served, statement.as_deref(), &inclusion) {
        Ok(()) => RunAudit::Claimed { run: run.clone(), inclusion: Box::new(inclusion) },
        Err(finding) => RunAudit::Problem(finding),
    })
}

fn if_found<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Err(failure) if failure.code == "not_found" => Ok(None),
        answer => answer.map(Some),
    }
}

/// The finding, if the tree does not have the claimed entry. The proof is made from the tree's tiles.
pub(crate) async fn prove(
    log: &mut LogReader<'_>,
    run: &RunId,
    claimed: &Inclusion,
) -> Result<Option<Finding>, Failure> {
    let proof = log.inclusion_proof(claimed.leaf_index).await?;
    Ok(audit::prove(run, claimed, &log.tree, proof.as_deref()).err())
}
