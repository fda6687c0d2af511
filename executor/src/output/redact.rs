//! Replaces secrets in the output of a command by `***`, before anything else sees it: also where one is split over
//! several reads. docs/reference/sandbox.md says what is not found.

mod encoded;
mod secrets;
mod stream;
mod texts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aho_corasick::BuildError;
use schemas::env::EnvValues;

use self::secrets::Secrets;
use self::stream::{Redacted, Stream};

/// The secrets to replace in all output of one attempt, and the number of replacements. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Redaction {
    /// `None` when there is nothing to look for.
    secrets: Option<Arc<Secrets>>,
    count: Arc<AtomicU64>,
}

impl Redaction {
    pub(crate) fn of(env: &EnvValues) -> Result<Self, BuildError> {
        let secrets = Secrets::new(env.reveal().values().map(String::as_str))?;
        Ok(Self { secrets: secrets.map(Arc::new), count: Arc::default() })
    }

    /// The stream as it may be stored.
    pub(crate) fn apply<R>(&self, from: R) -> Redacted<R> {
        let stream = self.secrets.clone().map(|secrets| Stream::new(secrets, Arc::clone(&self.count)));
        Redacted { from, stream }
    }

    /// [`Redaction::apply`] for reads that end where the pieces do.
    pub(crate) fn apply_to_pieces(&self, pieces: &[&[u8]]) -> Vec<u8> {
        let Some(secrets) = self.secrets.clone() else { return pieces.concat() };
        let mut stream = Stream::new(secrets, Arc::clone(&self.count));
        for piece in pieces {
            stream.push(piece);
        }
        stream.end();
        stream.ready
    }

    /// Replacements so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::stream::REPLACEMENT;
    use super::texts::{PIECE_BYTES, pieces, texts_of};
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    use proptest::prelude::*;

    /// Reads that end where the chunks do.
    fn redact(values: &[&str], chunks: &[&[u8]]) -> (String, u64) {
        let secrets = Secrets::new(values.iter().copied()).expect("a matcher");
        let count = Arc::new(AtomicU64::new(0));
        let Some(secrets) = secrets else { return (String::from_utf8_lossy(&chunks.concat()).into_owned(), 0) };
        let mut stream = Stream::new(Arc::new(secrets), Arc::clone(&count));
        for chunk in chunks {
            stream.push(chunk);
        }
        stream.end();
        (String::from_utf8_lossy(&stream.ready).into_owned(), count.load(Ordering::Relaxed))
    }

    #[test]
    fn finds_what_it_promises() {
        let pem = "-----BEGIN KEY-----\r\nMIIEvQIBADAN\nab\nBgkqhkiG9w0B\n-----END KEY-----\n";
        for (value, output, expected) in [
            ("hunter22", "a hunter22 b", "a *** b"),
            ("hunter22", "hunter22hunter22", "******"),
            ("hunter22", "hunter2", "hunter2"),
            ("short", "short", "short"),
            (" hunter22\n", "[hunter22]", "[***]"),
            (pem, "x MIIEvQIBADAN y", "x *** y"),
            (pem, "ab", "ab"),
            (pem, pem, "***\n"),
            ("line-one\nline-two", "line-one\nline-two", "***\n***"),
            ("line-one\n\nline-two", "line-two", "***"),
            ("a\nb\nc\nd", "a\nb\nc\nd", "***"),
            ("hunter22", "aHVudGVyMjI=", "***I="),
            ("hunter22", "Basic dXNlcjpodW50ZXIyMg==", "Basic dXNlcjp***g=="),
            ("grüße", "viele grüße", "viele ***"),
            // As a URL, a form and JSON write it, and JSON that is ASCII only.
            ("p@ss w/rd!", "x=p%40ss%20w%2Frd%21&", "x=***&"),
            ("p@ss w/rd!", "x=p%40ss%20w/rd%21 p%40ss%20w%2Frd!", "x=*** ***"),
            ("p@ss w/rd!", "x=p%40ss+w%2Frd%21", "x=***"),
            ("say \"hi\"\\", r#"{"a":"say \"hi\"\\"}"#, r#"{"a":"***"}"#),
            ("grüße", r#"{"a":"gr\u00fc\u00dfe"}"#, r#"{"a":"***"}"#),
            ("line-one\nline-two", r#""line-one\nline-two""#, r#""***\n***""#),
            ("a\nb\tc\nd", r#""a\nb\tc\nd""#, r#""***""#),
            // Hexadecimal digits, of both cases, also in the middle of more.
            ("hunter22", "0068756e746572323200", "00***00"),
            ("jklmno", "6A6B6C6D6E6F", "***"),
            ("jklmno", "6A6b6C6d6E6f", "6A6b6C6d6E6f"),
            // What is too short stays in every form.
            ("p@ss!", "p@ss! p%40ss%21 7040737321 cEBzcyE=", "p@ss! p%40ss%21 7040737321 cEBzcyE="),
        ] {
            assert_eq!(redact(&[value], &[output.as_bytes()]).0, expected, "{value:?} in {output:?}");
        }
    }

    #[test]
    fn a_longer_secret_wins_and_a_broken_one_is_given_back() {
        let values = ["secret", "secret-and-more", "and-something"];
        assert_eq!(redact(&values, &[b"secret-and", b"-more"]), ("***".to_owned(), 1));
        assert_eq!(redact(&values, &[b"secret-and", b"-less"]), ("***-and-less".to_owned(), 1));
        assert_eq!(redact(&values, &[b"secret-", b"and-", b"something"]), ("***-***".to_owned(), 2));
    }

    #[test]
    fn long_values_go_in_pieces() {
        let value: String = (0..2000).map(|n| format!("{n:x}-")).collect();
        let (output, count) = redact(&[&value], &[format!("[{value}]").as_bytes()]);
        assert!(count > 1 && output == format!("[{}]", "***".repeat(usize::try_from(count).unwrap())), "{output}");
        assert!(pieces(&value).iter().all(|piece| piece.len() <= PIECE_BYTES && piece.len() > PIECE_BYTES / 2));
        assert!(pieces(&"é".repeat(1500)).iter().all(|piece| std::str::from_utf8(piece).is_ok()));
    }

    #[tokio::test]
    async fn reads_like_any_reader() {
        use tokio::io::AsyncReadExt as _;
        let env = EnvValues::from(std::collections::BTreeMap::from([("A".to_owned(), "hunter22".to_owned())]));
        let redaction = Redaction::of(&env).unwrap();
        let (mut reader, mut writer) = (Vec::new(), redaction.apply(&b"hunter22, hunter22, hunt"[..]));
        writer.read_to_end(&mut reader).await.unwrap();
        assert_eq!((reader.as_slice(), redaction.count()), (&b"***, ***, hunt"[..], 2));
        let (mut out, nothing) = (String::new(), Redaction::of(&EnvValues::default()).unwrap());
        nothing.apply(&b"hunter22"[..]).read_to_string(&mut out).await.unwrap();
        assert_eq!((out.as_str(), nothing.count()), ("hunter22", 0));
    }

    /// A second implementation, on the whole output: at each byte the longest text that begins there, or the byte itself.
    fn naive(texts: &[Vec<u8>], output: &[u8]) -> (Vec<u8>, u64) {
        let (mut redacted, mut count, mut at) = (Vec::new(), 0, 0);
        while at < output.len() {
            let longest = texts.iter().filter(|text| output[at..].starts_with(text)).max_by_key(|text| text.len());
            if let Some(text) = longest {
                redacted.extend_from_slice(REPLACEMENT);
                (count, at) = (count + 1, at + text.len());
            } else {
                redacted.push(output[at]);
                at += 1;
            }
        }
        (redacted, count)
    }

    proptest! {
        /// Few letters, so that much overlaps.
        #[test]
        fn chunks_do_not_matter(
            values in prop::collection::vec("[ab\n]{4,14}", 1..5),
            parts in prop::collection::vec(prop_oneof!["[ab\n]{0,9}", (0usize..5).prop_map(|n| n.to_string())], 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            // A digit stands for the whole value of that number.
            let value_of = |part: &String| part.parse::<usize>().ok().and_then(|n| values.get(n)).cloned();
            let output: String = parts.iter().map(|part| value_of(part).unwrap_or_else(|| part.clone())).collect();
            let output = output.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(output.len() + 1)).collect();
            cuts.extend([0, output.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|ends| &output[ends[0]..ends[1]]).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let texts: Vec<Vec<u8>> = values.iter().flat_map(|value| texts_of(value)).collect();
            let (expected, count) = naive(&texts, output);
            prop_assert_eq!(redact(&values, &chunks), (String::from_utf8(expected).unwrap(), count));
        }

        #[test]
        fn base64_is_found_at_every_position(
            before in prop::collection::vec(any::<u8>(), 0..7),
            secret in "[!-~é][ -~é]{4,38}[!-~é]",
            after in prop::collection::vec(any::<u8>(), 0..7),
        ) {
            let text = [&before[..], secret.as_bytes(), &after].concat();
            for encoded in [STANDARD.encode(&text), STANDARD_NO_PAD.encode(&text), URL_SAFE.encode(&text)] {
                let (output, count) = redact(&[&secret], &[encoded.as_bytes()]);
                prop_assert!(count >= 1, "{} in {}", output, encoded);
            }
        }
    }
}
