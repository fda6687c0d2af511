//! A CrowNest for one test: its own database, queues, bucket and executor, on the shared services.

mod configuration;

use database::{Pool, PostgresConfig};
use infra::amqp::Amqp;
use infra::config::Secret;
use infra::s3::{ObjectLockConfig, Store};
use infra::telemetry::{LogConfig, LogFormat};
use local::Services;
use schemas::id::{OrgId, ProjectId};
use schemas::scope::Scope;
use tempfile::TempDir;

use self::configuration::settings;
use crate::{Client, Lease, Options, Process, SIGNING_KEY, eventually};

#[derive(Debug)]
pub struct Stack {
    pub api_url: String,
    /// URL of ingest's health and metrics.
    pub ingest_ops_url: String,
    /// URL of the collector's health and metrics, if it runs in the test's own process.
    pub collector_ops_url: String,
    /// URL of the executor's health and metrics, if it runs in the test's own process.
    pub executor_ops_url: String,
    pub org: OrgId,
    pub project: ProjectId,
    key: String,
    /// Connections of the database's superuser.
    pub admin: Pool,
    pub store: Store,
    pub folder: TempDir,
    options: Options,
    lease: Lease,
    executors: std::sync::atomic::AtomicU32,
    services: Services,
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.services.cancel();
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
            executor_ops_url: String::new(),
            org,
            project,
            key: key.reveal().to_owned(),
            store: infra::s3::open(&lease.access.store().config(&bucket(&lease))),
            admin,
            folder,
            options,
            lease,
            executors: 0.into(),
            services: Services::default(),
        };
        let lock: ObjectLockConfig = settings(&stack.options.object_lock);
        stack.store.locking(lock.lock()).ensure_bucket().await.expect("a bucket can be made");
        stack.start_services().await;
        stack
    }

    async fn start_services(&mut self) {
        if self.options.collector {
            let config = self.collector_config();
            self.services.start_collector(config).await.expect("the collector starts");
        }
        if self.options.metering {
            let config = self.metering_config();
            self.services.start_metering(config).await.expect("metering starts");
        }
        if self.options.executor {
            let config = self.executor_config();
            self.services.start_executor(config).await.expect("the executor starts");
        }
        let address = self.services.start_ingest(self.ingest_config()).await.expect("ingest starts");
        self.api_url = format!("http://{address}");
        for (service, address) in self.services.ops_addresses() {
            match service {
                "ingest" => self.ingest_ops_url = format!("http://{address}"),
                "collector" => self.collector_ops_url = format!("http://{address}"),
                "executor" => self.executor_ops_url = format!("http://{address}"),
                _ => {}
            }
        }
    }

    /// A client with the key of this test's organization.
    pub fn client(&self) -> Client {
        Client::new(&self.api_url, &self.key)
    }

    /// A connection to the broker, to look at this test's queues.
    pub fn amqp(&self) -> Amqp {
        Amqp::new(&self.amqp_config(), "test")
    }

    /// Address of the shared store, for services that hand it out.
    pub fn store_endpoint(&self) -> &str {
        &self.lease.access.s3_endpoint
    }

    /// Access to this test's bucket, as the command line takes it.
    pub fn store_env(&self) -> Vec<(&'static str, String)> {
        let access = &self.lease.access;
        vec![
            ("CROWNEST_S3_ENDPOINT", access.s3_endpoint.clone()),
            ("CROWNEST_S3_BUCKET", bucket(&self.lease)),
            ("CROWNEST_S3_ACCESS_KEY", access.s3_access_key.clone()),
            ("CROWNEST_S3_SECRET_KEY", access.s3_secret_key.clone()),
        ]
    }

    /// The shared Iceberg catalog with this test's tables, for readers such as `iceberg.py`.
    pub fn iceberg(&self) -> serde_json::Value {
        let access = &self.lease.access;
        serde_json::json!({
            "uri": access.iceberg_uri, "warehouse": access.iceberg_warehouse,
            "namespace": format!("test_{}", access.number),
            "id": access.s3_access_key, "secret": access.s3_secret_key,
            "endpoint": access.s3_endpoint, "region": access.s3_region,
        })
    }

    /// The superuser's access to this test's database.
    pub fn admin_url(&self) -> String {
        self.lease.access.admin_url.replace("DATABASE", &database(&self.lease))
    }

    /// The executor's access to this test's database.
    pub fn executor_url(&self) -> String {
        self.lease.access.executor_url.replace("DATABASE", &database(&self.lease))
    }

    /// The collector's access to this test's database.
    pub fn collector_url(&self) -> String {
        self.lease.access.collector_url.replace("DATABASE", &database(&self.lease))
    }

    /// Waits until the tables consist of these files (first and last batch) and no others: all written and, where a catalog is
    /// configured, registered.
    pub async fn wait_for_table_files(&self, batches: &[(i64, i64)]) {
        let database = self.admin.get().await.expect("the database answers");
        eventually(&format!("{batches:?} are written"), async || {
            let sql = "select first_batch, last_batch, written_at is not null from collector.lake_files order by 1, 2";
            let rows = database.query(sql, &[]).await.expect("rows");
            let written: Vec<(i64, i64)> =
                rows.iter().filter(|row| row.get(2)).map(|row| (row.get(0), row.get(1))).collect();
            (written == batches && rows.len() == batches.len()).then_some(())
        })
        .await;
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

    /// One with more flags than those of all executors.
    pub fn spawn_executor_with(&self, flags: &[&str]) -> Process {
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        Process::start("crownest-executor", &self.executor_flags().into_iter().chain(flags).collect::<Vec<_>>())
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
        self.spawn_ingest_with(&[])
    }

    /// One with more flags than those of all API services.
    pub fn spawn_ingest_with(&self, flags: &[&str]) -> (Process, String) {
        // Free a moment ago: a service tells its port only in its log.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address").to_string();
        drop(listener);
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        let flags: Vec<String> = self.ingest_flags(&address).into_iter().chain(flags).collect();
        (Process::start("crownest-ingest", &flags), format!("http://{address}"))
    }

    pub fn spawn_metering(&self) -> Process {
        Process::start("crownest-metering", &self.metering_flags())
    }
}

fn bucket(lease: &Lease) -> String {
    format!("test-{}", lease.access.number)
}

fn database(lease: &Lease) -> String {
    format!("test_{}", lease.access.number)
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
