//! Limits of the sandbox as a client sees them: evidence and metrics name the limit that was met, in the kernel's
//! words.

use serde_json::json;
use testkit::{Options, Stack, archive};

#[tokio::test]
async fn a_full_disk_and_a_lack_of_memory_are_told_apart() {
    let flags = ["--disk-bytes", "67108864", "--memory-bytes", "134217728"];
    let executor_flags = flags.map(str::to_owned).to_vec();
    let stack = Stack::with(Options { executor_flags, ..Default::default() }).await;
    let client = stack.client();
    let archive = archive(&[("x", "")]);
    let mut bundles = Vec::new();
    for command in [
        "head -c 100000000 /dev/zero > big || exit 28",
        "head -c 100000000 /dev/zero > /tmp/big || exit 28",
        "head -c 300000000 /dev/zero | tail -c 300000000 > /dev/null; exit 9",
        "exit 3",
        // The limit was met and survived: nothing to report.
        "head -c 100000000 /dev/zero > big; rm big; exit 4",
    ] {
        let run = client.submit(json!({"command": command}), &archive).await;
        let ended = client.wait_terminal(&run).await;
        assert_eq!(ended["status"], "failed", "{ended}");
        bundles.push(client.evidence(&run).await);
    }
    let [disk, tmp, memory, neither, over] = &bundles[..] else { panic!("{bundles:?}") };
    for disk in [disk, tmp] {
        assert_eq!(disk["exitCode"], 28);
        assert!(disk["outcomeMessage"].as_str().unwrap().contains("disk limit"), "{disk}");
        assert_eq!(disk["resources"]["limits"]["diskBytes"], 67_108_864);
        assert!(disk["resources"]["diskUsedBytes"].as_u64() > Some(50_000_000), "{disk}");
    }
    assert_eq!(memory["exitCode"], 9);
    assert!(memory["outcomeMessage"].as_str().unwrap().contains("memory limit"), "{memory}");
    for bundle in [neither, over] {
        assert!(bundle["outcomeMessage"].is_null(), "{bundle}");
        assert!(bundle["resources"]["diskUsedBytes"].as_u64() < Some(1_000_000), "{bundle}");
    }
}
