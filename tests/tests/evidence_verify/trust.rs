//! Keys: named, pinned, changed, or from the same hand as the evidence.

use std::fs;

use testkit::Crownest;

use super::{OTHER_KEYS, ended_run, exported, stack, verify};

#[tokio::test]
async fn nothing_is_verified_whose_signer_nobody_named() {
    let stack = stack().await;
    let run = ended_run(&stack).await;
    let (temporary, good) = exported(&stack, &run).await;
    let (good_text, beside) = (good.to_str().unwrap(), good.join("jwks.json"));
    // Keys from the same hand as the evidence: from the folder, and from the API.
    let cli = Crownest::of(&stack);
    for source in [good_text, &run] {
        let (code, open) = verify(&cli, &[source]).await;
        assert_eq!((code, open.len()), (4, 1), "{source}: {open:?}");
        let told = cli.run(["evidence", "verify", source]).await.expect(4).text();
        assert!(told.contains("CONSISTENT, BUT NOT VERIFIED") && !told.contains("verified    "), "{told}");
    }
    let exported = temporary.path().join("exported");
    cli.run(["evidence", "export", &run, exported.to_str().unwrap()]).await.expect(4);
    cli.run(["evidence", "audit"]).await.expect(4);

    // Named or pinned, they count.
    assert_eq!(verify(&cli, &[good_text, "--keys", beside.to_str().unwrap()]).await.0, 0);
    let named = Crownest::new().with("CROWNEST_TRUSTED_KEYS", beside.to_str().unwrap());
    assert_eq!(verify(&named, &[good_text]).await.0, 0);
    let pinned = cli.run(["evidence", "trust", "--json"]).await.expect(0).data();
    assert_eq!(
        (pinned[0]["from"].as_str(), pinned.as_array().map(Vec::len)),
        (Some(&*format!("{}/", stack.api_url)), Some(1))
    );
    assert_eq!(verify(&cli, &[&run]).await.0, 0);
    cli.run(["evidence", "audit"]).await.expect(0);

    // Keys that turn up later are not taken silently, and a key that is not pinned any more vouches for nothing.
    let file = temporary.path().join("keys.json");
    let file = file.to_str().unwrap();
    let id = pinned[0]["id"].as_str().unwrap();
    fs::copy(&beside, file).unwrap();
    assert_eq!(cli.run(["evidence", "trust", file]).await.expect(0).text().matches(id).count(), 1);
    let keyless = Crownest::new();
    keyless.run(["evidence", "trust", file]).await.expect(0);
    fs::write(file, OTHER_KEYS).unwrap();
    assert_eq!(keyless.run(["evidence", "trust", file, "--json"]).await.error().0, "keys_changed");
    keyless.run(["evidence", "trust", file, "--add"]).await.expect(0);
    keyless.run(["evidence", "trust", "--forget", id]).await.expect(0);
    let (code, open) = verify(&keyless, &[good_text]).await;
    assert_eq!(code, 3, "{open:?}");
    assert!(
        keyless
            .run(["evidence", "trust", "--list"])
            .await
            .expect(0)
            .text()
            .contains("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
    );
    for (content, code) in [("{}", "invalid_keys"), ("{\"keys\":[]}", "invalid_keys"), ("no JSON", "invalid_keys")] {
        fs::write(file, content).unwrap();
        assert_eq!(cli.run(["evidence", "trust", file, "--json"]).await.error().0, code, "{content}");
    }
}
