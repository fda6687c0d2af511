//! System calls that a command may and may not use, each tried from inside a real sandbox.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod support;

use sandbox::Limits;
use support::{Machine, Outcome};

/// Python that makes raw calls: `call(number, …)` is the result, or the name of the error.
const PRELUDE: &str = "
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return 'ok' if result >= 0 else errno.errorcode[ctypes.get_errno()]
";

async fn python(machine: &Machine, script: &str) -> Outcome {
    let env = [("SCRIPT".into(), format!("{PRELUDE}{script}").into())];
    machine.run_with("python3 -c \"$SCRIPT\"", &env, Limits::default()).await
}

/// Each line is a call (numbers of the running architecture) and what must come of it.
async fn check(cases: &[(&str, libc::c_long, &str, &str)]) {
    let machine = Machine::open().await;
    let lines: Vec<String> = cases
        .iter()
        .map(|(name, number, arguments, _)| format!("print({name:?}, call({number}, {arguments}), flush=True)"))
        .collect();
    let run = python(&machine, &lines.join("\n")).await;
    let expected: Vec<String> = cases.iter().map(|(name, _, _, result)| format!("{name} {result}")).collect();
    assert_eq!(run.out().lines().collect::<Vec<_>>(), expected, "{}", run.err());
}

#[tokio::test]
async fn what_changes_the_machine_is_refused() {
    check(&[
        ("mount", libc::SYS_mount, "b'none', b'/tmp', b'tmpfs', 0, 0", "EPERM"),
        ("umount2", libc::SYS_umount2, "b'/proc', 2", "EPERM"),
        ("pivot_root", libc::SYS_pivot_root, "b'/tmp', b'/tmp'", "EPERM"),
        ("chroot", libc::SYS_chroot, "b'/tmp'", "EPERM"),
        ("fsopen", libc::SYS_fsopen, "b'ext4', 0", "EPERM"),
        ("open_tree", libc::SYS_open_tree, "-100, b'/', 0", "EPERM"),
        ("move_mount", libc::SYS_move_mount, "-1, b'', -1, b'', 0", "EPERM"),
        ("mount_setattr", libc::SYS_mount_setattr, "-1, b'', 0, 0, 0", "EPERM"),
        ("init_module", libc::SYS_init_module, "0, 0, b''", "EPERM"),
        ("finit_module", libc::SYS_finit_module, "-1, b'', 0", "EPERM"),
        ("kexec_load", libc::SYS_kexec_load, "0, 0, 0, 0", "EPERM"),
        ("reboot", libc::SYS_reboot, "0, 0, 0, 0", "EPERM"),
        ("swapon", libc::SYS_swapon, "b'/tmp/x', 0", "EPERM"),
        ("acct", libc::SYS_acct, "0", "EPERM"),
        ("quotactl", libc::SYS_quotactl, "0, 0, 0, 0", "EPERM"),
        ("syslog", libc::SYS_syslog, "10, 0, 0", "EPERM"),
        ("sethostname", libc::SYS_sethostname, "b'x', 1", "EPERM"),
        ("settimeofday", libc::SYS_settimeofday, "0, 0", "EPERM"),
        ("clock_settime", libc::SYS_clock_settime, "0, 0", "EPERM"),
        ("adjtimex", libc::SYS_adjtimex, "0", "EPERM"),
    ])
    .await;
}

#[tokio::test]
async fn ways_out_that_were_found_before_are_closed() {
    check(&[
        ("bpf (CVE-2021-3490, CVE-2022-23222)", libc::SYS_bpf, "0, 0, 0", "EPERM"),
        ("perf_event_open (CVE-2013-2094)", libc::SYS_perf_event_open, "0, 0, -1, -1, 0", "EPERM"),
        ("io_uring_setup (CVE-2022-29582)", libc::SYS_io_uring_setup, "1, 0", "EPERM"),
        ("io_uring_enter", libc::SYS_io_uring_enter, "-1, 0, 0, 0, 0, 0", "EPERM"),
        ("io_uring_register (CVE-2023-2598)", libc::SYS_io_uring_register, "-1, 0, 0, 0", "EPERM"),
        ("keyctl (CVE-2016-0728)", libc::SYS_keyctl, "0, 0, 0, 0, 0", "EPERM"),
        ("add_key", libc::SYS_add_key, "b'user', b'x', b'x', 1, -3", "EPERM"),
        ("request_key", libc::SYS_request_key, "b'user', b'x', 0, 0", "EPERM"),
        ("userfaultfd", libc::SYS_userfaultfd, "0", "EPERM"),
        ("fanotify_init", libc::SYS_fanotify_init, "0, 0", "EPERM"),
        ("open_by_handle_at (shocker)", libc::SYS_open_by_handle_at, "-100, 0, 0", "EPERM"),
        ("name_to_handle_at", libc::SYS_name_to_handle_at, "-100, b'/', 0, 0, 0", "EPERM"),
        ("kcmp", libc::SYS_kcmp, "1, 1, 0, 0, 0", "EPERM"),
        ("memfd_secret", 447, "0", "EPERM"),
        ("move_pages", libc::SYS_move_pages, "0, 0, 0, 0, 0, 0", "EPERM"),
        ("vsock", libc::SYS_socket, "40, 1, 0", "EPERM"),
        ("AF_ALG", libc::SYS_socket, "38, 5, 0", "EPERM"),
        ("AF_PACKET (CVE-2017-7308)", libc::SYS_socket, "17, 3, 0", "EPERM"),
        ("AF_KEY", libc::SYS_socket, "15, 3, 2", "EPERM"),
        ("netfilter (CVE-2024-1086)", libc::SYS_socket, "16, 3, 12", "EPERM"),
        ("TIOCSTI (CVE-2017-5226)", libc::SYS_ioctl, "0, 0x5412, b'x'", "EPERM"),
        ("TIOCLINUX (CVE-2023-28100)", libc::SYS_ioctl, "0, 0x541c, b'x'", "EPERM"),
        ("personality READ_IMPLIES_EXEC", libc::SYS_personality, "0x0400000", "EPERM"),
    ])
    .await;
}

#[tokio::test]
async fn there_are_no_new_namespaces() {
    let flags =
        [0x0000_0080, 0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
    let arguments: Vec<String> = flags.iter().map(|flag| format!("{flag}")).collect();
    let mut cases: Vec<_> = arguments.iter().map(|flag| ("unshare", libc::SYS_unshare, &**flag, "EPERM")).collect();
    // The lower byte is the signal; NEWTIME has no bit of its own in clone.
    let clones: Vec<String> = flags[1..].iter().map(|flag| format!("{flag} | 17, 0, 0, 0, 0")).collect();
    cases.extend(clones.iter().map(|arguments| ("clone", libc::SYS_clone, &**arguments, "EPERM")));
    cases.push(("setns", libc::SYS_setns, "-1, 0", "EPERM"));
    // Its flags are in memory: the C library must fall back to clone.
    cases.push(("clone3", libc::SYS_clone3, "0, 0", "ENOSYS"));
    cases.push(("unshare of files", libc::SYS_unshare, "0x400", "ok"));
    check(&cases).await;
}

/// CVE-2019-5736 and CVE-2024-21626 began at a helper of the sandbox. Pid 1 is one, with the user of the command.
#[tokio::test]
async fn pid_1_cannot_be_made_to_lie() {
    check(&[
        ("attach", libc::SYS_ptrace, "16, 1, 0, 0", "EPERM"),
        ("seize", libc::SYS_ptrace, "0x4206, 1, 0, 0", "EPERM"),
        ("attach, upper bits set", libc::SYS_ptrace, "16, (1 << 32) + 1, 0, 0", "EPERM"),
        ("process_vm_readv", libc::SYS_process_vm_readv, "1, 0, 0, 0, 0, 0", "EPERM"),
        ("process_vm_writev", libc::SYS_process_vm_writev, "1, 0, 0, 0, 0, 0", "EPERM"),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, "-1, 4, 0", "EPERM"),
        ("process_madvise", libc::SYS_process_madvise, "-1, 0, 0, 0, 0", "EPERM"),
        ("prlimit", libc::SYS_prlimit64, "1, 0, 0, 0", "EPERM"),
    ])
    .await;
    let machine = Machine::open().await;
    let run = machine.run("ls -A /proc/1; cat /proc/1/maps; kill -9 1; kill -STOP 1; echo > /proc/1/mem; exit 3").await;
    assert_eq!((run.out(), run.code()), (String::new(), Some(3)));
    assert_eq!(run.err().matches("No such file").count(), 1, "{}", run.err());
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn other_architectures_are_denied() {
    let machine = Machine::open().await;
    // getpid as x32.
    let run = python(&machine, "print(call(0x40000000 + 39))").await;
    assert_eq!(run.out(), "ENOSYS", "{}", run.err());
    // getpid of i386: mov eax, 20; int 0x80; ret.
    let i386 = "
import mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex('b814000000cd80c3'))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())
";
    let run = python(&machine, i386).await;
    assert_eq!((run.out(), run.code()), (String::new(), Some(128 + libc::SIGSYS)), "{}", run.err());
}

#[tokio::test]
async fn what_programs_need_works() {
    let machine = Machine::open().await;
    let script = "
import multiprocessing, select, socket, subprocess, tempfile, threading, fcntl, signal, asyncio
with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, -2]) == [1, 2]
thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
server = socket.create_server(('127.0.0.1', 0))
socket.create_connection(server.getsockname()).close()
a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'
assert [name for _, name in socket.if_nameindex()] == ['lo']
assert subprocess.run(['true']).returncode == 0
os.mkfifo('/tmp/fifo'); os.symlink('x', '/tmp/link'); os.setxattr('/workspace/hello.txt', 'user.a', b'b')
with open('/tmp/locked', 'w') as file: fcntl.lockf(file, fcntl.LOCK_EX)
async def ticks(): await asyncio.sleep(0.001); return await asyncio.to_thread(os.getpid)
assert asyncio.run(ticks()) == os.getpid()
child = os.fork()
if child == 0:
    os._exit(0 if call(101, 0, 0, 0, 0) == 'ok' else 1)  # PTRACE_TRACEME, as debuggers and LeakSanitizer use it
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print('works', end='')
";
    let script = script.replace("call(101,", &format!("call({},", libc::SYS_ptrace));
    let run = python(&machine, &script).await;
    assert_eq!(run.out(), "works", "{}", run.err());
}
