//! One event of a run as it came, unknown fields included, with the few things that this client must know of it.

use schemas::event::{Omitted, Output};
use serde::Deserialize as _;
use serde_json::Value;

use crate::failure::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Stdout,
    Stderr,
}

impl Channel {
    /// The stream's name, which is the type of its events.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunEvent {
    pub seq: u64,
    pub body: Value,
}

impl RunEvent {
    pub(crate) fn parse(body: Value) -> Result<Self, Failure> {
        match (body["seq"].as_u64(), body["type"].is_string()) {
            (Some(seq), true) => Ok(Self { seq, body }),
            _ => Err(Failure::invalid_answer("expected an event with `seq` and `type`, got something else")),
        }
    }

    pub(crate) fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default()
    }

    /// Sent to keep an idle stream open; never stored, and its `seq` is that of another event.
    pub(crate) fn is_heartbeat(&self) -> bool {
        self.kind() == "heartbeat"
    }

    /// The run, if this is its last event.
    pub(crate) fn terminal_run(&self) -> Option<&Value> {
        (self.kind() == "terminal").then(|| &self.body["workspaceRun"])
    }

    /// The exact bytes that the command wrote, if this is output.
    pub(crate) fn output(&self) -> Option<(Channel, Vec<u8>)> {
        let channel = match self.kind() {
            "stdout" => Channel::Stdout,
            "stderr" => Channel::Stderr,
            _ => return None,
        };
        let output = Output::deserialize(&self.body).ok()?;
        // Broken base64 still leaves the readable form.
        let bytes = output.to_bytes().unwrap_or_else(|| output.data.into_bytes());
        Some((channel, bytes))
    }

    /// The gap that the server left in a stream that was too long, at this place.
    pub(crate) fn omitted(&self) -> Option<Omitted> {
        Omitted::deserialize(self.body.get("omitted")?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn output_is_exact() {
        let check = |body: Value, expected: Option<(Channel, &[u8])>| {
            let output = RunEvent::parse(body).unwrap().output();
            assert_eq!(output.as_ref().map(|(channel, bytes)| (*channel, bytes.as_slice())), expected);
        };
        check(json!({"seq": 1, "type": "stdout", "data": "é\n"}), Some((Channel::Stdout, "é\n".as_bytes())));
        check(
            json!({"seq": 1, "type": "stderr", "data": "\u{fffd}", "bytes": "/w=="}),
            Some((Channel::Stderr, b"\xff")),
        );
        check(json!({"seq": 1, "type": "stderr", "data": "a", "bytes": "!"}), Some((Channel::Stderr, b"a")));
        let omitted = json!({"offset": 1, "bytes": 2, "totalBytes": 4});
        check(json!({"seq": 1, "type": "stdout", "data": "", "omitted": omitted}), Some((Channel::Stdout, b"")));
        check(json!({"seq": 1, "type": "status", "status": "running"}), None);
        check(json!({"seq": 1, "type": "from_the_future"}), None);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for body in [json!({}), json!([]), json!({"seq": -1, "type": "stdout"}), json!({"seq": 1})] {
            assert!(RunEvent::parse(body.clone()).is_err(), "{body}");
        }
    }
}
