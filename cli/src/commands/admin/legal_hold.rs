//! `crownest admin legal-hold`: what must not be deleted, and who decided so.

use database::Client;
use ingest::admin::{self, LegalHold};
use serde_json::json;

use super::written;
use crate::args::admin::legal_hold::{HoldChange, LegalHoldCommand};
use crate::failure::{Failure, Stop};
use crate::output::{Output, Table};

const REASON_CHARS: usize = 1_000;
const ACTOR_CHARS: usize = 200;

pub(super) async fn run(command: LegalHoldCommand, client: &Client, output: &mut Output) -> Result<(), Stop> {
    match command {
        LegalHoldCommand::Set(change) => {
            let (reason, actor) = checked(&change)?;
            let hold = admin::set_legal_hold(client, &change.subject, &reason, &actor).await?;
            output.result(&written(&hold), |_| holds_table(std::slice::from_ref(&hold)).to_string())
        }
        LegalHoldCommand::Clear(change) => {
            let (reason, actor) = checked(&change)?;
            admin::clear_legal_hold(client, &change.subject, &reason, &actor).await?;
            let subject = change.subject.as_str();
            output
                .result(&json!({ "subject": subject, "held": false }), |_| format!("{subject} is not held any more.\n"))
        }
        LegalHoldCommand::List => {
            let found = admin::legal_holds(client).await?;
            output.result(&written(&found), |_| holds_table(&found).to_string())
        }
        LegalHoldCommand::History => {
            let found = admin::legal_hold_history(client).await?;
            output.result(&written(&found), |_| {
                let mut table = Table::new(&["AT", "SUBJECT", "WHAT", "BY", "REASON"]);
                for change in &found {
                    let at = change.at.to_string();
                    table.row(&[&at, &change.subject, &change.action, &change.actor, &change.reason]);
                }
                table.to_string()
            })
        }
    }
}

fn holds_table(found: &[LegalHold]) -> Table {
    let mut table = Table::new(&["SUBJECT", "SINCE", "BY", "RUNS IN STORE", "REASON"]);
    for hold in found {
        let (since, in_store) = (hold.set_at.to_string(), hold.runs_in_store.to_string());
        table.row(&[&hold.subject, &since, &hold.set_by, &in_store, &hold.reason]);
    }
    table
}

/// Why and who.
fn checked(change: &HoldChange) -> Result<(String, String), Failure> {
    let user = || ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let uid = || format!("uid {}", rustix::process::getuid().as_raw());
    let actor = change.by.clone().or_else(user).unwrap_or_else(uid);
    Ok((line("--reason", &change.reason, REASON_CHARS)?, line("--by", &actor, ACTOR_CHARS)?))
}

fn line(what: &str, text: &str, max: usize) -> Result<String, Failure> {
    let text = text.trim();
    if (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let message = format!("{what}: expected 1 to {max} characters without control characters");
    Err(Failure::new("invalid_request", message))
}
