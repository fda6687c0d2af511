//! Upper limits of requests: ingest checks them, the schemas state them.

/// Bytes of a command; its JSON Schema can only count characters.
pub const COMMAND_BYTES: usize = 64 * 1024;
/// Milliseconds that a command may be given, unless the operator allows less.
pub const TIMEOUT_MS: u64 = 24 * 3_600_000;
/// Bytes of an archive, unless the operator allows less.
pub const ARCHIVE_BYTES: u64 = 5 << 30;
/// Requested artifacts of a run.
pub const ARTIFACTS: usize = 100;
/// Bytes of an artifact's path.
pub const PATH_BYTES: usize = 4096;
/// Bytes of a sentence for people in an event, an ending or the evidence.
pub const SENTENCE_BYTES: usize = 1024;
/// Bytes of an artifact's name.
pub const NAME_BYTES: usize = 255;
/// Keys of `metadata`, and of `sourceMetadata`.
pub const METADATA_KEYS: usize = 50;
/// Characters of a key, all of them ASCII.
pub const METADATA_KEY_CHARS: usize = 40;
/// Characters of a value.
pub const METADATA_VALUE_CHARS: usize = 500;
/// Bytes of all keys and values of `metadata` together, and of `sourceMetadata`.
pub const METADATA_BYTES: usize = 16 * 1024;
/// Variables in `env`.
pub const ENV_VARIABLES: usize = 100;
/// Characters of a variable's name, all of them ASCII.
pub const ENV_NAME_CHARS: usize = 128;
/// Bytes of a variable's value; its JSON Schema can only count characters.
pub const ENV_VALUE_BYTES: usize = 32 * 1024;
/// Bytes of all names and values of `env` together.
pub const ENV_BYTES: usize = 64 * 1024;
/// Bytes of the URL of a webhook.
pub const URL_BYTES: usize = 2048;
/// Webhooks of an organization.
pub const WEBHOOKS: i64 = 100;
/// Projects of an organization.
pub const PROJECTS: i64 = 1000;
/// Archive transfers of an organization that wait for their bytes.
pub const OPEN_TRANSFERS: i64 = 1000;
/// Characters of a project's name.
pub const PROJECT_NAME_CHARS: usize = 100;
/// Characters of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_CHARS: usize = 255;
/// Entries of a page.
pub const PAGE: usize = 500;
/// Entries of a page if the request does not say.
pub const DEFAULT_PAGE: usize = 50;
