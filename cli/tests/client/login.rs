//! `crownest login`, and where the address and the key come from.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::command::Home;
use crate::server::{Reply, Server};

fn api() -> Server {
    Server::start(|request, _| {
        if request.header("authorization") == Some("Bearer cn_live_wrong") {
            return Reply::Json(401, json!({"error": {"code": "invalid_api_key", "message": "unknown key"}}));
        }
        Reply::Json(200, json!({"data": [{"id": "prj_1", "name": "web\u{7}", "x": 1}], "hasMore": false}))
    })
}

#[test]
fn saves_a_checked_key_for_its_owner_only() {
    let (home, server) = (Home::new(), api());
    let config = home.path().join(".config/crownest/config.json");
    let login = |key: &str| home.bare(&["login", "--api-url", &server.url, "--api-key", key]).output().unwrap();

    assert_eq!(login("cn_live_wrong").status.code(), Some(1));
    assert!(!config.exists(), "a wrong key is not saved");

    let output = login("cn_live_good");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("prj_1  web\\u{7}"), "{text}");
    assert!(!text.contains("cn_live_good"));
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    let saved: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    assert_eq!(saved, json!({"apiUrl": server.url, "apiKey": "cn_live_good"}));

    // A file that others could read is replaced by one that they cannot; strangers' settings stay.
    std::fs::write(&config, r#"{"theme":"dark"}"#).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(login("cn_live_good").status.code(), Some(0));
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&config).unwrap().contains("dark"));

    // From now on neither flags nor variables are needed.
    let output = home.bare(&["projects", "list", "--json"]).output().unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list, json!({"data": [{"id": "prj_1", "name": "web\u{7}", "x": 1}], "hasMore": false}));

    // The saved key is for the saved address only.
    let elsewhere = api();
    let output = home.bare(&["projects", "list", "--api-url", &elsewhere.url]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn reads_the_key_from_standard_input() {
    let (home, server) = (Home::new(), api());
    let mut command = home.bare(&["login", "--api-url", &server.url, "--api-key", "-", "--json"]);
    command.env("XDG_CONFIG_HOME", home.path().join("xdg"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"cn_live_piped\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["data"]["projects"][0]["id"], "prj_1");
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer cn_live_piped"));
    assert!(home.path().join("xdg/crownest/config.json").exists());
}

#[test]
fn flags_win_over_variables_and_the_bearer_token_over_the_key() {
    let (home, server) = (Home::new(), api());
    let used = |command: &mut std::process::Command| {
        assert!(command.output().unwrap().status.success());
        server.requests().last().unwrap().header("authorization").unwrap().to_owned()
    };
    let list = ["projects", "list"];
    assert_eq!(used(home.command(&server.url, &list).env("CROWNEST_BEARER_TOKEN", "token")), "Bearer token");
    let flags = [&list[..], &["--api-key", "flag"]].concat();
    assert_eq!(used(home.command(&server.url, &flags).env("CROWNEST_BEARER_TOKEN", "token")), "Bearer flag");
    assert_eq!(used(home.command(&server.url, &list).env("CROWNEST_BEARER_TOKEN", "")), "Bearer cn_live_0123456789");
}
