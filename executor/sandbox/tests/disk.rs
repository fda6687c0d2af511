//! The disk limit of a run: enforced, reported, and gone without a trace.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod support;

use std::path::Path;

use sandbox::DiskLimit;
use support::Machine;

const LIMIT: u64 = 64 << 20;

async fn limited() -> Machine {
    Machine::open_with(|config| config.disk = DiskLimit::Bytes(LIMIT)).await
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full() {
    let machine = limited().await;
    let run = machine
        .run("head -c 200000000 /dev/zero > big; echo $?; stat -c %s big; rm big; echo x > small; cat small")
        .await;
    let out = run.out();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[0], lines[2]), ("1", "x"), "{}", run.err());
    assert!(run.err().contains("No space left on device"), "{}", run.err());
    let size: u64 = lines[1].parse().unwrap();
    assert!(size < LIMIT && size > LIMIT / 2, "{size}");
    // It made room again.
    assert!(!run.finished.disk.unwrap().is_full);

    let run = machine.run("cat /dev/zero > big; exit 3").await;
    assert_eq!(run.code(), Some(3));
    let disk = run.finished.disk.unwrap();
    assert!(disk.is_full && disk.used_bytes < LIMIT && disk.used_bytes > LIMIT / 2, "{disk:?}");
}

#[tokio::test]
async fn the_number_of_files_is_limited_too() {
    let machine = limited().await;
    let script = "python3 -c \"import os\nfor i in range(10**6): os.mknod(str(i))\"";
    let run = machine.run(script).await;
    assert!(run.err().contains("No space left on device"), "{}", run.err());
    assert!(run.finished.disk.unwrap().is_full);
    // Sixteen KiB for each file.
    let run = machine.run("seq 3000 | xargs touch; ls | wc -l; ls | wc -l >&2").await;
    assert_eq!(run.out(), "3002", "{}", run.err());
}

#[tokio::test]
async fn nothing_of_a_run_is_left_for_the_next_one_in_the_slot() {
    let machine = limited().await;
    for _ in 0..3 {
        let mut sandbox =
            machine.start_in(7, "ls; echo x > left; mkdir -p a/b; head -c 30000000 /dev/zero > big").await;
        let mut out = String::new();
        let mut pipe = sandbox.take_stdout().unwrap();
        tokio::io::AsyncReadExt::read_to_string(&mut pipe, &mut out).await.unwrap();
        assert_eq!(out, "hello.txt\nsrc\n");
        assert_eq!(sandbox.wait().await.unwrap().exit_code, Some(0));
        let finished = sandbox.finish().await;
        finished.cleanup.unwrap();
        assert!((30_000_000..31_000_000).contains(&finished.disk.unwrap().used_bytes));
    }
}

/// The image has no name, and the mount is attached nowhere: the kernel takes them back with the last descriptor.
#[tokio::test]
async fn the_host_sees_no_mount_and_no_image() {
    let machine = limited().await;
    let before = loop_devices(&machine.work_dir());
    assert!(before.is_empty(), "an image with a name: {before:?}");
    let sandbox = machine.start("sleep 100").await;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let folder = machine.folder.path().to_string_lossy().into_owned();
    assert!(!mounts.contains(&folder), "{mounts}");
    sandbox.finish().await.cleanup.unwrap();
    let mut left: Vec<_> =
        std::fs::read_dir(machine.work_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["lock", "runs", "stage"]);
}

#[tokio::test]
async fn files_of_the_archive_change_within_the_limit() {
    let machine = limited().await;
    std::fs::write(machine.tree.join("large"), vec![1; 100 << 20]).unwrap();
    let run = machine.run("head -c 1 large | od -An -tx1; echo more >> large; rm -r src; mv hello.txt x; ls").await;
    // The archive itself does not count, a copy of it does.
    assert!(run.err().contains("No space left on device"), "{}", run.err());
    assert_eq!(run.out(), " 01\nlarge\nx");
}

fn loop_devices(folder: &Path) -> Vec<String> {
    let backing = std::fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().path().join("loop/backing_file"));
    let names = backing.filter_map(|file| std::fs::read_to_string(file).ok());
    names.filter(|name| name.starts_with(&*folder.to_string_lossy()) && !name.contains("(deleted)")).collect()
}
