//! A parser of `text/event-stream`, after the WHATWG HTML standard, section 9.2.6. It takes bytes in any pieces.

/// A message longer than this is not an event of a run; it would only fill the memory.
const MAX_MESSAGE_BYTES: usize = 32 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A message, complete at its blank line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The last `id` that the stream had, in this message or before.
    pub id: Option<String>,
    /// Empty means `message`.
    pub event: String,
    pub data: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Feed it with [`Parser::push`]; the messages come out in order.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The last byte was CR: a LF that follows belongs to it.
    after_cr: bool,
    begun: bool,
    message: Message,
    has_data: bool,
}

impl Parser {
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
                self.line.extend_from_slice(bytes);
                break;
            };
            self.line.extend_from_slice(&bytes[..end]);
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            messages.extend(self.end_line());
            self.check_length()?;
        }
        self.check_length()?;
        Ok(messages)
    }

    fn check_length(&self) -> Result<(), TooLong> {
        if self.line.len() + self.message.data.len() > MAX_MESSAGE_BYTES { Err(TooLong) } else { Ok(()) }
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch();
        }
        let (name, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match name {
            b"data" => {
                if self.has_data {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(&value);
                self.has_data = true;
            }
            b"event" => self.message.event = value.into_owned(),
            b"id" if !value.contains('\0') => self.message.id = Some(value.into_owned()),
            // `retry` is left to our own backoff; an empty name is a comment; the standard ignores all others.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Message> {
        let next = Message { id: self.message.id.clone(), ..Message::default() };
        let message = std::mem::replace(&mut self.message, next);
        std::mem::take(&mut self.has_data).then_some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(pieces: &[&[u8]]) -> Vec<Message> {
        let mut parser = Parser::default();
        pieces.iter().flat_map(|piece| parser.push(piece).unwrap()).collect()
    }

    fn check(stream: &str, expected: &[(Option<&str>, &str, &str)]) {
        let found = parse(&[stream.as_bytes()]);
        let found: Vec<_> = found
            .iter()
            .map(|message| (message.id.as_deref(), message.event.as_str(), message.data.as_str()))
            .collect();
        assert_eq!(found, expected, "{stream:?}");
    }

    #[test]
    fn follows_the_examples_of_the_standard() {
        check("data: YHOO\ndata: +2\ndata: 10\n\n", &[(None, "", "YHOO\n+2\n10")]);
        check(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            &[(Some("1"), "", "first event"), (Some(""), "", "second event"), (Some(""), "", " third event")],
        );
        check("data\n\ndata\ndata\n\ndata:", &[(None, "", ""), (None, "", "\n")]);
        check("data:test\n\ndata: test\n\n", &[(None, "", "test"), (None, "", "test")]);
    }

    #[test]
    fn fields_and_line_ends() {
        check("id: 7\r\nevent: stdout\r\ndata: {}\r\n\r\n", &[(Some("7"), "stdout", "{}")]);
        check("data: a\r\rdata: b\r\r", &[(None, "", "a"), (None, "", "b")]);
        check("\u{feff}data: a\n\n", &[(None, "", "a")]);
        check("retry: 10\nunknown: x\nDATA: y\n\n", &[]);
        check("event: lost\n\ndata: a\n\n", &[(None, "", "a")]);
        check("id: a\0b\ndata: x\n\n", &[(None, "", "x")]);
        check("id: 1\ndata: a\n\ndata: b\n\n", &[(Some("1"), "", "a"), (Some("1"), "", "b")]);
        check("data: cut off\n", &[]);
    }

    #[test]
    fn an_endless_message_is_refused() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; MAX_MESSAGE_BYTES / 4];
        let results: Vec<_> = (0..5).map(|_| parser.push(&piece).is_ok()).collect();
        assert_eq!(results, [true, true, true, true, false]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            lines in prop::collection::vec(
                ("(data|id|event|:|retry|x)", "(:|: |)", "[a-zé€:\u{1f600} ]{0,6}", "(\n|\r\n|\r)", "(\n\n|\r\n\r\n|)"),
                0..20,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream: String = lines
                .into_iter()
                .flat_map(|(name, colon, value, end, blank)| [name, colon, value, end, blank])
                .collect();
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            let whole = parse(&[bytes]);
            prop_assert_eq!(parse(&pieces), whole.clone());
            prop_assert_eq!(parse(&single), whole);
        }

        #[test]
        fn what_is_written_is_read(texts in prop::collection::vec("[^\r\n]{0,20}(\n[^\r\n]{0,20}){0,3}", 0..6)) {
            let frame = |text: &String| {
                let data: String = text.split('\n').flat_map(|line| ["data: ", line, "\n"]).collect();
                format!("{data}\n")
            };
            let stream: String = texts.iter().map(frame).collect();
            let read: Vec<String> = parse(&[stream.as_bytes()]).into_iter().map(|message| message.data).collect();
            prop_assert_eq!(read, texts);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = Parser::default().push(&bytes);
        }
    }
}
