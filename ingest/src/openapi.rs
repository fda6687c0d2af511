//! `GET /openapi.json`: OpenAPI 3.1, made from the list of operations and the shapes in `schemas`.

mod operations;

use std::sync::OnceLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemas::api::error::ErrorBody;
use serde_json::{Map, Value, json};

use operations::{Operation, Payload};

/// No key is needed: it says nothing that is anybody's.
pub(crate) async fn document() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let bytes = DOCUMENT.get_or_init(|| Bytes::from(build().to_string())).clone();
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

fn build() -> Value {
    // OpenAPI 3.1 uses JSON Schema 2020-12 as it is, only kept elsewhere.
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<ErrorBody>();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations::ALL {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "CrowNest", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "security": [{ "apiKey": [] }],
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "apiKey": { "type": "http", "scheme": "bearer" } },
            "responses": { "Error": {
                "description": "What was wrong, and what to do",
                "content": { "application/json": { "schema": error } },
            } },
        },
    })
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let parameters = operation.parameters().map(|(name, place)| {
        json!({ "name": name, "in": place, "required": place == "path", "schema": { "type": "string" } })
    });
    let mut responses = Map::new();
    let mut success = json!({ "description": "Success" });
    if let Some(content) = content(operation.answer, generator) {
        success["content"] = content;
    }
    responses.insert(operation.status.to_string(), success);
    responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Error" }));
    let mut described = json!({
        "operationId": operation.id,
        "parameters": parameters.collect::<Vec<_>>(),
        "responses": responses,
        "x-crownest-required-scope": operation.scope,
    });
    if let Some(content) = content(operation.request, generator) {
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    described
}

fn content(payload: Payload, generator: &mut SchemaGenerator) -> Option<Value> {
    match payload {
        Payload::None => None,
        Payload::Bytes(kind) => Some(json!({ kind: {} })),
        Payload::Json(shape) => Some(json!({ "application/json": { "schema": shape(generator) } })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_names_its_scope_and_every_reference_resolves() {
        let document = build();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(operation.get("x-crownest-required-scope").is_some(), "{method} {path}");
            }
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
