//! From answers by number to a classic BPF program, as seccomp(2) takes it.

use std::collections::BTreeMap;

use super::rules::Test;

/// `linux/bpf_common.h`: load a word of `struct seccomp_data`, jump, return.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// `struct seccomp_data`: where the number and the architecture are, and the lower half of the first argument (of 8
/// bytes each, on little-endian machines).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The kernel's answer to a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Fails with this error, and is not executed.
    Errno(u32),
    /// Executed, unless all tests of one of these rules hold: then it fails with `EPERM`.
    AllowUnless(Vec<&'static [Test]>),
}

/// `struct sock_filter`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instruction {
    code: u16,
    /// Instructions to skip if the condition holds, and if not.
    skip: [u8; 2],
    value: u32,
}

impl Instruction {
    pub(super) fn to_bytes(self) -> [u8; 8] {
        let ([code_0, code_1], [value_0, value_1, value_2, value_3]) =
            (self.code.to_ne_bytes(), self.value.to_ne_bytes());
        [code_0, code_1, self.skip[0], self.skip[1], value_0, value_1, value_2, value_3]
    }
}

/// Kills a process that makes a call of another architecture; a call without an answer fails with `ENOSYS`.
pub(super) fn program(architecture: u32, answers: &BTreeMap<u32, Answer>) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD, ARCHITECTURE),
        branch(JUMP_IF_EQUAL, architecture, [1, 0]),
        instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(LOAD, NUMBER),
    ];
    program.extend(search(&ranges(answers)));
    program
}

/// The first number of each range of equal answers, from 0 to the end of all numbers.
fn ranges(answers: &BTreeMap<u32, Answer>) -> Vec<(u32, Answer)> {
    let unknown = Answer::Errno(libc::ENOSYS.unsigned_abs());
    let mut ranges = vec![(0, unknown.clone())];
    for (&number, answer) in answers {
        // What follows the call before is unknown, unless it is this one.
        if ranges.last().is_some_and(|(from, _)| *from == number) {
            ranges.pop();
        }
        if ranges.last().is_none_or(|(_, last)| last != answer) {
            ranges.push((number, answer.clone()));
        }
        ranges.push((number + 1, unknown.clone()));
    }
    ranges
}

fn search(ranges: &[(u32, Answer)]) -> Vec<Instruction> {
    let (below, above) = ranges.split_at(ranges.len() / 2);
    let Some((from, answer)) = above.first() else { return Vec::new() };
    if below.is_empty() {
        return decide(answer);
    }
    let (below, above) = (search(below), search(above));
    let mut program = match u8::try_from(below.len()) {
        Ok(over) => vec![branch(JUMP_IF_AT_LEAST, *from, [over, 0])],
        Err(_) => vec![
            branch(JUMP_IF_AT_LEAST, *from, [0, 1]),
            instruction(JUMP, u32::try_from(below.len()).unwrap_or(u32::MAX)),
        ],
    };
    program.extend(below);
    program.extend(above);
    program
}

fn decide(answer: &Answer) -> Vec<Instruction> {
    let rules = match answer {
        Answer::Errno(error) => return vec![instruction(RETURN, libc::SECCOMP_RET_ERRNO | error)],
        Answer::AllowUnless(rules) => rules,
    };
    let mut program: Vec<Instruction> = rules.iter().flat_map(|tests| refuse_if_all(tests)).collect();
    program.push(instruction(RETURN, libc::SECCOMP_RET_ALLOW));
    program
}

/// Falls through if one of the tests does not hold.
fn refuse_if_all(tests: &[Test]) -> Vec<Instruction> {
    let mut program = Vec::new();
    for (index, test) in tests.iter().enumerate() {
        // Two instructions for each test after this one, and the return.
        let out = u8::try_from(2 * (tests.len() - index) - 1).unwrap_or(u8::MAX);
        let (argument, decision) = match *test {
            Test::Is(argument, value) => (argument, branch(JUMP_IF_EQUAL, value, [0, out])),
            Test::IsNot(argument, value) => (argument, branch(JUMP_IF_EQUAL, value, [out, 0])),
            Test::HasAny(argument, mask) => (argument, branch(JUMP_IF_ANY_BIT, mask, [0, out])),
        };
        program.push(instruction(LOAD, ARGUMENTS + 8 * u32::from(argument)));
        program.push(decision);
    }
    program.push(instruction(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()));
    program
}

fn instruction(code: u16, value: u32) -> Instruction {
    branch(code, value, [0, 0])
}

fn branch(code: u16, value: u32, skip: [u8; 2]) -> Instruction {
    Instruction { code, skip, value }
}

/// `struct seccomp_data`, without the instruction pointer.
#[cfg(test)]
pub(super) struct Data {
    pub(super) number: u32,
    pub(super) architecture: u32,
    pub(super) arguments: [u64; 6],
}

/// A second implementation of the kernel's interpreter.
#[cfg(test)]
pub(super) fn run(program: &[Instruction], data: &Data) -> u32 {
    let (mut at, mut loaded) = (0, 0);
    loop {
        let Instruction { code, skip, value } = program[at];
        at += 1;
        let holds = match code {
            LOAD => {
                loaded = match value {
                    NUMBER => data.number,
                    ARCHITECTURE => data.architecture,
                    argument => u32::try_from(data.arguments[(argument - ARGUMENTS) as usize / 8] & 0xffff_ffff)
                        .unwrap_or_default(),
                };
                continue;
            }
            JUMP => {
                at += value as usize;
                continue;
            }
            JUMP_IF_EQUAL => loaded == value,
            JUMP_IF_AT_LEAST => loaded >= value,
            JUMP_IF_ANY_BIT => loaded & value != 0,
            RETURN => return value,
            other => panic!("unknown instruction {other:#x}"),
        };
        at += usize::from(skip[usize::from(!holds)]);
    }
}
