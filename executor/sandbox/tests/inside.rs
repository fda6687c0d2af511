//! The view and the rights of a command, asserted from inside a real sandbox.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod support;

use std::os::unix::fs::MetadataExt as _;

use sandbox::Limits;
use support::Machine;

#[tokio::test]
async fn is_an_ordinary_user_without_privileges() {
    let machine = Machine::open().await;
    let run = machine
        .run("id -u; id -g; id -G; id -un; hostname; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status")
        .await;
    assert_eq!(
        run.out(),
        "1000\n1000\n1000\nrunner\ncrownest\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1",
        "{}",
        run.err()
    );
}

#[tokio::test]
async fn has_no_network() {
    let machine = Machine::open().await;
    let run = machine.run("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; cat /proc/net/route | wc -l").await;
    assert_eq!(run.out(), "lo\n1");
}

#[tokio::test]
async fn sees_only_its_own_processes_and_descriptors() {
    let machine = Machine::open().await;
    let run =
        machine.run("set -- /proc/[0-9]*; echo $#; ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0").await;
    // pid 1 is bubblewrap, then the shell, which counts by itself; descriptor 3 is `ls` reading the directory.
    assert_eq!(run.out(), "2\n0 1 2 3 /dev/null");
}

#[tokio::test]
async fn cannot_write_outside_of_its_folders() {
    let machine = Machine::open().await;
    let refused =
        "for d in / /usr /usr/bin /etc /bin /proc /sys; do (: > $d/crownest-test) 2>/dev/null && echo wrote $d; done";
    assert_eq!(machine.run(refused).await.out(), "");
    let allowed = "for d in /workspace /tmp /dev/shm $HOME; do echo x > $d/crownest-test && cat $d/crownest-test; done";
    assert_eq!(machine.run(allowed).await.out(), "x\nx\nx\nx");
    assert!(!std::path::Path::new("/tmp/crownest-test").exists());
}

#[tokio::test]
async fn sees_nothing_of_the_host() {
    let machine = Machine::open().await;
    let secret = machine.folder.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let run = machine.run(&format!("cat {} /etc/shadow; ls /root /mnt /work /home", secret.display())).await;
    assert_eq!(run.out(), "/home:\nrunner");
    let passwd = machine.run("cut -d: -f1 /etc/passwd | tr '\\n' ' '; ls /").await;
    assert_eq!(passwd.out(), "root runner nobody bin\ndev\netc\nhome\nlib\nlib64\nproc\nsbin\ntmp\nusr\nworkspace");
}

#[tokio::test]
async fn environment_is_ours_and_the_callers() {
    let machine = Machine::open().await;
    let env = [("CROWNEST_RUN_ID".into(), "wsr_1".into()), ("A".into(), "two\nlines '\" $x".into())];
    let run = machine.run_with("env -0 | sort -z | tr '\\0' ';'", &env, Limits::default()).await;
    assert_eq!(
        run.out(),
        "A=two\nlines '\" $x;CI=true;CROWNEST=1;CROWNEST_RUN_ID=wsr_1;HOME=/home/runner;LANG=C.UTF-8;\
         PATH=/home/runner/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;PWD=/workspace;SHELL=/bin/sh;TMPDIR=/tmp;USER=runner;"
    );
}

#[tokio::test]
async fn a_hostile_environment_does_not_reach_bubblewrap() {
    let machine = Machine::open().await;
    let env = [("LD_PRELOAD".into(), "/mnt/workspace/evil.so".into()), ("--bind".into(), "/".into())];
    let run = machine.run_with("echo $LD_PRELOAD", &env, Limits::default()).await;
    assert_eq!(run.out(), "/mnt/workspace/evil.so");
    // The dynamic linker complains exactly where user code runs: in the shell (and not in bubblewrap before it).
    assert_eq!(run.err().matches("cannot be preloaded").count(), 1, "{}", run.err());
}

#[tokio::test]
async fn workspace_writes_never_reach_the_cached_tree() {
    let machine = Machine::open().await;
    let script = "echo changed > hello.txt; rm -r src; mkdir new; touch new/file; ln -s x link; ls; stat -c %u .";
    assert_eq!(machine.run(script).await.out(), "hello.txt\nlink\nnew\n1000");
    assert_eq!(std::fs::read_to_string(machine.tree.join("hello.txt")).unwrap(), "hello\n");
    assert!(machine.tree.join("src/main.c").exists() && !machine.tree.join("new").exists());
    assert_eq!(std::fs::metadata(machine.tree.join("hello.txt")).unwrap().uid(), 0);
    // The next run starts from the archive again.
    assert_eq!(machine.run("cat hello.txt; ls").await.out(), "hello\nhello.txt\nsrc");
}

#[tokio::test]
async fn files_of_the_archive_can_be_owned_renamed_and_executed() {
    let machine = Machine::open().await;
    std::fs::write(machine.tree.join("tool"), "#!/bin/sh\necho tool\n").unwrap();
    std::fs::set_permissions(machine.tree.join("tool"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = machine
        .run("stat -c '%u %g' src hello.txt; chmod 600 hello.txt; mv src renamed; cat renamed/main.c; ./tool")
        .await;
    assert_eq!(run.out(), "1000 1000\n1000 1000\nint main;\ntool", "{}", run.err());
    assert_eq!(run.code(), Some(0));
}
