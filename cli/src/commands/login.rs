//! `crownest login`: checks a key, then saves it.

use std::process::ExitCode;

use serde_json::json;

use crate::args::connection::ConnectionArgs;
use crate::args::projects::PageArgs;
use crate::client::Client;
use crate::config_file::ConfigFile;
use crate::connection::Connection;
use crate::failure::{Failure, Stop};
use crate::output::{Output, escape, field};

pub(crate) async fn run(args: &ConnectionArgs, output: &mut Output) -> Result<ExitCode, Stop> {
    let path = ConfigFile::path().ok_or_else(|| {
        Failure::new("file_error", "there is no folder to save the key in")
            .hint("Set HOME or XDG_CONFIG_HOME, or use CROWNEST_API_URL and CROWNEST_API_KEY instead.")
    })?;
    let client = Client::new(Connection::resolve(args)?)?;
    let projects = client.projects(&PageArgs { limit: None, cursor: None, all: true }).await?.items;

    let connection = client.connection();
    let api_url = connection.api_url.as_str().trim_end_matches('/').to_owned();
    let saved = ConfigFile {
        api_url: Some(api_url.clone()),
        api_key: Some(connection.api_key.clone()),
        ..ConfigFile::read(&path)?
    };
    saved.write(&path)?;

    let config_path = path.display().to_string();
    let result = json!({"apiUrl": api_url, "configPath": config_path, "projects": projects});
    output.result(&result, |_| {
        let mut text = format!("Logged in to {}, saved in {}.\n", escape::line(&api_url), escape::line(&config_path));
        match projects.as_slice() {
            [] => text.push_str("The key sees no project yet.\n"),
            projects => {
                text.push_str("The key sees these projects:\n");
                for project in projects {
                    let line = format!("  {}  {}", field(project, "id"), field(project, "name"));
                    text.push_str(&escape::line(&line));
                    text.push('\n');
                }
            }
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}
