//! One operation of the API, with what it takes, answers and refuses.

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use schemas::scope::Scope;
use serde_json::Value;

use super::parameters::{self as parameter, Parameter};
use crate::http::error::Code;

/// What a body is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// Of this media type; the schema is a string where it is text.
    Bytes(&'static str),
    Json(fn(&mut SchemaGenerator) -> Schema, fn() -> Value),
    /// A JSON page, or a stream of server-sent events.
    Events(fn(&mut SchemaGenerator) -> Schema, fn() -> Value),
}

/// One method of one path. `None` as a scope: any valid key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) scope: Option<Scope>,
    /// Needs no key, and counts for none.
    pub(super) public: bool,
    pub(super) parameters: &'static [Parameter],
    pub(super) request: Option<Content>,
    pub(super) status: u16,
    pub(super) answer: Option<Content>,
    /// Beside those that follow from the rest: see `codes`.
    errors: &'static [Code],
}

impl Operation {
    pub(super) const fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            scope: None,
            public: false,
            parameters: &[],
            request: None,
            status: 200,
            answer: None,
            errors: &[],
        }
    }

    pub(super) const fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    pub(super) const fn public(mut self) -> Self {
        self.public = true;
        self
    }

    pub(super) const fn takes(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }

    pub(super) const fn body(mut self, content: Content) -> Self {
        self.request = Some(content);
        self
    }

    pub(super) const fn answers(mut self, status: u16, content: Content) -> Self {
        self.status = status;
        self.answer = Some(content);
        self
    }

    pub(super) const fn empty(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(super) const fn errors(mut self, codes: &'static [Code]) -> Self {
        self.errors = codes;
        self
    }

    pub(super) fn takes_range(&self) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == parameter::RANGE.name)
    }

    pub(super) fn has_idempotency_key(&self) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == parameter::IDEMPOTENCY_KEY.name)
    }

    /// Every code that the operation may answer with.
    pub(super) fn codes(&self) -> impl Iterator<Item = Code> {
        let always = [Code::RateLimited, Code::InternalError];
        let keyed: &[Code] = if self.public { &[] } else { &[Code::Unauthorized, Code::InvalidApiKey] };
        // A query that is no query, a body that is no body.
        let input =
            (!self.public && (self.request.is_some() || !self.parameters.is_empty())).then_some(Code::InvalidRequest);
        let scope = self.scope.map(|_| Code::Forbidden);
        let id = self.path.contains("{id}").then_some(Code::NotFound);
        let json = matches!(self.request, Some(Content::Json(..))).then_some(Code::FileTooLarge);
        let repeated: &[Code] = if self.has_idempotency_key() {
            &[Code::IdempotencyKeyReused, Code::IdempotencyRequestInProgress]
        } else {
            &[]
        };
        let implied = input.into_iter().chain(scope).chain(id).chain(json).chain(repeated.iter().copied());
        always.into_iter().chain(keyed.iter().copied()).chain(implied).chain(self.errors.iter().copied())
    }
}

pub(super) fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

pub(super) const fn json<T: JsonSchema>(example: fn() -> Value) -> Content {
    Content::Json(shape::<T>, example)
}
