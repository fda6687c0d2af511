//! Output of commands on its way into events.
use schemas::event::Output;

/// Input in lines: size of the pieces, two secrets, then the output. The size makes no difference, and no secret is
/// left that is long enough to be redacted.
pub(crate) fn redaction(bytes: &[u8]) -> bool {
    assert_eq!(Output::from_bytes(bytes).to_bytes().as_deref(), Some(bytes), "a replay is not exact");
    let mut lines = bytes.splitn(4, |&byte| byte == b'\n');
    let (Some([size]), Some(one), Some(two), Some(output)) = (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return false;
    };
    let (Ok(one), Ok(two)) = (std::str::from_utf8(one), std::str::from_utf8(two)) else { return false };
    let secrets = [one, two];
    let pieces: Vec<&[u8]> = output.chunks(usize::from(*size).max(1)).collect();
    let redacted = executor::fuzzing::redact(&secrets, &pieces);
    assert_eq!(redacted, executor::fuzzing::redact(&secrets, &[output]), "pieces make a difference");
    for secret in secrets.map(str::trim).into_iter().filter(|secret| (6..=100).contains(&secret.len())) {
        // The replacement may complete another secret.
        let found = redacted.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found || secret.contains('*'), "{secret:?} is still there");
    }
    true
}
