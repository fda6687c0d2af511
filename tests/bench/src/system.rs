//! The measured side: private services with durable settings and the four services as processes of their own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use database::{Pool, PostgresConfig};
use local::{BUCKET, Connections, Durability, Machine, Role, Servers};
use schemas::scope::Scope;
use serde_json::json;
use tempfile::TempDir;
use testkit::{Archive, Client, Process, SIGNING_KEY, archive};

use crate::cpu::Named;

/// Connections of each service: as many as a service opens by default.
const POOL: u16 = 8;
/// Concurrent requests of the client.
const CLIENTS: usize = 8;
/// A free port of the service's own choice.
const ANY: &str = "127.0.0.1:0";
const DEADLINE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(10);

/// The uploads: each run sends its archive, or all name one that the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    Each,
    Once,
}

pub(crate) struct System {
    local: Servers,
    services: Vec<(&'static str, Process)>,
    admin: Pool,
    client: Client,
    archive: Archive,
    key: String,
    address: String,
    executor_ops_url: String,
    collector_ops_url: String,
    folder: TempDir,
}

impl System {
    pub(crate) async fn start(slots: u16) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("crownest-bench-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        let local = Servers::start(&folder.path().join("data"), Durability::Durable).await?;
        Machine::prepare(&local).await?;
        let config = PostgresConfig { database_url: local.postgres_admin_url(), database_pool: 2 };
        let admin = database::open(&config)?;
        let mut database = admin.get().await?;
        let (org, _) = ingest::admin::create_organization(&mut database, "Bench", "local").await?;
        let (_, key) = ingest::admin::create_key(&database, &org, "bench", Scope::ALL, None).await?;
        drop(database);

        let (listen, executor_ops, collector_ops) = (free_address()?, free_address()?, free_address()?);
        let work_dir = folder.path().join("executor").display().to_string();
        let slots = slots.to_string();
        let signing_key = format!("--signing-key={SIGNING_KEY}");
        let services = [
            ("collector", Role::Collector, collector_ops.as_str(), vec![signing_key.as_str()]),
            ("metering", Role::Metering, ANY, vec![]),
            (
                "executor",
                Role::Executor,
                &executor_ops,
                vec![
                    "--slots",
                    &slots,
                    "--work-dir",
                    &work_dir,
                    // The log of the benchmark is stored as a whole.
                    "--output-cap-bytes",
                    "1073741824",
                ],
            ),
            ("ingest", Role::Ingest, ANY, vec!["--listen", &listen]),
        ];
        let mut started = Vec::new();
        for (name, role, ops_listen, own) in services {
            let mut flags = command_line(&local, role, ops_listen)?;
            flags.extend(own.into_iter().map(str::to_owned));
            started.push((name, Process::start(&format!("crownest-{name}"), &flags)));
        }
        let client = Client::new(&format!("http://{listen}"), key.reveal());
        let system = Self {
            local,
            services: started,
            admin,
            client,
            archive: archive(&[("a", "b\n")]),
            key: key.reveal().to_owned(),
            address: listen,
            executor_ops_url: format!("http://{executor_ops}"),
            collector_ops_url: format!("http://{collector_ops}"),
            folder,
        };
        testkit::eventually("the API is ready", async || {
            let answer = system.client.request(reqwest::Method::GET, "/readyz").send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        Ok(system)
    }

    /// Seconds that the executor spent in each phase of its attempts so far, by its own metrics.
    pub(crate) async fn phases(&self) -> anyhow::Result<BTreeMap<String, f64>> {
        const SUM: &str = "crownest_executor_phase_seconds_sum{phase=\"";
        let metrics = self.client.get(&format!("{}/metrics", self.executor_ops_url)).await.expect(200);
        let phases = metrics.as_str().unwrap_or_default().lines().filter_map(|line| {
            let (phase, seconds) = line.strip_prefix(SUM)?.split_once("\"} ")?;
            Some((phase.to_owned(), seconds.parse().ok()?))
        });
        Ok(phases.collect())
    }

    /// PUT requests of collector and executor so far, by their own metrics.
    pub(crate) async fn puts(&self) -> anyhow::Result<f64> {
        const PUTS: &str = "crownest_store_requests_total{method=\"PUT\"} ";
        let mut puts = 0.0;
        for service in [&self.collector_ops_url, &self.executor_ops_url] {
            let metrics = self.client.get(&format!("{service}/metrics")).await.expect(200);
            let lines = metrics.as_str().unwrap_or_default().lines();
            puts += lines.filter_map(|line| line.strip_prefix(PUTS)?.parse::<f64>().ok()).sum::<f64>();
        }
        Ok(puts)
    }

    /// Waits until the evidence log has every sealed run.
    pub(crate) async fn all_logged(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let sql = "select (select count(*) from collector.seals) - (select coalesce(max(tree_size), 0) from collector.log_checkpoints)";
        while self.admin.get().await?.query_one(sql, &[]).await?.get::<_, i64>(0) > 0 {
            anyhow::ensure!(begun.elapsed() < DEADLINE, "the log does not get its entries");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    pub(crate) async fn newest_run(&self) -> anyhow::Result<String> {
        let list = self.client.get("/v1/workspace-runs?limit=1").await.expect(200);
        Ok(list["data"][0]["id"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn store(&self) -> infra::s3::Store {
        infra::s3::open(&self.local.s3().config(BUCKET))
    }

    pub(crate) fn processes(&self) -> Vec<Named> {
        let mut processes: Vec<Named> =
            self.services.iter().map(|(name, process)| (*name, process.pid().into_iter().collect())).collect();
        processes.push(("PostgreSQL", self.local.postgres.pids()));
        processes.push(("RabbitMQ", self.local.rabbitmq.pids()));
        processes.push(("SeaweedFS", self.local.seaweedfs.pids()));
        processes
    }

    /// Runs per second, from the first request to the last durable bundle.
    pub(crate) async fn throughput(&self, runs: usize, command: &str, upload: Upload) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let one = |_| async {
            let request = json!({ "command": command });
            match upload {
                Upload::Each => drop(self.client.submit(request, &self.archive).await),
                Upload::Once => {
                    let run = self.client.submit_declared(request, &self.archive).await;
                    assert_eq!(run["status"], "starting", "the archive is known by now");
                }
            }
        };
        futures_util::stream::StreamExt::for_each_concurrent(futures_util::stream::iter(0..runs), CLIENTS, one).await;
        while self.open_runs().await? > 0 {
            anyhow::ensure!(begun.elapsed() < DEADLINE, "the runs did not end");
            tokio::time::sleep(POLL).await;
        }
        let elapsed = begun.elapsed().as_secs_f64();
        self.check_last().await?;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        Ok(runs as f64 / elapsed)
    }

    /// Runs per second with so many concurrent ones, each followed to its end.
    pub(crate) async fn follow(&self, runs: usize, command: &str, at_once: usize) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let one = |_| async {
            let run = self.client.submit_declared(json!({ "command": command }), &self.archive).await;
            let mut events = self.client.stream(run["id"].as_str().unwrap_or_default(), None, None).await;
            while events.next().await.is_some() {}
        };
        futures_util::stream::StreamExt::for_each_concurrent(futures_util::stream::iter(0..runs), at_once, one).await;
        anyhow::ensure!(self.open_runs().await? == 0, "a stream ended before its run");
        let elapsed = begun.elapsed().as_secs_f64();
        self.check_last().await?;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        Ok(runs as f64 / elapsed)
    }

    /// Runs without durable evidence. Cheap however many runs there were: the question itself must not be measured.
    async fn open_runs(&self) -> anyhow::Result<i64> {
        let client = self.admin.get().await?;
        let sql = "select count(*) from ingest.runs where not ended";
        Ok(client.query_one(&client.prepare_cached(sql).await?, &[]).await?.get(0))
    }

    /// Checks that the counted runs are there: the newest one has its evidence, and it is complete.
    async fn check_last(&self) -> anyhow::Result<()> {
        let evidence = self.client.evidence(&self.newest_run().await?).await;
        anyhow::ensure!(evidence["outcome"] == "success" && evidence["completeness"]["complete"] == true, "{evidence}");
        Ok(())
    }

    /// Milliseconds from the start request to the first stdout at a client that is connected already.
    pub(crate) async fn first_stdout(&self, command: &str) -> anyhow::Result<f64> {
        let run = self.client.create(json!({ "command": command })).await;
        self.client.upload(&run, &self.archive).await.expect(200);
        let mut stream = self.client.stream(&run, None, None).await;
        let begun = Instant::now();
        let start = self.client.start(&run);
        let first = async {
            while let Some((_, event)) = stream.next().await {
                if event["type"] == "stdout" {
                    return Some(begun.elapsed());
                }
            }
            None
        };
        let (_, first) = tokio::join!(start, first);
        let elapsed = first.ok_or_else(|| anyhow::anyhow!("the stream ended without stdout"))?;
        while stream.next().await.is_some() {}
        Ok(elapsed.as_secs_f64() * 1000.0)
    }

    /// Seconds from the start request to the durable bundle.
    pub(crate) async fn seconds_to_sealed(&self, command: &str) -> anyhow::Result<f64> {
        let run = self.client.create(json!({ "command": command })).await;
        self.client.upload(&run, &self.archive).await.expect(200);
        let begun = Instant::now();
        self.client.start(&run).await;
        loop {
            let now = self.client.run(&run).await;
            if now["evidenceAvailable"] == true {
                anyhow::ensure!(now["status"] == "succeeded", "{now}");
                return Ok(begun.elapsed().as_secs_f64());
            }
            anyhow::ensure!(begun.elapsed() < DEADLINE, "the run did not end: {now}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Address of the API.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn admin_url(&self) -> String {
        self.local.postgres_admin_url().reveal().to_owned()
    }

    pub(crate) fn pid_of(&self, service: &str) -> u32 {
        let found = self.services.iter().find(|(name, _)| *name == service);
        found.and_then(|(_, process)| process.pid()).unwrap_or_default()
    }

    /// The executor's.
    pub(crate) fn work_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("executor")
    }

    pub(crate) async fn some_run(&self) -> String {
        self.client.create(json!({ "command": "echo hello" })).await
    }

    pub(crate) async fn ready_to_start(&self, command: &str) -> String {
        let run = self.client.create(json!({ "command": command })).await;
        self.client.upload(&run, &self.archive).await.expect(200);
        run
    }

    pub(crate) async fn start_run(&self, run: &str) {
        self.client.start(run).await;
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for (_, mut process) in self.services {
            process.terminate().await;
        }
        Ok(self.local.stop().await?)
    }
}

/// Free a moment ago: a service tells its own choice only in its log.
pub(crate) fn free_address() -> std::io::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The command line of a service, but for its own flags.
fn command_line(servers: &Servers, role: Role, ops_listen: &str) -> anyhow::Result<Vec<String>> {
    let mut connections = Connections::on(servers, role)?;
    connections.postgres.database_pool = POOL;
    connections.ops.ops_listen = ops_listen.parse()?;
    let mut flags = if role == Role::Metering { connections.flags_without_store() } else { connections.flags() };
    flags.extend(["--log", "warn"].map(str::to_owned));
    Ok(flags)
}
