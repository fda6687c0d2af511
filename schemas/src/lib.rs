//! Shared language of the CrowNest services and of everybody who reads what they write: identifiers, states, messages,
//! stored formats and API shapes. Nothing here does I/O, and no other crate of CrowNest is needed.
//!
//! Start reading at [`run`], the life of a workspace run; [`message`] then shows what the services tell each other about a
//! run, and [`evidence`] what is left of it.
//!
//! | room | modules |
//! |---|---|
//! | words | [`id`], [`timestamp`], [`scope`], [`limits`], [`mod@cut`], [`word`] (closed sets of words) |
//! | a run and its parts | [`run`], [`archive`], [`mod@env`], [`egress`], [`artifact`], [`test_report`] |
//! | between services | [`message`]: jobs, events, hints, usage |
//! | stored for good | [`evidence`] (the bundle and its event log), [`layout`] (keys in the bucket), [`lake`] (tables) |
//! | proofs | [`canonical`], [`merkle`], [`attestation`], [`transparency`] |
//! | to clients | [`api`], [`event`] (the public stream) |
//!
//! `docs/reference/formats.md` specifies the stored formats, `tables.md` beside it the tables. The JSON Schemas in
//! `json/` and `openapi.json` follow from the types: their descriptions are the doc comments.

pub mod api;
pub mod archive;
pub mod artifact;
pub mod attestation;
pub mod canonical;
pub mod cut;
pub mod egress;
pub mod env;
pub mod event;
pub mod evidence;
pub mod id;
pub mod lake;
pub mod layout;
pub mod limits;
pub mod merkle;
pub mod message;
pub mod run;
pub mod scope;
pub mod test_report;
pub mod timestamp;
pub mod transparency;
pub mod word;

pub use timestamp::Timestamp;
