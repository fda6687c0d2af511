//! The identity of the command: user, privileges, session, environment, inherited descriptors.
use sandbox::Limits;

use crate::case::{Case, Expect, Try, check};
use crate::engine::{Engine, on_each_engine};

use Engine::Runsc;
use Expect::Says;
use Try::{Python, Shell};

const GUEST: &str = "a guest's kernel answers";

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    Case { name: "user and groups", mechanism: "user namespaces; CVE-2022-2995 (supplementary groups)",
        command: Shell("id -u; id -g; id -G"), expect: Says("1000\n1000\n1000"), differs: &[] },
    Case { name: "no capability in any set", mechanism: "capabilities(7); CVE-2022-24769 (inheritable)",
        command: Shell("grep -E '^Cap(Inh|Prm|Eff|Bnd)' /proc/self/status | cut -f2 | uniq -c | tr -s ' '"),
        expect: Says("4 0000000000000000"), differs: &[] },
    Case { name: "no ambient capability", mechanism: "capabilities(7)",
        command: Python("print([libc.prctl(47, 1, cap, 0, 0) for cap in range(41)].count(1))"), expect: Says("0"), differs: &[] },
    Case { name: "no new privileges", mechanism: "PR_SET_NO_NEW_PRIVS",
        command: Python("print(libc.prctl(39, 0, 0, 0, 0))"), expect: Says("1"), differs: &[] },
    Case { name: "a filter is loaded", mechanism: "seccomp(2)",
        command: Shell("grep ^Seccomp: /proc/self/status | cut -f2"), expect: Says("2"),
        differs: &[(Runsc, "the guest's kernel is not the host's: the filter is around it, not in it", Says("0"))] },
    Case { name: "setuid programs give nothing", mechanism: "nosuid, no_new_privs; CVE-2021-4034",
        command: Shell("su root -c id </dev/null >/dev/null 2>&1 || echo refused"), expect: Says("refused"), differs: &[] },
    Case { name: "cannot become root", mechanism: "setuid(2)",
        command: Python("print(tried(lambda: os.setuid(0)), tried(lambda: os.setgid(0)), tried(lambda: os.setgroups([0])))"),
        expect: Says("EPERM EPERM EPERM"),
        differs: &[(Engine::Bubblewrap, "ids that are not mapped are not even valid", Says("EINVAL EINVAL EPERM"))] },
    Case { name: "no capability by setting one on a file", mechanism: "security.capability; CVE-2021-3493",
        command: Python("open('f', 'w'); print(tried(lambda: os.setxattr('f', 'security.capability', bytes.fromhex('0100000200200000000000000000000000000000'))) != 'ok')"),
        expect: Says("True"), differs: &[] },
    Case { name: "umask", mechanism: "umask(2)", command: Shell("umask"), expect: Says("0022"), differs: &[] },
    Case { name: "host name", mechanism: "UTS namespace", command: Shell("hostname"), expect: Says("crownest"), differs: &[] },
    Case { name: "host name cannot be changed", mechanism: "UTS namespace, CAP_SYS_ADMIN",
        command: Python("print(tried(lambda: socket.sethostname('x')))"), expect: Says("EPERM"), differs: &[] },
    Case { name: "environment has nothing of the host", mechanism: "environ(7)",
        command: Shell("env | cut -d= -f1 | sort | tr '\\n' ' '"),
        expect: Says("CI CROWNEST HOME LANG PATH PWD SHELL TMPDIR USER"), differs: &[] },
    Case { name: "no descriptor but three", mechanism: "leaked descriptors: CVE-2016-9962, CVE-2024-21626",
        command: Python("print([fd for fd in range(3, 1024) if tried(lambda: os.fstat(fd)) == 'ok'])"), expect: Says("[]"), differs: &[] },
    Case { name: "working folder is the workspace", mechanism: "working directory: CVE-2024-21626",
        command: Shell("pwd -P; readlink /proc/self/cwd; cat hello.txt"), expect: Says("/workspace\n/workspace\nhello"), differs: &[] },
    Case { name: "standard input is empty", mechanism: "inherited standard input",
        command: Shell("wc -c"), expect: Says("0"), differs: &[] },
    Case { name: "no controlling terminal", mechanism: "setsid(2); CVE-2017-5226, CVE-2023-28100",
        command: Shell("(: </dev/tty) 2>/dev/null && echo terminal || echo none"), expect: Says("none"), differs: &[] },
    Case { name: "a session of its own", mechanism: "setsid(2)",
        command: Python("print(os.getsid(0) > 0, os.getpgid(0) > 0)"), expect: Says("True True"), differs: &[] },
    Case { name: "signals are as new", mechanism: "signal dispositions across execve(2)",
        command: Shell("exec python3 -c 'import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []), [s for s in signal.valid_signals() if s not in (13, 25) and signal.getsignal(s) == signal.SIG_IGN])'"),
        expect: Says("set() []"), differs: &[] },
    Case { name: "core files are not piped to the host", mechanism: "core_pattern: CVE-2022-4415, CVE-2025-4598",
        command: Python("print(resource.getrlimit(resource.RLIMIT_CORE))"), expect: Says("(1, 1)"), differs: &[] },
    Case { name: "names of users", mechanism: "an /etc made for the purpose",
        command: Shell("id -un; cut -d: -f1 /etc/passwd | tr '\\n' ' '"), expect: Says("runner\nroot runner nobody"), differs: &[] },
    Case { name: "no user namespace", mechanism: "CLONE_NEWUSER: CVE-2022-0185, CVE-2023-0386",
        command: Shell("unshare -U true 2>/dev/null && echo made || echo refused"), expect: Says("refused"),
        differs: &[(Runsc, GUEST, Says("made"))] },
    Case { name: "no mount namespace", mechanism: "CLONE_NEWNS",
        command: Shell("unshare -m true 2>/dev/null && echo made || echo refused"), expect: Says("refused"), differs: &[] },
];

async fn who_the_command_is(engine: Engine) {
    check(engine, CASES, Limits::default()).await;
}

on_each_engine!(who_the_command_is);
