//! The services that all tests of a run share: started by whoever comes first, stopped when the last one is gone.
//! A test holds a connection to the testbed's socket; through it it learns where everything is.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use infra::config::Secret;
use local::{Durability, Role, S3Access, Servers};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

/// Idle time after which the services stop: bridges the gaps between test programs.
const IDLE: Duration = Duration::from_secs(15);
const START_DEADLINE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(50);

/// The addresses of the shared services, and a number that nobody else has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Access {
    pub number: u32,
    /// URLs with `DATABASE` where the name of the database belongs.
    pub admin_url: String,
    pub ingest_url: String,
    pub executor_url: String,
    pub collector_url: String,
    pub metering_url: String,
    pub amqp_url: String,
    pub s3_endpoint: String,
    pub s3_region: String,
    pub s3_access_key: String,
    pub s3_secret_key: String,
    /// The Iceberg catalog that comes with the store; its client are the keys of S3.
    pub iceberg_uri: String,
    pub iceberg_warehouse: String,
}

impl Access {
    /// The shared store, with its catalog.
    pub fn store(&self) -> S3Access {
        S3Access {
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            access_key: self.s3_access_key.clone(),
            secret_key: Secret::new(&self.s3_secret_key),
            iceberg_uri: self.iceberg_uri.clone(),
            iceberg_warehouse: self.iceberg_warehouse.clone(),
        }
    }
}

/// The shared services stay at least as long as this lives.
#[derive(Debug)]
pub struct Lease {
    pub access: Access,
    _connection: UnixStream,
}

/// One folder for each build folder, so that two checkouts do not meet.
fn home() -> PathBuf {
    let program = crate::process::program("crownest-testbed");
    let tag = hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(program.as_os_str().as_encoded_bytes())[..6]);
    std::env::temp_dir().join(format!("crownest-testbed-{tag}"))
}

fn socket(home: &Path) -> PathBuf {
    home.join("socket")
}

fn connect(home: &Path) -> Option<Lease> {
    let connection = UnixStream::connect(socket(home)).ok()?;
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line).ok()?;
    Some(Lease { access: serde_json::from_str(&line).ok()?, _connection: connection })
}

impl Lease {
    /// Blocking; starts the services if they are not there.
    pub fn take() -> Self {
        let home = home();
        if let Some(lease) = connect(&home) {
            return lease;
        }
        let lock = File::create(home.with_extension("lock")).expect("a lock file can be made");
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("the lock can be taken");
        let begun = Instant::now();
        let mut started = None;
        loop {
            if let Some(lease) = connect(&home) {
                return lease;
            }
            // A testbed that is just stopping holds the data folder for a moment: then this start fails, and is repeated.
            let running =
                started.as_mut().is_some_and(|child: &mut std::process::Child| matches!(child.try_wait(), Ok(None)));
            if !running {
                started = Some(spawn(&home));
            }
            assert!(begun.elapsed() < START_DEADLINE, "the testbed did not start, see {}", log(&home).display());
            std::thread::sleep(POLL);
        }
    }
}

fn log(home: &Path) -> PathBuf {
    home.with_extension("log")
}

fn spawn(home: &Path) -> std::process::Child {
    let log = File::create(log(home)).expect("a log file can be made");
    let errors = log.try_clone().expect("a descriptor can be copied");
    let mut command = Command::new(crate::process::program("crownest-testbed"));
    // A group of its own: the test runner kills the group of a test that takes too long.
    command.arg(home).stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    command.spawn().expect("crownest-testbed is built: cargo build -p crownest-tests --bins")
}

/// The testbed's own main: serves until nobody needs it any more.
pub async fn serve(home: &Path) -> anyhow::Result<()> {
    let services = Servers::start(&home.join("data"), Durability::Fast).await?;
    database::migrate(&services.postgres_admin_url()).await?;
    let path = socket(home);
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    let mut number = 0;
    let mut clients = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (mut stream, _) = accepted?;
                number += 1;
                let mut line = serde_json::to_vec(&access(&services, number))?;
                line.push(b'\n');
                clients.spawn(async move {
                    let told = stream.write_all(&line).await;
                    if told.is_ok() {
                        // Ends when the test is gone, however it ended.
                        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    }
                });
            }
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            () = tokio::time::sleep(IDLE), if clients.is_empty() => break,
        }
    }
    std::fs::remove_file(&path)?;
    services.stop().await?;
    std::fs::remove_dir_all(home)?;
    Ok(())
}

fn access(services: &Servers, number: u32) -> Access {
    let text = |secret: Secret| secret.reveal().to_owned();
    let url = |role| text(services.postgres.url(role, "DATABASE"));
    let s3 = services.s3();
    Access {
        number,
        admin_url: text(services.postgres.admin_url_of("DATABASE")),
        ingest_url: url(Role::Ingest),
        executor_url: url(Role::Executor),
        collector_url: url(Role::Collector),
        metering_url: url(Role::Metering),
        amqp_url: text(services.amqp_url()),
        s3_endpoint: s3.endpoint,
        s3_region: s3.region,
        s3_access_key: s3.access_key,
        s3_secret_key: text(s3.secret_key),
        iceberg_uri: s3.iceberg_uri,
        iceberg_warehouse: s3.iceberg_warehouse,
    }
}
