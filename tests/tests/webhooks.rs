//! Webhooks: signed, repeated until they are accepted, logged, and never sent to a forbidden address.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use schemas::scope::Scope;
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::{Client, Crownest, Options, Stack, archive, eventually};

/// A receiver. It answers with the next of its statuses, and with 204 when none is left.
#[derive(Debug, Clone, Default)]
struct Receiver {
    answers: Arc<Mutex<VecDeque<u16>>>,
    got: Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>,
}

impl Receiver {
    async fn start(answers: &[u16]) -> (Self, SocketAddr) {
        let receiver = Self { answers: Arc::new(Mutex::new(answers.iter().copied().collect())), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = axum::Router::new().fallback(receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, address)
    }

    fn got(&self) -> Vec<(String, HeaderMap, Bytes)> {
        self.got.lock().expect("no panic").clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<(String, HeaderMap, Bytes)> {
        eventually(&format!("{count} messages"), async || Some(self.got()).filter(|got| got.len() >= count)).await
    }
}

async fn receive(State(receiver): State<Receiver>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    receiver.got.lock().expect("no panic").push((uri.to_string(), headers, body));
    let status = receiver.answers.lock().expect("no panic").pop_front().unwrap_or(204);
    let status = StatusCode::from_u16(status).expect("a status");
    ([(header::LOCATION, "/elsewhere")], status).into_response()
}

fn signature(secret: &str, headers: &HeaderMap, body: &[u8]) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a prefix")).expect("base64");
    let text = |name: &str| headers[name].to_str().expect("text").to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
    mac.update(format!("{}.{}.", text("webhook-id"), text("webhook-timestamp")).as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

async fn stack(flags: &[&str]) -> Stack {
    let ingest_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Stack::with(Options { ingest_flags, ..Default::default() }).await
}

const OPEN: [&str; 4] = ["--webhook-allow", "127.0.0.0/8", "--webhook-retry-ms", "100"];

async fn webhook(client: &Client, url: &str) -> (String, String) {
    let made = client.post("/v1/webhooks", &json!({"url": url})).await.expect(201);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&made["webhook"]["id"]), text(&made["secret"]))
}

async fn deliveries(client: &Client, webhook: &str) -> Value {
    client.get(&format!("/v1/webhooks/{webhook}/deliveries")).await.expect(200)["data"].clone()
}

async fn delivery(client: &Client, webhook: &str, status: &str) -> Value {
    eventually(&format!("a delivery is {status}"), async || {
        let found = deliveries(client, webhook).await;
        found.get(0).filter(|delivery| delivery["status"] == status).cloned()
    })
    .await
}

#[tokio::test]
async fn an_ended_run_is_told_until_it_is_heard() {
    let stack = stack(&OPEN).await;
    let client = stack.client();
    let (receiver, address) = Receiver::start(&[500, 302]).await;
    let (id, secret) = webhook(&client, &format!("http://{address}/hook?from=crownest")).await;
    let run = client.submit(json!({"command": "exit 3"}), &archive(&[("x", "")])).await;
    let ended = client.wait_terminal(&run).await;

    let got = receiver.wait_for(3).await;
    for (path, headers, body) in &got {
        assert_eq!(path, "/hook?from=crownest", "a redirect is not followed");
        assert_eq!(headers["webhook-id"], got[0].1["webhook-id"], "one message, however often it is sent");
        assert_eq!(headers["webhook-signature"], signature(&secret, headers, body));
        assert_eq!(*body, got[0].2);
    }
    let message: Value = serde_json::from_slice(&got[0].2).unwrap();
    assert_eq!((&message["type"], &message["data"]["workspaceRun"]), (&json!("workspace_run.ended"), &ended));

    let told = delivery(&client, &id, "delivered").await;
    assert_eq!((&told["attempts"], &told["responseStatus"]), (&json!(3), &json!(204)));
    assert_eq!((&told["workspaceRunId"], told.get("nextAttemptAt")), (&json!(run), None));
    let delivery_id = told["id"].as_str().unwrap();
    let path = format!("/v1/webhook-deliveries/{delivery_id}/redeliver");
    assert_eq!(client.post(&path, &json!({})).await.expect(200)["delivery"]["status"], "pending");
    let again = receiver.wait_for(4).await;
    assert_eq!((&again[3].1["webhook-id"], &again[3].2), (&got[0].1["webhook-id"], &got[0].2));

    client.delete(&format!("/v1/webhooks/{id}")).await.expect(200);
    assert_eq!(client.get(&format!("/v1/webhooks/{id}/deliveries")).await.error(404), "not_found");
    let run = client.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    assert_eq!(receiver.got().len(), 4);
}

#[tokio::test]
async fn who_is_gone_is_left_alone() {
    let stack = stack(&OPEN).await;
    let client = stack.client();
    let (receiver, address) = Receiver::start(&[410]).await;
    let (id, _) = webhook(&client, &format!("http://{address}/")).await;
    for _ in 0..2 {
        let run = client.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
        client.wait_terminal(&run).await;
        delivery(&client, &id, "failed").await;
        eventually("the webhook is disabled", async || {
            let webhook = client.get(&format!("/v1/webhooks/{id}")).await.expect(200);
            webhook["webhook"].get("disabledAt").cloned()
        })
        .await;
    }
    assert_eq!((receiver.got().len(), deliveries(&client, &id).await.as_array().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn receivers_that_never_answer_delay_nobody_else() {
    let stack = stack(&OPEN).await;
    let client = stack.client();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_address = silent.local_addr().unwrap();
    // Accepts and says nothing.
    let held = Arc::new(Mutex::new(Vec::new()));
    let taken = held.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = silent.accept().await {
            taken.lock().expect("no panic").push(stream);
        }
    });
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(webhook(&client, &format!("http://{silent_address}/{n}")).await.0);
    }
    let run = client.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    // Far more messages than are sent at once, all of them older than the other organization's.
    let database = stack.admin.get().await.unwrap();
    let sql = "insert into ingest.webhook_deliveries (id, webhook_id, org_id, run_id, type)
        select 'whd_' || replace(gen_random_uuid()::text, '-', ''), w.id, w.org_id, $1, 'workspace_run.ended'
        from ingest.webhooks w, generate_series(1, 100) as n where w.org_id = $2";
    database.execute(sql, &[&run, &stack.org.as_str()]).await.unwrap();
    let connections = || held.lock().expect("no panic").len();
    eventually("as many as one organization may have", async || (connections() >= 16).then_some(())).await;

    let stranger = stack.stranger().await;
    let (receiver, address) = Receiver::start(&[]).await;
    webhook(&stranger, &format!("http://{address}/")).await;
    let run = stranger.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    stranger.wait_terminal(&run).await;
    // An attempt at a silent receiver takes 15 seconds.
    tokio::time::timeout(std::time::Duration::from_secs(5), receiver.wait_for(1)).await.expect("told at once");
    assert_eq!(connections(), 16, "an organization has so many messages on their way, and a webhook 8 of them");
    let sql = "select max(busy) from (select count(*) as busy from ingest.webhook_deliveries
        where attempts > 0 group by webhook_id) as counts";
    let of_one: i64 = database.query_one(sql, &[]).await.unwrap().get(0);
    assert!(of_one <= 8, "{of_one} messages to one receiver at once");

    // After silence, one message at a time; an answer ends that.
    let sql = "update ingest.webhooks set failures = 3, paused_until = now() + interval '1 hour' where id = $1";
    let (heard, address) = Receiver::start(&[]).await;
    let (id, _) = webhook(&stranger, &format!("http://{address}/")).await;
    database.execute(sql, &[&id]).await.unwrap();
    let run = stranger.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    stranger.wait_terminal(&run).await;
    receiver.wait_for(2).await;
    assert!(heard.got().is_empty(), "it is left alone");
    let waiting = delivery(&stranger, &id, "pending").await;
    let path = format!("/v1/webhook-deliveries/{}/redeliver", waiting["id"].as_str().unwrap());
    stranger.post(&path, &json!({})).await.expect(200);
    heard.wait_for(1).await;
}

#[tokio::test]
async fn a_stored_answer_has_no_secret_and_a_repeated_one_has() {
    let stack = stack(&OPEN).await;
    let client = stack.client();
    let create = async || {
        let request = client.request(reqwest::Method::POST, "/v1/webhooks").header("idempotency-key", "once");
        client.send(request.json(&json!({"url": "http://127.0.0.1:9/"}))).await
    };
    let first = create().await.expect(201);
    let secret = first["secret"].as_str().unwrap();
    let database = stack.admin.get().await.unwrap();
    let sql = "select answer::text from ingest.idempotency";
    let stored: String = database.query_one(sql, &[]).await.unwrap().get(0);
    assert!(stored.contains(first["webhook"]["id"].as_str().unwrap()) && !stored.contains("whsec_"), "{stored}");
    let again = create().await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.expect(201), first);
    assert!(secret.starts_with("whsec_"));
    client.delete(&format!("/v1/webhooks/{}", first["webhook"]["id"].as_str().unwrap())).await.expect(200);
    let again = create().await.expect(201);
    assert_eq!((&again["webhook"], again.get("secret")), (&first["webhook"], None), "it is gone with its webhook");
}

#[tokio::test]
async fn nothing_near_us_is_reached() {
    let stack = stack(&["--webhook-retry-ms", "100"]).await;
    let client = stack.client();
    let (receiver, address) = Receiver::start(&[]).await;
    for url in ["http://example.com/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "https://0/"]
    {
        assert_eq!(client.post("/v1/webhooks", &json!({"url": url})).await.error(400), "invalid_request", "{url}");
    }
    // A name is judged by its addresses, each time that it is resolved.
    let (id, _) = webhook(&client, &format!("https://localhost:{}/", address.port())).await;
    let run = client.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    let refused = eventually("it was tried", async || {
        deliveries(&client, &id).await.get(0).filter(|delivery| delivery.get("error").is_some()).cloned()
    })
    .await;
    assert_eq!(refused["error"], "the name does not resolve to a public address");
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn a_failure_is_told_in_our_words() {
    let stack = stack(&OPEN).await;
    let client = stack.client();
    let (_receiver, plain) = Receiver::start(&[]).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut expected = Vec::new();
    for (url, error) in [
        (format!("http://{closed}/"), "no connection: it was refused"),
        (format!("https://{plain}/"), "no connection: the TLS handshake failed"),
    ] {
        expected.push((webhook(&client, &url).await.0, error));
    }
    let run = client.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    for (id, error) in expected {
        let told = eventually("it was tried", async || {
            deliveries(&client, &id).await.get(0).and_then(|delivery| delivery.get("error")).cloned()
        });
        assert_eq!(told.await, error);
    }
}

#[tokio::test]
async fn webhooks_are_of_their_organization_and_project() {
    let stack = stack(&OPEN).await;
    let client = stack.client();
    let (receiver, address) = Receiver::start(&[]).await;
    let url = format!("http://{address}/");
    let made = client.post("/v1/projects", &json!({"name": "other"})).await.expect(201);
    let other = made["project"]["id"].as_str().unwrap();
    let body = json!({"url": url, "projectId": other});
    let of_other = client.post("/v1/webhooks", &body).await.expect(201);
    let id = of_other["webhook"]["id"].as_str().unwrap();

    let run = client.submit(json!({"command": "echo default"}), &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    let run = client.submit(json!({"command": "echo other", "projectId": other}), &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    let got = receiver.wait_for(1).await;
    let message: Value = serde_json::from_slice(&got[0].2).unwrap();
    assert_eq!(message["data"]["workspaceRun"]["id"], json!(run), "only runs of its project");

    let stranger = stack.stranger().await;
    assert_eq!(stranger.get(&format!("/v1/webhooks/{id}")).await.error(404), "not_found");
    assert_eq!(stranger.get("/v1/webhooks").await.expect(200)["data"], json!([]));
    assert_eq!(stranger.post("/v1/webhooks", &body).await.error(404), "not_found");
    let told = delivery(&client, id, "delivered").await;
    let path = format!("/v1/webhook-deliveries/{}/redeliver", told["id"].as_str().unwrap());
    assert_eq!(stranger.post(&path, &json!({})).await.error(404), "not_found");
    let limited = stack.client_with(Scope::ALL, Some(vec![stack.project.clone()])).await;
    assert_eq!(limited.get(&format!("/v1/webhooks/{id}")).await.error(404), "not_found");
    assert_eq!(limited.post("/v1/webhooks", &json!({"url": url})).await.error(403), "forbidden");
    let reader = stack.client_with(&[Scope::WebhookRead], None).await;
    assert_eq!(reader.post("/v1/webhooks", &json!({"url": url})).await.error(403), "forbidden");
    assert!(!reader.get("/v1/webhooks").await.expect(200).to_string().contains("whsec_"), "only shown once");
}

#[tokio::test]
async fn the_command_line_has_them_too() {
    let stack = stack(&OPEN).await;
    let crownest = Crownest::of(&stack);
    let (receiver, address) = Receiver::start(&[]).await;
    let made = crownest.run(["webhooks", "create", &format!("http://{address}/"), "--json"]).await.expect(0).data();
    let id = made["webhook"]["id"].as_str().unwrap();
    let client = stack.client();
    let run = client.submit(json!({"command": "true"}), &archive(&[("x", "")])).await;
    client.wait_terminal(&run).await;
    let got = receiver.wait_for(1).await;
    let (_, headers, body) = &got[0];
    assert_eq!(headers["webhook-signature"], signature(made["secret"].as_str().unwrap(), headers, body));
    let told = delivery(&client, id, "delivered").await;
    let listed = crownest.run(["webhooks", "deliveries", id]).await.expect(0);
    assert!(listed.text().contains(&run) && listed.text().contains("delivered"), "{}", listed.text());
    crownest.run(["webhooks", "redeliver", told["id"].as_str().unwrap()]).await.expect(0);
    receiver.wait_for(2).await;
    assert!(crownest.run(["webhooks", "list"]).await.expect(0).text().contains(id));
    crownest.run(["webhooks", "delete", id]).await.expect(0);
    let refused = crownest.run(["webhooks", "create", "https://10.0.0.1/"]).await.expect(1);
    assert!(refused.stderr.contains("expected a public address"), "{}", refused.stderr);
}
