//! An operation of the API: one constant beside each handler says everything about it. The router, the OpenAPI
//! document, the scope check and the stored answers read this constant.

mod call;
mod endpoint;
pub(crate) mod examples;
pub(crate) mod parameters;

use axum::routing::MethodFilter;
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use schemas::scope::Scope;
use serde_json::Value;

use self::parameters::{IDEMPOTENCY_KEY, Parameter, RANGE};
use crate::http::error::Code;

pub(crate) use call::{Call, Change};
pub(crate) use endpoint::Endpoint;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Method {
    Get,
    Put,
    Post,
    Delete,
}

impl Method {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Put => MethodFilter::PUT,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// A body of a request or an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    /// Bytes of this media type.
    Bytes(&'static str),
    /// JSON: its schema, and an example.
    Json(fn(&mut SchemaGenerator) -> Schema, fn() -> Value),
    /// A JSON page, or a stream of server-sent events.
    Events(fn(&mut SchemaGenerator) -> Schema, fn() -> Value),
}

pub(crate) fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

pub(crate) const fn json<T: JsonSchema>(example: fn() -> Value) -> Content {
    Content::Json(shape::<T>, example)
}

/// A method of a path, for callers with an API key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub method: Method,
    pub path: &'static str,
    /// The `operationId` of the document.
    pub id: &'static str,
    pub summary: &'static str,
    /// The scope that the API key must have; `None`: any valid key.
    pub scope: Option<Scope>,
    /// Needs no API key, and counts for none.
    pub public: bool,
    /// Has an `Idempotency-Key`.
    pub keyed: bool,
    parameters: &'static [Parameter],
    pub body: Option<Content>,
    pub status: u16,
    pub answer: Option<Content>,
    /// Codes beside those that follow from the rest: see `codes`.
    errors: &'static [Code],
}

/// An operation that changes something, once for each `Idempotency-Key`. Its handler gets a [`Change`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyed(Operation);

/// An operation for everybody. Its handler gets no caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Public(Operation);

/// Public operations that one handler answers below one route, because their paths have slashes in their parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublicFamily {
    pub route: &'static str,
    pub operations: &'static [Public],
}

impl Operation {
    const fn new(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            scope: None,
            public: false,
            keyed: false,
            parameters: &[],
            body: None,
            status: 200,
            answer: None,
            errors: &[],
        }
    }

    pub(crate) const fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::Get, path, id, summary)
    }

    pub(crate) const fn put(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::Put, path, id, summary)
    }

    pub(crate) const fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::Post, path, id, summary)
    }

    pub(crate) const fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::Delete, path, id, summary)
    }

    pub(crate) const fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    pub(crate) const fn takes(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }

    pub(crate) const fn body(mut self, content: Content) -> Self {
        self.body = Some(content);
        self
    }

    pub(crate) const fn answers(mut self, status: u16, content: Content) -> Self {
        self.status = status;
        self.answer = Some(content);
        self
    }

    pub(crate) const fn empty(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) const fn errors(mut self, codes: &'static [Code]) -> Self {
        self.errors = codes;
        self
    }

    pub(crate) const fn keyed(mut self) -> Keyed {
        self.keyed = true;
        Keyed(self)
    }

    pub(crate) const fn public(mut self) -> Public {
        self.public = true;
        Public(self)
    }

    /// The declared parameters, and the `Idempotency-Key` behind them.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().chain(self.keyed.then_some(&IDEMPOTENCY_KEY))
    }

    pub(crate) fn takes_range(&self) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == RANGE.name)
    }

    fn takes_bytes(&self) -> bool {
        matches!(self.body, Some(Content::Bytes(_)))
    }

    /// Every code that the operation may answer with.
    pub(crate) fn codes(&self) -> impl Iterator<Item = Code> {
        let always = [Code::RateLimited, Code::InternalError, Code::ServiceUnavailable];
        let caller: &[Code] = if self.public { &[] } else { &[Code::Unauthorized, Code::InvalidApiKey] };
        // A malformed query, header or body.
        let takes_input = self.body.is_some() || self.parameters().next().is_some();
        let input = (!self.public && takes_input).then_some(Code::InvalidRequest);
        let scope = self.scope.map(|_| Code::Forbidden);
        let id = self.path.contains("{id}").then_some(Code::NotFound);
        let json = matches!(self.body, Some(Content::Json(..))).then_some(Code::FileTooLarge);
        let repeated: &[Code] =
            if self.keyed { &[Code::IdempotencyKeyReused, Code::IdempotencyRequestInProgress] } else { &[] };
        let implied = input.into_iter().chain(scope).chain(id).chain(json).chain(repeated.iter().copied());
        always.into_iter().chain(caller.iter().copied()).chain(implied).chain(self.errors.iter().copied())
    }
}
