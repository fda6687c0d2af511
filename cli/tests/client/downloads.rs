//! Artifacts: whole, checked, and resumed.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::command::Home;
use crate::server::{Reply, Request, Server};

const CONTENT: &[u8] = b"0123456789";

fn api(
    name: &'static str,
    sha256: String,
    download: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
) -> Server {
    Server::start(move |request, before| match request.route().as_str() {
        "GET /v1/artifacts/art_1" => {
            Reply::Json(200, json!({"artifact": {"id": "art_1", "name": name, "sizeBytes": 10, "sha256": sha256}}))
        }
        _ => download(request, before),
    })
}

fn digest() -> String {
    hex::encode(Sha256::digest(CONTENT))
}

fn whole(_: &Request, _: usize) -> Reply {
    Reply::Bytes(200, vec![], CONTENT.to_vec())
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let server = api("a.txt", digest(), |request, attempt| {
        if attempt == 0 {
            return Reply::Cut(200, vec![], CONTENT[..4].to_vec());
        }
        assert_eq!(request.header("range"), Some("bytes=4-"));
        Reply::Bytes(206, vec![], CONTENT[4..].to_vec())
    });
    let home = Home::new();
    home.run(&server.url, &["artifacts", "download", "art_1"]).success();
    assert_eq!(std::fs::read(home.path().join("a.txt")).unwrap(), CONTENT);
    assert_eq!(home.run(&server.url, &["artifacts", "download", "art_1"]).code, Some(1), "the file exists");
    let args = ["artifacts", "download", "art_1", "--output", "-"];
    let other = api("a.txt", digest(), whole);
    assert_eq!(home.run(&other.url, &args).success().stdout, CONTENT);
}

#[test]
fn a_wrong_digest_leaves_no_file() {
    let server = api("a.txt", "0".repeat(64), whole);
    let home = Home::new();
    let ended = home.run(&server.url, &["artifacts", "download", "art_1", "--output", "b.txt", "--json"]);
    assert_eq!((ended.code, ended.error()["code"].as_str()), (Some(1), Some("checksum_mismatch")));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn the_name_of_an_artifact_cannot_choose_a_folder() {
    let home = Home::new();
    let server = api("../../b.txt", digest(), whole);
    home.run(&server.url, &["artifacts", "download", "art_1"]).success();
    assert!(home.path().join("b.txt").exists());
    for name in ["..", ".bashrc", ""] {
        let ended = home.run(&api(name, digest(), whole).url, &["artifacts", "download", "art_1"]);
        assert_eq!(ended.code, Some(1), "{name:?}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
}
