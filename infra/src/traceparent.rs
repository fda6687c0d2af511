//! One trace id for each run, in the form of W3C Trace Context, carried through jobs and AMQP headers.

/// A new `traceparent`: version 00, random trace and parent ids, sampled.
pub fn new() -> String {
    let mut random = [0u8; 24];
    // Like an identifier, a trace id without entropy would collide.
    getrandom::fill(&mut random).expect("the operating system provides randomness");
    format!("00-{}-{}-01", hex::encode(&random[..16]), hex::encode(&random[16..]))
}

/// The trace id of a `traceparent`, or an empty text.
pub fn trace_id(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap_or_default()
}

/// True if a text from outside is a version 00 `traceparent`.
pub fn is_valid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hexadecimal = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let nonzero = |part: &str| part.bytes().any(|byte| byte != b'0');
    parts.len() == 4
        && parts[0] == "00"
        && hexadecimal(parts[1], 32)
        && nonzero(parts[1])
        && hexadecimal(parts[2], 16)
        && nonzero(parts[2])
        && hexadecimal(parts[3], 2)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_we_make_is_valid() {
        let made = super::new();
        assert!(super::is_valid(&made), "{made}");
        assert_eq!(super::trace_id(&made).len(), 32);
        for text in ["", "00-0-0-01", &format!("00-{}-{}-01", "0".repeat(32), "1".repeat(16)), &made.to_uppercase()] {
            assert!(!super::is_valid(text), "{text}");
        }
    }
}
