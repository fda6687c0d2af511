//! A program of its own, without libc or anything else: it gives up rights by Landlock and becomes the command.
//! Compiled by `build.rs` into a static file of a few KiB; runs as the first thing inside each sandbox, when all mounts
//! are made. Arguments: the descriptor of the sandbox's status, the program to become, and its arguments. If it cannot
//! become that, it says so as a status: its own exit code must not pass for the command's.
//!
//! The rights that it gives up: writing anywhere but in the sandbox's own folders, making devices anywhere, and, from Landlock 6 on,
//! signals and abstract sockets to processes outside, of which bubblewrap is one. A kernel without Landlock is not an error.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

mod number {
    #[cfg(target_arch = "x86_64")]
    pub const CALLS: [usize; 6] = [257, 59, 231, 436, 1, 72];
    #[cfg(target_arch = "aarch64")]
    pub const CALLS: [usize; 6] = [56, 221, 94, 436, 64, 25];
    pub const OPENAT: usize = CALLS[0];
    pub const EXECVE: usize = CALLS[1];
    pub const EXIT_GROUP: usize = CALLS[2];
    pub const CLOSE_RANGE: usize = CALLS[3];
    pub const WRITE: usize = CALLS[4];
    pub const FCNTL: usize = CALLS[5];
    // The same everywhere: newer than the unification of numbers.
    pub const LANDLOCK_CREATE_RULESET: usize = 444;
    pub const LANDLOCK_ADD_RULE: usize = 445;
    pub const LANDLOCK_RESTRICT_SELF: usize = 446;
}

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// Everything that each version of Landlock can forbid.
const VERSION_1: u64 = (1 << 13) - 1;

const READ: u64 = EXECUTE | READ_FILE | READ_DIR;
const OWN: u64 = !(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV);
/// Paths inside, with what may be done beneath them. All exist in every sandbox.
static RULES: [(&[u8], u64); 7] = [
    (b"/\0", READ),
    (b"/dev\0", READ | WRITE_FILE | TRUNCATE | IOCTL_DEV),
    // For `/proc/self/comm` and the like; the kernel asks for more than this rule.
    (b"/proc\0", READ | WRITE_FILE | TRUNCATE),
    (b"/dev/shm\0", OWN),
    (b"/home/runner\0", OWN),
    (b"/tmp\0", OWN),
    (b"/workspace\0", OWN),
];

#[repr(C)]
struct Ruleset {
    fs: u64,
    net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "mov rdi, rsp", "and rsp, -16", "call {main}", main = sym main);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x0, sp", "bl {main}", main = sym main);

/// SAFETY: as the kernel asks for that call.
unsafe fn call(number: usize, a: [usize; 4]) -> isize {
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
             in("r10") a[3], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a[0] as isize => result, in("x1") a[1], in("x2") a[2],
             in("x3") a[3], options(nostack));
    }
    result
}

/// `stack` is as the kernel leaves it: argument count, arguments, null, environment, null.
unsafe extern "C" fn main(stack: *const usize) -> ! {
    unsafe {
        let count = *stack;
        let arguments = stack.add(1);
        let environment = stack.add(count + 2);
        if count < 3 {
            exit();
        }
        let status = number_of(*arguments.add(1) as *const u8);
        // What bubblewrap leaves open, this program among it; the status until the command is executed.
        call(number::CLOSE_RANGE, [3, status - 1, 0, 0]);
        call(number::CLOSE_RANGE, [status + 1, u32::MAX as usize, 0, 0]);
        const SET_DESCRIPTOR_FLAGS: usize = 2;
        const CLOSE_ON_EXEC: usize = 1;
        call(number::FCNTL, [status, SET_DESCRIPTOR_FLAGS, CLOSE_ON_EXEC, 0]);
        if !restrict() {
            fail(status, b"{\"failure\":\"Landlock refuses the rules of the sandbox\"}\n");
        }
        let program = arguments.add(2);
        call(number::EXECVE, [*program, program as usize, environment as usize, 0]);
        fail(status, b"{\"failure\":\"the shell of the root file system, /bin/sh, cannot be executed\"}\n")
    }
}

/// Decimal, above 2, ended by NUL.
unsafe fn number_of(mut text: *const u8) -> usize {
    let mut number = 0;
    unsafe {
        while *text != 0 {
            number = number * 10 + (*text - b'0') as usize;
            text = text.add(1);
        }
    }
    number
}

unsafe fn fail(status: usize, message: &[u8]) -> ! {
    unsafe { call(number::WRITE, [status, message.as_ptr() as usize, message.len(), 0]) };
    exit()
}

/// False if there is Landlock and it does not do what it should.
unsafe fn restrict() -> bool {
    const VERSION: usize = 1;
    unsafe {
        let version = call(number::LANDLOCK_CREATE_RULESET, [0, 0, VERSION, 0]);
        if version < 1 {
            return true;
        }
        let mut fs = VERSION_1;
        for (since, right) in &[(2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)] {
            if version >= *since {
                fs |= *right;
            }
        }
        let ruleset = Ruleset { fs, net: 0, scoped: if version >= 6 { 3 } else { 0 } };
        let size = if version >= 6 { 24 } else { 8 };
        let rules = call(number::LANDLOCK_CREATE_RULESET, [&raw const ruleset as usize, size, 0, 0]);
        if rules < 0 {
            return false;
        }
        for (path, allowed) in &RULES {
            const O_PATH_CLOEXEC: usize = 0o12_000_000;
            let parent = call(number::OPENAT, [usize::MAX, path.as_ptr() as usize, O_PATH_CLOEXEC, 0]);
            let rule = PathBeneath { allowed: allowed & fs, parent: parent as i32 };
            const PATH_BENEATH: usize = 1;
            if call(number::LANDLOCK_ADD_RULE, [rules as usize, PATH_BENEATH, &raw const rule as usize, 0]) < 0 {
                return false;
            }
        }
        call(number::LANDLOCK_RESTRICT_SELF, [rules as usize, 0, 0, 0]) == 0
    }
}

fn exit() -> ! {
    const FAILED: usize = 125;
    loop {
        // SAFETY: it takes a number.
        unsafe { call(number::EXIT_GROUP, [FAILED, 0, 0, 0]) };
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit()
}
