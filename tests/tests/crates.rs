//! The crates of this workspace: which may depend on which, and which libraries never get into those that are audited.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Each crate of this workspace with the crates of this workspace that it may depend on, for tests too. Services never depend
/// on each other, and whoever verifies evidence needs the formats alone.
const ALLOWED: &[(&str, &[&str])] = &[
    ("crownest-schemas", &[]),
    ("crownest-infra", &["crownest-schemas"]),
    ("crownest-database", &["crownest-infra", "crownest-schemas"]),
    ("crownest-verifier", &["crownest-schemas"]),
    ("crownest-ingest", SERVICE),
    ("crownest-sandbox", &[]),
    ("crownest-executor", EXECUTOR),
    ("crownest-collector", SERVICE),
    ("crownest-metering", SERVICE),
    ("crownest-local", LOCAL),
    ("crownest", CLIENT),
    ("crownest-tests", CLIENT),
    ("crownest-bench", BENCH),
    ("crownest-fuzz", FUZZ),
];
const SERVICE: &[&str] = &["crownest-database", "crownest-infra", "crownest-schemas"];
const EXECUTOR: &[&str] = &["crownest-database", "crownest-infra", "crownest-sandbox", "crownest-schemas"];
const LOCAL: &[&str] = &[
    "crownest-collector",
    "crownest-database",
    "crownest-executor",
    "crownest-infra",
    "crownest-ingest",
    "crownest-metering",
    "crownest-schemas",
];
const CLIENT: &[&str] = &[
    "crownest-collector",
    "crownest-database",
    "crownest-executor",
    "crownest-infra",
    "crownest-ingest",
    "crownest-local",
    "crownest-metering",
    "crownest-sandbox",
    "crownest-schemas",
    "crownest-verifier",
];
const BENCH: &[&str] = &[
    "crownest-collector",
    "crownest-database",
    "crownest-executor",
    "crownest-infra",
    "crownest-ingest",
    "crownest-local",
    "crownest-sandbox",
    "crownest-schemas",
    "crownest-tests",
];
const FUZZ: &[&str] = &["crownest-executor", "crownest-ingest", "crownest-schemas", "crownest-verifier"];

/// Crates with the beginnings of names that none of their dependencies has, however indirect.
const NEVER: &[(&str, &[&str])] = &[
    ("crownest-sandbox", &["aws-", "hyper", "lapin", "postgres", "tokio-postgres", "reqwest", "rustls"]),
    ("crownest-verifier", &["aws-", "hyper", "lapin", "postgres", "reqwest", "tokio", "rustls"]),
];

const HERE: &str = "tests/tests/crates.rs";

struct Workspace {
    /// Name of each package by its id.
    names: BTreeMap<String, String>,
    members: BTreeSet<String>,
    /// Ids of the dependencies of each package, and whether a normal build has them.
    dependencies: BTreeMap<String, Vec<(String, bool)>>,
}

impl Workspace {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // Crates for other systems need not be here.
        let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let flags = ["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform", &platform];
        let told = Command::new(cargo).args(flags).current_dir(root).output().expect("cargo can be started");
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let told: Value = serde_json::from_slice(&told.stdout).expect("cargo tells in JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let dependency = |found: &Value| {
            let is_normal = list(&found["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            (text(&found["pkg"]), is_normal)
        };
        Self {
            names: list(&told["packages"]).iter().map(|found| (text(&found["id"]), text(&found["name"]))).collect(),
            members: list(&told["workspace_members"]).iter().map(text).collect(),
            dependencies: list(&told["resolve"]["nodes"])
                .iter()
                .map(|node| (text(&node["id"]), list(&node["deps"]).iter().map(dependency).collect()))
                .collect(),
        }
    }

    fn member(&self, name: &str) -> &str {
        self.members.iter().find(|id| self.names[*id] == name).unwrap_or_else(|| panic!("there is no crate {name}"))
    }

    /// Everything that a normal build of this package needs.
    fn behind(&self, package: &str) -> BTreeSet<&str> {
        let (mut found, mut open) = (BTreeSet::new(), vec![package]);
        while let Some(next) = open.pop() {
            for (dependency, is_normal) in &self.dependencies[next] {
                if *is_normal && found.insert(&**dependency) {
                    open.push(dependency);
                }
            }
        }
        found.into_iter().map(|id| &*self.names[id]).collect()
    }
}

#[test]
fn crates_depend_only_on_those_that_are_listed() {
    let workspace = Workspace::read();
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    for id in &workspace.members {
        let name = &*workspace.names[id];
        let listed =
            allowed.get(name).unwrap_or_else(|| panic!("{name} is a new crate: say in {HERE} whom it may use"));
        for (dependency, _) in &workspace.dependencies[id] {
            let used = &*workspace.names[dependency];
            let is_ours = workspace.members.contains(dependency);
            assert!(
                !is_ours || listed.contains(&used),
                "{name} may not depend on {used}: the allowed edges are in {HERE}"
            );
        }
    }
}

#[test]
fn audited_crates_are_free_of_networks_and_runtimes() {
    let workspace = Workspace::read();
    for (name, never) in NEVER {
        for library in workspace.behind(workspace.member(name)) {
            let refused = never.iter().find(|start| library.starts_with(*start));
            assert!(refused.is_none(), "{name} may not depend on {library}, not even by others: the list is in {HERE}");
        }
    }
}
