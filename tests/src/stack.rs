//! A CrowNest for one test: its own database, queues, bucket and executor, on the shared services.

use std::path::PathBuf;

use clap::{Args, Command, FromArgMatches};
use database::{Pool, PostgresConfig};
use infra::amqp::Amqp;
use infra::config::Secret;
use infra::s3::{ObjectLockConfig, Store};
use infra::telemetry::{LogConfig, LogFormat};
use schemas::id::{OrgId, ProjectId};
use schemas::scope::Scope;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{Client, Lease, Process};

/// Executors of one test have user ids of their own: far below the default, far above people.
const FIRST_UID: u32 = 600_000;
const UIDS_OF_TEST: u32 = 1_000;
const UIDS_OF_EXECUTOR: u32 = 100;

/// A key file for environment variables of runs, that ingest and executors share.
pub const ENV_KEYS: &str = "k1 8f0a6d1b5c2e4f70918273645546372819a0b1c2d3e4f5061728394a5b6c7d8e\n";

/// The key that signs evidence in tests: that of RFC 8410 section 10.3.
pub const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

/// What a test wants to be different.
#[derive(Debug, Clone)]
pub struct Options {
    pub plan: &'static str,
    pub slots: u16,
    /// Of executors: `bubblewrap`, or `oci` for runc.
    pub engine: &'static str,
    /// Services to run in the test's own process; the others are the test's business.
    pub executor: bool,
    pub collector: bool,
    pub metering: bool,
    /// `STORE_ENDPOINT` in them stands for the address of the shared store.
    pub ingest_flags: Vec<String>,
    pub collector_flags: Vec<String>,
    pub executor_flags: Vec<String>,
    /// Contents of the key files for environment variables of runs; `None`: the service has none.
    pub ingest_env_keys: Option<&'static str>,
    pub executor_env_keys: Option<&'static str>,
    /// Flags of the bucket and of the collector about Object Lock.
    pub object_lock: Vec<String>,
    /// Another broker than the shared one.
    pub amqp_url: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            plan: "local",
            slots: 2,
            engine: "bubblewrap",
            executor: true,
            collector: true,
            metering: true,
            ingest_flags: Vec::new(),
            collector_flags: Vec::new(),
            executor_flags: vec!["--grace-ms".to_owned(), "1000".to_owned()],
            ingest_env_keys: Some(ENV_KEYS),
            executor_env_keys: Some(ENV_KEYS),
            object_lock: Vec::new(),
            amqp_url: None,
        }
    }
}

#[derive(Debug)]
pub struct Stack {
    pub api_url: String,
    /// Where ingest serves its health and metrics.
    pub ingest_ops_url: String,
    /// The same of the collector, if it runs in the test's own process.
    pub collector_ops_url: String,
    pub org: OrgId,
    pub project: ProjectId,
    key: String,
    /// As the database's superuser.
    pub admin: Pool,
    pub store: Store,
    pub folder: TempDir,
    options: Options,
    lease: Lease,
    executors: std::sync::atomic::AtomicU32,
    /// Running services stop when their handle is dropped.
    services: Vec<Box<dyn std::fmt::Debug + Send + Sync>>,
    shutdown: CancellationToken,
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Stack {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let log = std::env::var("CROWNEST_LOG").unwrap_or_else(|_| "warn".to_owned());
        let log = LogConfig { log, log_format: Some(LogFormat::Text) };
        infra::telemetry::init(&log).expect("CROWNEST_LOG is a filter");
        let lease = tokio::task::spawn_blocking(Lease::take).await.expect("the testbed is there");
        let folder = tempfile::Builder::new().prefix("crownest-test-").tempdir().expect("a folder can be made");
        create_database(&lease).await;
        let admin = pool(&lease.access.admin_url.replace("DATABASE", &database(&lease)));
        let mut client = admin.get().await.expect("the database answers");
        let (org, project) =
            ingest::admin::create_organization(&mut client, "Test", options.plan).await.expect("an organization");
        let (_, key) =
            ingest::admin::create_key(&client, &org, "test", Scope::ALL, None).await.expect("a key can be made");
        drop(client);
        let mut stack = Self {
            api_url: String::new(),
            ingest_ops_url: String::new(),
            collector_ops_url: String::new(),
            org,
            project,
            key: key.reveal().to_owned(),
            store: infra::s3::open(&parse(&store_flags(&lease))),
            admin,
            folder,
            options,
            lease,
            executors: 0.into(),
            services: Vec::new(),
            shutdown: CancellationToken::new(),
        };
        let lock: ObjectLockConfig = parse(&stack.options.object_lock);
        stack.store.locking(lock.lock()).ensure_bucket().await.expect("a bucket can be made");
        stack.start_services().await;
        stack
    }

    async fn start_services(&mut self) {
        if self.options.collector {
            let config = parse(&self.collector_flags(SIGNING_KEY));
            let started = collector::start(config, self.shutdown.clone()).await.expect("the collector starts");
            self.collector_ops_url = format!("http://{}", started.ops_address());
            self.services.push(Box::new(started));
        }
        if self.options.metering {
            let config = parse(&self.metering_flags());
            let started = metering::start(config, self.shutdown.clone()).await.expect("metering starts");
            self.services.push(Box::new(started));
        }
        if self.options.executor {
            let config = parse(&self.executor_flags());
            let started = executor::start(config, self.shutdown.clone()).await.expect("the executor starts");
            self.services.push(Box::new(started));
        }
        let config = parse(&self.ingest_flags("127.0.0.1:0"));
        let ingest = ingest::start(config, self.shutdown.clone()).await.expect("ingest starts");
        self.api_url = format!("http://{}", ingest.address());
        self.ingest_ops_url = format!("http://{}", ingest.ops_address());
        self.services.push(Box::new(ingest));
    }

    /// A client with the key of this test's organization.
    pub fn client(&self) -> Client {
        Client::new(&self.api_url, &self.key)
    }

    /// A connection to the broker, to look at this test's queues.
    pub fn amqp(&self) -> Amqp {
        let access = &self.lease.access;
        let url = self.options.amqp_url.as_ref().unwrap_or(&access.amqp_url);
        let flags = ["--amqp-url".to_owned(), url.clone(), "--amqp-prefix".to_owned(), format!("t{}", access.number)];
        Amqp::new(&parse(&flags), "test")
    }

    /// Where the shared store is, for services that hand out its address.
    pub fn store_endpoint(&self) -> &str {
        &self.lease.access.s3_endpoint
    }

    /// Access to this test's bucket, as the command line takes it.
    pub fn store_env(&self) -> Vec<(&'static str, String)> {
        let access = &self.lease.access;
        vec![
            ("CROWNEST_S3_ENDPOINT", access.s3_endpoint.clone()),
            ("CROWNEST_S3_BUCKET", format!("test-{}", access.number)),
            ("CROWNEST_S3_ACCESS_KEY", access.s3_access_key.clone()),
            ("CROWNEST_S3_SECRET_KEY", access.s3_secret_key.clone()),
        ]
    }

    /// The superuser's access to this test's database.
    pub fn admin_url(&self) -> String {
        self.lease.access.admin_url.replace("DATABASE", &database(&self.lease))
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// A client of another organization.
    pub async fn stranger(&self) -> Client {
        let mut client = self.admin.get().await.expect("the database answers");
        let (org, _) =
            ingest::admin::create_organization(&mut client, "Other", "local").await.expect("an organization");
        let (_, key) = ingest::admin::create_key(&client, &org, "other", Scope::ALL, None).await.expect("a key");
        Client::new(&self.api_url, key.reveal())
    }

    /// A client of the same organization with fewer rights.
    pub async fn client_with(&self, scopes: &[Scope], projects: Option<Vec<ProjectId>>) -> Client {
        let client = self.admin.get().await.expect("the database answers");
        let made = ingest::admin::create_key(&client, &self.org, "limited", scopes, projects).await;
        Client::new(&self.api_url, made.expect("a key can be made").1.reveal())
    }

    /// An executor as a process of its own, on a machine of its own.
    pub fn spawn_executor(&self) -> Process {
        Process::start("crownest-executor", &self.executor_flags())
    }

    /// The successor of a killed executor, on the same machine: it removes what that one left.
    pub fn respawn_executor(&self) -> Process {
        self.executors.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        self.spawn_executor()
    }

    pub fn spawn_collector(&self) -> Process {
        Process::start("crownest-collector", &self.collector_flags(SIGNING_KEY))
    }

    /// One with more flags than those of all collectors.
    pub fn spawn_collector_with(&self, flags: &[&str]) -> Process {
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        Process::start(
            "crownest-collector",
            &self.collector_flags(SIGNING_KEY).into_iter().chain(flags).collect::<Vec<_>>(),
        )
    }

    /// One that signs with another key.
    pub fn spawn_collector_with_key(&self, key: &Secret) -> Process {
        Process::start("crownest-collector", &self.collector_flags(key.reveal()))
    }

    /// Another API service; returns its address, where it will serve soon.
    pub fn spawn_ingest(&self) -> (Process, String) {
        // Free a moment ago: a service tells its port only in its log.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address").to_string();
        drop(listener);
        (Process::start("crownest-ingest", &self.ingest_flags(&address)), format!("http://{address}"))
    }

    pub fn spawn_metering(&self) -> Process {
        Process::start("crownest-metering", &self.metering_flags())
    }

    fn ingest_flags(&self, listen: &str) -> Vec<String> {
        let mut flags = self.base(&self.lease.access.ingest_url, true);
        flags.extend(["--listen".to_owned(), listen.to_owned()]);
        flags.extend(self.env_key_flags("ingest", self.options.ingest_env_keys));
        flags
            .extend(self.options.ingest_flags.iter().map(|flag| flag.replace("STORE_ENDPOINT", self.store_endpoint())));
        flags
    }

    /// The command line of a collector.
    pub fn collector_flags(&self, signing_key: &str) -> Vec<String> {
        let mut flags = self.base(&self.lease.access.collector_url, true);
        // A test may sign in another way.
        if !self.options.collector_flags.iter().any(|flag| flag == "--signing-command") {
            flags.push(format!("--signing-key={signing_key}"));
        }
        flags.extend(self.options.object_lock.clone());
        flags.extend(self.options.collector_flags.clone());
        flags
    }

    /// Registers the tables in the shared Iceberg catalog, in a namespace of this test.
    pub fn iceberg_flags(&self) -> Vec<String> {
        let access = &self.lease.access;
        vec![
            format!("--iceberg-uri={}", access.iceberg_uri),
            format!("--iceberg-warehouse={}", access.iceberg_warehouse),
            format!("--iceberg-credential={}:{}", access.s3_access_key, access.s3_secret_key),
            format!("--iceberg-namespace=test_{}", access.number),
        ]
    }

    /// How readers get at the tables in that catalog, as `iceberg.py` wants it.
    pub fn iceberg(&self) -> serde_json::Value {
        let access = &self.lease.access;
        serde_json::json!({
            "uri": access.iceberg_uri, "warehouse": access.iceberg_warehouse,
            "namespace": format!("test_{}", access.number),
            "id": access.s3_access_key, "secret": access.s3_secret_key,
            "endpoint": access.s3_endpoint, "region": access.s3_region,
        })
    }

    fn metering_flags(&self) -> Vec<String> {
        let mut flags = self.base(&self.lease.access.metering_url, false);
        flags.extend(["--sweep-ms".to_owned(), "500".to_owned()]);
        flags
    }

    /// Each call is another executor.
    fn executor_flags(&self) -> Vec<String> {
        let number = self.executors.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let uid = FIRST_UID + self.lease.access.number * UIDS_OF_TEST + number * UIDS_OF_EXECUTOR;
        let mut flags = self.base(&self.lease.access.executor_url, true);
        flags.extend(["--slots".to_owned(), self.options.slots.to_string(), "--uid-base".to_owned(), uid.to_string()]);
        flags.extend(["--engine".to_owned(), self.options.engine.to_owned()]);
        flags.extend(["--work-dir".to_owned(), self.work_dir(number).display().to_string()]);
        flags.extend(self.env_key_flags("executor", self.options.executor_env_keys));
        flags.extend(self.options.executor_flags.clone());
        flags
    }

    fn env_key_flags(&self, service: &str, keys: Option<&str>) -> Vec<String> {
        let Some(keys) = keys else { return Vec::new() };
        let path = self.folder.path().join(format!("{service}-env-keys"));
        if !path.exists() {
            std::fs::write(&path, keys).expect("a key file can be written");
        }
        vec!["--env-key-file".to_owned(), path.display().to_string()]
    }

    pub fn work_dir(&self, executor: u32) -> PathBuf {
        self.folder.path().join(format!("executor-{executor}"))
    }

    fn base(&self, database_url: &str, with_store: bool) -> Vec<String> {
        let access = &self.lease.access;
        let amqp_url = self.options.amqp_url.as_ref().unwrap_or(&access.amqp_url);
        let mut flags = vec![
            "--database-url".to_owned(),
            database_url.replace("DATABASE", &database(&self.lease)),
            "--database-pool".to_owned(),
            "4".to_owned(),
            "--amqp-url".to_owned(),
            amqp_url.clone(),
            "--amqp-prefix".to_owned(),
            format!("t{}", access.number),
            "--ops-listen".to_owned(),
            "127.0.0.1:0".to_owned(),
        ];
        if with_store {
            flags.extend(store_flags(&self.lease));
        }
        flags
    }
}

fn database(lease: &Lease) -> String {
    format!("test_{}", lease.access.number)
}

fn store_flags(lease: &Lease) -> Vec<String> {
    let access = &lease.access;
    [
        ("--s3-endpoint", access.s3_endpoint.clone()),
        ("--s3-region", access.s3_region.clone()),
        ("--s3-bucket", format!("test-{}", access.number)),
        ("--s3-access-key", access.s3_access_key.clone()),
        ("--s3-secret-key", access.s3_secret_key.clone()),
    ]
    .into_iter()
    .flat_map(|(flag, value)| [flag.to_owned(), value])
    .collect()
}

/// A copy of the migrated database; the template must have no connection meanwhile, so this is one at a time.
async fn create_database(lease: &Lease) {
    let admin = pool(&lease.access.admin_url.replace("DATABASE", "postgres"));
    let client = admin.get().await.expect("the database answers");
    client.execute("select pg_advisory_lock(7402)", &[]).await.expect("a lock");
    let sql = format!("create database {} template crownest strategy file_copy", database(lease));
    client.batch_execute(&sql).await.expect("a database can be made");
    client.execute("select pg_advisory_unlock(7402)", &[]).await.expect("unlocked");
}

fn pool(url: &str) -> Pool {
    let database_url = Secret::new(url);
    database::open(&PostgresConfig { database_url, database_pool: 4 }).expect("a pool")
}

fn parse<T: Args + FromArgMatches>(flags: &[String]) -> T {
    let command = T::augment_args(Command::new("service").no_binary_name(true));
    let matches = command.try_get_matches_from(flags).unwrap_or_else(|error| panic!("{error}"));
    T::from_arg_matches(&matches).expect("flags that clap accepted")
}
