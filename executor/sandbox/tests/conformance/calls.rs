//! System calls that lead to parts of the kernel where ways out were found, or to the machine as a whole: each is made.
//!
//! Where the processes of a command are a guest's, that kernel answers as it likes, without asking the host: what it
//! answers is asserted, and so is (in `outside`) that the host has a filter around it.
use sandbox::Limits;

use crate::case::{Try, attempt};
use crate::engine::{Engine, on_each_engine};

pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) mechanism: &'static str,
    number: libc::c_long,
    arguments: &'static str,
    expect: &'static str,
    /// The answer of a guest's kernel, if it differs.
    guest: Option<&'static str>,
}

const fn call(
    name: &'static str,
    mechanism: &'static str,
    number: libc::c_long,
    arguments: &'static str,
    expect: &'static str,
    guest: &'static str,
) -> Call {
    Call { name, mechanism, number, arguments, expect, guest: if guest.is_empty() { None } else { Some(guest) } }
}

const EPERM: &str = "EPERM";
const ENOSYS: &str = "ENOSYS";

#[rustfmt::skip]
pub(crate) const CALLS: &[Call] = &[
    call("mount", "CAP_SYS_ADMIN: CVE-2022-0185", libc::SYS_mount, "b'none', b'/tmp', b'tmpfs', 0, 0", EPERM, ""),
    call("umount2", "locked mounts", libc::SYS_umount2, "b'/proc', 2", EPERM, ""),
    call("pivot_root", "CAP_SYS_ADMIN", libc::SYS_pivot_root, "b'/tmp', b'/tmp'", EPERM, ""),
    call("chroot", "classic way out of chroot", libc::SYS_chroot, "b'/tmp'", EPERM, ""),
    call("fsopen", "CVE-2022-0185", libc::SYS_fsopen, "b'ext4', 0", EPERM, ENOSYS),
    call("open_tree", "new mount calls", libc::SYS_open_tree, "-100, b'/', 0", EPERM, ENOSYS),
    call("move_mount", "new mount calls", libc::SYS_move_mount, "-1, b'', -1, b'', 0", EPERM, ENOSYS),
    call("mount_setattr", "new mount calls", libc::SYS_mount_setattr, "-1, b'', 0, 0, 0", EPERM, ENOSYS),
    call("setns", "namespaces of others", libc::SYS_setns, "-1, 0", EPERM, "ENOTSUP"),
    call("unshare user", "CLONE_NEWUSER: CVE-2023-0386", libc::SYS_unshare, "0x10000000", EPERM, "ok"),
    call("unshare mounts", "CLONE_NEWNS", libc::SYS_unshare, "0x00020000", EPERM, "ok"),
    call("unshare network", "CLONE_NEWNET: CVE-2023-32233", libc::SYS_unshare, "0x40000000", EPERM, ""),
    call("unshare pids", "CLONE_NEWPID", libc::SYS_unshare, "0x20000000", EPERM, ""),
    call("unshare control groups", "CLONE_NEWCGROUP", libc::SYS_unshare, "0x02000000", EPERM, "ok"),
    call("clone with a user namespace", "CLONE_NEWUSER", libc::SYS_clone, "0x10000011, 0, 0, 0, 0", EPERM, "ok"),
    call("clone3", "flags in memory, out of a filter's sight", libc::SYS_clone3, "0, 0", ENOSYS, ""),
    call("bpf", "CVE-2021-3490, CVE-2022-23222", libc::SYS_bpf, "0, 0, 0", EPERM, ""),
    call("perf_event_open", "CVE-2013-2094", libc::SYS_perf_event_open, "0, 0, -1, -1, 0", EPERM, "ENODEV"),
    call("io_uring_setup", "CVE-2022-29582", libc::SYS_io_uring_setup, "1, 0", EPERM, "EFAULT"),
    call("io_uring_register", "CVE-2023-2598", libc::SYS_io_uring_register, "-1, 0, 0, 0", EPERM, ENOSYS),
    call("keyctl", "CVE-2016-0728", libc::SYS_keyctl, "0, 0, 0, 0, 0", EPERM, "EACCES"),
    call("add_key", "keyrings are not namespaced", libc::SYS_add_key, "b'user', b'x', b'x', 1, -3", EPERM, "EACCES"),
    call("request_key", "keyrings are not namespaced", libc::SYS_request_key, "b'user', b'x', 0, 0", EPERM, "EACCES"),
    call("userfaultfd", "races made winnable: CVE-2022-2590", libc::SYS_userfaultfd, "0", EPERM, ENOSYS),
    call("fanotify_init", "watching the host", libc::SYS_fanotify_init, "0, 0", EPERM, ENOSYS),
    call("open_by_handle_at", "shocker, CAP_DAC_READ_SEARCH", libc::SYS_open_by_handle_at, "-100, 0, 0", EPERM, "ENOTSUP"),
    call("name_to_handle_at", "shocker", libc::SYS_name_to_handle_at, "-100, b'/', 0, 0, 0", EPERM, "ENOTSUP"),
    call("kcmp", "what other processes have", libc::SYS_kcmp, "1, 1, 0, 0, 0", EPERM, ""),
    call("memfd_secret", "memory out of reach", 447, "0", EPERM, ENOSYS),
    call("move_pages", "memory of others", libc::SYS_move_pages, "0, 0, 0, 0, 0, 0", EPERM, ""),
    call("init_module", "CAP_SYS_MODULE", libc::SYS_init_module, "0, 0, b''", EPERM, ""),
    call("finit_module", "CAP_SYS_MODULE", libc::SYS_finit_module, "-1, b'', 0", EPERM, ""),
    call("delete_module", "CAP_SYS_MODULE", libc::SYS_delete_module, "b'x', 0", EPERM, ""),
    call("kexec_load", "CAP_SYS_BOOT", libc::SYS_kexec_load, "0, 0, 0, 0", EPERM, ""),
    call("reboot", "CAP_SYS_BOOT", libc::SYS_reboot, "0, 0, 0, 0", EPERM, ""),
    call("swapon", "CAP_SYS_ADMIN", libc::SYS_swapon, "b'/tmp/x', 0", EPERM, ""),
    call("acct", "CAP_SYS_PACCT", libc::SYS_acct, "0", EPERM, ""),
    call("quotactl", "CAP_SYS_ADMIN", libc::SYS_quotactl, "0, 0, 0, 0", EPERM, ""),
    call("syslog", "the kernel's log", libc::SYS_syslog, "10, 0, 0", EPERM, "ok"),
    call("settimeofday", "CAP_SYS_TIME", libc::SYS_settimeofday, "0, 0", EPERM, ""),
    call("clock_settime", "CAP_SYS_TIME", libc::SYS_clock_settime, "0, 0", EPERM, ""),
    call("adjtimex", "CAP_SYS_TIME", libc::SYS_adjtimex, "0", EPERM, ""),
    call("ptrace of pid 1", "CVE-2019-5736", libc::SYS_ptrace, "16, 1, 0, 0", EPERM, ""),
    call("ptrace of pid 1, upper bits set", "CVE-2019-10063", libc::SYS_ptrace, "16, (1 << 32) + 1, 0, 0", EPERM, ""),
    call("process_vm_writev to pid 1", "memory of pid 1", libc::SYS_process_vm_writev, "1, 0, 0, 0, 0, 0", EPERM, ENOSYS),
    call("pidfd_getfd", "descriptors of others", libc::SYS_pidfd_getfd, "-1, 4, 0", EPERM, ENOSYS),
    call("limits of pid 1", "prlimit(2)", libc::SYS_prlimit64, "1, 0, 0, 0", EPERM, "ok"),
    call("typing into a terminal", "TIOCSTI: CVE-2017-5226", libc::SYS_ioctl, "0, 0x5412, b'x'", EPERM, "ENOTTY"),
    call("typing into a terminal, upper bits set", "CVE-2019-10063", libc::SYS_ioctl, "0, (1 << 32) + 0x5412, b'x'", EPERM, "ENOTTY"),
    call("commands to the console", "TIOCLINUX: CVE-2023-28100", libc::SYS_ioctl, "0, 0x541c, b'x'", EPERM, "ENOTTY"),
    call("line discipline", "TIOCSETD: CVE-2017-2636", libc::SYS_ioctl, "0, 0x5423, b'x'", EPERM, "ENOTTY"),
    call("VSOCK", "leads to the hypervisor", libc::SYS_socket, "40, 1, 0", EPERM, "EAFNOSUPPORT"),
    call("AF_ALG", "the kernel's cryptography", libc::SYS_socket, "38, 5, 0", EPERM, "EAFNOSUPPORT"),
    call("AF_PACKET", "CVE-2017-7308", libc::SYS_socket, "17, 3, 0", EPERM, ""),
    call("AF_KEY", "rarely used code", libc::SYS_socket, "15, 3, 2", EPERM, "EAFNOSUPPORT"),
    call("AF_TIPC", "CVE-2021-43267", libc::SYS_socket, "30, 1, 0", EPERM, "EAFNOSUPPORT"),
    call("netfilter", "CVE-2024-1086", libc::SYS_socket, "16, 3, 12", EPERM, "EPROTONOSUPPORT"),
    call("personality", "READ_IMPLIES_EXEC", libc::SYS_personality, "0x0400000", EPERM, "EINVAL"),
];

#[cfg(target_arch = "x86_64")]
const I386: Try = Try::Python(
    "
import mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex('b814000000cd80c3'))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() > 0)
",
);

async fn which_calls_are_answered(engine: Engine) {
    let machine = engine.open().await;
    // `clone` makes a child where it is allowed: that one says nothing.
    let lines: Vec<String> = CALLS
        .iter()
        .map(|call| {
            format!(
                "pid = os.fork()\nif pid == 0:\n    me = os.getpid(); result = call({}, {})\n    if me == os.getpid(): \
                 print({:?}, result, flush=True)\n    os._exit(0)\nos.waitpid(pid, 0)",
                call.number, call.arguments, call.name
            )
        })
        .collect();
    let script: &'static str = Box::leak(lines.join("\n").into_boxed_str());
    let run = attempt(&machine, Try::Python(script), Limits::default()).await;
    let out = run.out();
    let mut answers: Vec<&str> = out.lines().collect();
    answers.dedup();
    let expected = CALLS.iter().map(|call| {
        let answer = call.guest.filter(|_| engine == Engine::Runsc).unwrap_or(call.expect);
        (format!("{} {answer}", call.name), call.mechanism)
    });
    let wrong: Vec<String> = expected
        .zip(answers.iter().map(Some).chain(std::iter::repeat(None)))
        .filter(|((expected, _), answer)| answer.is_none_or(|answer| answer != expected))
        .map(|((expected, mechanism), answer)| format!("expected {expected} ({mechanism}), got {answer:?}"))
        .collect();
    assert!(wrong.is_empty(), "{engine:?}:\n{}\n{}", wrong.join("\n"), run.err());
    assert_eq!(answers.len(), CALLS.len());
}

/// The filter is for one architecture: calls of another would pass it, or have other numbers.
#[cfg(target_arch = "x86_64")]
async fn other_architectures_are_denied(engine: Engine) {
    let machine = engine.open().await;
    let sigsys = Some(128 + libc::SIGSYS);
    let run = attempt(&machine, I386, Limits::default()).await;
    let i386 = match engine {
        // The guest's kernel has no such calls.
        Engine::Runsc => ("False", Some(0)),
        _ => ("", sigsys),
    };
    assert_eq!((run.out().as_str(), run.code()), i386, "{}", run.err());
    let run = attempt(&machine, Try::Python("print(call(0x40000000 + 39))"), Limits::default()).await;
    match engine {
        // libseccomp has no answer for these but the one for other architectures.
        Engine::Runc => assert_eq!((run.out().as_str(), run.code()), ("", sigsys), "{}", run.err()),
        _ => assert_eq!(run.out(), ENOSYS, "{}", run.err()),
    }
}

on_each_engine!(which_calls_are_answered, other_architectures_are_denied);
