//! The signed statements: who signed them, and that they are about exactly this bundle, its log and its artifacts.

use std::collections::HashSet;

use schemas::attestation::dsse::{Envelope, MAX_ENVELOPE_BYTES};
use schemas::attestation::predicate::{self, RUN_EVIDENCE, SLSA_PROVENANCE, TEST_RESULT};
use schemas::attestation::statement::{Statement, Subject as StatementSubject};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::bundle::Bundle;
use super::report::{Check, Report};
use super::{Subject, Trust};
use crate::source::{self, names};

/// The statement about everything, as far as it is known.
#[derive(Debug)]
pub(super) enum Attested {
    /// SHA-256 of its payload, whoever signed it.
    Payload(String),
    Missing,
    Unreadable,
}

/// A verified payload and the key, or the check that failed.
type Signed = Result<(Vec<u8>, String), Check>;

pub(super) fn evidence(bundle: &Bundle, subject: &Subject<'_>, report: &mut Report) -> Attested {
    report.keys_from = subject.trust.as_ref().map(|trust| trust.source.clone());
    let (envelope, attested) = match read(subject, names::ATTESTATION) {
        Ok(Some(envelope)) => {
            let payload = envelope.payload().ok().map(|payload| hex::encode(Sha256::digest(payload)));
            (envelope, payload.map_or(Attested::Unreadable, Attested::Payload))
        }
        Ok(None) => {
            report.push(Check::not_checked("signature", "there is no signed statement about this run"));
            report.push(Check::not_checked("statement", "there is no signed statement about this run"));
            return Attested::Missing;
        }
        Err(message) => {
            report.push(Check::failed("signature", message));
            return Attested::Unreadable;
        }
    };
    match signed("signature", &envelope, subject.trust.as_ref()) {
        Ok((payload, key)) => {
            report.push(Check::verified("signature", format!("by the key {key}")));
            report.signed_by = Some(key);
            report.push(match about_this_run(bundle, &payload) {
                Ok(subjects) => {
                    Check::verified("statement", format!("about this bundle and {} other objects", subjects - 1))
                }
                Err(message) => Check::failed("statement", message),
            });
        }
        Err(check) => {
            let message = "it is worth nothing without its signature";
            report.push(check);
            report.push(Check::not_checked("statement", message));
        }
    }
    attested
}

pub(super) fn provenance(bundle: &Bundle, subject: &Subject<'_>, report: &mut Report) {
    let missing = if bundle.content.artifacts.is_empty() {
        Check::absent("provenance", "a run without artifacts has none")
    } else {
        Check::not_checked("provenance", "there is no signed statement about the artifacts")
    };
    report.push(other("provenance", subject, names::PROVENANCE, missing, |payload| about_artifacts(bundle, payload)));
}

pub(super) fn test_result(bundle: &Bundle, subject: &Subject<'_>, report: &mut Report) {
    let missing = if predicate::test_result(&bundle.content, "", "").is_some() {
        Check::not_checked("test_result", "there is no signed statement about the tests that the bundle has")
    } else {
        Check::absent("test_result", "a run without test reports has none")
    };
    report.push(other("test_result", subject, names::TEST_RESULT, missing, |payload| about_tests(bundle, payload)));
}

/// A statement beside the one about everything.
fn other(
    check: &'static str,
    subject: &Subject<'_>,
    name: &str,
    missing: Check,
    compare: impl Fn(&[u8]) -> Result<String, String>,
) -> Check {
    let envelope = match read(subject, name) {
        Ok(None) => return missing,
        Ok(Some(envelope)) => envelope,
        Err(message) => return Check::failed(check, message),
    };
    match signed(check, &envelope, subject.trust.as_ref()) {
        Err(check) => check,
        Ok((payload, key)) => match compare(&payload) {
            Ok(about) => Check::verified(check, format!("{about}, signed by the key {key}")),
            Err(message) => Check::failed(check, message),
        },
    }
}

fn read(subject: &Subject<'_>, name: &str) -> Result<Option<Envelope>, String> {
    let Some(bytes) = source::read(subject.files, name, MAX_ENVELOPE_BYTES as u64)? else { return Ok(None) };
    Envelope::parse(&bytes).map(Some).map_err(|error| format!("{name}: {error}"))
}

fn signed(check: &'static str, envelope: &Envelope, trust: Option<&Trust>) -> Signed {
    let Some(trust) = trust else {
        let message = "no public keys are known: give them with --keys";
        return Err(Check::not_checked(check, message));
    };
    let verified = envelope.verify(&trust.keys);
    verified.map(|(payload, key)| (payload, key.id())).map_err(|error| Check::failed(check, error.to_string()))
}

/// The number of subjects of the statement, all of them as the bundle says.
fn about_this_run(bundle: &Bundle, payload: &[u8]) -> Result<usize, String> {
    let said = Statement::<Value>::parse(payload, RUN_EVIDENCE).map_err(|error| error.to_string())?;
    let key = format!("{}/{}", bundle.prefix(), names::EVIDENCE);
    let expected = predicate::run_evidence(&bundle.content, &key, &bundle.sha256);
    let sealed = said.subject.iter().find(|subject| subject.name == key).and_then(StatementSubject::sha256);
    if sealed != Some(&bundle.sha256) {
        let sealed = sealed.unwrap_or("nothing");
        return Err(format!("the bundle has SHA-256 {}, and {sealed} was signed: it was changed", bundle.sha256));
    }
    same_subjects(&said.subject, &expected.subject)?;
    let expected = serde_json::to_value(&expected.predicate).map_err(|error| error.to_string())?;
    for (member, expected) in expected.as_object().into_iter().flatten() {
        // Statements of earlier versions say less.
        if said.predicate.get(member).is_some_and(|said| said != expected) {
            return Err(format!("the statement has another `{member}` than the bundle"));
        }
    }
    Ok(said.subject.len())
}

fn about_artifacts(bundle: &Bundle, payload: &[u8]) -> Result<String, String> {
    let said = Statement::<Value>::parse(payload, SLSA_PROVENANCE).map_err(|error| error.to_string())?;
    let artifacts = bundle.content.artifacts.iter();
    let expected: Vec<_> =
        artifacts.map(|artifact| StatementSubject::new(&artifact.object_key, &artifact.sha256)).collect();
    same_subjects(&said.subject, &expected)?;
    let run = &said.predicate["runDetails"]["metadata"]["invocationId"];
    if *run != *bundle.content.workspace_run_id.as_str() {
        return Err("the statement is about another run".to_owned());
    }
    Ok(format!("of {} artifacts", said.subject.len()))
}

fn about_tests(bundle: &Bundle, payload: &[u8]) -> Result<String, String> {
    let said = Statement::<Value>::parse(payload, TEST_RESULT).map_err(|error| error.to_string())?;
    let key = format!("{}/{}", bundle.prefix(), names::EVIDENCE);
    let expected = predicate::test_result(&bundle.content, &key, &bundle.sha256)
        .ok_or("there is a statement about tests, and the bundle has none")?;
    same_subjects(&said.subject, &expected.subject)?;
    let differs =
        ["result", "configuration"].into_iter().find(|name| said.predicate[*name] != expected.predicate[*name]);
    match differs {
        Some(member) => Err(format!("the statement has another `{member}` than the bundle")),
        None => Ok(format!(
            "{} tests: {}",
            bundle.content.tests.as_ref().map_or(0, |tests| tests.counts.total),
            text(&said.predicate["result"])
        )),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn same_subjects(said: &[StatementSubject], expected: &[StatementSubject]) -> Result<(), String> {
    let pairs = |subjects: &'_ [StatementSubject]| -> HashSet<(String, Option<String>)> {
        subjects.iter().map(|subject| (subject.name.clone(), subject.sha256().map(str::to_owned))).collect()
    };
    let (said, expected) = (pairs(said), pairs(expected));
    if let Some((name, _)) = expected.difference(&said).min() {
        return Err(format!("`{name}` is not signed for as the bundle has it"));
    }
    if let Some((name, _)) = said.difference(&expected).min() {
        return Err(format!("`{name}` is signed for, and the bundle does not have it"));
    }
    Ok(())
}
