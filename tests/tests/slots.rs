//! Slots of an executor that are out of use: neither counted nor filled, seen by operators, and in use again when they can be.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::json;
use testkit::{Client, Options, Stack, archive, eventually};

async fn metrics_say(client: &Client, ops: &str, lines: &[&str]) {
    eventually(&format!("{lines:?}"), async || {
        let metrics = client.get(&format!("{ops}/metrics")).await.expect(200);
        let metrics = metrics.as_str().unwrap().to_owned();
        lines.iter().all(|line| metrics.lines().any(|found| found == *line)).then_some(())
    })
    .await;
}

/// A folder of a run that cannot be removed until this is dropped, because something is mounted there.
struct Stuck(PathBuf);

impl Stuck {
    async fn of(runs: &Path, run: &str) -> Self {
        let folder = eventually("the run has a folder", async || {
            let name =
                fs::read_dir(runs).ok()?.flatten().find(|name| name.file_name().to_string_lossy().starts_with(run))?;
            Some(name.path().join("lower")).filter(|lower| lower.is_dir())
        })
        .await;
        mount("none", &folder, "tmpfs", MountFlags::empty(), None).unwrap();
        Self(folder)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn a_slot_that_cannot_be_cleaned_is_out_of_use_until_it_can() {
    let stack = Stack::start().await;
    let (client, ops, archive) = (stack.client(), &stack.executor_ops_url, archive(&[("x", "")]));
    let runs = stack.work_dir(0).join("sandboxes/runs");
    let spoil = async || {
        let run = client.submit(json!({"command": "until [ -e /tmp/never ]; do sleep 0.1; done"}), &archive).await;
        client.wait_for(&run, &["running"]).await;
        let stuck = Stuck::of(&runs, &run).await;
        client.cancel(&run).await.expect(200);
        let ended = client.wait_terminal(&run).await;
        assert_eq!((&ended["status"], &ended["cleanupStatus"]), (&json!("canceled"), &json!("failed")), "{ended}");
        stuck
    };

    let first = spoil().await;
    metrics_say(&client, ops, &["crownest_executor_slots 1", "crownest_executor_unfit_slots 1"]).await;
    assert_eq!(client.get(&format!("{ops}/readyz")).await.expect(200), json!("ready\n"));
    // Jobs are taken for the other slot, one by one.
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(client.submit(json!({"command": "true"}), &archive).await);
    }
    for run in others {
        assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
    }

    let second = spoil().await;
    metrics_say(&client, ops, &["crownest_executor_slots 0", "crownest_executor_unfit_slots 2"]).await;
    let answer = client.get(&format!("{ops}/readyz")).await.expect(503);
    assert!(answer.as_str().unwrap().contains("slots: all 2 are out of use; slot 0: "), "{answer}");
    // Nobody has the job: another executor gets it at once.
    let waiting = client.submit(json!({"command": "true"}), &archive).await;
    let other = stack.spawn_executor();
    assert_eq!(client.wait_terminal(&waiting).await["status"], "succeeded");
    drop(other);

    drop((first, second));
    metrics_say(&client, ops, &["crownest_executor_slots 2", "crownest_executor_unfit_slots 0"]).await;
    assert_eq!(client.get(&format!("{ops}/readyz")).await.expect(200), json!("ready\n"));
    let run = client.submit(json!({"command": "true"}), &archive).await;
    assert_eq!(client.wait_terminal(&run).await["cleanupStatus"], "succeeded");
}

/// What two runs of a second did to an executor with two slots.
#[tokio::test]
async fn deep_folders_on_a_full_disk_take_no_slot() {
    let executor_flags = ["--disk-bytes", "67108864"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { executor_flags, ..Options::default() }).await;
    let (client, archive) = (stack.client(), archive(&[("x", "")]));
    let command = "python3 -c \"import os
for d in range(2500): os.mkdir('d'); os.chdir('d')\"; cat /dev/zero > /workspace/full; i=0
        while mkdir /tmp/$i; do i=$((i + 1)); done; exit 28";
    for _ in 0..3 {
        let run = client.submit(json!({"command": command}), &archive).await;
        let ended = client.wait_terminal(&run).await;
        assert_eq!((&ended["exitCode"], &ended["cleanupStatus"]), (&json!(28), &json!("succeeded")), "{ended}");
    }
    metrics_say(&client, &stack.executor_ops_url, &["crownest_executor_slots 2", "crownest_executor_unfit_slots 0"])
        .await;
}

/// An archive may bring no more than its run could write.
#[tokio::test]
async fn a_small_archive_of_a_large_tree_is_refused_as_too_large() {
    let executor_flags = ["--disk-bytes", "67108864"].map(str::to_owned).to_vec();
    let stack = Stack::with(Options { executor_flags, ..Options::default() }).await;
    let client = stack.client();
    let zeros = "\0".repeat(70_000_000);
    let run = client.submit(json!({"command": "true"}), &archive(&[("zeros", &zeros)])).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["failureReason"], &ended["failureClass"]), (&json!("archive_too_large"), &json!("user_input")));
    let message = client.evidence(&run).await["outcomeMessage"].as_str().unwrap().to_owned();
    assert!(message.contains("\"zeros\"") && message.contains("67108864 bytes on disk"), "{message}");
    let cache = stack.work_dir(0).join("cache");
    assert_eq!(fs::read_dir(cache).unwrap().count(), 0);
}
