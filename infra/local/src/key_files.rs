//! The keys of one machine, made at the first start and kept in the data folder. Whoever names a key in the environment keeps
//! it elsewhere.

use std::path::Path;

use anyhow::Context as _;
use collector::signing::SigningConfig;
use infra::config::from_environment;
use infra::keyring::KeyringConfig;

use crate::servers::write_secret;

/// The key that encrypts the environment variables of runs.
pub(crate) fn keyring(data: &Path) -> anyhow::Result<KeyringConfig> {
    let mut config: KeyringConfig = from_environment()?;
    if config.env_key_file.is_none() {
        let path = data.join("env-keys");
        if !path.exists() {
            write_secret(&path, &infra::keyring::generate().context("no randomness for a key")?)?;
        }
        config.env_key_file = Some(path);
    }
    Ok(config)
}

/// The key that signs evidence.
pub(crate) fn signing(data: &Path) -> anyhow::Result<SigningConfig> {
    let mut config: SigningConfig = from_environment()?;
    if config.signing_key_file.is_none() && config.signing_key.is_none() && config.signing_command.is_none() {
        let path = data.join("signing-key.pem");
        if !path.exists() {
            write_secret(&path, &collector::signing::generate()?)?;
        }
        config.signing_key_file = Some(path);
    }
    Ok(config)
}
