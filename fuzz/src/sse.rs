//! The event stream as the command line reads it.

/// The first byte is the size of the pieces in which the rest arrives, which makes no difference.
pub(crate) fn event_stream(bytes: &[u8]) -> bool {
    let Some((&size, stream)) = bytes.split_first() else { return false };
    let pieces: Vec<&[u8]> = stream.chunks(usize::from(size).max(1)).collect();
    let found = crownest_cli::fuzzing::event_stream(&pieces);
    assert_eq!(found, crownest_cli::fuzzing::event_stream(&[stream]), "pieces make a difference");
    let found = found.unwrap_or_default();
    for (id, event, _) in &found {
        let whole = |text: &str| !text.contains(['\r', '\n']);
        assert!(whole(event) && id.as_deref().is_none_or(|id| whole(id) && !id.contains('\0')));
    }
    !found.is_empty()
}
