//! Upper limits of a report. Real reports stay far below.

/// Bytes of a report.
pub(super) const REPORT_BYTES: u64 = 256 << 20;
/// Test cases of a report.
pub(super) const CASES: u64 = 200_000;
/// Nested elements, or nested objects and arrays.
pub(super) const DEPTH: usize = 64;
/// Bytes of one text, CDATA section or comment, or of one string: all that is held in memory at once.
pub(super) const PIECE_BYTES: usize = 16 << 20;
/// Bytes of one tag with its attributes.
pub(super) const TAG_BYTES: usize = 1 << 20;
/// Bytes of an element's name.
pub(super) const ELEMENT_NAME_BYTES: usize = 256;
/// Attributes of one element.
pub(super) const ATTRIBUTES: usize = 64;
/// Milliseconds of one case: a hundred years. Sums stay exact in JSON.
pub(super) const DURATION_MS: u64 = 100 * 366 * 86_400_000;
/// Bytes that are kept of a name.
pub(super) const NAME_BYTES: usize = 1024;
/// Bytes that are kept of a message.
pub(super) const MESSAGE_BYTES: usize = 4096;
