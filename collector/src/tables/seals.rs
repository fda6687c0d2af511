//! `collector.seals`: the outcome of a run as it was fixed, and whether everything about it is durable.

use anyhow::Context;
use database::GenericClient;
use schemas::Timestamp;
use schemas::id::RunId;
use schemas::message::RunEnd;
use serde_json::{Value, json};

use super::{from_sql, to_sql};

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

pub(crate) async fn decide(client: &impl GenericClient, decisions: &[Decision<'_>]) -> anyhow::Result<()> {
    if decisions.is_empty() {
        return Ok(());
    }
    let runs: Vec<&str> = decisions.iter().map(|decision| decision.run.as_str()).collect();
    let endings: Vec<Value> =
        decisions.iter().map(|decision| json!({ "attempt": decision.attempt, "end": decision.end })).collect();
    let times: Vec<_> = decisions.iter().map(|decision| decision.decided_at.into_inner()).collect();
    let last: Vec<i64> = decisions.iter().map(|decision| to_sql(decision.last_seq)).collect();
    let sql = "insert into collector.seals (run_id, ending, decided_at, last_seq)
               select * from unnest($1::text[], $2::jsonb[], $3::timestamptz[], $4::int8[])";
    client.execute(&client.prepare_cached(sql).await?, &[&runs, &endings, &times, &last]).await?;
    Ok(())
}

/// Those of the runs that are not sealed yet.
pub(crate) async fn unsealed(client: &impl GenericClient, runs: &[&str]) -> anyhow::Result<Vec<Unsealed>> {
    let sql = "select run_id, ending, decided_at, last_seq from collector.seals
               where run_id = any($1) and sealed_at is null";
    let rows = client.query(&client.prepare_cached(sql).await?, &[&runs]).await?;
    rows.iter()
        .map(|row| {
            let ending: Value = row.get("ending");
            Ok(Unsealed {
                run_id: row.get::<_, String>("run_id").parse()?,
                attempt: serde_json::from_value(ending["attempt"].clone()).context("a seal without attempt")?,
                end: serde_json::from_value(ending["end"].clone()).context("a seal of unknown shape")?,
                decided_at: Timestamp::from(row.get::<_, time::OffsetDateTime>("decided_at")),
                last_seq: from_sql(row.get("last_seq")),
            })
        })
        .collect()
}

/// Everything about these runs is durable.
pub(crate) async fn finish(
    client: &impl GenericClient,
    runs: &[&str],
    keys: &[&str],
    evidence: &[&str],
    attestations: &[&str],
) -> anyhow::Result<()> {
    let sql = "update collector.seals set sealed_at = clock_timestamp(), evidence_key = done.key,
                   evidence_sha256 = done.evidence, attestation_sha256 = done.attestation
               from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as done (run_id, key, evidence, attestation)
               where seals.run_id = done.run_id";
    client.execute(&client.prepare_cached(sql).await?, &[&runs, &keys, &evidence, &attestations]).await?;
    Ok(())
}

/// How many outcomes are fixed but not durable.
pub(crate) async fn count_unsealed(client: &impl GenericClient) -> anyhow::Result<i64> {
    let sql = "select count(*) from collector.seals where sealed_at is null";
    Ok(client.query_one(&client.prepare_cached(sql).await?, &[]).await?.get(0))
}
