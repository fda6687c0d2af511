//! `crownest templates`.

use std::process::ExitCode;

use serde_json::Value;

use crate::args::templates::TemplatesCommand;
use crate::client::Client;
use crate::failure::Stop;
use crate::output::{Output, Record, Table, field};

pub(crate) async fn run(command: TemplatesCommand, client: &Client, output: &mut Output) -> Result<ExitCode, Stop> {
    match command {
        TemplatesCommand::List(page) => output.page(&client.templates(&page).await?, |templates| {
            let mut table = Table::new(&["ID", "TEMPLATE", "DEFAULT", "CURRENT VERSION", "VERSION ID", "DIGEST"]);
            for template in templates {
                let [id, slug, is_default] = ["id", "slug", "isDefault"].map(|name| field(template, name));
                let current = versions(template).iter().find(|version| version["isCurrent"] == true);
                let [version, version_id, digest] =
                    ["version", "id", "digest"].map(|name| current.map_or_else(String::new, |of| field(of, name)));
                table.row(&[&id, &slug, &is_default, &version, &version_id, &digest]);
            }
            table
        })?,
        TemplatesCommand::Show { name } => {
            let template = client.template(&name).await?;
            output.result(&template, |template| {
                let mut record = Record::default();
                record.line("template", &field(template, "slug")).line("id", &field(template, "id"));
                record.line("default", &field(template, "isDefault"));
                format!("{record}\n{}", versions_table(template))
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn versions(template: &Value) -> &[Value] {
    template["versions"].as_array().map_or(&[], Vec::as_slice)
}

fn versions_table(template: &Value) -> Table {
    let mut table = Table::new(&["VERSION ID", "VERSION", "CURRENT", "CREATED", "DIGEST"]);
    for version in versions(template) {
        let cells = ["id", "version", "isCurrent", "createdAt", "digest"].map(|name| field(version, name));
        table.row(&cells.each_ref().map(String::as_str));
    }
    table
}
