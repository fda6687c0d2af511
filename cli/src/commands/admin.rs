//! `crownest admin`: what operators do in the database itself, beside the API.

mod legal_hold;
mod plans;
mod retention;
mod templates;

use std::process::ExitCode;

use database::{Client, PostgresConfig};
use ingest::admin::{self, AdminError, Organization, ProjectEgress};
use local::Servers;
use schemas::api::key::ApiKey;
use schemas::limits::PROJECT_NAME_CHARS;
use schemas::scope::Scope;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::admin::{AdminArgs, AdminCommand, EgressCommand, KeysCommand, OrganizationsCommand};
use crate::failure::{Failure, Stop};
use crate::output::{Output, Record, Table, field};

pub(crate) async fn run(args: AdminArgs, output: &mut Output) -> Result<ExitCode, Stop> {
    let mut client = connect(&args).await?;
    match args.command {
        AdminCommand::Organizations(command) => organizations(command, &mut client, output).await?,
        AdminCommand::Keys(command) => keys(command, &client, output).await?,
        AdminCommand::Templates(command) => templates::run(command, &args.data, &mut client, output).await?,
        AdminCommand::Egress(command) => egress(command, &client, output).await?,
        AdminCommand::Retention(command) => retention::run(command, &client, output).await?,
        AdminCommand::Plans(command) => plans::run(command, &client, output).await?,
        AdminCommand::LegalHold(command) => legal_hold::run(command, &client, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn connect(args: &AdminArgs) -> Result<Client, Failure> {
    let data = args.data.folder();
    let database_url = args.database_url.clone().or_else(|| Servers::running_admin_url(&data)).ok_or_else(|| {
        let message = format!("no CrowNest runs on {}, or this user may not administer it", data.display());
        Failure::new("no_database", message)
            .hint("Start it with `crownest up`, name its folder with --data, or another database with --database-url.")
    })?;
    let failed = |error: String| Failure::new("database_error", format!("the database cannot be reached: {error}"));
    let config = PostgresConfig { database_url, database_pool: 1 };
    let pool = database::open(&config).map_err(|error| failed(error.to_string()))?;
    pool.get().await.map_err(|error| failed(error.to_string()))
}

async fn organizations(command: OrganizationsCommand, client: &mut Client, output: &mut Output) -> Result<(), Stop> {
    match command {
        OrganizationsCommand::List => {
            let found = admin::organizations(client).await?;
            output.result(&written(&found), |_| organizations_table(&found).to_string())
        }
        OrganizationsCommand::Create { name, plan } => {
            let name = checked(&name)?;
            let (id, project) = admin::create_organization(client, name, &plan).await?;
            let made = json!({ "id": id, "name": name, "plan": plan, "defaultProjectId": project });
            output.result(&made, |made| {
                let mut record = Record::default();
                record.line("organization", &field(made, "id")).line("project", &field(made, "defaultProjectId"));
                record.line("next", &format!("crownest admin keys create {} --name NAME", field(made, "id")));
                record.to_string()
            })
        }
        OrganizationsCommand::SetPlan { id, plan } => {
            admin::set_plan(client, &id, &plan).await?;
            output.result(&json!({ "id": id, "plan": plan }), |_| format!("{id} is on the plan {plan}.\n"))
        }
    }
}

async fn keys(command: KeysCommand, client: &Client, output: &mut Output) -> Result<(), Stop> {
    match command {
        KeysCommand::List { organization } => {
            let found = admin::keys(client, &organization).await?;
            output.result(&written(&found), |_| keys_table(&found).to_string())
        }
        KeysCommand::Create { organization, name, scopes, projects } => {
            let name = checked(&name)?;
            let scopes = if scopes.is_empty() { Scope::ALL.to_vec() } else { scopes };
            let projects = (!projects.is_empty()).then_some(projects);
            let (key, secret) = admin::create_key(client, &organization, name, &scopes, projects).await?;
            let made = json!({ "apiKey": key, "secret": secret.reveal() });
            output.note("The key is shown this once only.");
            output.result(&made, |_| format!("{}\n", secret.reveal()))
        }
        KeysCommand::Revoke { id } => {
            let key = admin::revoke_key(client, &id).await?;
            output.result(&json!({ "apiKey": key }), |_| format!("{id} ({}) is revoked.\n", key.name))
        }
    }
}

async fn egress(command: EgressCommand, client: &Client, output: &mut Output) -> Result<(), Stop> {
    match command {
        EgressCommand::List => {
            let found = admin::egress(client, None).await?;
            output.result(&written(&found), |_| egress_table(&found).to_string())
        }
        EgressCommand::Show { project } => {
            let found = admin::egress(client, Some(&project)).await?;
            let allow: Vec<String> = found.iter().flat_map(|found| &found.allow).map(ToString::to_string).collect();
            output.result(&json!({ "projectId": project, "allow": allow }), |_| match &allow[..] {
                [] => format!("Runs of {project} have no network.\n"),
                allow => allow.iter().map(|rule| format!("{rule}\n")).collect(),
            })
        }
        EgressCommand::Set { project, deny_all: true, .. } => {
            admin::deny_egress(client, &project).await?;
            let denied = json!({ "projectId": project, "allow": [] });
            output.result(&denied, |_| format!("Runs of {project} have no network from now on.\n"))
        }
        EgressCommand::Set { project, allow, .. } => {
            let set = admin::allow_egress(client, &project, &allow).await?;
            output.result(&written(&set), |_| egress_table(std::slice::from_ref(&set)).to_string())
        }
    }
}

fn egress_table(found: &[ProjectEgress]) -> Table {
    let mut table = Table::new(&["PROJECT", "ORGANIZATION", "CHANGED", "ALLOWED"]);
    for policy in found {
        let allow: Vec<String> = policy.allow.iter().map(ToString::to_string).collect();
        let changed = policy.changed_at.to_string();
        table.row(&[policy.project_id.as_str(), policy.org_id.as_str(), &changed, &allow.join(" ")]);
    }
    table
}

/// Names are shown in lists: one line, not too long.
fn checked(name: &str) -> Result<&str, Failure> {
    let name = name.trim();
    if (1..=PROJECT_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(name);
    }
    let message = format!("expected a name of 1 to {PROJECT_NAME_CHARS} characters without control characters");
    Err(Failure::new("invalid_request", message))
}

fn written(found: &impl Serialize) -> Value {
    serde_json::to_value(found).unwrap_or_default()
}

fn organizations_table(found: &[Organization]) -> Table {
    let mut table = Table::new(&["ID", "NAME", "PLAN", "CREATED"]);
    for organization in found {
        let plan = organization.plan.as_deref().unwrap_or("-");
        table.row(&[organization.id.as_str(), &organization.name, plan, &organization.created_at.to_string()]);
    }
    table
}

fn keys_table(found: &[ApiKey]) -> Table {
    let mut table = Table::new(&["ID", "NAME", "KEY", "STATE", "LAST USED", "SCOPES"]);
    for key in found {
        let shown = format!("{}…{}", key.prefix, key.last4);
        let used = key.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let state = if key.revoked_at.is_some() { "revoked" } else { "active" };
        let scopes = if key.scopes.len() == Scope::ALL.len() {
            "all".to_owned()
        } else {
            key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
        };
        table.row(&[key.id.as_str(), &key.name, &shown, state, &used, &scopes]);
    }
    table
}

impl From<AdminError> for Stop {
    fn from(error: AdminError) -> Self {
        let code = match &error {
            AdminError::Db(_) => "database_error",
            AdminError::UnknownPlan { .. } | AdminError::TooManyRules(_) | AdminError::NotInDays => "invalid_request",
            _ => "not_found",
        };
        Failure::new(code, error.to_string()).into()
    }
}
