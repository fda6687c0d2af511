//! The private servers of one machine: PostgreSQL, RabbitMQ and SeaweedFS as child processes with their own data folder, free
//! ports on 127.0.0.1 and generated secrets. For `crownest up` and the tests; production brings its own.

mod error;
mod home;
mod leftovers;
mod lock;
mod ports;
mod postgres;
mod process;
mod procfs;
mod programs;
mod rabbitmq;
mod run_as;
mod seaweedfs;
mod secrets;
mod server;
mod software;

use std::path::{Path, PathBuf};

use infra::config::Secret;

use lock::DataLock;

pub use error::LocalError;
pub use postgres::{Postgres, Role};
pub use procfs::listening_addresses;
pub use programs::installed;
pub use rabbitmq::RabbitMq;
pub(crate) use seaweedfs::NEEDED_BYTES;
pub use seaweedfs::{S3Access, SeaweedFs};
pub(crate) use secrets::write_secret;
pub use server::Server;
pub use software::Durability;

/// All three services of one data folder. Dropping it ends them immediately; [`Servers::stop`] ends them in order.
#[derive(Debug)]
pub struct Servers {
    pub postgres: Postgres,
    pub rabbitmq: RabbitMq,
    pub seaweedfs: SeaweedFs,
    _lock: DataLock,
}

fn folders(data_dir: &Path) -> [PathBuf; 3] {
    ["postgres", "rabbitmq", "seaweedfs"].map(|name| data_dir.join(name))
}

impl Servers {
    /// Starts everything below `data_dir`, which is created if missing. What an earlier supervisor left running on the
    /// same data is ended first; if that supervisor is alive, this fails with [`LocalError::AlreadyRunning`].
    pub async fn start(data_dir: &Path, durability: Durability) -> Result<Self, LocalError> {
        let data_dir = home::create_data_dir(data_dir)?;
        let lock = DataLock::take(&data_dir)?;
        let [postgres, rabbitmq, seaweedfs] = folders(&data_dir);
        let (postgres, rabbitmq, seaweedfs) = tokio::join!(
            Postgres::start(&postgres, durability),
            RabbitMq::start(&rabbitmq, durability),
            SeaweedFs::start(&seaweedfs, durability),
        );
        // An early return drops, and so ends, those that did start.
        Ok(Self { postgres: postgres?, rabbitmq: rabbitmq?, seaweedfs: seaweedfs?, _lock: lock })
    }

    /// The live process that runs services on this data, if any.
    pub fn holder(data_dir: &Path) -> Option<u32> {
        DataLock::holder(data_dir)
    }

    /// The superuser's access to the database that another process runs on this data; `None` if none does, or if this
    /// user may not have it.
    pub fn running_admin_url(data_dir: &Path) -> Option<Secret> {
        Self::holder(data_dir)?;
        postgres::admin_url_in(&folders(data_dir)[0])
    }

    /// Access to the object store that another process runs on this data; `None` as above.
    pub fn running_s3(data_dir: &Path) -> Option<S3Access> {
        Self::holder(data_dir)?;
        seaweedfs::access_in(&folders(data_dir)[2])
    }

    /// Ends what a killed supervisor left running on this data; true if there was something.
    pub async fn end_leftovers(data_dir: &Path) -> Result<bool, LocalError> {
        let Ok(data_dir) = data_dir.canonicalize() else { return Ok(false) };
        let _lock = DataLock::take(&data_dir)?;
        let [postgres, rabbitmq, seaweedfs] = folders(&data_dir);
        let (postgres, rabbitmq, seaweedfs) = tokio::join!(
            Postgres::end_leftovers(&postgres),
            RabbitMq::end_leftovers(&rabbitmq),
            SeaweedFs::end_leftovers(&seaweedfs),
        );
        // One after the other, so that a failure of one is not hidden by the answer of another.
        Ok([postgres?, rabbitmq?, seaweedfs?].contains(&true))
    }

    /// The superuser, for migrations.
    pub fn postgres_admin_url(&self) -> Secret {
        self.postgres.admin_url()
    }

    /// The access of one CrowNest service.
    pub fn postgres_url(&self, role: Role) -> Secret {
        self.postgres.url(role, postgres::DATABASE)
    }

    pub fn amqp_url(&self) -> Secret {
        self.rabbitmq.url()
    }

    pub fn s3(&self) -> S3Access {
        self.seaweedfs.access()
    }

    /// The main process of each service that runs.
    pub fn pids(&self) -> Vec<u32> {
        [self.postgres.pid(), self.rabbitmq.pid(), self.seaweedfs.pid()].into_iter().flatten().collect()
    }

    /// Waits until one of the services ends by itself and tells which, for a supervisor that must not go on without it.
    pub async fn first_exit(&mut self) -> &'static str {
        tokio::select! {
            () = self.postgres.exited() => "PostgreSQL",
            () = self.rabbitmq.exited() => "RabbitMQ",
            () = self.seaweedfs.exited() => "SeaweedFS",
        }
    }

    /// Ends all services, in the reverse order of who depends on whom, and waits until no process is left.
    pub async fn stop(mut self) -> Result<(), LocalError> {
        let seaweedfs = self.seaweedfs.stop().await;
        let rabbitmq = self.rabbitmq.stop().await;
        let postgres = self.postgres.stop().await;
        seaweedfs.and(rabbitmq).and(postgres)
    }
}
