//! The query of a request, as pairs: `metadata.KEY=VALUE` has names that no struct can list.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::error::ApiError;

#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(pairs)| Self(pairs))
            .map_err(|_| ApiError::invalid("The query of the URL is not well-formed: expected name=value pairs."))
    }
}

impl Query {
    /// The first value with this name; an empty one counts as absent.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.first(name) else { return Ok(None) };
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

    /// The pairs whose names start with `prefix`, without it.
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
        Query(axum::extract::Query::try_from_uri(&uri).unwrap().0)
    }

    #[test]
    fn numbers_are_checked() {
        for (text, expected) in
            [("limit=7", Some(Some(7))), ("", Some(None)), ("limit=", Some(None)), ("limit=0", None)]
        {
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
