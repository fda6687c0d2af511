//! The OpenAPI 3.1 document of the API, made from the operations that the router serves and the shapes in `schemas`. Served as
//! `GET /openapi.json`, printed by `crownest-ingest openapi`, and kept in the repository as `schemas/openapi.json`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemas::api::error::{ErrorBody, ErrorDetail};
use serde_json::{Map, Value, json};

use crate::endpoints;
use crate::operation::parameters::Parameter;
use crate::operation::{Content, Operation};

/// Shapes of requests, whose optional members may also be null. In answers they are left out.
const REQUESTS: [&str; 6] =
    ["CreateRun", "ArtifactRequest", "CreateProject", "DeclaredArchive", "FinalizeArchive", "CreateWebhook"];

const ABOUT: &str = "Runs commands on repository archives in sandboxes, and keeps the evidence.\n\nErrors have one \
    shape, with a stable `code`. Members that an answer does not have are left out, never null; members that a request \
    has and this document does not are ignored. A path or a method that is not listed here answers `not_found`.";

/// Serves the document, without authentication.
pub(crate) async fn serve() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let bytes = DOCUMENT.get_or_init(|| Bytes::from(document().to_string())).clone();
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

/// The whole document.
pub fn document() -> Value {
    // OpenAPI 3.1 uses JSON Schema 2020-12, with definitions in another place.
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<ErrorBody>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    for operation in endpoints::all().iter().flat_map(|endpoint| &endpoint.operations) {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_lowercase()] = describe(operation, &error, &mut generator);
    }
    let mut shapes = generator.take_definitions(true);
    for (name, shape) in &mut shapes {
        if !REQUESTS.contains(&name.as_str()) {
            never_null(shape);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "CrowNest",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        // Relative to where the document is served.
        "servers": [{ "url": "/" }],
        "paths": paths,
        "security": [{ "apiKey": [] }],
        "components": {
            "schemas": shapes,
            "securitySchemes": { "apiKey": {
                "type": "http", "scheme": "bearer", "description": "`Authorization: Bearer cn_live_…`",
            } },
            "headers": headers(),
        },
    })
}

fn headers() -> Value {
    let number = json!({ "type": "integer", "minimum": 0 });
    json!({
        "RateLimit-Limit": { "description": "Requests per minute that the key may make", "schema": number },
        "RateLimit-Remaining": { "description": "Requests left in this minute", "schema": number },
        "RateLimit-Reset": { "description": "Seconds until the oldest counted request leaves the window", "schema": number },
        "Retry-After": { "description": "Seconds to wait before a retry", "schema": number },
        "Idempotency-Replayed": {
            "description": "The stored answer of an earlier request with this key: nothing was done again",
            "schema": { "type": "string", "enum": ["true"] },
        },
        "X-Request-Id": { "description": "Names the request in our logs", "schema": { "type": "string" } },
    })
}

fn describe(operation: &Operation, error: &Value, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    let mut success = json!({ "description": operation.summary, "headers": header_refs(&["X-Request-Id"]) });
    for name in ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"].iter().filter(|_| !operation.public) {
        success["headers"][*name] = header_ref(name);
    }
    if operation.keyed {
        success["headers"]["Idempotency-Replayed"] = header_ref("Idempotency-Replayed");
    }
    if let Some(content) = operation.answer {
        success["content"] = media(content, generator);
    }
    responses.insert(operation.status.to_string(), success.clone());
    if operation.takes_range() {
        success["description"] = json!("The range that the Range header asked for");
        responses.insert("206".to_owned(), success);
    }
    responses.extend(refusals(operation, error));
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": operation.parameters().map(Parameter::describe).collect::<Vec<_>>(),
        "responses": responses,
        "x-crownest-required-scope": operation.scope,
    });
    if operation.public {
        described["security"] = json!([]);
    }
    if let Some(content) = operation.body {
        described["requestBody"] = json!({ "required": true, "content": media(content, generator) });
    }
    described
}

/// Describes a response for each status, with an example for each code.
fn refusals(operation: &Operation, error: &Value) -> Map<String, Value> {
    let mut codes: BTreeMap<u16, Map<String, Value>> = BTreeMap::new();
    for code in operation.codes() {
        let detail = ErrorDetail { code: code.as_str().to_owned(), message: code.about().to_owned(), details: None };
        let example = json!({ "value": ErrorBody { error: detail } });
        codes.entry(code.status().as_u16()).or_default().insert(code.as_str().to_owned(), example);
    }
    let described = codes.into_iter().map(|(status, examples)| {
        let names: Vec<String> = examples.keys().map(|name| format!("`{name}`")).collect();
        let mut headers = header_refs(&["X-Request-Id"]);
        if status == 429 {
            headers["Retry-After"] = header_ref("Retry-After");
        }
        let content = json!({ "application/json": { "schema": error, "examples": examples } });
        (status.to_string(), json!({ "description": names.join(" or "), "headers": headers, "content": content }))
    });
    described.collect()
}

fn header_ref(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

fn header_refs(names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), header_ref(name))).collect()
}

fn media(content: Content, generator: &mut SchemaGenerator) -> Value {
    match content {
        Content::Bytes(kind) => json!({ kind: { "schema": {} } }),
        Content::Json(shape, example) => {
            json!({ "application/json": { "schema": shape(generator), "example": example() } })
        }
        Content::Events(shape, example) => json!({
            "application/json": { "schema": shape(generator), "example": example() },
            "text/event-stream": {
                "schema": { "type": "string", "description": "One event per frame: `id:` is its seq, `data:` its JSON" },
                "example": "id: 6\ndata: {\"seq\":6,\"type\":\"stdout\",\"data\":\"all tests passed\\n\",…}\n\n",
            },
        }),
    }
}

/// Takes the null out of every optional member.
fn never_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice != &json!({ "type": "null" }));
                if let [only] = &choices[..] {
                    let only = only.clone();
                    members.remove("anyOf");
                    members.extend(only.as_object().cloned().unwrap_or_default());
                }
            }
            members.values_mut().for_each(never_null);
        }
        Value::Array(items) => items.iter_mut().for_each(never_null),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_in_the_repository_is_this_one() {
        let kept: Value = serde_json::from_str(include_str!("../../schemas/openapi.json")).unwrap();
        let made = document();
        let update = "cargo run -p crownest-ingest -- openapi > schemas/openapi.json";
        assert!(kept == made, "schemas/openapi.json differs from the code: run `{update}`");
    }

    #[test]
    fn every_operation_names_its_scope_and_every_reference_resolves() {
        let document = document();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(operation.get("x-crownest-required-scope").is_some(), "{method} {path}");
                assert_eq!(path.contains('{'), operation["parameters"].to_string().contains("\"path\""), "{path}");
            }
        }
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn answers_are_never_null_and_requests_may_be() {
        let document = document();
        let shape = |name: &str| &document["components"]["schemas"][name]["properties"];
        assert_eq!(shape("WorkspaceRun")["timeoutMs"]["type"], "integer");
        assert_eq!(shape("CreateRun")["timeoutMs"]["type"], json!(["integer", "null"]));
    }
}
