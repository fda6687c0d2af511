//! `crownest evidence trust`: whose signatures are believed on this machine.

use std::process::ExitCode;

use schemas::Timestamp;
use schemas::attestation::jwks::Jwk;
use schemas::attestation::key::PublicKey;
use serde_json::{Value, json};

use crate::args::connection::ConnectionArgs;
use crate::args::evidence_verify::TrustArgs;
use crate::client::Client;
use crate::failure::{Failure, Stop};
use crate::output::{Output, Table, field};
use crate::trusted_keys::{self, PinnedKey, PinnedKeys};

pub(crate) async fn run(args: &TrustArgs, api: &ConnectionArgs, output: &mut Output) -> Result<ExitCode, Stop> {
    let mut pinned = PinnedKeys::read()?;
    if let Some(id) = &args.forget {
        forget(&mut pinned, id)?;
    } else if !args.list {
        let (from, keys) = offered(args, api).await?;
        pin(&mut pinned, &from, &keys, args.add)?;
    }
    if !args.list {
        let path = pinned.write()?;
        output.note(&format!("saved in {}", path.display()));
    }
    let keys = pinned.keys.iter().map(|pinned| {
        json!({"id": pinned.key.kid, "from": pinned.from, "pinnedAt": pinned.pinned_at, "publicKey": pinned.key.x})
    });
    output.result(&Value::Array(keys.collect()), readable)?;
    Ok(ExitCode::SUCCESS)
}

async fn offered(args: &TrustArgs, api: &ConnectionArgs) -> Result<(String, Vec<PublicKey>), Failure> {
    if let Some(path) = &args.keys {
        return Ok((path.display().to_string(), trusted_keys::of_file(path)?));
    }
    let client = Client::connect(api)?;
    let api = client.connection().api_url.to_string();
    let keys = trusted_keys::of_text(&api, &client.public_keys().await?)?;
    Ok((api, keys))
}

/// The first keys of an API or file are taken at its word. Others that turn up there later are not: they may be an attacker's.
fn pin(pinned: &mut PinnedKeys, from: &str, offered: &[PublicKey], add: bool) -> Result<(), Failure> {
    let is_first = pinned.keys.iter().all(|known| known.from != from);
    let known = |id: &String| pinned.keys.iter().any(|known| known.key.kid == *id);
    let new: Vec<_> = offered.iter().filter(|key| !known(&key.id())).collect();
    if !new.is_empty() && !is_first && !add {
        let ids = new.iter().map(|key| key.id()).collect::<Vec<_>>().join(", ");
        let message = format!("{from} has keys now that it did not have when its keys were pinned: {ids}");
        return Err(Failure::new("keys_changed", message).hint(
            "Ask the operator, in another way, whether these keys are theirs. If so, run this again with --add.",
        ));
    }
    pinned.keys.extend(new.into_iter().map(|key| PinnedKey {
        key: Jwk::ed25519(key.bytes()),
        from: from.to_owned(),
        pinned_at: Timestamp::now(),
    }));
    Ok(())
}

fn forget(pinned: &mut PinnedKeys, id: &str) -> Result<(), Failure> {
    let before = pinned.keys.len();
    pinned.keys.retain(|known| known.key.kid != id);
    if pinned.keys.len() < before {
        return Ok(());
    }
    Err(Failure::new("not_found", format!("no pinned key has the id {id}"))
        .hint("`crownest evidence trust --list` shows them."))
}

fn readable(keys: &Value) -> String {
    let keys = keys.as_array().map(Vec::as_slice).unwrap_or_default();
    if keys.is_empty() {
        return "No key is pinned: without --keys, nothing that is verified here counts as signed.\n".to_owned();
    }
    let mut table = Table::new(&["KEY ID", "PINNED", "FROM"]);
    for key in keys {
        table.row(&["id", "pinnedAt", "from"].map(|name| field(key, name)).each_ref().map(String::as_str));
    }
    table.to_string()
}
