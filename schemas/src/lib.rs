//! What the CrowNest services say to each other and to the world: identifiers, states, events, messages,
//! the Evidence Bundle and the API shapes. No I/O happens here.

pub mod api;
pub mod attestation;
pub mod canonical;
pub mod egress;
pub mod env;
pub mod event;
pub mod event_log;
pub mod evidence;
pub mod id;
pub mod lake;
pub mod layout;
pub mod limits;
pub mod merkle;
pub mod message;
pub mod partition;
pub mod run;
pub mod scope;
pub mod test_report;
pub mod timestamp;
pub mod tombstone;
pub mod transparency;
pub mod usage;
pub mod word;

pub use timestamp::Timestamp;
