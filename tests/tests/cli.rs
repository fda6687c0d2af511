//! The real `crownest` command against a real system: everything that people and scripts rely on.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Archive, Crownest, Options, Stack, archive};
use tokio::io::{AsyncBufReadExt, BufReader};

const RUN_ARCHIVE: [&str; 2] = ["workspace-runs", "run-archive"];

fn write(stack: &Stack, name: &str, archive: &Archive) -> PathBuf {
    let path = stack.folder.path().join(name);
    std::fs::write(&path, &archive.bytes).expect("a file can be written");
    path
}

/// Incompressible bytes, the same each time (xorshift64).
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..bytes.div_ceil(8)).flat_map(|_| next()).take(bytes).collect()
}

fn run_archive<'a>(archive: &'a Path, rest: &[&'a str]) -> Vec<&'a str> {
    let mut args = RUN_ARCHIVE.to_vec();
    args.push(archive.to_str().expect("text"));
    args.extend(rest);
    args
}

#[tokio::test]
async fn a_run_comes_out_as_if_it_had_run_here() {
    let stack = Stack::start().await;
    let crownest = Crownest::of(&stack);
    let blob = noise(300_000);
    let path =
        write(&stack, "repo.tgz", &archive(&[("out", &blob), ("err", &b"\xff\x00 no text \xc3\x28\r\n".to_vec())]));

    let done = crownest.run(run_archive(&path, &["--", "cat out; cat err >&2"])).await.expect(0);
    assert!(done.stdout == blob, "{} bytes instead of {}", done.stdout.len(), blob.len());
    assert_eq!(done.stderr, String::from_utf8_lossy(b"\xff\x00 no text \xc3\x28\r\n"));

    // A replay gives the same bytes, at any time.
    let run = crownest.run(["workspace-runs", "list", "--limit", "1", "--json"]).await.expect(0).data()[0].clone();
    let logs = async |options: &[&str]| {
        let command = ["workspace-runs", "logs", run["id"].as_str().unwrap()];
        crownest.run(command.iter().chain(options)).await
    };
    assert!(logs(&["--raw"]).await.expect(0).stdout == blob);
    assert_eq!(logs(&["--raw", "--stream", "stderr"]).await.expect(0).stdout, b"\xff\x00 no text \xc3\x28\r\n");
    let found = logs(&["--grep", r"(?-u)^\xff.* text"]).await.expect(0).stdout;
    let number = found.iter().position(|&byte| byte == b':').unwrap();
    assert_eq!(&found[number..], b":stderr:\xff\x00 no text \xc3\x28\r\n");
    let seq = String::from_utf8_lossy(&found[..number]).into_owned();
    let since = logs(&["--raw", "--stream", "stderr", "--since-seq", &seq]).await.expect(0);
    assert_eq!(since.stdout.len(), 15);
    let after = logs(&["--raw", "--stream", "stderr", "--after-seq", &seq]).await.expect(0);
    assert_eq!(after.stdout, b"");
    assert_eq!(logs(&["--grep", "no text", "--stream", "stdout"]).await.expect(1).stdout, b"");
    assert!(logs(&["--grep", "("]).await.expect(2).stderr.contains("unclosed group"));

    let failed = crownest.run(run_archive(&path, &["--", "sh", "-c", "echo 'a  b'; exit 7"])).await.expect(7);
    assert_eq!((failed.text().as_str(), failed.stderr.as_str()), ("a  b\n", ""), "arguments stay what they are");

    let late = crownest.run(run_archive(&path, &["--timeout-ms", "3000", "--", "echo on; sleep 1000"])).await;
    assert_ne!(late.code, 0);
    assert_eq!(late.text(), "on\n");
    assert!(late.stderr.contains("exceeded its time limit of 3000 ms"), "{}", late.stderr);
}

#[tokio::test]
async fn with_json_every_event_is_one_line() {
    let stack = Stack::start().await;
    let (crownest, client) = (Crownest::of(&stack), stack.client());
    let path = write(&stack, "repo.tgz", &archive(&[("a", "1")]));
    let done = crownest.run(run_archive(&path, &["--json", "--", "echo out; echo err >&2; exit 7"])).await.expect(7);
    assert_eq!(done.stderr, "");
    let events = done.lines();
    let run = events.last().unwrap()["workspaceRun"]["id"].as_str().unwrap();
    assert_eq!(events, client.events(run, 500).await, "exactly what the API has");

    // A replay gives the same events, also from the middle.
    let logs = crownest.run(["workspace-runs", "logs", run, "--json", "--after-seq", "2"]).await.expect(0);
    assert_eq!(logs.lines(), events[2..]);
    let logs = crownest.run(["workspace-runs", "logs", run]).await.expect(0);
    assert_eq!((logs.text().as_str(), logs.stderr.as_str()), ("out\n", "err\n"), "0 whatever the run's exit code");

    let status = crownest.run(["workspace-runs", "status", run, "--json"]).await.expect(0).data();
    assert_eq!(status, client.run(run).await);
    let missing = crownest.run(["workspace-runs", "status", "wsr_doesnotexist", "--json"]).await.expect(1);
    let error: Value = serde_json::from_str(&missing.stderr).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["status"]), (&json!("not_found"), &json!(404)), "{error}");
    assert_eq!(missing.text(), "");
    crownest.run(run_archive(&path, &["--json"])).await.expect(2);
}

#[tokio::test]
async fn evidence_artifacts_and_lists_are_those_of_the_api() {
    let stack = Stack::start().await;
    let (crownest, client) = (Crownest::of(&stack), stack.client());
    let path = write(&stack, "repo.tgz", &archive(&[("a", "1")]));
    let flags =
        ["--json", "--metadata", "branch=main", "--source-metadata", "commit=abc", "--artifact", "out/report=r"];
    let command = ["--", "mkdir out; seq 100000 > out/report"];
    let done = crownest.run(run_archive(&path, &[&flags[..], &command[..]].concat())).await.expect(0);
    let run = done.lines().last().unwrap()["workspaceRun"].clone();
    let id = run["id"].as_str().unwrap();

    let file = stack.folder.path().join("evidence.json");
    let evidence = ["workspace-runs", "evidence", id, "--output", file.to_str().unwrap()];
    assert_eq!(crownest.run(evidence).await.expect(0).text(), "");
    let saved: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved, client.evidence(id).await);
    assert_eq!(crownest.run(["workspace-runs", "evidence", id]).await.expect(0).data(), saved);

    let artifact = run["artifactIds"][0].as_str().unwrap();
    let file = stack.folder.path().join("report");
    let download = ["artifacts", "download", artifact, "--json", "--output", file.to_str().unwrap()];
    let result = crownest.run(download).await.expect(0).data();
    let expected: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(std::fs::read(&file).unwrap() == expected.as_bytes());
    assert_eq!(result["sha256"], json!(hex::encode(Sha256::digest(expected.as_bytes()))));
    assert_eq!(result["artifact"]["name"], "r");
    let piped = crownest.run(["artifacts", "download", artifact, "--output", "-"]).await.expect(0);
    assert!(piped.stdout == expected.as_bytes());

    crownest.run(run_archive(&path, &["--", "true"])).await.expect(0);
    let list = ["workspace-runs", "list", "--json"];
    assert_eq!(crownest.run(list).await.expect(0).data().as_array().unwrap().len(), 2);
    let listed = crownest.run([&list[..], &["--metadata", "branch=main"]].concat()).await.expect(0).data();
    assert_eq!(listed, json!([client.run(id).await]));
    let listed = crownest.run(["workspace-runs", "list", "--status", "succeeded"]).await.expect(0).text();
    assert!(listed.contains(id) && listed.lines().count() == 3, "{listed}");
}

#[tokio::test]
async fn a_large_archive_takes_the_staged_transfer() {
    let stack = Stack::start().await;
    let crownest = Crownest::of(&stack);
    let blob = noise(9 << 20);
    let big = archive(&[("blob", &blob)]);
    assert!(big.bytes.len() > 8 << 20, "it is incompressible");
    let path = write(&stack, "big.tgz", &big);

    let create = ["workspace-runs", "create", "--json", "--", "sha256sum blob"];
    let run = crownest.run(create).await.expect(0).data();
    let id = run["id"].as_str().unwrap();
    let upload = ["workspace-runs", "upload", id, path.to_str().unwrap(), "--json"];
    let uploaded = crownest.run(upload).await.expect(0).data();
    assert_eq!(uploaded["archive"]["sha256"], json!(big.sha256));
    let database = stack.admin.get().await.unwrap();
    let sql = "select count(*) from ingest.uploads where run_id = $1";
    let transfers: i64 = database.query_one(sql, &[&id]).await.unwrap().get(0);
    assert_eq!(transfers, 1, "by a transfer, not directly");

    crownest.run(["workspace-runs", "start", id]).await.expect(0);
    let logs = crownest.run(["workspace-runs", "logs", id]).await.expect(0).text();
    assert_eq!(logs, format!("{}  blob\n", hex::encode(Sha256::digest(&blob))));
}

#[tokio::test]
async fn control_c_cancels_the_run_and_waits_for_its_end() {
    let stack = Stack::start().await;
    let (crownest, client) = (Crownest::of(&stack), stack.client());
    let path = write(&stack, "repo.tgz", &archive(&[("a", "1")]));
    let mut child = crownest.command(run_archive(&path, &["--", "echo on; sleep 1000"])).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(testkit::DEADLINE, lines.next_line()).await.expect("it runs").unwrap();
    assert_eq!(line.as_deref(), Some("on"));
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = tokio::time::timeout(testkit::DEADLINE, child.wait_with_output()).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code().is_some_and(|code| code != 0), "{:?}: {said}", ended.status);
    assert!(said.contains("canceling wsr_") && said.contains("was canceled"), "{said}");
    let runs = client.get("/v1/workspace-runs").await.expect(200)["data"].clone();
    assert_eq!((runs.as_array().unwrap().len(), &runs[0]["status"]), (1, &json!("canceled")), "it waited for the end");
}

#[tokio::test]
async fn cancel_ends_a_run_that_waits() {
    let stack = Stack::with(Options { executor: false, ..Default::default() }).await;
    let (crownest, client) = (Crownest::of(&stack), stack.client());
    let path = write(&stack, "repo.tgz", &archive(&[("a", "1")]));
    let started = crownest.run(run_archive(&path, &["--no-wait", "--json", "--", "true"])).await.expect(0).data();
    let id = started["id"].as_str().unwrap();
    let early = crownest.run(["workspace-runs", "evidence", id, "--json"]).await.expect(1);
    assert!(early.stderr.contains("evidence_not_ready"), "{}", early.stderr);
    crownest.run(["workspace-runs", "cancel", id]).await.expect(0);
    let evidence = crownest.run(["workspace-runs", "evidence", id, "--wait"]).await.expect(0).data();
    assert_eq!(evidence["outcome"], "cancellation");
    assert_eq!(client.run(id).await["status"], "canceled");
}

#[tokio::test]
async fn login_is_remembered_and_only_for_its_own_address() {
    let stack = Stack::start().await;
    let crownest = Crownest::new();
    let stranger = crownest.run(["projects", "list"]).await.expect(1);
    assert!(stranger.stderr.contains("crownest login"), "it says what to do: {}", stranger.stderr);
    let wrong = ["login", "--api-url", &stack.api_url, "--api-key", "cn_live_wrong", "--json"];
    assert!(crownest.run(wrong).await.expect(1).stderr.contains("invalid_api_key"));
    assert!(!crownest.config_file().exists(), "a key that does not work is not saved");

    crownest.run(["login", "--api-url", &stack.api_url, "--api-key", stack.key()]).await.expect(0);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(crownest.config_file()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let projects = crownest.run(["projects", "list", "--json"]).await.expect(0).data();
    assert_eq!(projects[0]["id"], json!(stack.project.to_string()));
    let path = write(&stack, "repo.tgz", &archive(&[("a", "logged in")]));
    assert_eq!(crownest.run(run_archive(&path, &["--", "cat a"])).await.expect(0).text(), "logged in");

    let elsewhere = crownest.run(["projects", "list", "--api-url", "http://127.0.0.1:9"]).await.expect(1);
    assert!(elsewhere.stderr.contains("belongs to another address"), "{}", elsewhere.stderr);
}

#[tokio::test]
async fn a_folder_runs_and_runs_again_without_being_sent_again() {
    let stack = Stack::start().await;
    let (crownest, client) = (Crownest::of(&stack), stack.client());
    let folder = stack.folder.path().join("project");
    std::fs::create_dir_all(folder.join("build")).unwrap();
    std::fs::write(folder.join(".gitignore"), "build/\n").unwrap();
    std::fs::write(folder.join("build/made"), "").unwrap();
    std::fs::write(folder.join("answer"), "42\n").unwrap();
    let folder = folder.to_str().unwrap();

    let uploads = async || {
        let metrics = client.get(&format!("{}/metrics", stack.ingest_ops_url)).await.expect(200);
        let is_upload = |line: &&str| line.starts_with("crownest_ingest_http_requests_total") && line.contains("PUT");
        metrics.as_str().unwrap().lines().filter(is_upload).map(str::to_owned).collect::<Vec<_>>()
    };
    let id_file = stack.folder.path().join("run-id");
    let flags = ["--metadata", "of=folder", "--artifact", "kept", "--id-file", id_file.to_str().unwrap(), "--"];
    let run = [&["workspace-runs", "run", folder][..], &flags].concat();
    let first = crownest.run(run.iter().chain(&["cp answer kept; ls -A; cat answer; exit 3"])).await.expect(3);
    assert_eq!(first.text(), ".gitignore\nanswer\nkept\n42\n");
    assert_eq!(uploads().await.len(), 1);
    let sent = uploads().await;
    crownest.run(run.iter().chain(&["true"])).await.expect(0);
    assert_eq!(uploads().await, sent, "the server has this archive");

    let runs = client.get("/v1/workspace-runs?metadata.of=folder").await.expect(200);
    let earlier = &runs["data"][1];
    assert_eq!(std::fs::read_to_string(&id_file).unwrap().trim(), runs["data"][0]["id"], "the last one");
    let again = crownest.run(["workspace-runs", "rerun", earlier["id"].as_str().unwrap()]).await.expect(3);
    assert_eq!(again.text(), first.text());
    let runs = client.get("/v1/workspace-runs?metadata.of=folder").await.expect(200);
    assert_eq!(runs["data"].as_array().unwrap().len(), 3);
    for same in ["command", "archive.sha256", "templateVersionId", "projectId", "artifacts", "metadata", "timeoutMs"] {
        let pointer = format!("/{}", same.replace('.', "/"));
        assert_eq!(runs["data"][0].pointer(&pointer), earlier.pointer(&pointer), "{same}");
    }
    assert_eq!(runs["data"][0]["artifactIds"].as_array().unwrap().len(), 1);
    let open = client.create(json!({"command": "true"})).await;
    let refused = crownest.run(["workspace-runs", "rerun", &open]).await.expect(1);
    assert!(refused.stderr.contains("has no archive"), "{}", refused.stderr);
}

#[tokio::test]
async fn shells_learn_the_command_line() {
    let crownest = Crownest::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = crownest.run(["completions", shell]).await.expect(0);
        assert!(script.text().contains("run-archive"), "{shell}");
    }
    crownest.run(["completions", "cmd.exe"]).await.expect(2);
}
