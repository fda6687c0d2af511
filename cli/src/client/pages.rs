//! Lists, page by page.

use serde_json::Value;

use super::transport::{Call, Client};
use crate::args::projects::PageArgs;
use crate::failure::Failure;

/// The longest page that the API gives.
const MAX_LIMIT: u32 = 500;

#[derive(Debug)]
pub(crate) struct Page {
    pub items: Vec<Value>,
    pub has_more: bool,
    pub next_cursor: Option<String>,
}

impl Client {
    pub(crate) async fn projects(&self, page: &PageArgs) -> Result<Page, Failure> {
        self.list("v1/projects", Vec::new(), page).await
    }

    pub(crate) async fn usage(&self) -> Result<Value, Failure> {
        self.call(Call::get("v1/usage")).await
    }

    /// One page, or all of them in one.
    pub(super) async fn list(
        &self,
        path: &str,
        filter: Vec<(String, String)>,
        args: &PageArgs,
    ) -> Result<Page, Failure> {
        let mut cursor = args.cursor.clone();
        let mut items = Vec::new();
        loop {
            let mut query = filter.clone();
            if let Some(limit) = args.limit.or(args.all.then_some(MAX_LIMIT)) {
                query.push(("limit".to_owned(), limit.to_string()));
            }
            query.extend(cursor.clone().map(|cursor| ("cursor".to_owned(), cursor)));
            let page = parse(self.call(Call { query, ..Call::get(path) }).await?)?;
            items.extend(page.items);
            // A cursor that does not move would go on forever.
            if args.all && page.has_more && page.next_cursor.is_some() && page.next_cursor != cursor {
                cursor = page.next_cursor;
                continue;
            }
            return Ok(Page { items, ..page });
        }
    }
}

fn parse(mut answer: Value) -> Result<Page, Failure> {
    let Value::Array(items) = answer["data"].take() else {
        return Err(Failure::invalid_answer("expected a list, got an answer without `data`"));
    };
    let has_more = answer["hasMore"].as_bool().unwrap_or(false);
    let next_cursor = answer["nextCursor"].as_str().map(str::to_owned);
    Ok(Page { items, has_more, next_cursor })
}
