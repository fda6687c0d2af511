//! The query of a request, as pairs: no struct can list the names of `metadata.KEY=VALUE`.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schemas::limits;

use super::error::ApiError;
use crate::db::page::Page;

#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let axum::extract::Query(pairs) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::invalid("The query of the URL is not well-formed: expected name=value pairs."))?;
        Self::new(pairs)
    }
}

impl Query {
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut names = HashSet::new();
        match pairs.iter().find(|(name, _)| !names.insert(name)) {
            // A repeated name is ambiguous.
            Some((name, _)) => {
                let shown: String = name.chars().take(40).collect();
                Err(ApiError::invalid(format!("{shown}: expected at most once in the query.")))
            }
            None => Ok(Self(pairs)),
        }
    }

    /// The value with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::invalid(format!(
                "{name}: expected a whole number from {} to {}, got `{}`.",
                range.start(),
                range.end(),
                text.chars().take(40).collect::<String>()
            ))),
        }
    }

    /// Parses a value with a syntax of its own.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let parsed = self.get(name).map(str::parse).transpose();
        parsed.map_err(|error| ApiError::invalid(format!("{name}: {error}.")))
    }

    /// `limit` and `cursor`.
    pub(crate) fn page(&self) -> Result<Page, ApiError> {
        let limit = self.number("limit", 1..=limits::PAGE as u64)?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(limits::DEFAULT_PAGE);
        let page = Page::new(limit, self.get("cursor"));
        page.ok_or_else(|| ApiError::invalid("cursor: expected a nextCursor of an earlier answer."))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(ApiError::invalid(format!("{name}: expected true or false."))),
        }
    }

    /// The pairs whose names start with `prefix`, which is removed.
    pub(crate) fn prefixed(&self, prefix: &str) -> BTreeMap<String, String> {
        let stripped = |(key, value): &(String, String)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone()));
        self.0.iter().filter_map(stripped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        let uri = format!("/?{text}").parse().unwrap();
        Query::new(axum::extract::Query::try_from_uri(&uri).unwrap().0).unwrap()
    }

    #[test]
    fn nothing_is_said_twice() {
        let pair = |name: &str| (name.to_owned(), "1".to_owned());
        assert!(Query::new(vec![pair("limit"), pair("limit")]).is_err());
        assert!(Query::new(vec![pair("metadata.a"), pair("metadata.a")]).is_err());
        assert!(Query::new(vec![pair("limit"), pair("Limit"), pair("metadata.a")]).is_ok());
    }

    #[test]
    fn numbers_are_checked() {
        for (text, expected) in [("limit=7", Some(Some(7))), ("", Some(None)), ("limit=", None), ("limit=0", None)] {
            assert_eq!(query(text).number("limit", 1..=500).ok(), expected, "{text}");
        }
        for text in ["limit=501", "limit=-1", "limit=x", "limit=1.5"] {
            assert!(query(text).number("limit", 1..=500).is_err(), "{text}");
        }
    }

    #[test]
    fn metadata_filters_keep_their_dots() {
        let filters = query("metadata.a.b=1&metadata.c=x%20y&status=running").prefixed("metadata.");
        assert_eq!(filters, BTreeMap::from([("a.b".into(), "1".into()), ("c".into(), "x y".into())]));
    }
}
