//! Network egress by policy: set by operators, requested by runs, fixed when a run starts, and reported in the
//! evidence.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use testkit::{Client, Crownest, Options, Stack, archive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A package mirror in a private network, as far as curl can tell.
struct Mirror {
    port: u16,
    requests: Arc<AtomicU32>,
}

impl Mirror {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 8192]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\npackage").await;
            }
        });
        Self { port, requests }
    }

    /// A command that fetches through the proxy, although the name usually bypasses proxies.
    fn fetch(&self) -> String {
        format!("curl -s --max-time 20 --noproxy '' http://localhost:{}/", self.port)
    }
}

fn opened() -> Options {
    let flags = ["--grace-ms", "1000", "--egress-allow-address", "127.0.0.1"];
    Options { executor_flags: flags.map(str::to_owned).to_vec(), ..Options::default() }
}

async fn admin(stack: &Stack, args: &[&str]) -> Value {
    let crownest = Crownest::new().with("CROWNEST_ADMIN_DATABASE_URL", &stack.admin_url());
    crownest.run([&["admin", "--json", "egress"], args].concat()).await.expect(0).data()
}

async fn stdout(client: &Client, run: &str) -> String {
    let events = client.events(run, 100).await;
    events.iter().filter(|event| event["type"] == "stdout").filter_map(|event| event["data"].as_str()).collect()
}

#[tokio::test]
async fn a_run_reaches_what_its_project_may_and_the_evidence_says_so() {
    let stack = Stack::with(opened()).await;
    let (client, mirror) = (stack.client(), Mirror::start().await);
    let project = stack.project.as_str();
    let asked = json!({
        "command": format!("{}; echo; {}/ || echo refused", mirror.fetch(), "curl -sf https://Elsewhere.example"),
        "network": "egress",
    });
    let refused = client.post("/v1/workspace-runs", &asked).await;
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("crownest admin egress set"), "{refused:?}");
    assert_eq!(refused.error(403), "forbidden");

    let rule = format!("localhost:{}", mirror.port);
    let set = admin(&stack, &["set", project, "--allow", &rule, "--allow", "*.Example.org"]).await;
    assert_eq!(set["allow"], json!([rule, "*.example.org"]));
    let archive = archive(&[("x", "")]);
    let run = client.submit(asked.clone(), &archive).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["status"], &ended["network"]), (&json!("succeeded"), &json!("egress")));
    assert_eq!(stdout(&client, &run).await, "package\nrefused\n");
    assert_eq!(mirror.requests.load(Ordering::Relaxed), 1);

    let egress = client.evidence(&run).await["egress"].clone();
    assert_eq!(egress["allow"], json!([rule, "*.example.org"]));
    assert_eq!(egress["attemptsNotListed"], 0);
    let [reached, denied] = &egress["attempts"].as_array().unwrap()[..] else { panic!("{egress}") };
    assert_eq!((&reached["host"], &reached["port"]), (&json!("localhost"), &json!(mirror.port)));
    assert_eq!((&reached["allowed"], &reached["count"], reached.get("reason")), (&json!(true), &json!(1), None));
    assert!(reached["bytesSent"].as_u64() > Some(0) && reached["bytesReceived"].as_u64() > Some(7), "{reached}");
    assert_eq!((&denied["host"], &denied["port"]), (&json!("elsewhere.example"), &json!(443)));
    assert_eq!((&denied["allowed"], &denied["reason"]), (&json!(false), &json!("host_not_allowed")));

    // A run that requests no network has none, whatever the policy allows; nor does its evidence mention one.
    let run = client.submit(json!({"command": mirror.fetch()}), &archive).await;
    let ended = client.wait_terminal(&run).await;
    assert_eq!((&ended["exitCode"], ended.get("network")), (&json!(7), None));
    assert_eq!(client.evidence(&run).await.get("egress"), None);
    assert_eq!(mirror.requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_private_address_needs_the_executors_word_too() {
    let stack = Stack::start().await;
    let (client, mirror) = (stack.client(), Mirror::start().await);
    admin(&stack, &["set", stack.project.as_str(), "--allow", &format!("localhost:{}", mirror.port)]).await;
    let asked = json!({"command": mirror.fetch(), "network": "egress"});
    let run = client.submit(asked, &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    let told = stdout(&client, &run).await;
    assert!(told.contains("it has no address that a run may reach"), "{told}");
    assert_eq!(client.evidence(&run).await["egress"]["attempts"][0]["reason"], "address_not_allowed");
    assert_eq!(mirror.requests.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_policy_of_the_start_counts() {
    let stack = Stack::with(Options { executor: false, ..opened() }).await;
    let (client, mirror) = (stack.client(), Mirror::start().await);
    let (project, rule) = (stack.project.as_str(), format!("localhost:{}", mirror.port));
    admin(&stack, &["set", project, "--allow", &rule]).await;
    let asked = json!({"command": mirror.fetch(), "network": "egress"});
    let archive = archive(&[("x", "")]);
    let started = client.submit(asked.clone(), &archive).await;
    let created = client.create(asked).await;
    client.upload(&created, &archive).await.expect(200);

    assert_eq!(admin(&stack, &["set", project, "--deny-all"]).await["allow"], json!([]));
    let path = format!("/v1/workspace-runs/{created}/start");
    assert_eq!(client.post(&path, &json!({})).await.error(403), "forbidden");
    let _executor = stack.spawn_executor();
    client.wait_terminal(&started).await;
    assert_eq!(stdout(&client, &started).await, "package");
    assert_eq!(client.evidence(&started).await["egress"]["allow"], json!([rule]));
}

#[tokio::test]
async fn operators_see_and_change_policies() {
    let stack = Stack::start().await;
    let project = stack.project.as_str();
    assert_eq!(admin(&stack, &["list"]).await, json!([]));
    admin(&stack, &["set", project, "--allow", "a.example", "--allow", "[2001:db8::1]:8443"]).await;
    admin(&stack, &["set", project, "--allow", "b.example:22"]).await;
    let listed = admin(&stack, &["list"]).await;
    assert_eq!((&listed[0]["projectId"], &listed[0]["orgId"]), (&json!(project), &json!(stack.org.as_str())));
    assert_eq!(listed[0]["allow"], json!(["b.example:22"]), "the rules of before are gone");
    assert_eq!(admin(&stack, &["show", project]).await["allow"], json!(["b.example:22"]));
    admin(&stack, &["set", project, "--deny-all"]).await;
    assert_eq!(admin(&stack, &["list"]).await, json!([]));

    let crownest = Crownest::new().with("CROWNEST_ADMIN_DATABASE_URL", &stack.admin_url());
    for (args, code) in [
        (vec!["set", project], 2),
        (vec!["set", project, "--allow", "*.org"], 2),
        (vec!["set", project, "--allow", "http://a.example"], 2),
        (vec!["set", project, "--allow", "a.example", "--deny-all"], 2),
        (vec!["set", "prj_none", "--allow", "a.example"], 1),
    ] {
        crownest.run([&["admin", "egress"], &args[..]].concat()).await.expect(code);
    }
}
