//! Retention of the artifacts of runs that are sealed from now on: by plan, or by project.

use std::time::Duration;

use database::Client;
use schemas::id::ProjectId;

use super::{AdminError, check_plan};
use crate::db::retention;
pub use crate::db::retention::{PlanRetention, ProjectRetention};

const DAY: u64 = 86_400;

/// Sets a project's own retention; `None` returns it to its plan's. Runs sealed before keep theirs.
pub async fn set_project_retention(
    client: &Client,
    project: &ProjectId,
    keep: Option<Duration>,
) -> Result<(), AdminError> {
    super::check_project(client, project).await?;
    let seconds = keep.map(|keep| i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
    Ok(retention::set_project(client, project, seconds).await?)
}

/// Sets a plan's retention, in whole days. Runs sealed before keep theirs.
pub async fn set_plan_retention(client: &Client, plan: &str, keep: Duration) -> Result<(), AdminError> {
    check_plan(client, plan).await?;
    let days = keep.as_secs() / DAY;
    match i32::try_from(days) {
        Ok(whole) if whole > 0 && days * DAY == keep.as_secs() => Ok(retention::set_plan(client, plan, whole).await?),
        _ => Err(AdminError::NotInDays),
    }
}

/// Lists the retention of all plans, and of the projects that have their own.
pub async fn retention(client: &Client) -> Result<(Vec<PlanRetention>, Vec<ProjectRetention>), AdminError> {
    Ok((retention::of_plans(client).await?, retention::of_projects(client).await?))
}
