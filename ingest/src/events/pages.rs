//! Pages that several streams of one run want at about the same time: each is read and framed once, for all of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::reader::ReadError;

/// Streams that keep up are at most a few pages apart; one that is far behind reads for itself, in between.
const KEPT: usize = 4;

/// Consecutive events as frames. What follows `after` never changes, so that a page never gets old.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub last_seq: u64,
    pub frames: Bytes,
}

type Slot = Arc<OnceCell<Page>>;

/// The recent pages of one run.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Pages by the event after which they begin, oldest first.
    recent: Mutex<VecDeque<(u64, Slot)>>,
}

impl Pages {
    /// The page after `after`, read by the first stream that asks. `None`, which is not remembered, if nothing is there yet.
    pub(super) async fn get(
        &self,
        after: u64,
        read: impl AsyncFnOnce() -> Result<Option<Page>, ReadError>,
    ) -> Result<Option<Page>, ReadError> {
        let slot = self.slot(after);
        // An empty page is an error to the slot, which then stays empty.
        let page = slot.get_or_try_init(async || read().await.map_err(Some)?.ok_or(None)).await;
        match page {
            Ok(page) => Ok(Some(page.clone())),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    fn slot(&self, after: u64) -> Slot {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = recent.iter().find(|(at, _)| *at == after) {
            return Arc::clone(slot);
        }
        if recent.len() == KEPT {
            recent.pop_front();
        }
        let slot = Slot::default();
        recent.push_back((after, Arc::clone(&slot)));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_page_is_read_once_for_all_and_nothing_is_not_remembered() {
        let (pages, reads) = (Pages::default(), AtomicUsize::new(0));
        let get = async |after: u64, there: bool| {
            let read = async || {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(there.then(|| Page { last_seq: after + 1, frames: Bytes::from_static(b"x") }))
            };
            pages.get(after, read).await.unwrap().map(|page| page.last_seq)
        };
        assert_eq!(get(7, false).await, None);
        let found = futures_util::future::join_all((0..100).map(|_| get(7, true))).await;
        assert!(found.iter().all(|found| *found == Some(8)));
        assert_eq!(reads.load(Ordering::Relaxed), 2);
        for after in 8..=11 {
            get(after, true).await;
        }
        assert_eq!(pages.recent.lock().unwrap().len(), KEPT);
        assert_eq!(get(7, true).await, Some(8), "forgotten, and read again");
        assert_eq!(reads.load(Ordering::Relaxed), 7);
    }
}
