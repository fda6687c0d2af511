//! Legal holds of runs and projects: the collector's tables, by its functions.

use database::GenericClient;
use database::row::{DbError, one, optional, rows, timestamp};
use schemas::Timestamp;
use schemas::id::{InvalidId, ProjectId, RunId};
use tokio_postgres::Row;

use super::projects;

/// The subject of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldSubject {
    Run(RunId),
    Project(ProjectId),
}

impl HoldSubject {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Run(run) => run.as_str(),
            Self::Project(project) => project.as_str(),
        }
    }
}

impl std::str::FromStr for HoldSubject {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.starts_with("prj_") { Ok(Self::Project(text.parse()?)) } else { Ok(Self::Run(text.parse()?)) }
    }
}

/// A hold that is in force.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LegalHold {
    pub subject: String,
    pub reason: String,
    pub set_by: String,
    pub set_at: Timestamp,
    /// Number of the subject's sealed runs whose objects have a legal hold in the store, too.
    pub runs_in_store: i64,
}

/// A line of the trail.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldChange {
    pub subject: String,
    /// `set` or `cleared`.
    pub action: String,
    pub reason: String,
    pub actor: String,
    pub database_role: String,
    pub at: Timestamp,
}

pub(crate) async fn exists(client: &impl GenericClient, subject: &HoldSubject) -> Result<bool, DbError> {
    match subject {
        HoldSubject::Run(run) => {
            Ok(optional(client, "select 1 from ingest.runs where id = $1", &[&run.as_str()]).await?.is_some())
        }
        HoldSubject::Project(project) => projects::is_known(client, project).await,
    }
}

pub(crate) async fn set(
    client: &impl GenericClient,
    subject: &HoldSubject,
    reason: &str,
    actor: &str,
) -> Result<LegalHold, DbError> {
    let sql = "select *, 0::int8 as runs_in_store from collector.set_legal_hold($1, $2, $3)";
    hold(&one(client, sql, &[&subject.as_str(), &reason, &actor]).await?)
}

/// Clears a hold, and says whether there was one.
pub(crate) async fn clear(
    client: &impl GenericClient,
    subject: &HoldSubject,
    reason: &str,
    actor: &str,
) -> Result<bool, DbError> {
    let sql = "select collector.clear_legal_hold($1, $2, $3) as cleared";
    Ok(one(client, sql, &[&subject.as_str(), &reason, &actor]).await?.try_get("cleared")?)
}

/// Lists the holds in force, the latest first.
pub(crate) async fn all(client: &impl GenericClient) -> Result<Vec<LegalHold>, DbError> {
    let sql = "select subject, reason, set_by, set_at, (
                   select count(*) from collector.store_holds
                   where (run_id = subject or project_id = subject) and due_at is null) as runs_in_store
               from collector.legal_holds order by set_at desc, subject";
    rows(client, sql, &[]).await?.iter().map(hold).collect()
}

/// Lists every setting and clearing of a hold, the latest first.
pub(crate) async fn history(client: &impl GenericClient) -> Result<Vec<HoldChange>, DbError> {
    let sql = "select subject, action, reason, actor, database_role, at from collector.legal_hold_log order by id desc";
    let change = |row: &Row| {
        Ok(HoldChange {
            subject: row.try_get("subject")?,
            action: row.try_get("action")?,
            reason: row.try_get("reason")?,
            actor: row.try_get("actor")?,
            database_role: row.try_get("database_role")?,
            at: timestamp(row, "at")?,
        })
    };
    rows(client, sql, &[]).await?.iter().map(change).collect()
}

fn hold(row: &Row) -> Result<LegalHold, DbError> {
    Ok(LegalHold {
        subject: row.try_get("subject")?,
        reason: row.try_get("reason")?,
        set_by: row.try_get("set_by")?,
        set_at: timestamp(row, "set_at")?,
        runs_in_store: row.try_get("runs_in_store")?,
    })
}
