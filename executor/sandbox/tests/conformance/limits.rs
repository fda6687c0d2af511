//! Limits, and the verdict that goes with each.
use sandbox::{DiskLimit, Exit, Kept, Limits};

use crate::case::{Case, Expect, Try, attempt, check};
use crate::engine::{Engine, on_each_engine};
use crate::support::Machine;

use Engine::{Rootless, Runsc};
use Expect::Says;
use Try::{Python, Shell};

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    Case { name: "open files are limited", mechanism: "RLIMIT_NOFILE",
        command: Python("\nopened = []\ndef many():\n    while True: opened.append(os.open('/dev/null', 0))\nerror = tried(many); print(error, len(opened) <= 65536)"), expect: Says("EMFILE True"), differs: &[] },
    Case { name: "limits cannot be raised", mechanism: "CAP_SYS_RESOURCE",
        command: Python("\nhard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\ntry: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard + 1)); print('raised')\nexcept (ValueError, OSError): print('refused')"), expect: Says("refused"), differs: &[] },
    Case { name: "priority cannot be raised", mechanism: "CAP_SYS_NICE",
        command: Python("print(tried(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)))"), expect: Says("EACCES"),
        differs: &[(Runsc, "a guest's priorities mean nothing to the host", Says("ok"))] },
    Case { name: "is killed before the executor", mechanism: "oom_score_adj",
        command: Shell("cat /proc/self/oom_score_adj; (echo -500 > /proc/self/oom_score_adj) 2>/dev/null && echo lowered; true"), expect: Says("500"),
        differs: &[(Runsc, "a guest has its own number; that of its kernel is 500 on the host", Says("0\nlowered"))] },
    Case { name: "a fork bomb is stopped", mechanism: "pids controller, RLIMIT_NPROC",
        command: Python("\ncount = 0\ntry:\n    while True:\n        if os.fork() == 0:\n            signal.pause()\n        count += 1\nexcept OSError as e: print(errno.errorcode[e.errno], count)"), expect: Says("EAGAIN 63"), differs: &[] },
    Case { name: "a bomb of threads is stopped", mechanism: "pids controller, RLIMIT_NPROC",
        command: Python("\nimport threading\nstop = threading.Event(); count = 0\ntry:\n    while True:\n        threading.Thread(target=stop.wait).start(); count += 1\nexcept RuntimeError: print(count)\nstop.set()"), expect: Says("63"), differs: &[] },
];

async fn what_is_limited(engine: Engine) {
    check(engine, CASES, Limits { pids: 64, ..Limits::default() }).await;
}

/// The kernel's own counter makes the verdict.
async fn a_memory_bomb_is_told_as_such(engine: Engine) {
    let machine = engine.open().await;
    let limits = Limits { memory_bytes: 128 << 20, ..Limits::default() };
    let bomb = Shell("head -c 300000000 /dev/zero | tail -c 300000000 >/dev/null; echo after");
    let run = attempt(&machine, bomb, limits).await;
    assert!(run.finished.oom_killed, "{:?} {}", run.exit, run.err());
    // A process that is being killed may still charge a few pages, so that it can end: not the limit to the byte.
    let peak = run.finished.usage.memory_peak_bytes.expect("a counter");
    assert!(peak < 130 << 20, "{peak}");
    if engine == Runsc {
        // The guest's memory is its kernel's: with that, everything is gone, and nobody saw an exit code.
        assert_eq!(run.exit, Exit { exit_code: None, signal: Some(9) });
    } else {
        assert_eq!((run.out().as_str(), run.code()), ("after", Some(0)), "only the hungry process is killed");
    }
    assert!(!attempt(&machine, Shell("true"), Limits::default()).await.finished.oom_killed);
}

/// tmpfs counts as memory. What is on the disk does not: its pages in memory are written out and given up.
async fn memory_cannot_be_had_as_files(engine: Engine) {
    let machine = engine.open().await;
    let limits = Limits { memory_bytes: 128 << 20, ..Limits::default() };
    for folder in ["/dev/shm", "/home/runner"] {
        let command: &'static str = Box::leak(format!("cat /dev/zero > {folder}/x").into_boxed_str());
        let run = attempt(&machine, Shell(command), limits).await;
        assert!(run.finished.oom_killed && run.code() != Some(0), "{folder}: {:?} {}", run.exit, run.err());
    }
    let run = attempt(&machine, Shell("head -c 300000000 /dev/zero > /tmp/x && echo written"), limits).await;
    assert_eq!((run.out().as_str(), run.finished.oom_killed), ("written", false), "{}", run.err());
}

async fn processor_time_is_limited_and_counted(engine: Engine) {
    let machine = engine.open().await;
    let limits = Limits { cpu_millis: 250, ..Limits::default() };
    let begun = std::time::Instant::now();
    let run = attempt(&machine, Shell("timeout 1 sh -c 'while :; do :; done'"), limits).await;
    let wall = u64::try_from(begun.elapsed().as_millis()).expect("not so long");
    assert_eq!(run.code(), Some(124), "{}", run.err());
    let usage = run.finished.usage;
    let used = usage.cpu_user_ms.expect("a counter") + usage.cpu_system_ms.expect("a counter");
    assert!(used > 50 && used < wall / 2, "{used} ms of {wall} ms");
    // A limit that slows down, and that says so.
    assert!(usage.cpu_throttled_ms.expect("a counter") > 0, "{usage:?}");
    let unhindered = attempt(&machine, Shell("true"), Limits { cpu_millis: 64_000, ..Limits::default() }).await;
    assert_eq!(unhindered.finished.usage.cpu_throttled_ms, Some(0));
    // Only bubblewrap's own processes are known to the number.
    assert_eq!(usage.pids_peak.is_some(), engine.is_bubblewrap());
}

async fn a_full_disk_is_told_as_such(engine: Engine) {
    if engine == Rootless {
        return a_run_beyond_its_limit_is_ended(engine).await;
    }
    let machine = with_a_small_disk(engine).await;
    for command in ["cat /dev/zero > big; exit 3", "cat /dev/zero > /tmp/big; exit 3"] {
        let run = attempt(&machine, Shell(command), Limits::default()).await;
        assert_eq!(run.code(), Some(3), "{}", run.err());
        assert!(run.err().contains("No space left on device"), "{}", run.err());
        let disk = run.finished.disk.expect("a limit");
        assert!(disk.is_full && disk.used_bytes > DISK_BYTES / 2, "{command}: {disk:?}");
    }
}

/// Space and files (16 KiB each) that one of them takes are missing in the other.
async fn workspace_and_tmp_have_one_limit(engine: Engine) {
    if engine == Rootless {
        return what_is_in_both_is_measured(engine).await;
    }
    let machine = with_a_small_disk(engine).await;
    let run = attempt(
        &machine,
        Shell("head -c 40000000 /dev/zero > a && echo first; head -c 40000000 /dev/zero > /tmp/b || rm a; head -c 30000000 /dev/zero >> /tmp/b && echo second"),
        Limits::default(),
    )
    .await;
    assert_eq!(run.out(), "first\nsecond", "{}", run.err());
    assert_eq!(run.err().matches("No space left on device").count(), 1, "{}", run.err());
    let disk = run.finished.disk.expect("a limit");
    assert!((45_000_000..DISK_BYTES).contains(&disk.used_bytes), "{disk:?}");
    let files = "\ncount = 0\ndef many(folder):\n    global count\n    while True:\n        os.close(os.open(f'{folder}/{count}', os.O_CREAT)); count += 1\nprint(tried(lambda: many('/tmp')), tried(lambda: many('.')), count < 5000)";
    let run = attempt(&machine, Python(files), Limits::default()).await;
    assert_eq!(run.out(), "ENOSPC ENOSPC True", "{}", run.err());
    assert!(run.finished.disk.expect("a limit").is_full);
}

/// Loop devices are root's. What a run has on disk is measured, and no error stops it: it is ended.
async fn a_run_beyond_its_limit_is_ended(engine: Engine) {
    let machine = with_a_small_disk(engine).await;
    assert_eq!(machine.host.disk_bytes(), Some(DISK_BYTES));
    // A file that grows; one that has no name any more; many small ones; one that is as deep as no path is long.
    for command in [
        "head -c 100000000 /dev/zero > big; sleep 1000",
        "head -c 100000000 /dev/zero > /tmp/big; sleep 1000",
        "exec 3>big; rm big; head -c 100000000 /dev/zero >&3; sleep 1000",
        "exec 3>/tmp/big; rm /tmp/big; head -c 100000000 /dev/zero >&3; sleep 1000",
        "mkdir d && cd d && seq 5000 | xargs touch; sleep 1000",
        "for i in $(seq 1500); do mkdir d && cd d || exit 9; done; head -c 100000000 /dev/zero > big; sleep 1000",
    ] {
        let run = attempt(&machine, Shell(command), Limits::default()).await;
        assert_eq!(run.exit, Exit { exit_code: None, signal: Some(9) }, "{command}: {}", run.err());
        let disk = run.finished.disk.expect("a limit");
        assert!(disk.is_full && disk.kept == Kept::ByMeasuring { ended_run: true }, "{command}: {disk:?}");
        let is_large = disk.used_bytes > DISK_BYTES;
        assert!(is_large || command.contains("seq 5000"), "{command}: {disk:?}");
    }
}

/// Space, and files (16 KiB each). What ends before it is measured is told all the same.
async fn what_is_in_both_is_measured(engine: Engine) {
    let machine = with_a_small_disk(engine).await;
    let write = |a: u32, b: u32| -> &'static str {
        Box::leak(
            format!("head -c {a} /dev/zero > a; head -c {b} /dev/zero > /tmp/b; ln /tmp/b /tmp/c").into_boxed_str(),
        )
    };
    for (a, b, is_full) in [(10_000_000, 20_000_000, false), (40_000_000, 40_000_000, true)] {
        let run = attempt(&machine, Shell(write(a, b)), Limits::default()).await;
        let disk = run.finished.disk.expect("a limit");
        assert_eq!((disk.is_full, run.exit.signal.is_none() || is_full), (is_full, true), "{disk:?} {}", run.err());
        let written = u64::from(a + b);
        assert!((written..written + 1_000_000).contains(&disk.used_bytes), "{disk:?}");
    }
}

const DISK_BYTES: u64 = 64 << 20;

async fn with_a_small_disk(engine: Engine) -> Machine {
    Machine::open_with(|config| {
        config.engine = engine.config();
        config.disk = DiskLimit::Bytes(DISK_BYTES);
    })
    .await
}

on_each_engine!(
    what_is_limited,
    a_memory_bomb_is_told_as_such,
    memory_cannot_be_had_as_files,
    processor_time_is_limited_and_counted,
    a_full_disk_is_told_as_such,
    workspace_and_tmp_have_one_limit,
);
