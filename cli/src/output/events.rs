//! Events of a run: its output as it was written, or with `--json` every event as one line.

use std::io::{self, Write as _};

use super::{Output, field};
use crate::client::{Channel, RunEvent};
use crate::failure::Stop;

impl Output {
    pub(crate) fn event(&mut self, event: &RunEvent) -> Result<(), Stop> {
        if self.json {
            return self.json_line(&event.body);
        }
        if let Some(omitted) = event.omitted() {
            let (kind, bytes, total) = (event.kind(), omitted.bytes, omitted.total_bytes);
            self.warn(&format!(
                "{bytes} of {total} bytes of {kind} are left out here: it is longer than what is stored"
            ));
        }
        match event.output() {
            Some((Channel::Stdout, bytes)) => return self.raw(&bytes),
            Some((Channel::Stderr, bytes)) => return Ok(io::stderr().write_all(&bytes)?),
            None => {}
        }
        let body = &event.body;
        match event.kind() {
            "artifact_collected" => {
                self.note(&format!("collected {} as {}", field(body, "path"), field(body, "artifactId")));
            }
            "artifact_error" => {
                let error = &body["error"];
                self.warn(&format!("artifact {}: {}", field(error, "path"), field(error, "message")));
            }
            "error" => self.warn(&format!("{} ({})", field(body, "message"), field(body, "code"))),
            _ => {}
        }
        Ok(())
    }
}
