//! A point in time as the contract writes it: RFC 3339, UTC, exactly three fractional digits, `Z`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

/// A time in milliseconds: anything finer is cut off, so that a value survives a round trip unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct Timestamp(OffsetDateTime);

#[derive(Debug, Clone, thiserror::Error)]
#[error("expected a time like 2026-01-31T12:00:00.000Z, got `{0}`")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    pub fn now() -> Self {
        Self::from(OffsetDateTime::now_utc())
    }

    /// The UTC calendar day, for object keys and partitions.
    pub fn date(self) -> Date {
        self.0.date()
    }

    /// Milliseconds from `earlier` to this point; zero when the clock went backwards.
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from((self.0 - earlier.0).whole_milliseconds()).unwrap_or(0)
    }

    /// Milliseconds since 1970.
    pub fn unix_millis(self) -> i64 {
        self.0.unix_timestamp() * 1000 + i64::from(self.0.millisecond())
    }

    pub fn plus_millis(self, millis: u64) -> Self {
        let span = time::Duration::milliseconds(i64::try_from(millis).unwrap_or(i64::MAX));
        Self(self.0.checked_add(span).unwrap_or(self.0))
    }

    pub fn into_inner(self) -> OffsetDateTime {
        self.0
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(value: OffsetDateTime) -> Self {
        let value = value.to_offset(UtcOffset::UTC);
        Self(value.replace_millisecond(value.millisecond()).unwrap_or(value))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        // An offset can lead to a year that cannot be written.
        let utc = OffsetDateTime::parse(text, &Rfc3339).ok().and_then(|time| time.checked_to_offset(UtcOffset::UTC));
        let time = utc.filter(|time| (0..=9999).contains(&time.year()));
        time.map(Self::from).ok_or_else(|| InvalidTimestamp(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;
    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(value: Timestamp) -> Self {
        value.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let text = self.0.format(&format).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_milliseconds_in_utc() {
        for (input, output) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
            ("2026-01-31T12:00:00.123999Z", "2026-01-31T12:00:00.123Z"),
            ("2026-01-31T14:00:00.5+02:00", "2026-01-31T12:00:00.500Z"),
        ] {
            assert_eq!(input.parse::<Timestamp>().unwrap().to_string(), output);
        }
    }

    #[test]
    fn years_have_four_digits_in_utc_too() {
        for (input, valid) in [
            ("9999-12-31T23:59:59Z", true),
            ("9999-12-31T23:59:59-01:00", false),
            ("0000-01-01T00:00:00Z", true),
            ("0000-01-01T00:00:00+01:00", false),
        ] {
            assert_eq!(input.parse::<Timestamp>().is_ok(), valid, "{input}");
        }
    }
}
