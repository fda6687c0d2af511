//! The private services of one machine, for real: their addresses, their permissions, and the data that survives a
//! death.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use infra::config::Secret;
use infra::ops::{Ops, Ready as _};
use infra::s3::{self, Put, Store, StoreError};
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use local::{Durability, LocalError, RabbitMq, Role, Servers, listening_addresses};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

/// Makes this test binary play the supervisor of the folder it names, until it is killed.
const PLAY_SUPERVISOR: &str = "CROWNEST_TEST_PLAY_SUPERVISOR";

type Error = Box<dyn std::error::Error>;

#[tokio::test]
async fn starts_on_loopback_with_private_secrets_and_leaves_nothing_behind() -> Result<(), Error> {
    let dir = TempDir::new()?;
    let services = Servers::start(dir.path(), Durability::Fast).await?;

    for pid in services.pids() {
        let addresses = listening_addresses(pid).ok_or("listeners of a service")?;
        assert!(!addresses.is_empty() && addresses.iter().all(|one| one.ip().is_loopback()), "{addresses:?}");
        if rustix::process::geteuid().is_root() {
            assert_ne!(fs::metadata(format!("/proc/{pid}"))?.uid(), 0, "process {pid} runs as root");
        }
    }
    let readable: Vec<_> = files(dir.path()).into_iter().filter(|path| shows_a_secret(path)).collect();
    assert!(readable.is_empty(), "{readable:?}");

    let second = Servers::start(dir.path(), Durability::Fast).await;
    assert!(matches!(second, Err(LocalError::AlreadyRunning { .. })), "{second:?}");

    let client = connect(&services.postgres_url(Role::Executor)).await?;
    let member = client.query_one("select pg_has_role('crownest_executor', 'member')", &[]).await?;
    assert!(member.get::<_, bool>(0));

    let mut wrong = services.s3();
    wrong.secret_key = Secret::new("wrong");
    assert!(s3::open(&wrong.config("crownest")).prove_writes().await.is_err(), "a wrong key was accepted");
    what_is_kept_back_is_for_whole_objects(&services).await?;
    assert_eq!(anonymous_status(&services.s3().endpoint).await?, "403");

    let everything = all_pids(&services);
    assert!(everything.len() > 3, "workers and helpers are processes too: {everything:?}");
    services.stop().await?;
    assert_all_gone(&everything);
    assert_eq!(sockets(dir.path()), Vec::<PathBuf>::new());
    Ok(())
}

#[tokio::test]
async fn a_killed_supervisor_loses_no_data_and_its_leftovers_are_replaced() -> Result<(), Error> {
    let dir = TempDir::new()?;
    let left = run_a_supervisor_and_kill_it(dir.path()).await?;
    assert!(left.iter().all(|pid| is_alive(*pid)), "the services outlive their supervisor");
    let before = ports(dir.path());

    // As after a reboot: the recorded pid now belongs to another process.
    let mut stranger = Command::new("sleep").arg("1000").spawn()?;
    let record = dir.path().join("seaweedfs/pid.json");
    let mut recorded: serde_json::Value = serde_json::from_slice(&fs::read(&record)?)?;
    recorded["process"]["pid"] = stranger.id().into();
    fs::write(&record, recorded.to_string())?;

    let services = Servers::start(dir.path(), Durability::Fast).await?;
    assert_all_gone(&left);
    assert!(stranger.try_wait()?.is_none(), "a stranger was killed");
    stranger.kill()?;
    stranger.wait()?;
    assert_eq!(ports(dir.path()), before, "ports are remembered");
    check_what_was_written(&services).await?;
    services.stop().await?;

    let _taken = TcpListener::bind(("127.0.0.1", before["seaweedfs/master"]))?;
    let _taken_too = TcpListener::bind(("127.0.0.1", before["rabbitmq/amqp"]))?;
    let services = Servers::start(dir.path(), Durability::Fast).await?;
    check_what_was_written(&services).await?;
    let after = ports(dir.path());
    let moved: Vec<_> = after.keys().filter(|name| before[*name] != after[*name]).collect();
    assert_eq!(moved, ["rabbitmq/amqp", "seaweedfs/master"]);

    let everything = all_pids(&services);
    drop(services);
    assert_all_gone(&everything);
    assert_eq!(sockets(dir.path()), Vec::<PathBuf>::new());
    Ok(())
}

/// The other half of the test above; without the variable it does nothing.
#[tokio::test]
async fn plays_the_supervisor_when_told_to() -> Result<(), Error> {
    let Some(dir) = std::env::var_os(PLAY_SUPERVISOR).map(PathBuf::from) else { return Ok(()) };
    let services = Servers::start(&dir, Durability::Fast).await?;
    let client = connect(&services.postgres_admin_url()).await?;
    client.batch_execute("create table kept (what text); insert into kept values ('row')").await?;
    publish(&services.amqp_url(), b"message").await?;
    store(&services).ensure_bucket().await?;
    assert_eq!(store(&services).put_new("kept", "object".into(), "text/plain").await?, Put::Created);
    fs::write(dir.join("ready.new"), serde_json::to_vec(&services.pids())?)?;
    fs::rename(dir.join("ready.new"), dir.join("ready"))?;
    std::future::pending().await
}

#[tokio::test]
async fn one_broker_alone_is_killed_and_restarted_in_place() -> Result<(), Error> {
    let dir = TempDir::new()?;
    let mut broker = RabbitMq::start(dir.path(), Durability::Fast).await?;
    let url = broker.url();
    publish(&url, b"message").await?;

    // The message is on disk once confirmed, but the queue's definition only when Mnesia's log is flushed: within 2 s.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let everything = broker.pids();
    broker.kill().await?;
    assert_all_gone(&everything);
    assert_eq!(broker.pid(), None);
    broker.start_again().await?;
    assert_eq!(broker.url(), url);
    assert_eq!(look_at_message(&url).await?.as_deref(), Some(&b"message"[..]));
    broker.stop().await?;
    Ok(())
}

/// Runs a supervisor until the services are up and written to; returns their main processes.
async fn run_a_supervisor_and_kill_it(dir: &Path) -> Result<Vec<u32>, Error> {
    let mut supervisor = Command::new(std::env::current_exe()?)
        .args(["--exact", "plays_the_supervisor_when_told_to"])
        .env(PLAY_SUPERVISOR, dir)
        .stdout(Stdio::null())
        .spawn()?;
    let ready = dir.join("ready");
    let deadline = Instant::now() + Duration::from_secs(100);
    while !ready.exists() && Instant::now() < deadline && supervisor.try_wait()?.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    supervisor.kill()?;
    supervisor.wait()?;
    Ok(serde_json::from_slice(&fs::read(&ready)?)?)
}

/// Streams stop before the space that is kept back, and leave nothing. Sealed objects may use it.
async fn what_is_kept_back_is_for_whole_objects(services: &Servers) -> Result<(), Error> {
    let store = store(services);
    store.ensure_bucket().await?;
    store.prove_writes().await?;
    let mut config = services.s3().config("crownest");
    config.s3_disk = Some(std::env::temp_dir());
    config.s3_reserve_bytes = u64::MAX;
    let kept = s3::open(&config);
    for bytes in [1, 20 << 20] {
        let mut stream = kept.begin("stream", "text/plain");
        let written = match stream.write(&vec![0; bytes]).await {
            Ok(()) => stream.finish().await,
            Err(error) => Err(error),
        };
        assert!(matches!(written, Err(StoreError::Full { .. })), "{bytes}: {written:?}");
    }
    assert!(matches!(kept.prove_writes().await, Err(StoreError::Full { .. })));
    assert_eq!(kept.put_new("sealed", "object".into(), "text/plain").await?, Put::Created);
    let keys: Vec<String> = store.list("").await?.into_iter().map(|object| object.key).collect();
    assert_eq!(keys, ["sealed"], "no probe and no stream is left");
    store.delete("sealed").await?;
    let (gate, watch) = s3::gate(&kept, &Ops::new().registry)?;
    let stop = CancellationToken::new();
    let watching = tokio::spawn(watch.run(stop.clone()));
    let reason = gate.ready().await.expect_err("it is closed");
    assert!(reason.contains("kept back"), "{reason}");
    stop.cancel();
    Ok(watching.await?)
}

async fn check_what_was_written(services: &Servers) -> Result<(), Error> {
    let client = connect(&services.postgres_admin_url()).await?;
    assert_eq!(client.query_one("select what from kept", &[]).await?.get::<_, &str>(0), "row");
    assert_eq!(look_at_message(&services.amqp_url()).await?.as_deref(), Some(&b"message"[..]));
    let store = store(services);
    assert_eq!(store.put_new("kept", "other".into(), "text/plain").await?, Put::Exists);
    assert_eq!(&store.get("kept").await?[..], b"object");
    // New objects must not reuse the ids of old ones.
    store.delete("later").await?;
    assert_eq!(store.put_new("later", "later".into(), "text/plain").await?, Put::Created);
    let version = store.get_version("later", 1024).await?.ok_or("the object")?;
    assert_eq!((&version.body[..], store.get_version("missing", 1).await?.is_none()), (&b"later"[..], true));
    assert_eq!(store.replace(&version, "later", "new".into(), "text/plain").await?, Put::Created);
    assert_eq!(store.replace(&version, "later", "newer".into(), "text/plain").await?, Put::Exists);
    assert_eq!(&store.get("later").await?[..], b"new");
    assert_eq!(&store.get("kept").await?[..], b"object");
    Ok(())
}

fn store(services: &Servers) -> Store {
    s3::open(&services.s3().config("crownest"))
}

async fn connect(url: &Secret) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url.reveal(), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Opens a quorum queue, like CrowNest's own.
async fn open_queue(url: &Secret) -> Result<(Connection, Channel), lapin::Error> {
    let connection = Connection::connect(url.reveal(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("kept".into(), options, arguments).await?;
    Ok((connection, channel))
}

async fn publish(url: &Secret, body: &[u8]) -> Result<(), Error> {
    let (_connection, channel) = open_queue(url).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_delivery_mode(2);
    let confirmed = channel.basic_publish("".into(), "kept".into(), options, body, properties).await?.await?;
    assert!(confirmed.is_ack(), "{confirmed:?}");
    Ok(())
}

/// Reads the message without acknowledging it, so it goes back to the queue.
async fn look_at_message(url: &Secret) -> Result<Option<Vec<u8>>, lapin::Error> {
    let (_connection, channel) = open_queue(url).await?;
    let got = channel.basic_get("kept".into(), BasicGetOptions::default()).await?;
    Ok(got.map(|message| message.delivery.data))
}

/// Status of an unsigned request to the store.
async fn anonymous_status(endpoint: &str) -> Result<String, Error> {
    let mut stream = tokio::net::TcpStream::connect(endpoint.trim_start_matches("http://")).await?;
    stream.write_all(b"GET /crownest/kept HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
}

#[expect(clippy::unwrap_used, reason = "a missing file fails the test")]
fn ports(dir: &Path) -> BTreeMap<String, u16> {
    let mut all = BTreeMap::new();
    for service in ["postgres", "rabbitmq", "seaweedfs"] {
        let json = fs::read(dir.join(service).join("ports.json")).unwrap();
        let ports: BTreeMap<String, u16> = serde_json::from_slice(&json).unwrap();
        all.extend(ports.into_iter().map(|(name, port)| (format!("{service}/{name}"), port)));
    }
    all
}

fn all_pids(services: &Servers) -> Vec<u32> {
    [services.postgres.pids(), services.rabbitmq.pids(), services.seaweedfs.pids()].concat()
}

/// A zombie counts as dead: the child of a killed parent waits for init to reap it.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

fn assert_all_gone(pids: &[u32]) {
    let left: Vec<_> = pids.iter().filter(|pid| is_alive(**pid)).collect();
    assert!(left.is_empty(), "still alive: {left:?}");
}

fn shows_a_secret(path: &Path) -> bool {
    const SECRETIVE: [&str; 5] = ["secrets", "rabbitmq.conf", "s3.json", ".erlang.cookie", "initdb-password"];
    let has_secret = path.iter().any(|part| SECRETIVE.iter().any(|name| part == *name));
    has_secret && fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o007 != 0)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            _ => found.push(entry.path()),
        }
    }
    found
}

/// Unix sockets of these services, in their folders and in SeaweedFS's place.
fn sockets(dir: &Path) -> Vec<PathBuf> {
    let ends: Vec<String> = ports(dir).into_values().map(|port| format!("-{port}.sock")).collect();
    let named = |path: &PathBuf| ends.iter().any(|end| path.to_string_lossy().ends_with(end.as_str()));
    let shared = fs::read_dir("/tmp").into_iter().flatten().flatten().map(|entry| entry.path()).filter(named);
    let is_socket = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    files(dir).into_iter().filter(is_socket).chain(shared).collect()
}
