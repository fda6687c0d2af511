//! The event stream as the command line reads it.

// The parser alone: the whole command line would have to be built again with instrumentation.
#[path = "../../cli/src/client/sse.rs"]
mod parser;

use parser::{Message, Parser};

/// The first byte is the size of the pieces in which the rest arrives, which makes no difference.
pub(crate) fn event_stream(bytes: &[u8]) -> bool {
    let Some((&size, stream)) = bytes.split_first() else { return false };
    let pieces: Vec<&[u8]> = stream.chunks(usize::from(size).max(1)).collect();
    let found = messages(&pieces);
    assert_eq!(found, messages(&[stream]), "pieces make a difference");
    let found = found.unwrap_or_default();
    for Message { id, event, .. } in &found {
        let whole = |text: &str| !text.contains(['\r', '\n']);
        assert!(whole(event) && id.as_deref().is_none_or(|id| whole(id) && !id.contains('\0')));
    }
    !found.is_empty()
}

/// The messages of a stream that comes in these pieces; `None` if one is too long.
fn messages(pieces: &[&[u8]]) -> Option<Vec<Message>> {
    let mut parser = Parser::default();
    let mut messages = Vec::new();
    for piece in pieces {
        messages.extend(parser.push(piece).ok()?);
    }
    Some(messages)
}
