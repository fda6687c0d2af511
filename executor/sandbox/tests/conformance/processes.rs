//! Other processes: those of the host, of the engine, of other runs, and the command's own.
use sandbox::Limits;

use crate::case::{Case, Expect, Try, check};
use crate::engine::{Engine, on_each_engine};

use Engine::{Runc, Runsc};
use Expect::Says;
use Try::{Python, Shell};

const ALONE: &str = "pid 1 has another user and is not shown";
const IS_PID_1: &str = "the command is the guest's pid 1";

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    Case { name: "sees its own processes only", mechanism: "pid namespace, hidepid",
        command: Shell("set -- /proc/[0-9]*; echo $#"), expect: Says("2"),
        differs: &[(Runc, ALONE, Says("1")), (Runsc, IS_PID_1, Says("1"))] },
    Case { name: "signals reach its own processes only", mechanism: "pid namespace, kill(2)",
        command: Python("print(len([p for p in range(1, 70000) if tried(lambda: os.kill(p, 0)) == 'ok']))"), expect: Says("1"), differs: &[] },
    Case { name: "pid 1 has no files", mechanism: "/proc/1: CVE-2019-5736",
        command: Shell("cat /proc/1/maps /proc/1/environ /proc/1/cmdline 2>/dev/null | wc -c; (: >/proc/1/mem) 2>/dev/null && echo wrote"),
        expect: Expect::Both("0", 2), differs: &[(Runsc, IS_PID_1, Expect::Exits(2))] },
    Case { name: "pid 1 cannot be stopped or killed", mechanism: "signals to init",
        command: Shell("kill -9 1; kill -STOP 1; kill -TERM 1; echo alive"), expect: Says("alive"),
        differs: &[(Runsc, IS_PID_1, Expect::Exits(137))] },
    Case { name: "no time namespace to lie with", mechanism: "CLONE_NEWTIME",
        command: Shell("unshare -T true 2>/dev/null && echo made || echo refused"), expect: Says("refused"),
        differs: &[(Runsc, "the guest's kernel ignores what it does not know", Says("made"))] },
    Case { name: "System V memory is its own", mechanism: "IPC namespace",
        command: Python("f = '/proc/sysvipc/shm'; print(len(open(f).readlines()[1:]) if os.path.exists(f) else 0, libc.shmget(0x1234, 4096, 0o1666) >= 0)"), expect: Says("0 True"), differs: &[] },
    Case { name: "debuggers work on its own processes", mechanism: "ptrace(2)",
        command: Python("p = os.fork()\nif p == 0: os._exit(0 if libc.ptrace(0, 0, 0, 0) == 0 else 1)\nprint(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]))"), expect: Says("0"), differs: &[] },
    Case { name: "threads, pools and pipes work", mechanism: "clone(2)",
        command: Python("import threading, multiprocessing\nt = threading.Thread(target=lambda: None); t.start(); t.join()\nwith multiprocessing.Pool(2) as p: print(p.map(abs, [-1, -2]))"), expect: Says("[1, 2]"), differs: &[] },
    Case { name: "orphans are collected", mechanism: "zombies, pid 1",
        command: Python("\nfor _ in range(50):\n    if os.fork() == 0:\n        if os.fork() == 0: os._exit(0)\n        os._exit(0)\n    os.wait()\nimport time\nend = time.monotonic() + 5\ndef zombies():\n    count = 0\n    for p in filter(str.isdigit, os.listdir('/proc')):\n        try: count += ') Z' in open(f'/proc/{p}/stat').read()\n        except OSError: pass\n    return count\nwhile zombies() and time.monotonic() < end: time.sleep(0.01)\nprint(zombies())"), expect: Says("0"),
        differs: &[(Runsc, "pid 1 is the command, which has to do that", Says("50"))] },
];

async fn which_processes_there_are(engine: Engine) {
    check(engine, CASES, Limits::default()).await;
}

on_each_engine!(which_processes_there_are);
