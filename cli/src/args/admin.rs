//! `crownest admin …`.

pub(crate) mod legal_hold;
pub(crate) mod plans;
pub(crate) mod retention;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use infra::config::Secret;
use schemas::egress::EgressRule;
use schemas::id::{ApiKeyId, OrgId, ProjectId, TemplateVersionId};
use schemas::scope::Scope;

use self::legal_hold::LegalHoldCommand;
use self::plans::PlansCommand;
use self::retention::RetentionCommand;
use crate::args::store::StoreArgs;
use crate::args::up::DataArgs;

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
    /// Templates: the root file systems that sandboxes are made from
    #[command(subcommand)]
    Templates(TemplatesCommand),
    /// Network egress: what runs of a project may reach
    #[command(subcommand)]
    Egress(EgressCommand),
    /// Retention: how long artifacts are kept
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Plans: bounds for the artifacts of a run
    #[command(subcommand)]
    Plans(PlansCommand),
    /// Legal holds: what must not be deleted
    #[command(subcommand)]
    LegalHold(LegalHoldCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TemplatesCommand {
    /// List all versions of all templates, newest first
    List,
    /// Store a root file system as a new version of a template
    #[command(after_help = IMPORT_HELP)]
    Import {
        /// Folder with an OCI image layout, or tar of a root file system (plain, gzip or zstd)
        path: PathBuf,
        /// Name of the template, as runs ask for it: a-z, 0-9, dot, dash, underscore
        #[arg(long, value_name = "NAME")]
        slug: String,
        /// Name of this version [default: the beginning of its digest]
        #[arg(long, value_name = "NAME")]
        version: Option<String>,
        /// The image, in a layout that has several (its `org.opencontainers.image.ref.name`)
        #[arg(long = "ref", value_name = "NAME")]
        ref_name: Option<String>,
        /// Leave it to runs that name this version; all others stay with the version that is current now
        #[arg(long)]
        not_current: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Give a version to runs that name none, from now on: forward, or back to an earlier one
    Use {
        #[arg(value_name = "TPLV_ID")]
        id: TemplateVersionId,
    },
    /// Delete a version that nobody needs: not the current one, and none that runs have which are not over
    #[command(after_help = "\
The root file system leaves the store with the last version that has it. Evidence of earlier runs keeps its digest; that \
of a copy of the tar still tells whether it is the same.

Example:
  crownest admin templates delete python-node 2026-11-01")]
    Delete {
        #[arg(value_name = "SLUG")]
        slug: String,
        #[arg(value_name = "VERSION")]
        version: String,
        #[command(flatten)]
        store: StoreArgs,
    },
}

const IMPORT_HELP: &str = "\
A root file system needs a /bin/sh. Its user is 1000 (`runner`, unless the image names another), its root is read-only;
/workspace, /tmp, /home/runner and /dev/shm are the sandbox's own. Owners, special files and special bits are not taken
over. Of an image's configuration the environment is; entry point, user and working folder are not, and a warning says so.
The contents need space in TMPDIR while this runs. Importing the same again changes nothing.

Examples:
  crownest admin templates import --slug python-node --version 2026.11 python-node.tar
  crownest admin templates import --slug golang --ref 1.26 ./image
  skopeo copy docker://golang:1.26 oci:image:1.26   (one way to get a layout)";

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
        /// Purpose of the key
        #[arg(long)]
        name: String,
        /// Scope of the key, such as workspace_run:read; may be repeated [default: everything]
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
