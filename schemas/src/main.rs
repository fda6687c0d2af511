//! Writes the JSON Schemas of the public shapes: `crownest-schemas <folder>`; with `--check` it only compares.

use std::path::PathBuf;
use std::process::ExitCode;

use schemars::{Schema, schema_for};
use schemas::api::{artifact, run, usage};
use schemas::artifact::tombstone;
use schemas::message::usage as meters;
use schemas::{event, evidence};

fn public_shapes() -> [(&'static str, Schema); 8] {
    [
        ("artifact", schema_for!(artifact::Artifact)),
        ("create-run", schema_for!(run::CreateRun)),
        ("event", schema_for!(event::Event)),
        ("evidence-bundle", schema_for!(evidence::EvidenceBundle)),
        ("tombstone", schema_for!(tombstone::Tombstone)),
        ("usage-event", schema_for!(meters::UsageEvent)),
        ("usage-summary", schema_for!(usage::UsageSummary)),
        ("workspace-run", schema_for!(run::WorkspaceRun)),
    ]
}

#[expect(clippy::print_stderr, reason = "a command-line tool reports on standard error")]
fn main() -> ExitCode {
    let mut check = false;
    let mut folder = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--check" => check = true,
            _ => folder = Some(PathBuf::from(argument)),
        }
    }
    let Some(folder) = folder else {
        eprintln!("usage: crownest-schemas [--check] <folder>");
        return ExitCode::from(2);
    };
    let mut differing = Vec::new();
    for (name, schema) in public_shapes() {
        let path = folder.join(format!("{name}.schema.json"));
        let Ok(mut text) = serde_json::to_string_pretty(&schema) else {
            eprintln!("{name}: the schema cannot be written as JSON");
            return ExitCode::FAILURE;
        };
        text.push('\n');
        if std::fs::read_to_string(&path).is_ok_and(|present| present == text) {
            continue;
        }
        if !check && let Err(error) = std::fs::write(&path, text) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        differing.push(path);
    }
    for path in &differing {
        eprintln!("{} {}", if check { "differs from the code:" } else { "wrote" }, path.display());
    }
    if check && !differing.is_empty() {
        eprintln!("run `cargo run -p crownest-schemas -- schemas/json` and commit the result");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
