//! The system calls of a sandboxed command, as data: what is allowed on every architecture, what x86-64 has besides,
//! and what is refused with a reason. Whatever is in no list does not exist as far as the command can tell (`ENOSYS`),
//! which is what programs expect of a kernel that is older than they are.
//!
//! Names are those of the kernel's system call tables.

/// Reaches files, memory, processes, sockets and clocks of the sandbox, and nothing of the machine as a whole.
#[rustfmt::skip]
pub(super) const ALLOWED: &[&str] = &[
    // Descriptors and data.
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek",
    "close", "close_range", "dup", "dup3", "fcntl", "ioctl", "pipe2", "sendfile", "splice", "tee", "vmsplice",
    "copy_file_range", "readahead", "fadvise64", "sync", "syncfs", "fsync", "fdatasync", "sync_file_range", "memfd_create",
    // Files and folders. Devices cannot be made (mknodat) for lack of a capability; FIFOs and sockets can.
    "openat", "openat2", "mkdirat", "mknodat", "unlinkat", "symlinkat", "linkat", "renameat", "renameat2", "readlinkat",
    "fstat", "statx", "statfs", "fstatfs", "faccessat", "faccessat2", "getdents64", "getcwd", "chdir",
    "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "utimensat", "truncate", "ftruncate", "fallocate",
    "flock", "umask", "cachestat",
    "setxattr", "lsetxattr", "fsetxattr", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
    "removexattr", "lremovexattr", "fremovexattr", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    // Memory.
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "mincore", "msync", "mlock", "mlock2", "munlock",
    "mlockall", "munlockall", "remap_file_pages", "membarrier", "mseal", "pkey_alloc", "pkey_free", "pkey_mprotect",
    // Processes and threads. `clone` and `unshare` are limited below; `clone3` is missing on purpose: its flags are in memory, where
    // no filter sees them, and the C libraries fall back to `clone`.
    "clone", "unshare", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "getpid", "getppid", "gettid", "getpgid",
    "setpgid", "getsid", "setsid", "set_tid_address", "set_robust_list", "get_robust_list", "rseq", "prctl",
    "pidfd_open", "pidfd_send_signal", "futex", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue",
    "getpriority", "setpriority", "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam",
    "sched_setparam", "sched_getscheduler", "sched_setscheduler", "sched_get_priority_max", "sched_get_priority_min",
    "sched_rr_get_interval", "sched_getattr", "sched_setattr", "ioprio_get", "ioprio_set", "getcpu", "getrusage",
    "getrlimit", "setrlimit", "prlimit64", "personality",
    // Debuggers and leak checkers look into processes of their own; pid 1 is excepted below.
    "ptrace", "process_vm_readv", "process_vm_writev",
    // Identity: asking, and changes that lead nowhere without a capability.
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setuid", "setgid", "setreuid",
    "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "capget", "capset",
    // A command may lock itself in further.
    "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self",
    // Signals.
    "kill", "tkill", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigqueueinfo", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "sigaltstack", "signalfd4", "restart_syscall",
    // Waiting.
    "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "eventfd2", "ppoll", "pselect6", "io_setup",
    "io_submit", "io_cancel", "io_getevents", "io_pgetevents", "io_destroy",
    // Clocks: reading them, timers, sleep. Setting a clock is refused below.
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "times", "getitimer", "setitimer",
    "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime", "timerfd_create",
    "timerfd_gettime", "timerfd_settime",
    // Sockets; the families are limited below.
    "socket", "socketpair", "bind", "listen", "accept", "accept4", "connect", "getsockname", "getpeername",
    "getsockopt", "setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
    // System V and POSIX inter-process communication, in a namespace of its own.
    "shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv",
    "msgctl", "mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
    // The machine, for information.
    "uname", "sysinfo", "getrandom",
];

/// Older forms of the above, which newer architectures never had, and the segment registers.
#[rustfmt::skip]
pub(super) const ALLOWED_X86_64: &[&str] = &[
    "newfstatat", "open", "creat", "stat", "lstat", "access", "readlink", "mkdir", "rmdir", "unlink", "link", "symlink", "rename",
    "chmod", "chown", "lchown", "mknod", "getdents", "utime", "utimes", "futimesat", "pipe", "dup2", "select", "poll",
    "epoll_create", "epoll_ctl_old", "epoll_wait", "epoll_wait_old", "eventfd", "signalfd", "inotify_init", "fork",
    "vfork", "getpgrp", "alarm", "pause", "time", "arch_prctl", "get_thread_area", "set_thread_area", "map_shadow_stack",
];

/// Named `newfstatat` elsewhere.
pub(super) const ALLOWED_AARCH64: &[&str] = &["fstatat"];

/// Refused with `EPERM`, the answer that programs know from containers: what changes or watches the machine, what only
/// privileged processes need, and parts of the kernel where ways out were found before.
#[rustfmt::skip]
pub(super) const REFUSED: &[&str] = &[
    // Mounts, roots and namespaces: with a user namespace of its own a process is root over kernel code that was
    // never meant for strangers (CVE-2022-0185, CVE-2023-0386 and many more). See `CONDITIONS` for clone and unshare.
    "mount", "umount2", "pivot_root", "chroot", "setns", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount",
    "fspick", "mount_setattr", "statmount", "listmount",
    // Programs in the kernel and its event streams (CVE-2021-3490, CVE-2022-23222; CVE-2013-2094).
    "bpf", "perf_event_open",
    // Asynchronous system calls, past this very filter (CVE-2022-29582, CVE-2023-2598).
    "io_uring_setup", "io_uring_enter", "io_uring_register",
    // Keyrings are not namespaced (CVE-2016-0728).
    "keyctl", "add_key", "request_key",
    // Faults handled by the attacker: what makes races in the kernel winnable.
    "userfaultfd",
    // Descriptors and memory of other processes by handle, where pid 1 cannot be told from others; files by handle.
    "pidfd_getfd", "process_madvise", "process_mrelease", "kcmp", "open_by_handle_at", "name_to_handle_at",
    "fanotify_init", "fanotify_mark", "memfd_secret",
    // Kernel, modules, swap, accounting, quotas, logs and the machine's names and clocks.
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff",
    "acct", "quotactl", "quotactl_fd", "syslog", "sethostname", "setdomainname", "settimeofday", "clock_settime",
    "adjtimex", "clock_adjtime", "vhangup", "nfsservctl", "lookup_dcookie",
    // Placement of memory on the machine's nodes.
    "mbind", "set_mempolicy", "get_mempolicy", "migrate_pages", "move_pages", "set_mempolicy_home_node",
];

/// Refused with `EPERM`, on x86-64 only: ports, segments, and interfaces that are gone.
pub(super) const REFUSED_X86_64: &[&str] =
    &["iopl", "ioperm", "modify_ldt", "uselib", "ustat", "sysfs", "_sysctl", "create_module"];

/// An argument, by position, as the kernel reads it: the lower 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Is(u8, u32),
    IsNot(u8, u32),
    /// At least one bit of this mask is set.
    HasAny(u8, u32),
}

/// Allowed, but refused with `EPERM` if *all* tests of one of these rules hold.
pub(super) const CONDITIONS: &[(&str, &[Test])] = &[
    // New namespaces (linux/sched.h): NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. In `clone`
    // the lowest byte is a signal number, and NEWTIME does not exist.
    ("unshare", &[Test::HasAny(0, 0x7e02_0080)]),
    ("clone", &[Test::HasAny(0, 0x7e02_0000)]),
    // Pid 1 is bubblewrap, which tells how the command ended. It runs as the same user.
    ("ptrace", &[Test::Is(1, 1)]),
    ("process_vm_readv", &[Test::Is(0, 1)]),
    ("process_vm_writev", &[Test::Is(0, 1)]),
    ("prlimit64", &[Test::Is(0, 1)]),
    // Families other than UNIX, INET, INET6 and NETLINK: VSOCK leads to the hypervisor, ALG, PACKET and the rest to
    // rarely used code of the kernel. Of NETLINK only ROUTE, with which the C library lists network interfaces.
    ("socket", &[Test::IsNot(0, 1), Test::IsNot(0, 2), Test::IsNot(0, 10), Test::IsNot(0, 16)]),
    ("socket", &[Test::Is(0, 16), Test::IsNot(2, 0)]),
    // Typing into a terminal (CVE-2017-5226), its line discipline, and the console's own commands (CVE-2023-28100).
    ("ioctl", &[Test::Is(1, 0x5412)]),
    ("ioctl", &[Test::Is(1, 0x541c)]),
    ("ioctl", &[Test::Is(1, 0x5423)]),
    // Execution domains: native, 32-bit addresses or no randomization, and the question which it is.
    (
        "personality",
        &[
            Test::IsNot(0, 0),
            Test::IsNot(0, 0x0000_0008),
            Test::IsNot(0, 0x0002_0000),
            Test::IsNot(0, 0x0002_0008),
            Test::IsNot(0, 0x0004_0000),
            Test::IsNot(0, 0xffff_ffff),
        ],
    ),
];
