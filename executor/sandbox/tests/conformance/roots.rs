//! A root file system of its own instead of the host's `/usr`.
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::engine::{Engine, on_each_engine};

async fn a_tree_takes_the_place_of_the_host(engine: Engine) {
    let mut machine = engine.open().await;
    let root = machine.folder.path().join("root");
    small_root(&root);
    machine.root = Some(root.clone());
    let names = match engine {
        Engine::Bubblewrap | Engine::Rootless | Engine::Runc => "bin dev etc home lib lib64 open proc tmp workspace",
        Engine::Runsc => "bin dev etc home lib lib64 open proc sys tmp workspace",
    };
    for (command, expected) in [
        ("cat /etc/marker; cat hello.txt; echo more > more.txt; cat more.txt", "a template\nhello\nmore"),
        ("cd /; echo *", names),
        ("cat /usr/bin/env >/dev/null 2>&1 || echo none", "none"),
        (
            "for d in / /etc /bin /home /open /proc/1; do (: > $d/x) 2>/dev/null && echo $d; done; echo checked",
            "checked",
        ),
        (
            "for d in /tmp /home/runner /dev/shm /workspace; do echo $d > $d/x && cat $d/x; done",
            "/tmp\n/home/runner\n/dev/shm\n/workspace",
        ),
        ("id -u; id -g; setuid-id -u; echo $HOME", "1000\n1000\n1000\n/home/runner"),
    ] {
        let outcome = machine.run(command).await;
        assert_eq!(outcome.out(), expected, "{command}: {}", outcome.err());
    }
    assert!(!root.join("open/x").exists() && !root.join("tmp/x").exists());
    let options = "while read -r _ on _ options _; do [ $on = / ] && echo $options; done < /proc/mounts";
    let options = machine.run(options).await.out();
    let has = |option: &str| options.split(',').any(|found| found == option);
    // A guest's kernel does not show how the host mounted it.
    assert!(engine == Engine::Runsc || ["ro", "nosuid", "nodev"].into_iter().all(has), "{options}");
}

/// The least that runs a shell, with a folder in it that everybody may write if the mount does not forbid it.
fn small_root(root: &Path) {
    for mount_point in ["bin", "dev", "etc", "home/runner", "open", "proc", "tmp", "workspace"] {
        fs::create_dir_all(root.join(mount_point)).expect("a folder");
    }
    fs::set_permissions(root.join("open"), fs::Permissions::from_mode(0o777)).expect("a mode");
    fs::write(root.join("etc/marker"), "a template\n").expect("a file");
    for program in ["sh", "cat", "id"] {
        let host = fs::canonicalize(Path::new("/bin").join(program)).expect("the host's program");
        copy(&host, &root.join("bin").join(program));
        let needed = Command::new("ldd").arg(&host).output().expect("ldd runs");
        let needed = String::from_utf8(needed.stdout).expect("ldd writes text");
        for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
            copy(Path::new(library), &root.join(library.trim_start_matches('/')));
        }
    }
    let setuid = root.join("bin/setuid-id");
    copy(Path::new("/usr/bin/id"), &setuid);
    fs::set_permissions(setuid, fs::Permissions::from_mode(0o4755)).expect("a mode");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    fs::copy(from, to).expect("a copy");
}

on_each_engine!(a_tree_takes_the_place_of_the_host);
