//! `crownest admin …`.

use clap::{Args, Subcommand};
use infra::config::Secret;
use schemas::egress::EgressRule;
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
    /// Network egress: what runs of a project may reach
    #[command(subcommand)]
    Egress(EgressCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum EgressCommand {
    /// List the projects that may reach anything, those changed last first
    List,
    /// Show what runs of a project may reach
    Show {
        #[arg(value_name = "PRJ_ID")]
        project: ProjectId,
    },
    /// Set what runs of a project may reach, for runs that are started from now on
    #[command(after_help = "\
A rule is a host name, *.HOST for every name below it (but not itself), or an address, with :PORT behind it; without \
a port it is for 443 and 80. Rules replace those of before. Runs reach it only if they ask for it \
(--network egress), through a proxy, and never a private address that the executors were not told of \
(--egress-allow-address).

Examples:
  crownest admin egress set prj_… --allow registry.npmjs.org --allow pypi.org --allow files.pythonhosted.org
  crownest admin egress set prj_… --allow '*.example.org:8443'
  crownest admin egress set prj_… --deny-all")]
    Set {
        #[arg(value_name = "PRJ_ID")]
        project: ProjectId,
        /// Allow this destination; may be repeated
        #[arg(long, value_name = "HOST[:PORT]", required_unless_present = "deny_all")]
        allow: Vec<EgressRule>,
        /// Allow nothing any more
        #[arg(long, conflicts_with = "allow")]
        deny_all: bool,
    },
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
