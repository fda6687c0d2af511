//! Templates: imported from images, found by commands, and always of the content that the digest says.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::{Crownest, Stack, archive, marked_root, root_tar, small_root};

async fn run(crownest: &Crownest, args: &[&str]) -> Value {
    crownest.run([&["admin", "--json", "templates"], args].concat()).await.expect(0).data()
}

async fn refused(crownest: &Crownest, args: &[&str]) -> (String, String) {
    crownest.run([&["admin", "--json", "templates"], args].concat()).await.error()
}

/// Runs `cat` of the marker in a template and returns the output and the evidence.
async fn marker_in(stack: &Stack, body: Value) -> (String, Value) {
    let client = stack.client();
    let mut body = body;
    body["command"] = json!("cat /etc/marker");
    let run = client.submit(body, &archive(&[("a", "")])).await;
    let ended = client.wait_terminal(&run).await;
    let evidence = client.evidence(&run).await;
    assert_eq!(evidence["template"]["digest"], ended["templateDigest"], "{ended}");
    let events = client.events(&run, 100).await;
    let output = events.iter().filter_map(|event| event["data"].as_str().filter(|_| event["type"] == "stdout"));
    (output.collect(), evidence)
}

#[tokio::test]
async fn a_version_is_imported_used_and_replaced() {
    let stack = Stack::start().await;
    let crownest = Crownest::admin(&stack);
    let [first, second] = ["one", "two"].map(|marker| marked_root(stack.folder.path(), marker));
    let import =
        async |path: &str, more: &[&str]| run(&crownest, &[&["import", path, "--slug", "tiny"], more].concat()).await;

    let one = import(&first, &["--version", "1.0"]).await;
    assert_eq!((&one["isCurrent"], &one["existed"], &one["version"]), (&json!(true), &json!(false), &json!("1.0")));
    let (output, evidence) = marker_in(&stack, json!({"template": "tiny"})).await;
    assert_eq!(output, "one");
    let digest = format!("sha256:{}", one["sha256"].as_str().expect("a digest"));
    let expected = json!({
        "id": one["id"], "slug": "tiny", "version": "1.0", "versionId": one["versionId"], "digest": digest,
    });
    assert_eq!(evidence["template"], expected);
    // The digest is of the tar in the store: anybody can check it.
    let object = stack.store.get(one["key"].as_str().expect("a key")).await.expect("the object");
    let tar = zstd::decode_all(&object[..]).expect("zstd");
    assert_eq!(format!("sha256:{}", hex::encode(Sha256::digest(&tar))), digest);

    let two = import(&second, &["--not-current"]).await;
    assert_eq!(two["version"], json!(two["sha256"].as_str().expect("a digest")[..12]), "named by its digest");
    assert_eq!((&two["id"], &two["isCurrent"]), (&one["id"], &json!(false)));
    assert_eq!(marker_in(&stack, json!({"template": "tiny"})).await.0, "one");
    assert_eq!(marker_in(&stack, json!({"templateVersionId": two["versionId"]})).await.0, "two");
    let used = run(&crownest, &["use", two["versionId"].as_str().expect("an id")]).await;
    assert_eq!(used["isCurrent"], json!(true));
    assert_eq!(marker_in(&stack, json!({"template": "tiny"})).await.0, "two");

    let again = import(&first, &["--version", "1.0"]).await;
    assert_eq!((&again["existed"], &again["versionId"]), (&json!(true), &one["versionId"]));
    let listed = run(&crownest, &["list"]).await;
    let current: Vec<_> = listed.as_array().expect("a list").iter().filter(|one| one["isCurrent"] == true).collect();
    assert_eq!(current.len(), 2, "one of each template: {listed}");
    assert_eq!(marker_in(&stack, json!({"template": "tiny"})).await.0, "one");

    let (code, message) = refused(&crownest, &["import", &second, "--slug", "tiny", "--version", "1.0"]).await;
    assert_eq!(code, "conflict");
    assert!(message.contains("1.0 of tiny exists already, with other content"), "{message}");
}

#[tokio::test]
async fn what_is_no_root_file_system_is_refused_and_stores_nothing() {
    let stack = Stack::start().await;
    let crownest = Crownest::admin(&stack);
    let folder = stack.folder.path();
    let good = marked_root(folder, "good");
    let named = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    };
    let files = |files: &[(&str, &str)]| {
        root_tar(&files.iter().map(|(path, text)| ((*path).to_owned(), (*text).into())).collect())
    };
    let no_shell = named("no-shell.tar", &files(&[("etc/passwd", "x")]));
    let saved = named("saved.tar", &files(&[("oci-layout", "{}"), ("index.json", "{}")]));
    let noise = named("noise.tar", &[b'x'; 5000]);
    let cut = named("cut.tar", &fs::read(&good).expect("a file")[..50_000]);
    let packed = named("xz.tar", b"\xfd7zXZ\0");
    let elsewhere = folder.display().to_string();
    for (args, code, expected) in [
        (vec!["import", &no_shell, "--slug", "x"], "invalid_request", "/bin/sh: expected a program"),
        (vec!["import", &saved, "--slug", "x"], "invalid_request", "unpack it into a folder first"),
        (vec!["import", &noise, "--slug", "x"], "invalid_request", "noise.tar cannot be read"),
        (vec!["import", &cut, "--slug", "x"], "invalid_request", "cut.tar cannot be read"),
        (vec!["import", &packed, "--slug", "x"], "invalid_request", "not with xz"),
        (vec!["import", "/nonexistent", "--slug", "x"], "invalid_request", "/nonexistent cannot be read"),
        (vec!["import", &elsewhere, "--slug", "x"], "invalid_request", "a folder without the file `oci-layout`"),
        (vec!["import", &good, "--slug", "x", "--ref", "y"], "invalid_request", "a tar, which has no names of images"),
        (vec!["import", &good, "--slug", "No Name"], "invalid_request", "the slug: expected 1 to 63 characters"),
        (vec!["import", &good, "--slug", "x", "--version", "../x"], "invalid_request", "the version: expected"),
        (vec!["use", "tplv_none"], "not_found", "template version tplv_none does not exist"),
    ] {
        let (found, message) = refused(&crownest, &args).await;
        assert_eq!(found, code, "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
    }
    assert_eq!(run(&crownest, &["list"]).await.as_array().map(Vec::len), Some(1), "only what was there before");
    let client = stack.client();
    let unknown = json!({"command": "true", "template": "x"});
    assert_eq!(client.post("/v1/workspace-runs", &unknown).await.error(404), "not_found");
}

#[tokio::test]
async fn what_the_store_has_must_be_what_the_digest_says() {
    let stack = Stack::start().await;
    let crownest = Crownest::admin(&stack);
    let imported = run(&crownest, &["import", &marked_root(stack.folder.path(), "whole"), "--slug", "tiny"]).await;
    let key = imported["key"].as_str().expect("a key");
    let mut other = small_root();
    other.insert("etc/marker".to_owned(), b"swapped".to_vec());
    let swapped = zstd::encode_all(&root_tar(&other)[..], 1).expect("in memory");
    let cut = zstd::encode_all(&vec![0; 100_000][..], 1).expect("in memory");
    for bytes in [swapped, cut[..cut.len() / 2].to_vec(), b"noise".to_vec(), Vec::new()] {
        stack.store.delete(key).await.expect("deleted");
        stack.store.put_new(key, bytes.into(), "application/zstd").await.expect("written");
        let (output, evidence) = marker_in(&stack, json!({"template": "tiny"})).await;
        assert_eq!((output.as_str(), &evidence["failureReason"]), ("", &json!("internal_error")));
        let message = evidence["outcomeMessage"].as_str().unwrap_or_default();
        assert!(message.starts_with("template tiny ") && message.contains("is damaged"), "{evidence}");
    }
    stack.store.delete(key).await.expect("deleted");
    run(&crownest, &["import", &marked_root(stack.folder.path(), "whole"), "--slug", "tiny"]).await;
    assert_eq!(marker_in(&stack, json!({"template": "tiny"})).await.0, "whole", "imported again, it is repaired");
}

/// An OCI image layout on disk.
struct Layout(PathBuf);

impl Layout {
    fn blob(&self, content: &[u8]) -> Value {
        let digest = hex::encode(Sha256::digest(content));
        let folder = self.0.join("blobs/sha256");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(&digest), content).expect("a file");
        json!({"digest": format!("sha256:{digest}"), "size": content.len()})
    }

    fn image(&self, name: &str, architecture: &str, layers: &[(&str, Vec<u8>)]) -> Value {
        let config = json!({
            "architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {
                "Env": ["PATH=/opt/bin:/bin", "GREETING=hello", "HOME=/root", "CROWNEST=no"],
                "WorkingDir": "/srv/\u{1b}[31mapp", "User": "1001:1001", "Entrypoint": ["/init", "--"], "Cmd": ["x"],
            },
        });
        let layers: Vec<Value> = layers
            .iter()
            .map(|(media_type, content)| {
                let mut layer = self.blob(content);
                layer["mediaType"] = json!(format!("application/vnd.oci.image.layer.v1.{media_type}"));
                layer
            })
            .collect();
        let config = self.blob(config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        let mut manifest = self.blob(manifest.to_string().as_bytes());
        manifest["mediaType"] = json!("application/vnd.oci.image.manifest.v1+json");
        manifest["platform"] = json!({"architecture": architecture, "os": "linux"});
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        manifest
    }

    fn finish(&self, manifests: &[Value]) -> String {
        fs::write(self.0.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a file");
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.0.join("index.json"), index.to_string()).expect("a file");
        self.0.display().to_string()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

#[tokio::test]
async fn an_image_of_layers_becomes_one_root() {
    let stack = Stack::start().await;
    let crownest = Crownest::admin(&stack);
    let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let text = |files: &[(&str, &str)]| {
        root_tar(&files.iter().map(|(path, text)| ((*path).to_owned(), (*text).into())).collect())
    };
    let layout = Layout(stack.folder.path().join("image"));
    let base = gzip(&root_tar(&small_root()));
    let below = text(&[("etc/marker", "below"), ("etc/gone", "x"), ("data/old", "x")]);
    let above = zstd::encode_all(
        &text(&[("etc/marker", "above"), ("etc/.wh.gone", ""), ("data/.wh..wh..opq", ""), ("data/new", "x")])[..],
        1,
    )
    .expect("in memory");
    let layers = [("tar+gzip", base), ("tar", below), ("tar+zstd", above)];
    let wanted = layout.image("wanted", here, &layers);
    let other = layout.image("other", here, &layers[..1]);
    let foreign = layout.image("wanted", "riscv64", &layers[..1]);
    let path = layout.finish(&[wanted.clone(), other, foreign]);

    let (code, message) = refused(&crownest, &["import", &path, "--slug", "image"]).await;
    assert_eq!(code, "invalid_request");
    assert!(message.contains("found 2; the layout has wanted (linux/"), "{message}");
    let imported = run(&crownest, &["import", &path, "--slug", "image", "--ref", "wanted"]).await;
    assert_eq!(imported["env"], json!({"PATH": "/opt/bin:/bin", "GREETING": "hello"}));
    let ignored = json!([
        {"name": "WorkingDir", "value": "/srv/\u{1b}[31mapp"},
        {"name": "User", "value": "1001:1001"},
        {"name": "Entrypoint", "value": "[\"/init\",\"--\"]"},
    ]);
    assert_eq!(imported["ignored"], ignored);
    let again = ["admin", "templates", "import", &path, "--slug", "image", "--ref", "wanted"];
    let said = crownest.run(again).await.expect(0).stderr;
    for warning in [
        "the image's WorkingDir is not heeded in runs: /srv/\\u{1b}[31mapp\n",
        "the image's User is not heeded in runs: 1001:1001\n",
        "the image's Entrypoint is not heeded in runs: [\"/init\",\"--\"]\n",
    ] {
        assert!(said.contains(warning), "{said}");
    }

    let client = stack.client();
    let command = "cat /etc/marker; echo; ls /etc /data; echo $PATH $GREETING $HOME $CROWNEST $ADDED; touch /x 2>/dev/null || echo read-only";
    let body = json!({"command": command, "template": "image", "env": {"ADDED": "own", "GREETING": "mine"}});
    let run_id = client.submit(body, &archive(&[("a", "")])).await;
    client.wait_terminal(&run_id).await;
    let events = client.events(&run_id, 100).await;
    let output: String =
        events.iter().filter(|event| event["type"] == "stdout").filter_map(|event| event["data"].as_str()).collect();
    // `touch` is not in this root at all.
    let expected = "above\n/data:\nnew\n\n/etc:\ngroup\nmarker\npasswd\n/home/runner/.local/bin:/opt/bin:/bin mine /home/runner 1 own\nread-only\n";
    assert_eq!(output, expected);

    let digest = wanted["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
    let manifest: Value =
        serde_json::from_slice(&fs::read(layout.0.join("blobs/sha256").join(digest)).expect("a file")).expect("JSON");
    let layer =
        manifest["layers"][1]["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("one");
    fs::write(layout.0.join("blobs/sha256").join(layer), text(&[("etc/marker", "forge")])).expect("a file");
    let (code, message) = refused(&crownest, &["import", &path, "--slug", "image", "--ref", "wanted"]).await;
    assert_eq!(code, "invalid_request");
    assert!(message.contains(layer) && message.contains("has the digest sha256:"), "{message}");
}
