//! Seals ended runs: event log and Evidence Bundle to the object store, then one transaction that makes the runs
//! terminal, then the acknowledgement. Doing it again produces the same bytes.

mod attest;
mod bundle;
mod usage;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use database::OutboxMessage;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::api::run::WorkspaceRun;
use schemas::event::{Event, EventKind};
use schemas::event_log::Part;
use schemas::evidence::{EventLogPart, SeqRange};
use schemas::id::RunId;
use schemas::layout;
use schemas::message::{LiveRun, RunEnd, Segment};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::ending::Ending;
use crate::intake::Ended;
use crate::log;
use crate::pace::Pace;
use crate::service::Parts;
use crate::tables::log_parts::StoredPart;
use crate::tables::runs::{AttemptRow, EndedRun, RunRow};
use crate::tables::seals::Unsealed;
use crate::tables::segments::StoredSegment;
use crate::tables::{artifacts, gaps, log_parts, runs, seals, segments};

/// Runs sealed together. Bounds the memory too: each holds less than one part of its log.
const BATCH: usize = 32;
/// Runs of a batch that write to the object store at the same time.
const CONCURRENT_WRITES: usize = 8;
/// Batches begin no closer to each other than this, unless one is full; a lone run does not wait.
const PACE: Duration = Duration::from_millis(100);
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Fixed, so that a repetition gives the same bytes.
const ZSTD_LEVEL: i32 = 1;

pub(crate) async fn work(parts: Parts, mut ended: mpsc::Receiver<Ended>, shutdown: CancellationToken) {
    // What could not be sealed waits here, so that one run in trouble does not hold up the others.
    let mut again: Vec<Ended> = Vec::new();
    let mut pace = Pace::new(PACE);
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            received = ended.recv_many(&mut batch, BATCH) => if received == 0 {
                return;
            },
            () = tokio::time::sleep(RETRY_DELAY), if !again.is_empty() => batch.append(&mut again),
            () = shutdown.cancelled(), if !again.is_empty() => return,
        }
        pace.wait_while(|| batch.len() + ended.len() < BATCH).await;
        while batch.len() < BATCH
            && let Ok(next) = ended.try_recv()
        {
            batch.push(next);
        }
        let ids: Vec<RunId> = batch.iter().map(|ended| ended.run.clone()).collect();
        if seal(&parts, &ids).await.is_ok() {
            for ended in batch {
                ended.delivery.ack().await;
            }
            continue;
        }
        for ended in batch {
            match seal(&parts, std::slice::from_ref(&ended.run)).await {
                Ok(()) => ended.delivery.ack().await,
                Err(error) => {
                    parts.metrics.retries.with_label_values(&["seal"]).inc();
                    tracing::warn!(run = %ended.run, error = %format!("{error:#}"), "a run could not be sealed, trying again");
                    again.push(ended);
                }
            }
        }
    }
}

/// One run with everything that its bundle is made of.
#[derive(Debug)]
pub(crate) struct Case {
    pub row: RunRow,
    pub attempts: Vec<AttemptRow>,
    pub decision: Unsealed,
    pub ending: Ending,
    pub gaps: Vec<SeqRange>,
    /// Parts that are in the object store already.
    pub parts: Vec<StoredPart>,
    /// The segments of the last part, without the terminal event.
    pub segments: Vec<StoredSegment>,
}

/// What a case became in the object store.
#[derive(Debug)]
struct Sealed {
    case: Case,
    terminal: Segment,
    last_part: EventLogPart,
    leaves: Vec<schemas::merkle::Hash>,
    evidence_key: String,
    evidence_sha256: String,
    attestation_sha256: String,
}

pub(crate) async fn seal(parts: &Parts, ids: &[RunId]) -> anyhow::Result<()> {
    let cases = load(parts, ids).await?;
    if cases.is_empty() {
        return Ok(());
    }
    parts.signer.register(&parts.pool).await?;
    let sealed: Vec<Sealed> = stream::iter(cases.into_iter().map(|case| write(parts, case)))
        .buffer_unordered(CONCURRENT_WRITES)
        .try_collect()
        .await?;
    finish(parts, &sealed).await?;
    parts.outbox.wake();
    let live = sealed.iter().map(|sealed| LiveRun {
        run_id: sealed.case.row.id.clone(),
        last_seq: sealed.terminal.last_seq,
        terminal: true,
    });
    parts.announce(live.collect()).await;
    for Sealed { case, .. } in &sealed {
        let now = schemas::Timestamp::now();
        let seconds = |millis: u64| Duration::from_millis(millis).as_secs_f64();
        parts.metrics.sealed.with_label_values(&[case.ending.outcome.as_str()]).inc();
        parts.metrics.seal_seconds.observe(seconds(now.millis_since(case.decision.decided_at)));
        if let Some(queued_at) = case.row.queued_at {
            parts.metrics.run_seconds.observe(seconds(case.decision.decided_at.millis_since(queued_at)));
        }
        let trace = infra::traceparent::trace_id(&case.row.traceparent);
        let (attempt, outcome) = (case.decision.attempt, case.ending.outcome);
        tracing::info!(run = %case.row.id, attempt, trace, %outcome, "sealed");
    }
    Ok(())
}

async fn load(parts: &Parts, ids: &[RunId]) -> anyhow::Result<Vec<Case>> {
    let client = parts.pool.get().await.context("no database connection")?;
    let ids: Vec<&str> = ids.iter().map(RunId::as_str).collect();
    let mut decisions: HashMap<RunId, Unsealed> =
        seals::unsealed(&client, &ids).await?.into_iter().map(|seal| (seal.run_id.clone(), seal)).collect();
    let open: Vec<RunId> = decisions.keys().cloned().collect();
    let open_ids: Vec<&str> = open.iter().map(RunId::as_str).collect();
    // They travel together: none needs the answer of another.
    let (mut logs, stored_parts, known_gaps, rows) = tokio::try_join!(
        async { Ok(segments::first_of_runs(&client, &open_ids, parts.part_bytes).await?) },
        log_parts::of_runs(&client, &open_ids),
        async { Ok(gaps::of_runs(&client, &open_ids).await?) },
        runs::to_seal(&client, &open),
    )?;
    let fills_a_part = |run: &&RunId| {
        let frames: usize = logs.get(run.as_str()).map_or(0, |log| log.iter().map(|s| s.frame.len()).sum());
        frames as u64 >= parts.part_bytes
    };
    let to_move: Vec<&RunId> = open.iter().filter(fills_a_part).collect();
    if !to_move.is_empty() {
        drop(client);
        for run in to_move {
            log::write_full_parts(parts, run).await?;
        }
        return Box::pin(load(parts, &open)).await;
    }
    let mut written: HashMap<String, Vec<StoredPart>> = HashMap::new();
    for part in stored_parts {
        written.entry(part.run_id.clone()).or_default().push(part);
    }
    let mut missing: HashMap<String, Vec<SeqRange>> = HashMap::new();
    for (run, gap) in known_gaps {
        missing.entry(run).or_default().push(gap);
    }
    let cases = rows.into_iter().filter_map(|(row, attempts)| {
        let decision = decisions.remove(&row.id)?;
        let id = row.id.as_str();
        let last_spilled = written.get(id).and_then(|parts| parts.last()).map_or(0, |part| part.part.last_seq);
        let mut segments = logs.remove(id).unwrap_or_default();
        segments.retain(|segment| segment.first_seq > last_spilled);
        Some(Case {
            ending: Ending::of(&decision.end),
            gaps: missing.remove(id).unwrap_or_default(),
            parts: written.remove(id).unwrap_or_default(),
            segments,
            decision,
            row,
            attempts,
        })
    });
    Ok(cases.collect())
}

impl Case {
    pub(crate) fn terminal_run(&self) -> WorkspaceRun {
        self.row.to_workspace_run(self.ending.status, self.ending.result.clone())
    }

    /// The one terminal event, as the last segment of the log.
    fn terminal_segment(&self) -> anyhow::Result<Segment> {
        let seq = self.decision.last_seq + 1;
        let kind = EventKind::Terminal { workspace_run: Box::new(self.terminal_run()) };
        let mut line = serde_json::to_vec(&Event { seq, created_at: self.decision.decided_at, kind })?;
        line.push(b'\n');
        Ok(Segment {
            first_seq: seq,
            last_seq: seq,
            plain_bytes: line.len() as u64,
            status: Some(self.ending.status),
            frame: zstd::bulk::compress(&line, ZSTD_LEVEL)?.into(),
        })
    }

    fn last_part(&self, terminal: &Segment) -> anyhow::Result<Part> {
        let mut builder = log::build(&self.segments);
        builder.push(terminal.first_seq, terminal.last_seq, terminal.plain_bytes, &terminal.frame);
        builder.finish().context("a log without its terminal event")
    }
}

async fn write(parts: &Parts, case: Case) -> anyhow::Result<Sealed> {
    let terminal = case.terminal_segment()?;
    let part = case.last_part(&terminal)?;
    let prefix = case.row.prefix();
    let last_part = log::describe(&prefix, case.parts.len(), &part);
    let bundle = bundle::assemble(&case, &last_part, &part.leaves);
    let evidence: Bytes = schemas::canonical::to_vec(&bundle)?.into();
    let evidence_key = format!("{prefix}/{}", layout::EVIDENCE);
    let evidence_sha256 = hex::encode(Sha256::digest(&evidence));
    let statements = attest::statements(parts, &bundle, &prefix, &evidence_sha256)?;
    let attestation_sha256 = statements.evidence.sha256();
    // The tables are made of these soon.
    let index = usize::try_from(part.index_offset).ok().and_then(|offset| part.bytes.get(offset..));
    parts.fresh.keep(&last_part.object_key, Bytes::copy_from_slice(index.unwrap_or_default()));
    parts.fresh.keep(&evidence_key, evidence.clone());
    // All are complete before any is announced, so their order does not matter.
    tokio::try_join!(
        log::put_part(&parts.vault, &last_part, part.bytes.into()),
        log::put_once(&parts.vault, &evidence_key, evidence, "application/json"),
        statements.put(parts),
    )?;
    Ok(Sealed { case, terminal, last_part, leaves: part.leaves, evidence_key, evidence_sha256, attestation_sha256 })
}

async fn finish(parts: &Parts, sealed: &[Sealed]) -> anyhow::Result<()> {
    let mut client = parts.pool.get().await.context("no database connection")?;
    let transaction = client.transaction().await?;
    let ended: Vec<EndedRun<'_>> = sealed
        .iter()
        .map(|sealed| EndedRun {
            run: &sealed.case.row.id,
            status: sealed.case.ending.status,
            result: &sealed.case.ending.result,
            next_seq: sealed.terminal.last_seq + 1,
        })
        .collect();
    let letter = |Sealed { case, .. }: &Sealed| {
        let (target, traceparent) = (parts.amqp.topology.usage(), Some(case.row.traceparent.clone()));
        Ok(OutboxMessage::json(target, usage::message(case)?, traceparent))
    };
    let letters = sealed.iter().map(letter).collect::<serde_json::Result<Vec<_>>>()?;
    let last_parts = sealed.iter().map(|Sealed { case, last_part, leaves, .. }| {
        log_parts::insert(&transaction, &case.row.id, case.parts.len(), last_part, leaves)
    });
    let collected = sealed.iter().filter_map(|Sealed { case, .. }| {
        let RunEnd::Finished(finished) = &case.decision.end else { return None };
        let (sandbox, at) = (&finished.sandbox_id, case.decision.decided_at);
        Some(artifacts::insert(&transaction, &case.row, sandbox, at, &finished.artifacts))
    });
    let terminal: Vec<_> = sealed.iter().map(|s| (&s.case.row.id, s.case.decision.attempt, &s.terminal)).collect();
    let ids: Vec<&str> = sealed.iter().map(|s| s.case.row.id.as_str()).collect();
    let keys: Vec<&str> = sealed.iter().map(|s| s.evidence_key.as_str()).collect();
    let evidence: Vec<&str> = sealed.iter().map(|s| s.evidence_sha256.as_str()).collect();
    let attestations: Vec<&str> = sealed.iter().map(|s| s.attestation_sha256.as_str()).collect();
    // They travel together: none needs the answer of another.
    tokio::try_join!(
        runs::end(&transaction, &ended),
        try_join_all(last_parts),
        async { Ok(try_join_all(collected).await?) },
        async { Ok(segments::insert(&transaction, &terminal).await?) },
        seals::finish(&transaction, &ids, &keys, &evidence, &attestations),
        async { Ok(parts.outbox.insert(&transaction, &letters).await?) },
    )?;
    transaction.commit().await?;
    Ok(())
}
