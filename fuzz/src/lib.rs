//! Everything that reads strangers' bytes, as functions of bytes. A function panics where a promise is broken; the
//! fuzzer finds other panics, endless loops and endless memory. Start reading at [`TARGETS`].
#![expect(clippy::unnecessary_debug_formatting, reason = "names of strangers are shown escaped")]

mod archive;
mod http;
mod messages;
mod output;
pub mod seeds;
mod sse;
#[expect(dead_code, clippy::unwrap_used, reason = "shared with the tests of extraction; a failed step is a finding")]
#[path = "../../executor/tests/extraction/tarball.rs"]
mod tarball;
mod test_report;
mod transparency;
mod verification;
mod workspace;

/// One function to feed with bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the target, and of its folder in `corpus/`.
    pub name: &'static str,
    /// Reads the bytes; true if they were understood.
    pub run: fn(&[u8]) -> bool,
}

pub const TARGETS: &[Target] = &[
    Target { name: "archive", run: archive::tar },
    Target { name: "archive-gzip", run: archive::gzip },
    Target { name: "archive-gnu-tar", run: archive::against_gnu_tar },
    Target { name: "job", run: messages::job },
    Target { name: "event-message", run: messages::event_message },
    Target { name: "segment", run: messages::segment },
    Target { name: "log-index", run: messages::log_index },
    Target { name: "usage", run: messages::usage },
    Target { name: "evidence", run: messages::evidence },
    Target { name: "words", run: messages::words },
    Target { name: "event-stream", run: sse::event_stream },
    Target { name: "request", run: http::request },
    Target { name: "query", run: http::query },
    Target { name: "artifacts", run: workspace::artifacts },
    Target { name: "redaction", run: output::redaction },
    Target { name: "note", run: transparency::note },
    Target { name: "proof", run: transparency::proof },
    Target { name: "tile", run: transparency::tile },
    Target { name: "inclusion", run: transparency::inclusion },
    Target { name: "envelope", run: verification::envelope },
    Target { name: "verification", run: verification::bundle },
    Target { name: "junit", run: test_report::junit },
    Target { name: "ctrf", run: test_report::ctrf },
];
