//! Requests about templates.

use serde_json::Value;

use super::pages::Page;
use super::runs::member;
use super::transport::{Call, Client};
use crate::args::projects::PageArgs;
use crate::failure::Failure;

impl Client {
    pub(crate) async fn templates(&self, page: &PageArgs) -> Result<Page, Failure> {
        self.list("v1/templates", Vec::new(), page).await
    }

    /// By slug or id.
    pub(crate) async fn template(&self, name: &str) -> Result<Value, Failure> {
        // Whatever else there is in a path would lead to another resource.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !name.bytes().all(plain) || !name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            let message = "expected the slug or the id of a template: letters, digits, dot, dash, underscore";
            return Err(Failure::new("invalid_request", message));
        }
        member(self.call(Call::get(format!("v1/templates/{name}"))).await?, "template")
    }
}
