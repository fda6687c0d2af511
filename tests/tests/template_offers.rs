//! Templates as clients see them, and versions that an operator deletes.

use schemas::scope::Scope;
use serde_json::{Value, json};
use testkit::{Crownest, Stack, archive, marked_root};

async fn import(stack: &Stack, marker: &str, slug: &str, more: &[&str]) -> Value {
    let path = marked_root(stack.folder.path(), marker);
    let args = [&["admin", "--json", "templates", "import", &path, "--slug", slug][..], more].concat();
    Crownest::admin(stack).run(args).await.expect(0).data()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a text")
}

#[tokio::test]
async fn clients_see_what_there_is() {
    let stack = Stack::start().await;
    let one = import(&stack, "one", "tiny", &["--version", "1.0"]).await;
    let two = import(&stack, "two", "tiny", &["--version", "2.0", "--not-current"]).await;
    let hidden = import(&stack, "one", "hidden", &["--version", "1.0", "--not-current"]).await;
    // Any key may list templates.
    let reader = stack.client_with(&[Scope::UsageRead], None).await;

    let listed = reader.get("/v1/templates").await.expect(200);
    assert_eq!(listed["hasMore"], false);
    let slugs: Vec<&str> = listed["data"].as_array().expect("a list").iter().map(|one| text(one, "slug")).collect();
    assert_eq!(slugs, ["hidden", "tiny", "python-node"], "newest first");
    let tiny = reader.get("/v1/templates/tiny").await.expect(200)["template"].clone();
    let version = |imported: &Value| {
        json!({
            "id": imported["versionId"], "version": imported["version"], "isCurrent": imported["isCurrent"],
            "digest": format!("sha256:{}", text(imported, "sha256")), "createdAt": imported["createdAt"],
        })
    };
    let expected = json!({
        "id": one["id"], "slug": "tiny", "isDefault": false, "createdAt": one["createdAt"],
        "currentVersionId": one["versionId"], "versions": [version(&two), version(&one)],
    });
    assert_eq!(tiny, expected);
    assert_eq!(listed["data"][1], tiny);
    assert_eq!(reader.get(&format!("/v1/templates/{}", text(&one, "id"))).await.expect(200)["template"], tiny);
    let host = &listed["data"][2];
    assert_eq!((&host["isDefault"], host["versions"][0].get("digest")), (&json!(true), None), "the host's /usr");
    assert_eq!(listed["data"][0].get("currentVersionId"), None);
    for name in ["none", "tpl_none", "%00", "%2e%2e", "TINY", &"x".repeat(500)] {
        let answer = reader.get(&format!("/v1/templates/{name}")).await;
        assert_eq!(answer.error(404), "not_found", "{name}");
    }

    let client = Crownest::of(&stack);
    let first = client.run(["templates", "list", "--json", "--all", "--limit", "1"]).await.expect(0);
    assert_eq!(first.data(), listed["data"], "page by page");
    assert_eq!(client.run(["templates", "show", "tiny", "--json"]).await.expect(0).data(), tiny);
    let shown = client.run(["templates", "show", "tiny"]).await.expect(0).text();
    assert!(shown.contains("2.0") && shown.contains(text(&one, "versionId")), "{shown}");
    let table = client.run(["templates", "list"]).await.expect(0).text();
    assert_eq!(table.lines().count(), 4, "{table}");
    client.run(["templates", "show", "../projects"]).await.expect(1);

    // An error about an unknown template lists the known ones.
    let api = stack.client();
    for (body, expected) in [
        (json!({"template": "none"}), "There is hidden, python-node, tiny.".to_owned()),
        (json!({"template": "\u{0}"}), "There is hidden, python-node, tiny.".to_owned()),
        (json!({"template": "hidden"}), format!("There is {} (1.0).", text(&hidden, "versionId"))),
        (
            json!({"template": "tiny", "templateVersionId": hidden["versionId"]}),
            format!("There is {} (2.0), {} (1.0).", text(&two, "versionId"), text(&one, "versionId")),
        ),
        (json!({"templateVersionId": "tplv_none"}), format!("{} (tiny 2.0)", text(&two, "versionId"))),
    ] {
        let mut asked = body.clone();
        asked["command"] = json!("true");
        let error = api.post("/v1/workspace-runs", &asked).await.expect(404)["error"].clone();
        let message = text(&error, "message");
        assert!(message.contains(&expected), "{body}: {message}");
    }
}

#[tokio::test]
async fn a_version_is_deleted_when_nobody_needs_it() {
    let stack = Stack::start().await;
    import(&stack, "one", "tiny", &["--version", "1.0"]).await;
    let two = import(&stack, "two", "tiny", &["--version", "2.0", "--not-current"]).await;
    import(&stack, "two", "other", &["--version", "x", "--not-current"]).await;
    let (key, id) = (text(&two, "key"), text(&two, "versionId"));
    let client = stack.client();
    let body = json!({"command": "cat /etc/marker", "templateVersionId": id});
    let ended = client.submit(body.clone(), &archive(&[("a", "")])).await;
    assert_eq!(client.wait_terminal(&ended).await["status"], "succeeded");
    let open = client.create(body.clone()).await;

    for (args, code, expected) in [
        (["delete", "tiny", "1.0"], "conflict", "make another version current first"),
        (["delete", "tiny", "2.0"], "conflict", "used by 1 unfinished runs"),
        (["delete", "tiny", "3.0"], "not_found", "version 3.0 of tiny does not exist"),
        (["delete", "none", "1.0"], "not_found", "version 1.0 of none does not exist"),
    ] {
        let args = [&["admin", "--json", "templates"], &args[..]].concat();
        let (found, message) = Crownest::admin(&stack).run(&args).await.error();
        assert_eq!(found, code, "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
    }
    client.cancel(&open).await.expect(200);
    client.wait_terminal(&open).await;

    let delete = async |slug: &str, version: &str| {
        Crownest::admin(&stack).run(["admin", "--json", "templates", "delete", slug, version]).await.expect(0).data()
    };
    let deleted = delete("tiny", "2.0").await;
    assert_eq!((&deleted["versionId"], &deleted["objectDeleted"]), (&two["versionId"], &json!(false)));
    assert!(stack.store.size(key).await.expect("an answer").is_some(), "the other one has the same content");
    assert_eq!(client.post("/v1/workspace-runs", &body).await.error(404), "not_found");
    assert_eq!(delete("other", "x").await["objectDeleted"], true);
    assert_eq!(stack.store.size(key).await.expect("an answer"), None);
    assert_eq!(client.get("/v1/templates/other").await.error(404), "not_found");
    let digest = format!("sha256:{}", text(&two, "sha256"));
    for run in [&ended, &open] {
        assert_eq!(client.evidence(run).await["template"]["digest"], digest, "evidence stays what it was");
    }
    let again = import(&stack, "two", "tiny", &["--version", "2.0", "--not-current"]).await;
    assert_eq!((&again["existed"], &again["versionId"]), (&json!(false), &two["versionId"]));
    let run = client.submit(body, &archive(&[("a", "")])).await;
    assert_eq!(client.wait_terminal(&run).await["status"], "succeeded");
}

/// Either the runs come first, and the version stays, or the deletion does, and there are no runs.
#[tokio::test]
async fn no_run_is_left_with_a_deleted_version() {
    let stack = Stack::start().await;
    for round in 0..3 {
        let slug = format!("tiny{round}");
        let imported = import(&stack, "x", &slug, &["--version", "1", "--not-current"]).await;
        let body = json!({"command": "true", "templateVersionId": imported["versionId"]});
        let client = stack.client();
        let creating = (0..8).map(|_| client.post("/v1/workspace-runs", &body));
        let crownest = Crownest::admin(&stack);
        let deleting = crownest.run(["admin", "--json", "templates", "delete", &slug, "1"]);
        let (created, deleted) = tokio::join!(futures_util::future::join_all(creating), deleting);
        let created: Vec<u16> = created.iter().map(|answer| answer.status.as_u16()).collect();
        let expected = if deleted.code == 0 { 404 } else { 201 };
        assert!(created.iter().all(|status| *status == expected), "{created:?} {}", deleted.stderr);
        assert_eq!(client.get(&format!("/v1/templates/{slug}")).await.status == 404, deleted.code == 0);
        for run in client.get("/v1/workspace-runs").await.expect(200)["data"].as_array().expect("a list") {
            client.cancel(text(run, "id")).await.expect(200);
        }
    }
}
