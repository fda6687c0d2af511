//! Operators' actions beside the API, such as opening an organization and making its keys; for `crownest up` and
//! `crownest admin`.

mod legal_holds;
mod retention;

use std::collections::BTreeMap;

use database::{Client, DbError};
use infra::config::Secret;
use schemas::Timestamp;
use schemas::api::key::ApiKey;
use schemas::artifact::ArtifactLimits;
use schemas::egress::{EgressRule, MAX_RULES};
use schemas::id::{ApiKeyId, OrgId, ProjectId, UserId};
use schemas::scope::Scope;

use crate::auth::generate;
pub use crate::db::egress_policies::ProjectEgress;
pub use crate::db::organizations::Organization;
use crate::db::{api_keys, egress_policies, metering, organizations, projects};
pub use legal_holds::{
    HoldChange, HoldSubject, LegalHold, clear_legal_hold, legal_hold_history, legal_holds, set_legal_hold,
};
pub use retention::{PlanRetention, ProjectRetention, retention, set_plan_retention, set_project_retention};

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("project {0} does not exist in this organization")]
    UnknownProject(ProjectId),
    #[error("project {0} does not exist")]
    NoSuchProject(ProjectId),
    #[error("a policy has at most {MAX_RULES} rules, these are {0}")]
    TooManyRules(usize),
    #[error("organization {0} does not exist")]
    UnknownOrganization(OrgId),
    #[error("API key {0} does not exist")]
    UnknownKey(ApiKeyId),
    #[error("plan `{asked}` does not exist: expected one of {}", .known.join(", "))]
    UnknownPlan { asked: String, known: Vec<String> },
    #[error("a plan keeps artifacts for whole days: expected a number of days, such as 30d")]
    NotInDays,
    #[error("{} does not exist", .0.as_str())]
    NothingToHold(HoldSubject),
    #[error("{} is not under a legal hold", .0.as_str())]
    NotHeld(HoldSubject),
}

/// Lists all organizations, newest first.
pub async fn organizations(client: &Client) -> Result<Vec<Organization>, AdminError> {
    Ok(organizations::all(client).await?)
}

/// Opens an organization with a default project, on a plan of `metering.plans`.
pub async fn create_organization(
    client: &mut Client,
    name: &str,
    plan: &str,
) -> Result<(OrgId, ProjectId), AdminError> {
    check_plan(client, plan).await?;
    let (org, project) = (OrgId::new(), ProjectId::new());
    let transaction = client.transaction().await.map_err(DbError::from)?;
    organizations::insert(&transaction, &org, name).await?;
    projects::insert_default(&transaction, &org, &project).await?;
    metering::open_account(&transaction, &org, plan).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok((org, project))
}

/// Puts an organization on another plan of `metering.plans`.
pub async fn set_plan(client: &Client, org: &OrgId, plan: &str) -> Result<(), AdminError> {
    check_organization(client, org).await?;
    check_plan(client, plan).await?;
    Ok(metering::open_account(client, org, plan).await?)
}

/// Sets the bounds of a plan for the artifacts of runs that are started from now on.
pub async fn set_plan_artifact_limits(client: &Client, plan: &str, limits: ArtifactLimits) -> Result<(), AdminError> {
    check_plan(client, plan).await?;
    Ok(metering::set_artifact_limits(client, plan, limits).await?)
}

/// Lists the bounds of all plans for the artifacts of a run.
pub async fn plan_artifact_limits(client: &Client) -> Result<BTreeMap<String, ArtifactLimits>, AdminError> {
    Ok(metering::all_artifact_limits(client).await?)
}

async fn check_organization(client: &Client, org: &OrgId) -> Result<(), AdminError> {
    let exists = organizations::exists(client, org).await?;
    if exists { Ok(()) } else { Err(AdminError::UnknownOrganization(org.clone())) }
}

async fn check_project(client: &Client, project: &ProjectId) -> Result<(), AdminError> {
    let exists = projects::is_known(client, project).await?;
    if exists { Ok(()) } else { Err(AdminError::NoSuchProject(project.clone())) }
}

async fn check_plan(client: &Client, plan: &str) -> Result<(), AdminError> {
    let known = metering::plan_names(client).await?;
    if known.iter().any(|name| name == plan) {
        return Ok(());
    }
    Err(AdminError::UnknownPlan { asked: plan.to_owned(), known })
}

/// Lists the keys of an organization, newest first, without their secrets.
pub async fn keys(client: &Client, org: &OrgId) -> Result<Vec<ApiKey>, AdminError> {
    check_organization(client, org).await?;
    Ok(api_keys::all(client, org).await?)
}

/// Revokes a key: every API service refuses it within a second. Revoking twice keeps the first time.
pub async fn revoke_key(client: &Client, id: &ApiKeyId) -> Result<ApiKey, AdminError> {
    api_keys::revoke_any(client, id).await?.ok_or_else(|| AdminError::UnknownKey(id.clone()))
}

/// Makes a key. The full key is returned once and stored nowhere. `project_ids` limits it to these projects.
pub async fn create_key(
    client: &Client,
    org: &OrgId,
    name: &str,
    scopes: &[Scope],
    project_ids: Option<Vec<ProjectId>>,
) -> Result<(ApiKey, Secret), AdminError> {
    check_organization(client, org).await?;
    for project in project_ids.iter().flatten() {
        if !projects::exists(client, org, project).await? {
            return Err(AdminError::UnknownProject(project.clone()));
        }
    }
    let full = generate();
    let key = ApiKey {
        id: ApiKeyId::new(),
        org_id: org.clone(),
        name: name.to_owned(),
        prefix: full.prefix,
        last4: full.last4,
        project_ids,
        scopes: scopes.to_vec(),
        // Users come with the dashboard; until then every key is the operator's.
        created_by_user_id: operator(),
        created_at: Timestamp::now(),
        revoked_at: None,
        last_used_at: None,
    };
    api_keys::insert(client, &key, &full.sha256).await?;
    Ok((key, full.secret))
}

/// Lists the egress policies of all projects, or of one.
pub async fn egress(client: &Client, only: Option<&ProjectId>) -> Result<Vec<ProjectEgress>, AdminError> {
    Ok(egress_policies::all(client, only).await?)
}

/// Sets a policy, for runs that are started from now on.
pub async fn allow_egress(
    client: &Client,
    project: &ProjectId,
    allow: &[EgressRule],
) -> Result<ProjectEgress, AdminError> {
    if allow.len() > MAX_RULES {
        return Err(AdminError::TooManyRules(allow.len()));
    }
    let changed = egress_policies::set(client, project, allow).await?;
    changed.ok_or_else(|| AdminError::NoSuchProject(project.clone()))
}

/// Removes a policy, for runs that are started from now on. Says whether there was one.
pub async fn deny_egress(client: &Client, project: &ProjectId) -> Result<bool, AdminError> {
    Ok(egress_policies::remove(client, project).await?)
}

fn operator() -> UserId {
    "usr_operator".parse().unwrap_or_else(|_| UserId::new())
}
