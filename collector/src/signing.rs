//! The Ed25519 key that vouches for what this installation sealed: a PKCS#8 file in PEM, as `openssl genpkey` makes it.
//! Its public part is kept in the database, so that what it signed can be verified after it was replaced.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use infra::config::Secret;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

#[derive(Debug, Clone, Args)]
pub struct SigningConfig {
    /// File with the Ed25519 key that signs the evidence log, made by `openssl genpkey -algorithm ed25519`
    /// [default: none, and the log is not written]
    #[arg(long, env = "CROWNEST_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: Option<PathBuf>,
    /// The content of such a file, instead of one
    #[arg(
        long,
        env = "CROWNEST_SIGNING_KEY",
        value_name = "PEM",
        hide_env_values = true,
        allow_hyphen_values = true,
        conflicts_with = "signing_key_file"
    )]
    pub signing_key: Option<Secret>,
}

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("--signing-key-file: cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "--signing-key-file: expected one Ed25519 key as PKCS#8 in PEM (`{BEGIN}`), got something else (not shown)"
    )]
    Malformed,
    #[error("no randomness for a key")]
    Random,
}

pub(crate) struct Signer(Ed25519KeyPair);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&hex::encode(self.public_key())).finish()
    }
}

/// The content of a key file, with a new key.
pub fn generate() -> Result<Secret, SigningError> {
    let key = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).map_err(|_| SigningError::Random)?;
    let encoded = STANDARD.encode(key.as_ref());
    let lines: Vec<String> =
        encoded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    Ok(Secret::new(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"))))
}

impl SigningConfig {
    pub(crate) fn open(&self) -> Result<Option<Signer>, SigningError> {
        let pem = match (&self.signing_key_file, &self.signing_key) {
            (Some(path), _) => {
                let read = std::fs::read_to_string(path);
                Secret::new(read.map_err(|source| SigningError::Read { path: path.clone(), source })?)
            }
            (None, Some(key)) => key.clone(),
            (None, None) => return Ok(None),
        };
        Signer::parse(pem.reveal()).map(Some).ok_or(SigningError::Malformed)
    }
}

impl Signer {
    fn parse(pem: &str) -> Option<Self> {
        let (_, rest) = pem.split_once(BEGIN)?;
        let (encoded, rest) = rest.split_once(END)?;
        let encoded: String = encoded.split_ascii_whitespace().collect();
        let der = STANDARD.decode(encoded).ok().filter(|_| rest.trim().is_empty())?;
        // OpenSSL writes the first version of PKCS#8, without the public key.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok().map(Self)
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        key
    }

    /// 64 bytes, always the same for the same message.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
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
        assert_eq!(hex::encode(Signer::parse(pem).unwrap().public_key()), public);
        let made = generate().unwrap();
        assert!(Signer::parse(made.reveal()).is_some());
        for bad in ["", "key", &pem[..80], &pem.replace("MC4C", "MC4D"), &pem.repeat(2)] {
            assert!(Signer::parse(bad).is_none(), "{bad}");
        }
    }
}
