//! `crownest admin templates`: root file systems, from an image into the store.

use database::Client;
use ingest::templates::{self, Deleted, Import, Imported, TemplateError, TemplateVersion};
use serde_json::Value;

use super::written;
use crate::args::admin::TemplatesCommand;
use crate::args::up::DataArgs;
use crate::failure::{Failure, Stop};
use crate::object_store;
use crate::output::{Output, Record, Table, escape};

/// Longest part of an image's setting in a warning.
const LONGEST_VALUE: usize = 200;

pub(super) async fn run(
    command: TemplatesCommand,
    data: &DataArgs,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), Stop> {
    match command {
        TemplatesCommand::List => {
            let found = templates::all(client).await?;
            output.result(&written(&found), |_| table(&found).to_string())
        }
        TemplatesCommand::Import { path, slug, version, ref_name, not_current, store } => {
            let store = object_store::open(store, data)?;
            output.note(&format!("Reading and packing {}; this takes a moment.", path.display()));
            let asked = Import { path, ref_name, slug, version, make_current: !not_current };
            let imported = templates::import(client, &store, asked).await?;
            tell(&imported, output);
            output.result(&written(&imported), |_| record(&imported.version))
        }
        TemplatesCommand::Use { id } => {
            let version = templates::make_current(client, &id).await?;
            output.result(&written(&version), record_of(&version))
        }
        TemplatesCommand::Delete { slug, version, store } => {
            let deleted = templates::delete(client, &object_store::open(store, data)?, &slug, &version).await?;
            output.result(&written(&deleted), |_| sentence(&deleted))
        }
    }
}

fn record_of(version: &TemplateVersion) -> impl FnOnce(&Value) -> String {
    |_| record(version)
}

fn tell(imported: &Imported, output: &mut Output) {
    if imported.existed {
        output.note("This template has this content already; nothing was stored.");
    }
    for setting in &imported.ignored {
        let value: String = setting.value.chars().take(LONGEST_VALUE).collect();
        output.warn(&format!("warning: the image's {} is not heeded in runs: {}", setting.name, escape::line(&value)));
    }
    if imported.skipped > 0 {
        output.note(&format!("{} devices, FIFOs or sockets were left out.", imported.skipped));
    }
}

fn sentence(deleted: &Deleted) -> String {
    let Deleted { version, object_deleted } = deleted;
    let content = match (&version.root_fs, object_deleted) {
        (None, _) => "",
        (Some(_), true) => " Its content is gone from the store.",
        (Some(_), false) => " Its content stays: another version has it.",
    };
    format!("{} {} ({}) is deleted.{content}\n", version.slug, version.version, version.version_id)
}

fn record(version: &TemplateVersion) -> String {
    let mut record = Record::default();
    record.line("template", &format!("{} {}", version.slug, version.version));
    record.line("version id", version.version_id.as_str());
    if let Some(root_fs) = &version.root_fs {
        record.line("digest", &root_fs.digest());
        record.line("size", &format!("{} bytes, {} unpacked", root_fs.size_bytes, root_fs.tar_bytes));
        for (name, value) in &root_fs.env {
            record.line("env", &format!("{name}={value}"));
        }
    }
    record.line("current", if version.is_current { "yes" } else { "no" });
    record.to_string()
}

fn table(found: &[TemplateVersion]) -> Table {
    let mut table = Table::new(&["VERSION ID", "TEMPLATE", "VERSION", "CURRENT", "BYTES", "CREATED", "DIGEST"]);
    for version in found {
        let root_fs = version.root_fs.as_ref();
        let bytes = root_fs.map_or_else(|| "-".to_owned(), |root_fs| root_fs.size_bytes.to_string());
        let digest = root_fs.map_or_else(|| "the host's /usr".to_owned(), schemas::message::RootFs::digest);
        table.row(&[
            version.version_id.as_str(),
            &version.slug,
            &version.version,
            if version.is_current { "yes" } else { "no" },
            &bytes,
            &version.created_at.to_string(),
            &digest,
        ]);
    }
    table
}

impl From<TemplateError> for Stop {
    fn from(error: TemplateError) -> Self {
        let code = match &error {
            TemplateError::Db(_) => "database_error",
            TemplateError::Store(_) => "store_error",
            TemplateError::Scratch(_) => "io_error",
            TemplateError::UnknownVersion(_) | TemplateError::UnknownName { .. } => "not_found",
            TemplateError::VersionTaken { .. }
            | TemplateError::InUse(_)
            | TemplateError::HasRuns { .. }
            | TemplateError::ObjectGone(_) => "conflict",
            _ => "invalid_request",
        };
        Failure::new(code, error.to_string()).into()
    }
}
