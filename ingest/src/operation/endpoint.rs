//! An operation and its handler. The only way from a route to a handler leads through `served_by`, which reads the
//! operation: no handler runs before the declared scope is checked, and nothing is served that the document lacks.

use axum::extract::{FromRequestParts, Request, State};
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, on};

use super::{Call, Change, Keyed, Operation, Public, PublicFamily};
use crate::app::App;
use crate::http::error::ApiError;
use crate::idempotency::IdempotencyKey;

/// An operation with its handler, as the router serves it and the document lists it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// More than one only for a family.
    pub operations: Vec<Operation>,
    pub route: &'static str,
    pub methods: MethodRouter<App>,
}

impl Endpoint {
    pub(crate) fn is_public(&self) -> bool {
        self.operations.iter().all(|operation| operation.public)
    }
}

impl Operation {
    /// `Input` is what the handler takes from the head of the request; a tuple, if it takes several things.
    pub(crate) fn served_by<Input, Handling, Answer>(
        self,
        handle: impl Fn(Call, Input) -> Handling + Clone + Send + Sync + 'static,
    ) -> Endpoint
    where
        Input: FromRequestParts<App> + Send + 'static,
        Handling: Future<Output = Result<Answer, ApiError>> + Send + 'static,
        Answer: IntoResponse + 'static,
    {
        let serve = move |State(app): State<App>, request: Request| async move {
            match Call::admit::<Input>(&self, app, request).await {
                Ok((call, input)) => handle(call, input).await.into_response(),
                Err(refusal) => refusal,
            }
        };
        Endpoint { operations: vec![self], route: self.path, methods: on(self.method.filter(), serve) }
    }
}

impl Keyed {
    pub(crate) fn served_by<Input, Handling>(
        self,
        handle: impl Fn(Change, Input) -> Handling + Clone + Send + Sync + 'static,
    ) -> Endpoint
    where
        Input: FromRequestParts<App> + Send + 'static,
        Handling: Future<Output = Result<Response, ApiError>> + Send + 'static,
    {
        let Self(operation) = self;
        operation.served_by(move |call, (key, input): (IdempotencyKey, Input)| {
            handle(Change { call, key, operation }, input)
        })
    }
}

impl Public {
    pub(crate) fn served_by<T: 'static>(self, handle: impl Handler<T, App>) -> Endpoint {
        let Self(operation) = self;
        Endpoint { operations: vec![operation], route: operation.path, methods: on(operation.method.filter(), handle) }
    }
}

impl PublicFamily {
    pub(crate) fn served_by<T: 'static>(self, handle: impl Handler<T, App>) -> Endpoint {
        let operations = self.operations.iter().map(|Public(operation)| *operation).collect();
        Endpoint { operations, route: self.route, methods: on(axum::routing::MethodFilter::GET, handle) }
    }
}
