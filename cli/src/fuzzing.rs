//! Private parsers of strangers' bytes, for the fuzz targets alone.

use crate::client::sse::Parser;

/// `id`, `event` and `data` of each message of an event stream that comes in these pieces; `None` if one is too long.
pub fn event_stream(pieces: &[&[u8]]) -> Option<Vec<(Option<String>, String, String)>> {
    let mut parser = Parser::default();
    let mut messages = Vec::new();
    for piece in pieces {
        let complete = parser.push(piece).ok()?;
        messages.extend(complete.into_iter().map(|message| (message.id, message.event, message.data)));
    }
    Some(messages)
}
