//! Errors, for people and for programs.

use std::io::Read as _;
use std::process::Stdio;

use serde_json::json;

use crate::command::Home;
use crate::server::{Reply, Server};

#[test]
fn an_error_of_the_api_keeps_its_facts() {
    let server = Server::start(|_, _| {
        let error =
            json!({"code": "invalid_api_key", "message": "the key\u{1b}[2J is revoked", "details": {"prefix": "cn"}});
        Reply::Json(401, json!({"error": error}))
    });
    let home = Home::new();
    let ended = home.run(&server.url, &["usage", "--json"]);
    assert_eq!((ended.code, ended.out().as_str()), (Some(1), ""));
    let error = ended.error();
    assert_eq!(error["code"], "invalid_api_key");
    assert_eq!(error["status"], 401);
    assert_eq!(error["retryable"], false);
    assert_eq!(error["details"], json!({"prefix": "cn"}));
    assert!(error["remediation"].as_str().unwrap().contains("crownest login"));
    assert_eq!(ended.err().lines().count(), 1);

    let readable = home.run(&server.url, &["usage"]).err();
    assert!(readable.starts_with("error: the key\\u{1b}[2J is revoked (invalid_api_key, HTTP 401)\n"), "{readable}");
    assert!(readable.contains("\n  hint: "), "{readable}");
}

#[test]
fn foreign_answers_are_reported_not_trusted() {
    let check = |reply: fn() -> Reply, code: &str| {
        let server = Server::start(move |_, _| reply());
        let ended = Home::new().run(&server.url, &["usage", "--json"]);
        assert_eq!((ended.code, ended.error()["code"].as_str()), (Some(1), Some(code)), "{}", ended.err());
        assert_eq!(server.requests().len(), 1);
    };
    check(|| Reply::Bytes(200, vec![], b"<html>hello</html>".to_vec()), "invalid_response");
    check(|| Reply::Bytes(404, vec![], b"<html>nothing</html>".to_vec()), "http_404");
    check(|| Reply::Bytes(302, vec![("location", "http://127.0.0.1:1/".to_owned())], vec![]), "invalid_response");
}

#[test]
fn without_a_configuration_it_says_what_to_do() {
    let home = Home::new();
    let output = home.bare(&["usage", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("not_configured") && text.contains("crownest login"), "{text}");
}

#[test]
fn usage_errors_exit_with_two() {
    let home = Home::new();
    for args in [
        &["frobnicate"] as &[&str],
        &["runs", "status", "prj_1"],
        &["runs", "status", "../x"],
        &["runs", "create"],
        &["runs", "create", "--metadata", "novalue", "--", "true"],
        &["runs", "list", "--status", "done"],
        &["runs", "list", "--limit", "0"],
        &["runs", "create", "--timeout-ms", "soon", "--", "true"],
    ] {
        assert_eq!(home.run("http://127.0.0.1:1", args).code, Some(2), "{args:?}");
    }
    assert_eq!(home.run("http://127.0.0.1:1", &["--help"]).code, Some(0));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let server = Server::start(|_, _| {
        let runs: Vec<_> = (0..20_000).map(|n| json!({"id": format!("wsr_{n}"), "status": "failed"})).collect();
        Reply::Json(200, json!({"data": runs, "hasMore": false}))
    });
    let home = Home::new();
    let mut command = home.command(&server.url, &["runs", "list"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 2];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
