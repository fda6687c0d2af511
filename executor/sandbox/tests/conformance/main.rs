//! The conformance suite: what must hold of a sandbox, asserted from inside and from outside, the same on each engine.
//!
//! Cases are data: a name, the CVE or mechanism that it is about, what is tried, and what must come of it. Where an engine
//! differs, the case says so, with the reason, and what comes of it there is asserted instead. Nothing is skipped: without
//! its engines the suite fails and says what to install.
//!
//! The fourth variant is bubblewrap without root: the same tests, in a process that an ordinary user has started.
#[path = "../support/ordinary.rs"]
mod ordinary;
#[path = "../support/mod.rs"]
mod support;

mod calls;
mod case;
mod cleanup;
mod endings;
mod engine;
mod files;
mod identity;
mod limits;
mod neighbours;
mod network;
mod outside;
mod processes;
mod roots;

/// The table has what was promised, under names that tell cases apart.
#[test]
fn there_are_enough_cases_and_each_has_a_name_and_a_reason() {
    let tables = [identity::CASES, files::CASES, network::CASES, processes::CASES, limits::CASES, endings::CASES];
    let mut names: Vec<&str> = tables.concat().iter().map(|case| case.name).collect();
    assert!(tables.concat().iter().all(|case| !case.mechanism.is_empty()));
    names.extend(calls::CALLS.iter().map(|call| call.name));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "two cases have one name");
    assert!(count >= 120, "{count}");
}
