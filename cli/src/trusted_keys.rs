//! The public keys that signatures are believed of: named with `--keys`, or pinned by `crownest evidence trust`. Keys that only
//! came with what they signed are used too, and vouch for nothing.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use schemas::Timestamp;
use schemas::attestation::jwks::{Jwk, JwkSet};
use schemas::attestation::key::PublicKey;
use serde::{Deserialize, Serialize};
use verifier::evidence::Trust;

use crate::atomic_file::AtomicFile;
use crate::config_file::ConfigFile;
use crate::failure::Failure;
use crate::regular_file;

/// A JWK set has a few keys of some hundred bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A key that the user of this machine decided to believe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PinnedKey {
    #[serde(flatten)]
    pub key: Jwk,
    /// The API or the file that it came from.
    pub from: String,
    pub pinned_at: Timestamp,
}

/// The pinned keys: `crownest/trusted-keys.json` beside the saved login. The file is a JWK set with two more members a key.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PinnedKeys {
    pub keys: Vec<PinnedKey>,
}

impl PinnedKeys {
    /// `None` when the environment names no home.
    pub(crate) fn path() -> Option<PathBuf> {
        ConfigFile::path().map(|path| path.with_file_name("trusted-keys.json"))
    }

    /// An absent file has no keys.
    pub(crate) fn read() -> Result<Self, Failure> {
        let Some(path) = Self::path() else { return Ok(Self::default()) };
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        serde_json::from_slice(&text).map_err(|error| {
            Failure::new(
                "invalid_keys",
                format!("{} is not what `crownest evidence trust` left: {error}", path.display()),
            )
            .hint("Remove the file, then pin the keys again.")
        })
    }

    pub(crate) fn write(&self) -> Result<PathBuf, Failure> {
        let path = Self::path().ok_or_else(|| {
            Failure::new("file_error", "there is no folder to keep the keys in")
                .hint("Set HOME or XDG_CONFIG_HOME, or name a file with --keys.")
        })?;
        ConfigFile::make_folder_of(&path)?;
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::new("internal_error", format!("the keys cannot be written: {error}")))?;
        let mut file = AtomicFile::create(&path, 0o600)?;
        file.write(text.as_bytes())?;
        file.write(b"\n")?;
        file.finish()?;
        Ok(path)
    }

    fn set(&self) -> JwkSet {
        JwkSet { keys: self.keys.iter().map(|pinned| pinned.key.clone()).collect() }
    }
}

/// The keys of this file, or the pinned ones; `None` if there are neither.
pub(crate) fn named(file: Option<&Path>) -> Result<Option<Trust>, Failure> {
    if let Some(path) = file {
        let keys = of_file(path)?;
        return Ok(Some(Trust { keys, source: format!("the file {}", path.display()), named: true }));
    }
    let pinned = PinnedKeys::read()?;
    if pinned.keys.is_empty() {
        return Ok(None);
    }
    let keys = parse("the pinned keys", &pinned.set())?;
    Ok(Some(Trust { keys, source: "`crownest evidence trust`".to_owned(), named: true }))
}

/// Keys that came with what they signed.
pub(crate) fn unnamed(keys: Vec<PublicKey>, source: &str) -> Trust {
    Trust { keys, source: format!("{source}, and you named none: see `crownest evidence trust --help`"), named: false }
}

/// The keys in a JWK set.
pub(crate) fn of_file(path: &Path) -> Result<Vec<PublicKey>, Failure> {
    of_text(&path.display().to_string(), &read(path).map_err(|error| Failure::file("read", path, &error))?)
}

pub(crate) fn of_text(whose: &str, text: &[u8]) -> Result<Vec<PublicKey>, Failure> {
    let set = serde_json::from_slice(text).unwrap_or(JwkSet { keys: Vec::new() });
    parse(whose, &set)
}

fn parse(whose: &str, set: &JwkSet) -> Result<Vec<PublicKey>, Failure> {
    PublicKey::all(set).filter(|keys| !keys.is_empty()).ok_or_else(|| {
        let message = format!("{whose}: expected a JWK set with an Ed25519 key: {{\"keys\":[{{\"kty\":\"OKP\",…}}]}}");
        Failure::new("invalid_keys", message)
            .hint("An installation publishes its keys at /.well-known/jwks.json, from the first seal on.")
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    regular_file::open(path)?.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
}
