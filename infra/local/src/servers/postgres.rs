//! A private PostgreSQL cluster: TCP on 127.0.0.1 only, scram passwords, one database, one login for each service.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio_postgres::{Client, NoTls};

use infra::config::Secret;

use super::error::LocalError;
use super::home::{Home, remove_dir_if_present};
use super::ports::Ports;
use super::process::{Launch, not_started};
use super::programs;
use super::secrets::remove_if_present;
use super::server::Server;
use super::software::{Durability, Software};

/// The database of CrowNest; tests make others beside it.
pub(super) const DATABASE: &str = "crownest";
const ADMIN: &str = "crownest_admin";
const PORT: &str = "postgres";
const OLDEST_MAJOR: u32 = 15;

pub type Postgres = Server<Cluster>;

/// The CrowNest service that connects: its login is a member of the group role that the migrations grant rights to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Ingest,
    Executor,
    Collector,
    Metering,
}

impl Role {
    const ALL: [Self; 4] = [Self::Ingest, Self::Executor, Self::Collector, Self::Metering];

    fn group(self) -> &'static str {
        match self {
            Self::Ingest => "crownest_ingest",
            Self::Executor => "crownest_executor",
            Self::Collector => "crownest_collector",
            Self::Metering => "crownest_metering",
        }
    }

    fn login(self) -> String {
        format!("{}_login", self.group())
    }
}

#[derive(Debug)]
pub struct Cluster {
    postgres: PathBuf,
    durability: Durability,
}

impl Postgres {
    /// The superuser, in the database `crownest`.
    pub fn admin_url(&self) -> Secret {
        self.admin_url_of(DATABASE)
    }

    /// The superuser, in another database of the cluster.
    pub fn admin_url_of(&self, database: &str) -> Secret {
        url(&self.home, &self.ports, ADMIN, database)
    }

    pub fn url(&self, role: Role, database: &str) -> Secret {
        url(&self.home, &self.ports, &role.login(), database)
    }
}

/// A secret that cannot be read gives a URL that is refused; reading it succeeded when the cluster was made.
fn url(home: &Home, ports: &Ports, user: &str, database: &str) -> Secret {
    let password = home.secrets.get(user).map(|secret| secret.reveal().to_owned()).unwrap_or_default();
    url_with(user, &password, ports, database)
}

fn url_with(user: &str, password: &str, ports: &Ports, database: &str) -> Secret {
    Secret::new(format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", ports.get(PORT)))
}

/// The superuser's access to the cluster that another process runs in `dir`, if this user may read its secrets.
pub(super) fn admin_url_in(dir: &Path) -> Option<Secret> {
    let password = fs::read_to_string(dir.join("secrets").join(ADMIN)).ok()?;
    Some(url_with(ADMIN, &password, &Ports::remembered(dir)?, DATABASE))
}

impl Software for Cluster {
    const NAME: &'static str = "PostgreSQL";
    const USERS: &'static [&'static str] = &["postgres"];
    const PORTS: &'static [&'static str] = &[PORT];
    /// "Fast shutdown": ends sessions, then writes a checkpoint.
    const STOP: Signal = Signal::INT;
    const STOP_WITHIN: Duration = Duration::from_secs(30);
    /// "Immediate shutdown": frees shared memory, recovers from the log at the next start.
    const ABORT: Signal = Signal::QUIT;
    /// Recovery of a large log takes its time.
    const READY_WITHIN: Duration = Duration::from_mins(2);

    fn locate(durability: Durability) -> Result<Self, LocalError> {
        let packaged = programs::versions("/usr/lib/postgresql", "").into_iter().filter_map(|(version, dir)| {
            let major: u32 = version.parse().ok()?;
            Some((major, programs::file(dir.join("bin/postgres"))?)).filter(|_| major >= OLDEST_MAJOR)
        });
        let newest = packaged.max_by_key(|(major, _)| *major).map(|(_, program)| program);
        let expected = "PostgreSQL 15 or newer in /usr/lib/postgresql/*/bin or in PATH (Debian: postgresql-15)";
        let missing = LocalError::NotInstalled { service: Self::NAME, expected };
        let postgres = newest.or_else(|| programs::in_path("postgres")).ok_or(missing)?;
        Ok(Self { postgres, durability })
    }

    fn program(&self) -> &Path {
        &self.postgres
    }

    async fn prepare(&self, home: &Home, ports: &Ports) -> Result<Launch, LocalError> {
        let data = home.dir.join("data");
        if !data.join("PG_VERSION").exists() {
            self.create_cluster(home, &data).await?;
        }
        // Nothing of ours runs any more, so this can only be stale; PostgreSQL would refuse to start if its pid belongs
        // to a stranger by now.
        let stale = data.join("postmaster.pid");
        remove_if_present(&stale).map_err(LocalError::io("remove", &stale))?;
        let settings = settings(self.durability).map(|setting| format!("--{setting}"));
        let own = [format!("--port={}", ports.get(PORT)), "--listen_addresses=127.0.0.1".to_owned()];
        let args = ["-D".into(), data.clone().into_os_string()];
        let args = args.into_iter().chain(own.into_iter().chain(settings).map(Into::into)).collect();
        Ok(Launch { program: self.postgres.clone(), args, env: Vec::new(), cwd: data })
    }

    async fn probe(&self, home: &Home, ports: &Ports) -> Result<(), String> {
        let target = url(home, ports, ADMIN, "postgres");
        let (client, connection) =
            tokio_postgres::connect(target.reveal(), NoTls).await.map_err(|error| describe(&error))?;
        let driver = tokio::spawn(connection);
        let outcome = create_database_and_logins(&client, home).await;
        drop(client);
        // How the connection ends does not matter once the answer is there.
        let _ = driver.await;
        outcome
    }
}

impl Cluster {
    /// Beside its final place, so that a crash in the middle leaves no half-made cluster.
    async fn create_cluster(&self, home: &Home, data: &Path) -> Result<(), LocalError> {
        remove_dir_if_present(&home.dir.join("data.new"))?;
        let new = home.own_dir("data.new")?;
        let password = home.secrets.get(ADMIN)?;
        let password_file = home.config_file("initdb-password", password.reveal())?;
        let mut args: Vec<_> = ["-D".into(), new.clone().into_os_string()].into();
        args.extend(["--username", ADMIN, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"].map(Into::into));
        args.extend(["--pwfile".into(), password_file.clone().into_os_string()]);
        args.push(if self.durability == Durability::Fast { "--no-sync" } else { "--data-checksums" }.into());
        let program = self.postgres.with_file_name("initdb");
        let launch = Launch { program, args, env: Vec::new(), cwd: new.clone() };
        let mut command = tokio::process::Command::from(launch.command(home));
        command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = command.output().await.map_err(LocalError::io("execute", &launch.program))?;
        remove_if_present(&password_file).map_err(LocalError::io("remove", &password_file))?;
        if !output.status.success() {
            return Err(not_started(
                home,
                format!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim()),
            ));
        }
        match fs::remove_dir(data) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(LocalError::io("replace", data)(error)),
            _ => fs::rename(&new, data).map_err(LocalError::io("create", data)),
        }
    }
}

/// The differences from PostgreSQL's defaults, for a small machine and tables that are used as queues.
fn settings(durability: Durability) -> impl Iterator<Item = &'static str> {
    const ALWAYS: &[&str] = &[
        "unix_socket_directories=",
        "max_connections=200",
        "shared_buffers=128MB",
        "max_wal_size=2GB",
        "checkpoint_timeout=15min",
        "random_page_cost=1.1",
        // Short statements only: compiling them never pays.
        "jit=off",
        // Queue tables turn over completely all the time, so dead rows must go early.
        "autovacuum_naptime=15s",
        "autovacuum_vacuum_scale_factor=0.05",
        "autovacuum_vacuum_cost_delay=1ms",
        "idle_in_transaction_session_timeout=5min",
        "tcp_keepalives_idle=60",
        "log_min_duration_statement=1s",
        "log_lock_waits=on",
        "log_line_prefix=%m [%p] %u@%d ",
        "timezone=UTC",
        "log_timezone=UTC",
    ];
    const FAST: &[&str] =
        &["fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0"];
    let more = if durability == Durability::Fast { FAST } else { &[] };
    ALWAYS.iter().chain(more).copied()
}

/// The migrations make the group roles too, but logins must be members before any migration ran.
async fn create_database_and_logins(client: &Client, home: &Home) -> Result<(), String> {
    let database = client.query_opt("select from pg_database where datname = $1", &[&DATABASE]).await;
    if database.map_err(|error| describe(&error))?.is_none() {
        run(client, &format!("create database {DATABASE}")).await?;
    }
    for role in Role::ALL {
        let (group, login) = (role.group(), role.login());
        let password = home.secrets.get(&login).map_err(|error| error.to_string())?;
        run(
            client,
            &format!(
                "do $$ begin
                   if to_regrole('{group}') is null then create role {group} nologin; end if;
                   if to_regrole('{login}') is null then
                     create role {login} login password '{}' in role {group};
                   end if;
                 end $$",
                password.reveal()
            ),
        )
        .await?;
    }
    Ok(())
}

async fn run(client: &Client, sql: &str) -> Result<(), String> {
    client.batch_execute(sql).await.map_err(|error| describe(&error))
}

/// tokio-postgres says only "db error" itself; the server's words are in the source.
fn describe(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}
