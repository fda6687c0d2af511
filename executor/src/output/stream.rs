//! One of a command's two output streams, and its events.

use schemas::event::{EventKind, Omitted, Output};

/// Most bytes of output in one event.
pub(super) const EVENT_BYTES: usize = 32 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    pub(super) fn event(self, bytes: &[u8]) -> EventKind {
        self.kind(Output::from_bytes(bytes))
    }

    pub(super) fn marker(self, omitted: Omitted) -> EventKind {
        self.kind(Output::omitted(omitted))
    }

    fn kind(self, output: Output) -> EventKind {
        match self {
            Self::Stdout => EventKind::Stdout(output),
            Self::Stderr => EventKind::Stderr(output),
        }
    }
}
