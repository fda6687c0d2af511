//! `GET /v1/templates/{id}`: by its id, or by its slug.

use std::str::FromStr;

use axum::Json;
use schemas::api::template::TemplateAnswer;

use crate::db::templates::offered;
use crate::http::error::ApiError;
use crate::http::path_id::PathId;
use crate::operation::parameters::TEMPLATE;
use crate::operation::{Call, Operation, examples, json};

/// A text that may be a slug or an id.
#[derive(Debug)]
pub(crate) struct Name(String);

/// Length of the longest id.
const MAX_NAME_BYTES: usize = 68;

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let valid = text.len() <= MAX_NAME_BYTES && text.bytes().all(plain);
        valid.then(|| Self(text.to_owned())).ok_or(())
    }
}

pub(crate) const OPERATION: Operation =
    Operation::get("/v1/templates/{id}", "getTemplate", "One template with its versions")
        .takes(&[TEMPLATE])
        .answers(200, json::<TemplateAnswer>(examples::template_answer));

pub(crate) async fn handle(call: Call, PathId(name): PathId<Name>) -> Result<Json<TemplateAnswer>, ApiError> {
    let client = call.app.pool.get().await?;
    match offered::find(&client, &name.0).await? {
        Some(template) => Ok(Json(TemplateAnswer { template })),
        None => Err(super::unknown(&client).await?),
    }
}
