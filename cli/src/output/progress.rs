//! The progress of an upload, for a person who watches a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Output;

/// Below this the bar would only flicker.
const WORTH_A_BAR_BYTES: u64 = 1 << 20;
const TEMPLATE: &str = "uploading {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

impl Output {
    /// Draws nothing unless standard error is a terminal and `--json` is off.
    pub(crate) fn upload_bar(&self, size_bytes: u64) -> ProgressBar {
        let visible = self.stderr_is_terminal && !self.json && size_bytes >= WORTH_A_BAR_BYTES;
        if !visible {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(size_bytes), ProgressDrawTarget::stderr());
        // A template that does not parse (ours does) costs the looks, not the upload.
        bar.set_style(ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }
}
