//! A root file system of its own instead of the host's `/usr`: seen from inside.
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::Machine;

/// The least that runs a shell: some of the host's programs with their libraries, and what the sandbox mounts on.
fn small_root(folder: &Path) -> PathBuf {
    let root = folder.join("root");
    for mount_point in ["bin", "dev", "etc", "home/runner", "proc", "tmp", "workspace"] {
        fs::create_dir_all(root.join(mount_point)).expect("a folder");
    }
    fs::write(root.join("etc/marker"), "a template\n").expect("a file");
    for program in ["sh", "cat", "id", "ls", "touch"] {
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
    root
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    fs::copy(from, to).expect("a copy");
}

#[tokio::test]
async fn a_tree_takes_the_place_of_the_host() {
    let mut machine = Machine::open().await;
    machine.root = Some(small_root(machine.folder.path()));
    for (command, expected) in [
        ("cat /etc/marker", "a template"),
        ("ls /", "bin\ndev\netc\nhome\nlib\nlib64\nproc\ntmp\nworkspace"),
        ("ls /usr 2>/dev/null || echo none", "none"),
        ("cat hello.txt; echo more > more.txt; cat more.txt", "hello\nmore"),
        ("for d in / /etc /bin /home /proc/1; do touch $d/x 2>/dev/null && echo $d; done; echo checked", "checked"),
        ("for d in /tmp /home/runner /dev/shm; do touch $d/x && ls $d; done", "x\nx\nx"),
        ("id -u; id -g; setuid-id -u; echo $HOME", "1000\n1000\n1000\n/home/runner"),
    ] {
        let outcome = machine.run(command).await;
        assert_eq!(outcome.out(), expected, "{command}: {}", outcome.err());
    }
    let options =
        machine.run("while read -r _ on _ options _; do [ $on = / ] && echo $options; done < /proc/mounts").await;
    for option in ["ro", "nosuid", "nodev"] {
        assert!(options.out().split(',').any(|found| found == option), "{option}: {}", options.out());
    }
}
