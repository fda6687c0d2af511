//! The standard template as it is built here: Python and Node projects pass their tests in it, without network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use testkit::{Crownest, Stack, archive};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/templates/python-node");

/// Builds the template once for each state of its sources, in a minute or two.
fn template() -> PathBuf {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in [Path::new(SOURCES), &Path::new(SOURCES).join("files")] {
        let entries = fs::read_dir(folder).expect("the template's sources");
        files.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()));
    }
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(fs::read(file).expect("a file"));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let tar = folder.join(format!("python-node-{}.tar", &hex::encode(digest.finalize())[..16]));
    if !tar.exists() {
        let log = folder.join("python-node.log");
        let written = fs::File::create(&log).expect("a log");
        let build =
            Command::new(Path::new(SOURCES).join("build.sh")).arg(&tar).stdout(Stdio::null()).stderr(written).status();
        assert!(build.expect("the script runs").success(), "{}", fs::read_to_string(log).expect("the log"));
    }
    tar
}

const PACKAGE: &str = r#"{"name": "sample", "version": "1.0.0", "scripts": {"test": "node --test"}}"#;
/// A `package.json` with a pinned pnpm, which pnpm would fetch.
const PINNED: &str =
    r#"{"name": "sample", "version": "1.0.0", "packageManager": "pnpm@9.1.0", "scripts": {"test": "node --test"}}"#;
const NODE_TEST: &str = "require('node:test')('adds up', () => require('node:assert').equal(1 + 1, 2));";
const PYTHON_TEST: &str =
    "import pytest\n\n@pytest.mark.parametrize('n', [1, 2])\ndef test_adds_up(n):\n    assert n + n == 2 * n\n";
const C: &str = "#include <stdio.h>\nint main(void) { puts(\"compiled\"); return 0; }\n";

#[tokio::test]
async fn python_and_node_projects_pass_their_tests_offline() {
    let tar = tokio::task::spawn_blocking(template).await.expect("the template is built").display().to_string();
    let stack = Stack::start().await;
    let crownest = Crownest::admin(&stack);
    crownest.run(["admin", "templates", "import", "--slug", "python-node", "--version", "built", &tar]).await.expect(0);
    let archive = archive(&[
        ("package.json", PACKAGE),
        ("sample.test.js", NODE_TEST),
        ("pinned/package.json", PINNED),
        ("pinned/sample.test.js", NODE_TEST),
        ("test_sample.py", PYTHON_TEST),
        ("hello.c", C),
    ]);
    let client = stack.client();
    for (command, expected) in [
        ("pnpm test", "fail 0"),
        ("cd pinned && pnpm test", "pass 1"),
        ("npm test", "fail 0"),
        ("pytest -q", "2 passed"),
        ("python3 -m venv /tmp/v && /tmp/v/bin/python -c 'print(\"in a venv\")'", "in a venv"),
        ("pip --version && git init -q /tmp/r && git -C /tmp/r status --short && echo is clean", "is clean"),
        ("cc -o /tmp/hello hello.c && /tmp/hello", "compiled"),
        ("grep -c . /usr/share/crownest/manifest && echo is listed", "is listed"),
    ] {
        let run = client.submit(json!({"command": command, "template": "python-node"}), &archive).await;
        let ended = client.wait_terminal(&run).await;
        let events = client.events(&run, 200).await;
        let output: String = events.iter().filter_map(|event| event["data"].as_str()).collect();
        assert_eq!(ended["status"], "succeeded", "{command}: {output}");
        assert!(output.contains(expected), "{command}: {output}");
    }

    let command = "mkdir reports && pytest -q --junitxml=reports/python.xml && \
                   node --test --test-reporter=junit --test-reporter-destination=reports/node.xml sample.test.js";
    let reports = json!([{"path": "reports/*.xml", "report": "junit"}]);
    let run =
        client.submit(json!({"command": command, "template": "python-node", "artifacts": reports}), &archive).await;
    let ended = client.wait_terminal(&run).await;
    let counted = ["total", "passed"].map(|name| ended["tests"][name].as_u64());
    assert_eq!(counted, [Some(3), Some(3)], "what both tools report: {ended}");
}
