//! Budgets of the memory that clients can make this service hold: what has arrived of archives and bodies, and what is left to
//! send of answers. Whoever wants to hold bytes takes them from the budget first, and waits while others have them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use prometheus::{IntCounter, IntGauge};
use schemas::id::OrgId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{ApiError, Code};

const UNIT: u64 = 1024;
/// Largest piece of an answer that is given to a connection.
const PIECE: usize = 16 * 1024;
/// Answers up to this size are sent from the buffers of the connection.
const SMALL_ANSWER: u64 = 32 * 1024;
/// Number of shares at which those that nobody uses are forgotten.
const SWEEP_AT: usize = 1024;
/// Requests of one organization that wait: a connection waits with each.
const MOST_WAITING: usize = 256;
/// Time after which a refused client should ask again.
const RETRY_AFTER_S: u64 = 5;

/// The bytes of one kind of buffers. An organization gets at most half of them, so that no organization is shut out by
/// another.
#[derive(Debug)]
pub(crate) struct Budget {
    all: Arc<Semaphore>,
    share_units: u32,
    shares: Mutex<HashMap<Box<str>, Weak<Share>>>,
    patience: Duration,
    in_use: IntGauge,
    refused: IntCounter,
}

/// The part of one organization.
#[derive(Debug)]
struct Share {
    free: Arc<Semaphore>,
    /// Places for requests that wait.
    line: Semaphore,
    /// Units of answers that are in memory already and wait to be counted.
    waiting: AtomicU32,
}

/// Bytes of a budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    all: OwnedSemaphorePermit,
    of_share: OwnedSemaphorePermit,
    /// Keeps the share known while somebody uses it.
    _share: Arc<Share>,
    in_use: IntGauge,
}

impl Budget {
    pub(crate) fn new(bytes: u64, patience: Duration, in_use: IntGauge, refused: IntCounter) -> Self {
        let units = units(bytes);
        Self {
            all: Arc::new(Semaphore::new(units as usize)),
            share_units: (units / 2).max(1),
            shares: Mutex::default(),
            patience,
            in_use,
            refused,
        }
    }

    /// Takes bytes, at most the share of an organization. Waits for them as long as it takes.
    pub(crate) async fn wait_for(&self, org: &OrgId, bytes: u64) -> Held {
        self.take(self.share(org.as_str()), bytes).await
    }

    /// Takes bytes, or refuses after a while.
    pub(crate) async fn take_in_time(&self, org: &OrgId, bytes: u64) -> Result<Held, ApiError> {
        let share = self.share(org.as_str());
        let Ok(_in_line) = share.line.try_acquire() else { return Err(self.refuse()) };
        let taken = tokio::time::timeout(self.patience, self.take(Arc::clone(&share), bytes)).await;
        taken.map_err(|_| self.refuse())
    }

    /// Counts an answer while it is being sent. The answer to a change is sent in any case: the change is done.
    pub(crate) async fn hold(&self, org: &str, method: &Method, answer: Response) -> Response {
        let size = answer.body().size_hint().exact().unwrap_or(0);
        if size <= SMALL_ANSWER {
            return answer;
        }
        let share = self.share(org);
        let waiting = Waiting::new(Arc::clone(&share), units(size).min(self.share_units));
        let held = if matches!(*method, Method::GET | Method::HEAD) {
            // Answers that wait are in memory, too.
            if waiting.all > self.share_units {
                return self.refuse().into_response();
            }
            match tokio::time::timeout(self.patience, self.take(share, size)).await {
                Ok(held) => held,
                Err(_) => return self.refuse().into_response(),
            }
        } else {
            self.take(share, size).await
        };
        drop(waiting);
        answer.map(|body| held.until_sent(body))
    }

    async fn take(&self, share: Arc<Share>, bytes: u64) -> Held {
        let units = units(bytes).min(self.share_units);
        // Always in this order: whoever waits for all has its share, and waits for no second thing.
        let of_share = take(&share.free, units).await;
        let all = take(&self.all, units).await;
        self.in_use.add(i64::from(units) * UNIT.cast_signed());
        Held { all, of_share, _share: share, in_use: self.in_use.clone() }
    }

    fn share(&self, org: &str) -> Arc<Share> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(org).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= SWEEP_AT {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let free = Arc::new(Semaphore::new(self.share_units as usize));
        let share = Arc::new(Share { free, line: Semaphore::new(MOST_WAITING), waiting: AtomicU32::new(0) });
        shares.insert(org.into(), Arc::downgrade(&share));
        share
    }

    fn refuse(&self) -> ApiError {
        self.refused.inc();
        let message = "Too many bytes are on their way through this service at this moment: try again in some seconds.";
        ApiError::retry_after(Code::ServiceUnavailable, message, RETRY_AFTER_S)
    }
}

async fn take(semaphore: &Arc<Semaphore>, units: u32) -> OwnedSemaphorePermit {
    match Arc::clone(semaphore).acquire_many_owned(units).await {
        Ok(permit) => permit,
        Err(_) => unreachable!("nobody closes a budget"),
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

impl Held {
    /// Gives back all but so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let keep = units(bytes) as usize;
        let spare = self.all.num_permits().saturating_sub(keep);
        if self.all.split(spare).is_some() {
            self.of_share.split(spare);
            self.in_use.sub(i64::try_from(spare as u64 * UNIT).unwrap_or(0));
        }
    }

    /// The same body, holding these bytes until it is handed to the connection or given up.
    pub(crate) fn until_sent(self, body: Body) -> Body {
        Body::new(Counted { body, rest: Bytes::new(), _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_use.sub(i64::try_from(self.all.num_permits() as u64 * UNIT).unwrap_or(0));
    }
}

/// Counts an answer that waits for the memory of its budget.
struct Waiting {
    share: Arc<Share>,
    units: u32,
    /// Of the share, this one included.
    all: u32,
}

impl Waiting {
    fn new(share: Arc<Share>, units: u32) -> Self {
        let all = share.waiting.fetch_add(units, Ordering::Relaxed) + units;
        Self { share, units, all }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.share.waiting.fetch_sub(self.units, Ordering::Relaxed);
    }
}

/// A body in small pieces. The connection asks for the next one when it has room, so that the bytes that the budget does not
/// count any more are few. A piece is a copy: it does not keep the whole in memory.
struct Counted {
    body: Body,
    rest: Bytes,
    _held: Held,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = Bytes::copy_from_slice(&self.rest.split_to(length));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn budget(kib: u64, patience: Duration) -> Budget {
        let gauge = IntGauge::new("bytes", "bytes").unwrap();
        Budget::new(kib * UNIT, patience, gauge, IntCounter::new("refused", "refused").unwrap())
    }

    #[tokio::test]
    async fn an_organization_gets_half_and_leaves_the_rest_to_others() {
        let budget = budget(64, Duration::ZERO);
        let (one, other) = (OrgId::new(), OrgId::new());
        let mut all = budget.take_in_time(&one, u64::MAX).await.unwrap();
        assert_eq!(budget.in_use.get(), 32 * 1024);
        assert!(budget.take_in_time(&one, 1).await.is_err(), "it has its half");
        let of_other = budget.take_in_time(&other, 20 * 1024).await.unwrap();
        all.shrink_to(1024);
        assert_eq!(budget.in_use.get(), 21 * 1024);
        drop(budget.take_in_time(&one, 31 * 1024).await.unwrap());
        drop((all, of_other));
        assert_eq!((budget.in_use.get(), budget.refused.get()), (0, 1));
        assert_eq!(budget.all.available_permits(), 64);
    }

    #[tokio::test]
    async fn an_answer_holds_its_bytes_until_it_is_sent() {
        let budget = budget(256, Duration::ZERO);
        let text: String = (0..100_000u32).map(|n| char::from_digit(n % 36, 36).unwrap()).collect();
        let answer = budget.hold("org", &Method::GET, text.clone().into_response()).await;
        assert_eq!(answer.body().size_hint().exact(), Some(100_000));
        assert_eq!(budget.in_use.get(), 98 * 1024);
        let refused = budget.hold("org", &Method::GET, text.clone().into_response()).await;
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        let mut body = answer.into_body();
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE);
            read.extend_from_slice(&piece);
        }
        assert_eq!(read, text.as_bytes());
        drop(body);
        assert_eq!(budget.in_use.get(), 0);
        let small = budget.hold("org", &Method::GET, "small".into_response()).await;
        assert_eq!((small.status().as_u16(), budget.in_use.get()), (200, 0));
    }
}
