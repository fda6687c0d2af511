//! Asks the four services whether they are ready.

use std::time::Duration;

use anyhow::Context;

use super::state::Operations;
use crate::client::{build_http, http_builder};

const TIMEOUT: Duration = Duration::from_secs(5);
/// Once a service is started: it only has to connect to what runs already.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Readiness {
    http: reqwest::Client,
}

impl Readiness {
    pub(super) fn new() -> reqwest::Result<Self> {
        // Everything is on this machine: a proxy would only be in the way.
        Ok(Self { http: build_http(true, || http_builder().timeout(TIMEOUT).no_proxy())? })
    }

    /// An error says what the service waits for.
    pub(super) async fn of(&self, operations: &Operations) -> Result<(), String> {
        match self.http.get(format!("{}/readyz", operations.url)).send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(answer.text().await.unwrap_or_default().trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Returns when all are ready at last.
pub(super) async fn wait_for_all(services: &[Operations]) -> anyhow::Result<()> {
    let readiness = Readiness::new().context("the services cannot be asked whether they are ready")?;
    for operations in services {
        let mut reason = String::from("no answer");
        let ready = async {
            while let Err(answer) = readiness.of(operations).await {
                reason = answer;
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(DEADLINE, ready).await.is_err() {
            anyhow::bail!("{} is not ready within {} s: {reason}", operations.service, DEADLINE.as_secs());
        }
    }
    Ok(())
}
