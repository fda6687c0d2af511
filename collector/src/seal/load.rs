//! Loads the cases of ended runs from the database, after their full parts have moved to the object store.

use std::collections::HashMap;

use anyhow::Context as _;
use schemas::evidence::SeqRange;
use schemas::id::RunId;

use super::case::Case;
use super::ending::Ending;
use super::event_log_parts::{in_order, write_full_parts};
use super::{fit, gaps};
use crate::context::Context;
use crate::db::log_parts::StoredPart;
use crate::db::seals::Unsealed;
use crate::db::{self, log_parts, runs, seals, segments};

pub(super) async fn load(context: &Context, ids: &[RunId]) -> anyhow::Result<Vec<Case>> {
    let client = context.pool.get().await.context("no database connection")?;
    let ids: Vec<&str> = ids.iter().map(RunId::as_str).collect();
    let mut decisions: HashMap<RunId, Unsealed> =
        seals::unsealed(&client, &ids).await?.into_iter().map(|seal| (seal.run_id.clone(), seal)).collect();
    let open: Vec<RunId> = decisions.keys().cloned().collect();
    let open_ids: Vec<&str> = open.iter().map(RunId::as_str).collect();
    // Independent statements, pipelined on one connection.
    let (mut logs, stored_parts, known_gaps, rows) = tokio::try_join!(
        segments::first_of_runs(&client, &open_ids, context.part_bytes),
        log_parts::of_runs(&client, &open_ids),
        db::gaps::of_runs(&client, &open_ids),
        runs::to_seal(&client, &open),
    )?;
    let fills_a_part = |run: &&RunId| {
        let frames: usize = logs.get(*run).map_or(0, |log| log.iter().map(|s| s.frame.len()).sum());
        frames as u64 >= context.part_bytes
    };
    let to_move: Vec<&RunId> = open.iter().filter(fills_a_part).collect();
    if !to_move.is_empty() {
        drop(client);
        for run in to_move {
            write_full_parts(context, run).await?;
        }
        return Box::pin(load(context, &open)).await;
    }
    drop(client);
    let mut written: HashMap<RunId, Vec<StoredPart>> = HashMap::new();
    for part in stored_parts {
        written.entry(part.run_id.clone()).or_default().push(part);
    }
    let mut missing: HashMap<RunId, Vec<SeqRange>> = HashMap::new();
    for (run, gap) in known_gaps {
        missing.entry(run).or_default().push(gap);
    }
    let cases = rows.into_iter().filter_map(|(row, attempts)| {
        let decision = decisions.remove(&row.id)?;
        let parts = written.remove(&row.id).unwrap_or_default();
        let last_spilled = parts.last().map_or(0, |part| part.part.last_seq);
        let segments = in_order(&row.id, last_spilled, logs.remove(&row.id).unwrap_or_default());
        let known = missing.remove(&row.id).unwrap_or_default();
        Some(Case {
            ending: Ending::of(&decision.end),
            gaps: gaps::between(&parts, &segments, &known, decision.last_seq),
            parts,
            segments,
            decision,
            row,
            attempts,
        })
    });
    let mut cases: Vec<Case> = cases.collect();
    for case in &mut cases {
        if let Some(fault) = fit::fault(case) {
            tracing::error!(run = %case.row.id, attempt = case.decision.attempt, "cannot seal an ending: {fault}; replacing it");
            context.metrics.retries.with_label_values(&["ending"]).inc();
            case.decision.end = fit::instead(case, fault);
            case.ending = Ending::of(&case.decision.end);
            let client = context.pool.get().await.context("no database connection")?;
            seals::replace(&client, &case.row.id, case.decision.attempt, &case.decision.end).await?;
        }
    }
    Ok(cases)
}
