//! Makes sealed runs terminal: one transaction for status, result, usage message, artifacts and the end of the event
//! log.

use anyhow::Context as _;
use database::OutboxMessage;
use futures_util::future::try_join_all;
use schemas::message::{EncodeError, RunEnd};

use super::usage;
use super::write::Sealed;
use crate::context::Context;
use crate::db::runs::EndedRun;
use crate::db::seals::Durable;
use crate::db::{artifacts, log_parts, runs, seals, segments};

pub(super) async fn finish(context: &Context, sealed: &[Sealed]) -> anyhow::Result<()> {
    let mut client = context.pool.get().await.context("no database connection")?;
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
    let usage = |Sealed { case, .. }: &Sealed| {
        let (target, traceparent) = (context.amqp.topology.usage(), Some(case.row.traceparent.clone()));
        Ok(OutboxMessage::json(target, usage::message(case)?, &case.row.id, traceparent))
    };
    let messages = sealed.iter().map(usage).collect::<Result<Vec<_>, EncodeError>>()?;
    let last_parts = sealed.iter().map(|Sealed { case, last_part, leaves, .. }| {
        log_parts::insert(&transaction, &case.row.id, case.parts.len(), last_part, leaves)
    });
    let collected = sealed.iter().filter_map(|Sealed { case, .. }| {
        let RunEnd::Finished(finished) = &case.decision.end else { return None };
        let (sandbox, at) = (&finished.sandbox_id, case.decision.decided_at);
        Some(artifacts::insert(&transaction, &case.row, sandbox, at, &finished.artifacts))
    });
    let terminal: Vec<_> = sealed.iter().map(|s| (&s.case.row.id, s.case.decision.attempt, &s.terminal)).collect();
    let durable: Vec<Durable<'_>> = sealed
        .iter()
        .map(|sealed| Durable {
            run: &sealed.case.row.id,
            evidence_key: &sealed.evidence_key,
            evidence_sha256: &sealed.evidence_sha256,
            attestation_sha256: &sealed.attestation_sha256,
        })
        .collect();
    // Independent statements, pipelined on one connection.
    tokio::try_join!(
        runs::end(&transaction, &ended),
        try_join_all(last_parts),
        async { Ok(try_join_all(collected).await?) },
        async { Ok(segments::insert(&transaction, &terminal).await?) },
        async { Ok(seals::finish(&transaction, &durable).await?) },
        async { Ok(context.outbox.insert(&transaction, &messages).await?) },
    )?;
    transaction.commit().await?;
    Ok(())
}
