//! Several files at once, on as many threads as there are cores. Each thread has one file open and one segment in memory, so
//! that more files need no more memory.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Each thread may hold the largest segment that the limits allow.
const MAX_THREADS: usize = 8;

/// Does the work on every item; the results have the order of the items.
pub(super) fn in_order<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    on_threads(cores.min(MAX_THREADS), items, work)
}

fn on_threads<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        items.get(number).map(|item| (number, item))
    };
    let worker = || {
        let mut done = Vec::new();
        while let Some((number, item)) = take() {
            done.push((number, work(item)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        // This thread is one of them.
        let others: Vec<_> = (1..threads.min(items.len())).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn results_have_the_order_of_the_items() {
        let items: Vec<u64> = (0..1_000).collect();
        let expected: Vec<u64> = items.iter().map(|item| item * 2).collect();
        for threads in [1, 2, 7, 2_000] {
            assert_eq!(on_threads(threads, &items, |item| item * 2), expected);
        }
        assert!(in_order(&[], |item: &u64| *item).is_empty());
    }

    #[test]
    fn as_many_are_under_way_as_there_are_threads() {
        let met = Barrier::new(3);
        // Each waits for two others.
        on_threads(3, &[(); 9], |()| {
            met.wait();
        });
        let running = AtomicUsize::new(0);
        on_threads(2, &[(); 100], |()| {
            assert!(running.fetch_add(1, Ordering::SeqCst) < 2);
            running.fetch_sub(1, Ordering::SeqCst);
        });
    }
}
