//! First start: an organization, its default project and a key, saved for the command line. Later starts keep them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use database::Client;
use infra::config::Secret;
use schemas::scope::Scope;

use crate::args::up::Plan;
use crate::atomic_file::AtomicFile;
use crate::config_file::ConfigFile;

/// Makes what is missing; returns the file with the key.
pub(super) async fn prepare(client: &mut Client, data: &Path, plan: Option<Plan>) -> anyhow::Result<PathBuf> {
    let key_file = data.join("api-key");
    let present = client.query_opt("select id from ingest.organizations order by created_at, id limit 1", &[]).await?;
    let org = if let Some(row) = present {
        let org = row.get::<_, String>(0).parse()?;
        if let Some(plan) = plan {
            ingest::admin::set_plan(client, &org, plan.as_str()).await?;
        }
        org
    } else {
        let plan = plan.unwrap_or(Plan::Local);
        ingest::admin::create_organization(client, "Local", plan.as_str()).await?.0
    };
    // A crash may have come between the organization and its key; a lost key file gets a new key as well.
    if !key_file.exists() {
        let (_, secret) = ingest::admin::create_key(client, &org, "local", Scope::ALL, None).await?;
        save_key(&key_file, &secret).map_err(|failure| anyhow::anyhow!("{}", failure.message))?;
    }
    Ok(key_file)
}

fn save_key(path: &Path, secret: &Secret) -> Result<(), crate::failure::Failure> {
    let mut file = AtomicFile::create(path, 0o600)?;
    file.write(secret.reveal().as_bytes())?;
    file.write(b"\n")?;
    file.finish()
}

/// Saves address and key for the command line, unless it is logged in elsewhere. True if it was saved.
pub(super) fn login(api_url: &str, key_file: &Path) -> anyhow::Result<bool> {
    let Some(path) = ConfigFile::path() else { return Ok(false) };
    let key = std::fs::read_to_string(key_file).context("cannot read the key file")?;
    let mut config = ConfigFile::read(&path).map_err(|failure| anyhow::anyhow!("{}", failure.message))?;
    let elsewhere = config.api_url.as_deref().is_some_and(|url| !is_loopback(url));
    if elsewhere {
        return Ok(false);
    }
    config.api_url = Some(api_url.to_owned());
    config.api_key = Some(key.trim().parse().map_err(|error| anyhow::anyhow!("{}: {error}", key_file.display()))?);
    config.write(&path).map_err(|failure| anyhow::anyhow!("{}", failure.message))?;
    Ok(true)
}

fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"].iter().any(|prefix| host.starts_with(prefix))
}
