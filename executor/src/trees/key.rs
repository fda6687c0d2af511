//! The name of a tree: its organization, the digest of its archive and, where a slot needs a tree of its own, the owner.
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The organization and the digest of an archive. Tenants do not share trees, so that nobody learns from timing what others have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TreeKey {
    org: String,
    sha256: String,
    owner: Option<u32>,
}

impl TreeKey {
    /// `None` unless `org` is 1 to 100 characters of `[A-Za-z0-9_-]` and `sha256` is 64 lowercase hex digits.
    pub fn new(org: &str, sha256: &str) -> Option<Self> {
        let org_ok = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let digest_ok = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let valid = (1..=100).contains(&org.len())
            && org.bytes().all(org_ok)
            && sha256.len() == 64
            && sha256.bytes().all(digest_ok);
        valid.then(|| Self { org: org.to_owned(), sha256: sha256.to_owned(), owner: None })
    }

    /// The key of a tree in which everything belongs to this user and group; with `None`, to the user that extracts it.
    #[must_use]
    pub fn owned_by(self, owner: Option<u32>) -> Self {
        Self { owner, ..self }
    }

    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    pub(super) fn owner(&self) -> Option<u32> {
        self.owner
    }

    pub(super) fn name(&self) -> String {
        let Self { org, sha256, owner } = self;
        owner.map_or_else(|| format!("{org}.{sha256}"), |owner| format!("{org}.{sha256}.{owner}"))
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let (org, rest) = name.split_once('.')?;
        let (sha256, owner) = match rest.split_once('.') {
            None => (rest, None),
            Some((sha256, owner)) => (sha256, Some(owner.parse().ok()?)),
        };
        Some(Self::new(org, sha256)?.owned_by(owner)).filter(|key| key.name() == name)
    }

    /// True if the folder still belongs to the key's owner: the ids of slots may have changed since it was made.
    pub(super) fn is_owner(&self, tree: &Path) -> bool {
        let owner = |owner| fs::metadata(tree).is_ok_and(|tree| tree.uid() == owner);
        self.owner.is_none_or(owner)
    }
}
