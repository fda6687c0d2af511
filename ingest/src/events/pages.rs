//! Pages that several streams of one run want at about the same time: each is read and framed once, for all of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::reader::ReadError;
use crate::http::budget::Held;

/// Streams that keep up are at most a few pages apart; one that is far behind reads for itself, in between.
const KEPT: usize = 4;

/// Consecutive events as frames. What follows `after` never changes, so that a page never gets old.
#[derive(Debug)]
pub(crate) struct Page {
    pub last_seq: u64,
    pub frames: Bytes,
    /// The memory of the frames.
    pub _held: Option<Held>,
}

/// A page, which whoever sends it keeps.
pub(crate) type Slot = Arc<OnceCell<Page>>;

/// The pages of one run that are being sent. They are forgotten when nobody sends them any more: memory follows the streams
/// that are sent something, not the runs that are followed.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Pages by the event after which they begin, oldest first.
    recent: Mutex<VecDeque<(u64, Weak<OnceCell<Page>>)>>,
}

impl Pages {
    /// The page after `after`, read by the first stream that asks. `None`, which is not remembered, if nothing is there yet.
    pub(super) async fn get(
        &self,
        after: u64,
        read: impl AsyncFnOnce() -> Result<Option<Page>, ReadError>,
    ) -> Result<Option<Slot>, ReadError> {
        let slot = self.slot(after);
        // An empty page is an error to the slot, which then stays empty.
        let page = slot.get_or_try_init(async || read().await.map_err(Some)?.ok_or(None)).await;
        match page.map(|_| ()) {
            Ok(()) => Ok(Some(slot)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    fn slot(&self, after: u64) -> Slot {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|(_, slot)| slot.strong_count() > 0);
        if let Some(slot) = recent.iter().find(|(at, _)| *at == after).and_then(|(_, slot)| slot.upgrade()) {
            return slot;
        }
        if recent.len() == KEPT {
            recent.pop_front();
        }
        let slot = Slot::default();
        recent.push_back((after, Arc::downgrade(&slot)));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_page_is_read_once_for_all_who_send_it_and_nothing_is_not_remembered() {
        let (pages, reads) = (Pages::default(), AtomicUsize::new(0));
        let get = async |after: u64, there: bool| {
            let read = async || {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(there.then(|| Page { last_seq: after + 1, frames: Bytes::from_static(b"x"), _held: None }))
            };
            pages.get(after, read).await.unwrap()
        };
        let last = |slot: &Option<Slot>| slot.as_ref().and_then(|slot| slot.get()).map(|page| page.last_seq);
        assert_eq!(last(&get(7, false).await), None);
        let found = futures_util::future::join_all((0..100).map(|_| get(7, true))).await;
        assert!(found.iter().all(|found| last(found) == Some(8)));
        assert_eq!(reads.load(Ordering::Relaxed), 2);
        drop(get(7, true).await);
        assert_eq!(reads.load(Ordering::Relaxed), 2, "it is still being sent");
        drop(found);
        assert_eq!(last(&get(7, true).await), Some(8), "forgotten, and read again");
        assert_eq!(reads.load(Ordering::Relaxed), 3);
        let mut sent = Vec::new();
        for after in 8..20 {
            sent.push(get(after, true).await);
        }
        assert_eq!(pages.recent.lock().unwrap().len(), KEPT);
    }
}
