//! `collector.seals`: the outcome of a run as it was fixed, and whether everything about it is durable.

use std::time::Duration;

use database::GenericClient;
use schemas::Timestamp;
use schemas::id::RunId;
use schemas::message::RunEnd;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DbError, execute, one, parsed, rows, signed, timestamp, unsigned};

/// An outcome that is fixed now.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    pub run: &'a RunId,
    pub attempt: u32,
    pub end: &'a RunEnd,
    pub decided_at: Timestamp,
    pub last_seq: u64,
}

/// An outcome that was fixed and is not yet durable.
#[derive(Debug, Clone)]
pub(crate) struct Unsealed {
    pub run_id: RunId,
    pub attempt: u32,
    pub end: RunEnd,
    pub decided_at: Timestamp,
    pub last_seq: u64,
}

/// The column `ending`.
#[derive(Debug, Deserialize)]
struct Ending {
    attempt: u32,
    end: RunEnd,
}

pub(crate) async fn decide(client: &impl GenericClient, decisions: &[Decision<'_>]) -> Result<(), DbError> {
    if decisions.is_empty() {
        return Ok(());
    }
    let runs: Vec<&str> = decisions.iter().map(|decision| decision.run.as_str()).collect();
    let endings: Vec<Value> =
        decisions.iter().map(|decision| json!({ "attempt": decision.attempt, "end": decision.end })).collect();
    let times: Vec<_> = decisions.iter().map(|decision| decision.decided_at.into_inner()).collect();
    let last: Vec<i64> = decisions.iter().map(|decision| signed(decision.last_seq)).collect();
    let sql = "insert into collector.seals (run_id, ending, decided_at, last_seq)
               select * from unnest($1::text[], $2::jsonb[], $3::timestamptz[], $4::int8[])";
    execute(client, sql, &[&runs, &endings, &times, &last]).await.map(drop)
}

/// The fixed outcomes of those runs that are not sealed yet.
pub(crate) async fn unsealed(client: &impl GenericClient, runs: &[&str]) -> Result<Vec<Unsealed>, DbError> {
    let sql = "select run_id, ending, decided_at, last_seq from collector.seals
               where run_id = any($1) and sealed_at is null";
    let found = rows(client, sql, &[&runs]).await?;
    found
        .iter()
        .map(|row| {
            let Ending { attempt, end } = super::json(row, "ending")?;
            Ok(Unsealed {
                run_id: parsed(row, "run_id")?,
                attempt,
                end,
                decided_at: timestamp(row, "decided_at")?,
                last_seq: unsigned(row, "last_seq")?,
            })
        })
        .collect()
}

/// Some of the runs whose outcome was fixed that long ago and is not durable. Which ones is chance, so that runs that cannot
/// be sealed do not keep others from their turn.
pub(crate) async fn left(client: &impl GenericClient, age: Duration, limit: i64) -> Result<Vec<RunId>, DbError> {
    let sql = "select run_id from collector.seals
               where sealed_at is null and decided_at < now() - make_interval(secs => $1) order by random() limit $2";
    rows(client, sql, &[&age.as_secs_f64(), &limit]).await?.iter().map(|row| parsed(row, "run_id")).collect()
}

/// Puts another ending in the place of one that cannot be sealed; whoever does so writes the same.
pub(crate) async fn replace(
    client: &impl GenericClient,
    run: &RunId,
    attempt: u32,
    end: &RunEnd,
) -> Result<(), DbError> {
    let sql = "update collector.seals set ending = $2 where run_id = $1 and sealed_at is null";
    execute(client, sql, &[&run.as_str(), &json!({ "attempt": attempt, "end": end })]).await.map(drop)
}

/// The objects of a sealed run.
#[derive(Debug)]
pub(crate) struct Durable<'a> {
    pub run: &'a RunId,
    pub evidence_key: &'a str,
    pub evidence_sha256: &'a str,
    pub attestation_sha256: &'a str,
}

/// Notes that everything about these runs is durable.
pub(crate) async fn finish(client: &impl GenericClient, sealed: &[Durable<'_>]) -> Result<(), DbError> {
    let runs: Vec<&str> = sealed.iter().map(|sealed| sealed.run.as_str()).collect();
    let keys: Vec<&str> = sealed.iter().map(|sealed| sealed.evidence_key).collect();
    let evidence: Vec<&str> = sealed.iter().map(|sealed| sealed.evidence_sha256).collect();
    let attestations: Vec<&str> = sealed.iter().map(|sealed| sealed.attestation_sha256).collect();
    let sql = "update collector.seals set sealed_at = clock_timestamp(), evidence_key = done.key,
                   evidence_sha256 = done.evidence, attestation_sha256 = done.attestation
               from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as done (run_id, key, evidence, attestation)
               where seals.run_id = done.run_id";
    execute(client, sql, &[&runs, &keys, &evidence, &attestations]).await.map(drop)
}

/// The number of outcomes that are fixed but not durable.
pub(crate) async fn count_unsealed(client: &impl GenericClient) -> Result<i64, DbError> {
    Ok(one(client, "select count(*) from collector.seals where sealed_at is null", &[]).await?.try_get(0)?)
}
