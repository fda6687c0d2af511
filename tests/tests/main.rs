//! Everything that a user is promised, on real services: one file for each promise. One program, because each that links all
//! services costs seconds of every build.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is a failure")]

mod admin;
mod artifacts;
mod attestations;
mod cli;
mod collection;
mod crates;
mod database;
mod egress;
mod engines;
mod env;
mod events;
mod evidence_audit;
mod evidence_fixtures;
mod evidence_log;
mod evidence_verify;
mod faults;
mod hostile_clients;
mod iceberg;
mod legal_hold;
mod limited_keys;
mod limits;
mod locks;
mod messages;
mod object_lock;
mod openapi;
mod output_cap;
mod protection;
mod python_client;
mod python_node;
mod retention;
mod runs;
mod sandbox_limits;
mod schema_files;
mod services;
mod slots;
mod tables;
mod tables_crashes;
mod template_offers;
mod templates;
mod tenancy;
mod test_reports;
mod tlog_reference;
mod up;
mod up_as_an_ordinary_user;
mod uploads;
mod webhooks;

#[test]
fn every_file_of_this_folder_is_run() {
    let declared = include_str!("main.rs");
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") else { continue };
        assert!(declared.contains(&format!("mod {module};")), "`mod {module};` is missing in tests/tests/main.rs");
    }
}
