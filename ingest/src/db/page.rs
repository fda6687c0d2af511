//! Pages of lists: `limit` and an opaque `cursor`, which names the last item of the page before.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::api::list::List;
use time::OffsetDateTime;
use tokio_postgres::Row;

/// Longer than any identifier.
const MAX_CURSOR_LEN: usize = 256;

/// A position in a list that is ordered by time of creation, then identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    at: OffsetDateTime,
    id: String,
}

impl Cursor {
    /// The position of a row.
    pub(crate) fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { at: row.try_get("created_at")?, id: row.try_get("id")? })
    }

    fn encode(&self) -> String {
        // PostgreSQL keeps microseconds.
        URL_SAFE_NO_PAD.encode(format!("1.{}.{}", self.at.unix_timestamp_nanos() / 1000, self.id))
    }

    fn decode(text: &str) -> Option<Self> {
        if text.len() > MAX_CURSOR_LEN {
            return None;
        }
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (micros, id) = plain.strip_prefix("1.")?.split_once('.')?;
        let nanos = micros.parse::<i128>().ok()?.checked_mul(1000)?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
        // PostgreSQL's range of times is smaller; ours are all later than 1970.
        let valid = at.year() >= 1970 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        valid.then(|| Self { at, id: id.to_owned() })
    }
}

#[derive(Debug)]
pub(crate) struct Page {
    limit: usize,
    after: Option<Cursor>,
}

impl Page {
    /// The first page, or the one after `cursor`; `None` for a cursor that is malformed.
    pub(crate) fn new(limit: usize, cursor: Option<&str>) -> Option<Self> {
        let after = match cursor {
            Some(text) => Some(Cursor::decode(text)?),
            None => None,
        };
        Some(Self { limit, after })
    }

    /// Parameters of SQL: the last item of the page before; both null on the first page.
    pub(crate) fn after(&self) -> (Option<OffsetDateTime>, Option<&str>) {
        (self.after.as_ref().map(|cursor| cursor.at), self.after.as_ref().map(|cursor| cursor.id.as_str()))
    }

    /// The limit of SQL: one more row tells whether there is another page.
    pub(crate) fn one_more(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// The answer from the rows found, at most `one_more` of them.
    pub(crate) fn list<Row, T>(&self, found: Vec<(Row, Cursor)>, shape: impl Fn(Row) -> T) -> List<T> {
        let total = found.len();
        self.cut(found, total, shape)
    }

    /// The answer from the first of `total` rows; the others are too large for one page.
    pub(crate) fn cut<Row, T>(&self, mut found: Vec<(Row, Cursor)>, total: usize, shape: impl Fn(Row) -> T) -> List<T> {
        let has_more = total > found.len().min(self.limit);
        found.truncate(self.limit);
        let next_cursor = has_more.then(|| found.last().map(|(_, cursor)| cursor.encode())).flatten();
        List { data: found.into_iter().map(|(row, _)| shape(row)).collect(), has_more, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(id: &str) -> Cursor {
        Cursor { at: OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).unwrap(), id: id.to_owned() }
    }

    #[test]
    fn cursors_round_trip_and_foreign_ones_are_refused() {
        let made = cursor("wsr_1");
        assert_eq!(Cursor::decode(&made.encode()), Some(made));
        for text in ["", "x", "!!", &URL_SAFE_NO_PAD.encode("1.x.wsr_1"), &URL_SAFE_NO_PAD.encode("1.1.a'b")] {
            assert_eq!(Cursor::decode(text), None, "{text}");
        }
        assert!(Cursor::decode(&URL_SAFE_NO_PAD.encode(format!("1.{}.wsr_1", i128::MAX))).is_none());
    }

    #[test]
    fn a_page_tells_whether_there_is_more() {
        let page = Page { limit: 2, after: None };
        let all = |count: usize| (0..count).map(|n| (n, cursor(&format!("wsr_{n}")))).collect::<Vec<_>>();
        let full = page.list(all(3), |n| n);
        assert_eq!((full.data, full.has_more), (vec![0, 1], true));
        assert_eq!(Cursor::decode(&full.next_cursor.unwrap()), Some(cursor("wsr_1")));
        let last = page.list(all(2), |n| n);
        assert_eq!((last.data.len(), last.has_more, last.next_cursor), (2, false, None));
        let cut = page.cut(all(1), 2, |n| n);
        assert_eq!((cut.data.len(), cut.has_more), (1, true));
        assert_eq!(Cursor::decode(&cut.next_cursor.unwrap()), Some(cursor("wsr_0")));
    }
}
