//! `crownest projects list`.

use std::process::ExitCode;

use crate::args::projects::ProjectsCommand;
use crate::client::Client;
use crate::failure::Stop;
use crate::output::{Output, Table, field};

pub(crate) async fn run(command: ProjectsCommand, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    let ProjectsCommand::List(page) = command;
    let page = client.projects(&page).await?;
    output.page(&page, |projects| {
        let mut table = Table::new(&["ID", "NAME", "CREATED"]);
        for project in projects {
            table.row(&[&field(project, "id"), &field(project, "name"), &field(project, "createdAt")]);
        }
        table
    })?;
    Ok(ExitCode::SUCCESS)
}
