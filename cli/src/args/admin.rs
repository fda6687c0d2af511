//! `crownest admin …`.

use clap::{Args, Subcommand};
use infra::config::Secret;
use schemas::id::{ApiKeyId, OrgId, ProjectId};
use schemas::scope::Scope;

use crate::up::DataArgs;

#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// The database, with an administrator's access [default: that of the system that runs on --data]
    #[arg(long, env = "CROWNEST_ADMIN_DATABASE_URL", value_name = "URL", hide_env_values = true, global = true)]
    pub database_url: Option<Secret>,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(subcommand)]
    pub command: AdminCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Organizations: the tenants
    #[command(subcommand, visible_alias = "orgs")]
    Organizations(OrganizationsCommand),
    /// API keys of any organization
    #[command(subcommand)]
    Keys(KeysCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrganizationsCommand {
    /// List all organizations, newest first
    List,
    /// Open an organization with a default project
    #[command(after_help = "Example:\n  crownest admin organizations create 'Example Inc' --plan builder")]
    Create {
        name: String,
        /// One of local (no limits), free, builder, scale, enterprise, or a plan of your own
        #[arg(long, value_name = "PLAN", default_value = "free")]
        plan: String,
    },
    /// Put an organization on another plan
    SetPlan {
        #[arg(value_name = "ORG_ID")]
        id: OrgId,
        #[arg(value_name = "PLAN")]
        plan: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys of an organization, newest first, without their secrets
    List {
        #[arg(value_name = "ORG_ID")]
        organization: OrgId,
    },
    /// Make a key. It is shown once, now, and stored nowhere
    #[command(after_help = "\
Examples:
  crownest admin keys create org_… --name ci
  crownest admin keys create org_… --name reader --scope workspace_run:read --scope artifact:read --project prj_…")]
    Create {
        #[arg(value_name = "ORG_ID")]
        organization: OrgId,
        /// What the key is for
        #[arg(long)]
        name: String,
        /// What the key may do, such as workspace_run:read; may be repeated [default: everything]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// Limit the key to this project; may be repeated [default: all projects]
        #[arg(long = "project", value_name = "PRJ_ID")]
        projects: Vec<ProjectId>,
    },
    /// Revoke a key for good: every API service refuses it within a second
    Revoke {
        #[arg(value_name = "KEY_ID")]
        id: ApiKeyId,
    },
}
