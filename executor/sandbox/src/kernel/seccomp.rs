//! The system call filter (seccomp-bpf) of the command, made once per host and loaded by bubblewrap as the last step
//! before it executes the shell; and the same rules for an OCI runtime, which makes its own filter of them.
//!
//! The kernel walks a filter for every number when it is loaded, so its shape is a cost of each run: calls with the same
//! answer are joined to ranges, and a binary search finds the range (a list of calls costs six times as much).
mod bpf;
mod oci;
mod rules;

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};
use syscalls::{aarch64, x86_64};

use bpf::{Answer, Instruction};

/// An architecture whose calls have names and numbers; `audit` is the kernel's name for it (linux/audit.h), `oci` that of
/// the OCI runtime specification.
#[derive(Debug, Clone, Copy)]
struct Architecture {
    audit: u32,
    oci: &'static str,
    number: fn(&str) -> Option<u32>,
    /// Calls that only this one has: allowed, refused.
    own: [&'static [&'static str]; 2],
}

const X86_64: Architecture = Architecture {
    audit: 0xc000_003e,
    oci: "SCMP_ARCH_X86_64",
    number: |name| name.parse::<x86_64::Sysno>().ok().and_then(|call| u32::try_from(call.id()).ok()),
    own: [rules::ALLOWED_X86_64, rules::REFUSED_X86_64],
};

const AARCH64: Architecture = Architecture {
    audit: 0xc000_00b7,
    oci: "SCMP_ARCH_AARCH64",
    number: |name| name.parse::<aarch64::Sysno>().ok().and_then(|call| u32::try_from(call.id()).ok()),
    own: [rules::ALLOWED_AARCH64, &[]],
};

fn native() -> io::Result<Architecture> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(X86_64),
        "aarch64" => Ok(AARCH64),
        other => Err(io::Error::other(format!("no system call filter for {other}"))),
    }
}

/// The filter for this machine, as an array of the kernel's `struct sock_filter`.
pub(crate) fn filter() -> io::Result<Vec<u8>> {
    let architecture = native()?;
    let program = bpf::program(architecture.audit, &answers(&architecture).map_err(io::Error::other)?);
    Ok(program.into_iter().flat_map(Instruction::to_bytes).collect())
}

/// The filter for an OCI runtime on this machine: `linux.seccomp` of its configuration. No two rules match one call, because
/// libseccomp would prefer that without conditions.
pub(crate) fn oci_filter() -> io::Result<Value> {
    let architecture = native()?;
    let [own_allowed, own_refused] = architecture.own;
    let conditions_of = |name: &str| -> Vec<&[rules::Test]> {
        rules::CONDITIONS.iter().filter(|(about, _)| *about == name).map(|(_, tests)| *tests).collect()
    };
    let (simple, conditional): (Vec<&str>, Vec<&str>) =
        rules::ALLOWED.iter().chain(own_allowed).partition(|name| conditions_of(name).is_empty());
    let refused: Vec<&str> = rules::REFUSED.iter().chain(own_refused).copied().collect();
    let always = oci::Pattern::new();
    let mut syscalls = vec![oci::rule(&simple, oci::ALLOW, &always), oci::rule(&refused, oci::REFUSE, &always)];
    for name in conditional {
        let [refused, allowed] = oci::patterns(&conditions_of(name));
        syscalls.extend(refused.iter().map(|pattern| oci::rule(&[name], oci::REFUSE, pattern)));
        syscalls.extend(allowed.iter().map(|pattern| oci::rule(&[name], oci::ALLOW, pattern)));
    }
    Ok(json!({
        "defaultAction": oci::REFUSE,
        "defaultErrnoRet": libc::ENOSYS,
        "architectures": [architecture.oci],
        "syscalls": syscalls,
    }))
}

/// Answers by number; a call without an answer does not exist.
fn answers(architecture: &Architecture) -> Result<BTreeMap<u32, Answer>, String> {
    let mut answers = BTreeMap::new();
    let number = |name: &str| (architecture.number)(name).ok_or_else(|| format!("unknown system call `{name}`"));
    let [own_allowed, own_refused] = architecture.own;
    for name in rules::ALLOWED.iter().chain(own_allowed) {
        let conditions = rules::CONDITIONS.iter().filter(|(about, _)| about == name).map(|(_, tests)| *tests).collect();
        answers.insert(number(name)?, Answer::AllowUnless(conditions));
    }
    for name in rules::REFUSED.iter().chain(own_refused) {
        answers.insert(number(name)?, Answer::Errno(libc::EPERM.unsigned_abs()));
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::bpf::Data;
    use super::*;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | 1;
    const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | 0x26;

    #[test]
    fn every_call_of_every_architecture_gets_its_answer() {
        for architecture in [X86_64, AARCH64] {
            let program = bpf::program(architecture.audit, &answers(&architecture).unwrap());
            assert!(program.len() < 350, "{} instructions", program.len());
            let [own_allowed, own_refused] = architecture.own;
            let numbers = |names: &[&[&str]]| -> BTreeSet<u32> {
                names.concat().iter().map(|name| (architecture.number)(name).unwrap()).collect()
            };
            let allowed = numbers(&[rules::ALLOWED, own_allowed]);
            let refused = numbers(&[rules::REFUSED, own_refused]);
            assert!(allowed.is_disjoint(&refused));
            assert_eq!(allowed.len(), rules::ALLOWED.len() + own_allowed.len(), "a call is named twice");
            for number in (0..1024).chain(0x4000_0000..0x4000_0400).chain([u32::MAX]) {
                // Such that no condition holds.
                let mut data = Data { number, architecture: architecture.audit, arguments: [2, 2, 0, 0, 0, 0] };
                if Some(number) == (architecture.number)("personality") {
                    data.arguments[0] = 0;
                }
                let expected = match (allowed.contains(&number), refused.contains(&number)) {
                    (true, _) => ALLOW,
                    (_, true) => EPERM,
                    _ => ENOSYS,
                };
                assert_eq!(bpf::run(&program, &data), expected, "{number}");
            }
            let foreign = Data { number: 0, architecture: 0x4000_0003, arguments: [0; 6] };
            assert_eq!(bpf::run(&program, &foreign), libc::SECCOMP_RET_KILL_PROCESS);
        }
    }

    #[test]
    fn conditions_are_about_the_lower_half_of_an_argument() {
        let answer = |name: &str, arguments: [u64; 6]| {
            let program = bpf::program(X86_64.audit, &answers(&X86_64).unwrap());
            let number = (X86_64.number)(name).unwrap();
            bpf::run(&program, &Data { number, architecture: X86_64.audit, arguments })
        };
        for (name, arguments, expected) in [
            ("clone", [0x0120_0011, 0, 0, 0, 0, 0], ALLOW),
            ("clone", [0x1000_0011, 0, 0, 0, 0, 0], EPERM),
            ("clone", [0x0120_0091, 0, 0, 0, 0, 0], ALLOW),
            ("unshare", [0x0000_0400, 0, 0, 0, 0, 0], ALLOW),
            ("unshare", [0x0000_0080, 0, 0, 0, 0, 0], EPERM),
            ("ptrace", [16, 2, 0, 0, 0, 0], ALLOW),
            ("ptrace", [16, 1, 0, 0, 0, 0], EPERM),
            ("ptrace", [16, (7 << 32) | 1, 0, 0, 0, 0], EPERM),
            ("socket", [1, 1, 0, 0, 0, 0], ALLOW),
            ("socket", [16, 3, 0, 0, 0, 0], ALLOW),
            ("socket", [16, 3, 12, 0, 0, 0], EPERM),
            ("socket", [17, 3, 0, 0, 0, 0], EPERM),
            ("ioctl", [0, 0x5412, 0, 0, 0, 0], EPERM),
            ("ioctl", [0, (1 << 32) | 0x5412, 0, 0, 0, 0], EPERM),
            ("ioctl", [0, 0x5401, 0, 0, 0, 0], ALLOW),
            ("personality", [0xffff_ffff, 0, 0, 0, 0, 0], ALLOW),
            ("personality", [0x0040_0000, 0, 0, 0, 0, 0], EPERM),
        ] {
            assert_eq!(answer(name, arguments), expected, "{name} {arguments:x?}");
        }
    }
}
