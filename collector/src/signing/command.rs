//! Signing by a shell command of the operator's, which reaches a key that this process never sees.

use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::attestation::key::SIGNATURE_BYTES;
use tokio::io::AsyncWriteExt as _;

/// A KMS is asked over a network. A run that waits for it is sealed a little later, and nothing is lost.
const DEADLINE: Duration = Duration::from_secs(30);
/// Maximum characters of the command's complaint in an error.
const COMPLAINT_CHARS: usize = 400;

#[derive(Debug)]
pub(super) struct Command(String);

impl Command {
    pub(super) fn new(command: &str) -> Self {
        Self(command.to_owned())
    }

    /// The caller verifies the signature.
    pub(super) async fn sign(&self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        let output = tokio::time::timeout(DEADLINE, self.run(message)).await;
        let output =
            output.with_context(|| format!("--signing-command: no answer within {} s", DEADLINE.as_secs()))??;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let complaint: String = complaint.trim().chars().take(COMPLAINT_CHARS).collect();
            bail!("--signing-command failed ({}): {complaint}", output.status);
        }
        if output.stdout.len() == SIGNATURE_BYTES {
            return Ok(output.stdout);
        }
        let decoded = STANDARD.decode(output.stdout.trim_ascii()).ok().filter(|bytes| bytes.len() == SIGNATURE_BYTES);
        decoded.with_context(|| {
            format!(
                "--signing-command: expected {SIGNATURE_BYTES} bytes or their base64, got {} bytes",
                output.stdout.len()
            )
        })
    }

    async fn run(&self, message: &[u8]) -> anyhow::Result<Output> {
        let mut child = tokio::process::Command::new("/bin/sh")
            .args(["-c", &self.0])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("--signing-command: cannot start /bin/sh")?;
        let mut stdin = child.stdin.take().context("a pipe")?;
        let (written, output) = tokio::join!(
            async move {
                let written = stdin.write_all(message).await;
                drop(stdin);
                written
            },
            child.wait_with_output()
        );
        // If the command did not read everything, its complaint or its signature shows that.
        let _ = written;
        Ok(output?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn takes_raw_bytes_and_base64() {
        let message = vec![b'm'; 200_000];
        for command in [
            "cat >/dev/null; head -c 64 /dev/zero",
            "head -c 64 /dev/zero | base64 -w0",
            "cat | sha512sum | head -c 64",
        ] {
            assert_eq!(Command::new(command).sign(&message).await.unwrap().len(), 64, "{command}");
        }
    }

    #[tokio::test]
    async fn says_what_is_wrong() {
        for (command, expected) in [
            ("echo no such key >&2; exit 3", "failed (exit status: 3): no such key"),
            ("echo short", "expected 64 bytes or their base64, got 6 bytes"),
            ("nosuchcommand_here", "failed (exit status: 127)"),
        ] {
            let error = Command::new(command).sign(b"x").await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
