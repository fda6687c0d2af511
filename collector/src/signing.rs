//! The Ed25519 key that signs what this installation seals: PKCS#8 in PEM, as `openssl genpkey` makes it, or a command
//! with access to a key. Public keys stay in the database, so that signatures by a replaced key still verify.

mod command;

use std::fmt;
use std::path::PathBuf;

use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use database::Pool;
use infra::config::Secret;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use schemas::attestation::dsse::{Envelope, PAYLOAD_TYPE, signed_bytes};
use schemas::attestation::key::PublicKey;
use tokio::sync::OnceCell;

use self::command::Command;
use crate::db::signing_keys;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

#[derive(Debug, Clone, Args)]
pub struct SigningConfig {
    /// File with the Ed25519 key that signs evidence and its log, made by `openssl genpkey -algorithm ed25519`.
    /// Required, unless --signing-key or --signing-command is given
    #[arg(long, env = "CROWNEST_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: Option<PathBuf>,
    /// Content of a signing key file
    #[arg(
        long,
        env = "CROWNEST_SIGNING_KEY",
        value_name = "PEM",
        hide_env_values = true,
        allow_hyphen_values = true,
        conflicts_with = "signing_key_file"
    )]
    pub signing_key: Option<Secret>,
    /// Shell command that signs with a key in a KMS: reads the message from standard input, and writes the Ed25519
    /// signature (64 bytes, or their base64) to standard output
    #[arg(
        long,
        env = "CROWNEST_SIGNING_COMMAND",
        value_name = "COMMAND",
        requires = "signing_public_key",
        conflicts_with_all = ["signing_key_file", "signing_key"]
    )]
    pub signing_command: Option<String>,
    /// File with the public key of --signing-command (PEM, as `openssl pkey -pubout` writes it)
    #[arg(long, env = "CROWNEST_SIGNING_PUBLIC_KEY_FILE", value_name = "FILE", requires = "signing_command")]
    pub signing_public_key: Option<PathBuf>,
    /// URI that names this installation as the builder in SLSA provenance
    #[arg(
        long,
        env = "CROWNEST_BUILDER_ID",
        value_name = "URI",
        default_value = "https://crownest.dev/builder/self-hosted"
    )]
    pub builder_id: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("--{flag}: cannot read {path}")]
    Read { flag: &'static str, path: PathBuf, source: std::io::Error },
    #[error("--signing-public-key: expected an Ed25519 public key (`-----BEGIN PUBLIC KEY-----`), got something else")]
    MalformedPublicKey,
    #[error(
        "evidence is signed, and there is no key: make one with `openssl genpkey -algorithm ed25519 -out signing-key.pem` \
         and pass it with --signing-key-file, or pass a command with --signing-command"
    )]
    Missing,
    #[error("--{flag}: expected one Ed25519 key as PKCS#8 in PEM (`{BEGIN}`), got something else (not shown)")]
    Malformed { flag: &'static str },
    #[error("the system has no random numbers for a key")]
    Random,
}

/// Signs, and verifies each signature of a command: a wrong one is never stored.
pub(crate) struct Signer {
    source: Source,
    public_key: PublicKey,
    registered: OnceCell<()>,
}

enum Source {
    Key(Ed25519KeyPair),
    Command(Command),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.public_key.id()).finish()
    }
}

/// Returns the content of a key file with a new key.
pub fn generate() -> Result<Secret, SigningError> {
    let key = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).map_err(|_| SigningError::Random)?;
    let encoded = STANDARD.encode(key.as_ref());
    let lines: Vec<String> =
        encoded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    Ok(Secret::new(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"))))
}

impl SigningConfig {
    pub(crate) fn open(&self) -> Result<Signer, SigningError> {
        let read = |flag, path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|source| SigningError::Read { flag, path: path.clone(), source })
        };
        let (flag, pem) =
            match (&self.signing_key_file, &self.signing_key, &self.signing_command, &self.signing_public_key) {
                (Some(path), ..) => ("signing-key-file", Secret::new(read("signing-key-file", path)?)),
                (None, Some(key), ..) => ("signing-key", key.clone()),
                (None, None, Some(command), Some(path)) => {
                    let public_key = PublicKey::from_pem(&read("signing-public-key", path)?);
                    let source = Source::Command(Command::new(command));
                    return Ok(Signer::new(source, public_key.ok_or(SigningError::MalformedPublicKey)?));
                }
                _ => return Err(SigningError::Missing),
            };
        Signer::parse(pem.reveal()).ok_or(SigningError::Malformed { flag })
    }
}

impl Signer {
    fn new(source: Source, public_key: PublicKey) -> Self {
        Self { source, public_key, registered: OnceCell::new() }
    }

    /// Stores the public key before anything is signed with it. Done once.
    pub(crate) async fn register(&self, pool: &Pool) -> anyhow::Result<()> {
        let register = async || signing_keys::add(&pool.get().await?, self.public_key.bytes()).await.map(|_| ());
        self.registered.get_or_try_init(register).await.copied()
    }

    fn parse(pem: &str) -> Option<Self> {
        let (_, rest) = pem.split_once(BEGIN)?;
        let (encoded, rest) = rest.split_once(END)?;
        let encoded: String = encoded.split_ascii_whitespace().collect();
        let der = STANDARD.decode(encoded).ok().filter(|_| rest.trim().is_empty())?;
        // OpenSSL writes the first version of PKCS#8, without the public key.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok()?;
        let public_key = PublicKey::new(pair.public_key().as_ref().try_into().ok()?);
        Some(Self::new(Source::Key(pair), public_key))
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Returns 64 bytes, always the same for the same message.
    pub(crate) async fn sign(&self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        let signature = match &self.source {
            Source::Key(pair) => return Ok(pair.sign(message).as_ref().to_vec()),
            Source::Command(command) => command.sign(message).await?,
        };
        ensure!(
            self.public_key.verifies(message, &signature),
            "--signing-command: the returned signature is not by the key of --signing-public-key"
        );
        Ok(signature)
    }

    /// Signs an in-toto statement in a DSSE envelope.
    pub(crate) async fn envelope(&self, statement: &[u8]) -> anyhow::Result<Envelope> {
        let signature = self.sign(&signed_bytes(PAYLOAD_TYPE, statement)).await?;
        Ok(Envelope::new(statement, &self.public_key, &signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The private key of RFC 8410 section 10.3, and its public key from section 10.1.
    #[test]
    fn reads_keys_of_openssl_and_its_own() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
            -----END PRIVATE KEY-----\n";
        let public = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        assert_eq!(hex::encode(Signer::parse(pem).unwrap().public_key().bytes()), public);
        let made = generate().unwrap();
        assert!(Signer::parse(made.reveal()).is_some());
        for bad in ["", "key", &pem[..80], &pem.replace("MC4C", "MC4D"), &pem.repeat(2)] {
            assert!(Signer::parse(bad).is_none(), "{bad}");
        }
    }
}
