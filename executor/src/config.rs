//! Configuration of the executor.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use database::PostgresConfig;
use infra::amqp::AmqpConfig;
use infra::keyring::KeyringConfig;
use infra::network::Network;
use infra::ops::OpsConfig;
use infra::s3::S3Config;
use schemas::artifact::ArtifactLimits;

use sandbox::{DiskLimit, EngineConfig};

#[derive(Debug, Clone, Args)]
pub struct ExecutorConfig {
    #[command(flatten)]
    pub postgres: PostgresConfig,
    #[command(flatten)]
    pub amqp: AmqpConfig,
    #[command(flatten)]
    pub s3: S3Config,
    #[command(flatten)]
    pub ops: OpsConfig,
    #[command(flatten)]
    pub keyring: KeyringConfig,
    #[command(flatten)]
    pub settings: ExecutorSettings,
}

/// Everything that has a default.
#[derive(Debug, Clone, Args)]
pub struct ExecutorSettings {
    /// Maximum concurrent runs; each has a user id of its own
    #[arg(long, env = "CROWNEST_SLOTS", default_value_t = default_slots(), value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub slots: u16,
    /// Folder for extracted archives and templates and for running sandboxes, on a local ext4, xfs or btrfs
    #[arg(long, env = "CROWNEST_WORK_DIR", default_value = "/var/lib/crownest/executor", value_name = "DIR")]
    pub work_dir: PathBuf,
    /// User and group id of slot 0; slot n has this plus n, and its OCI runtime these plus 100,000 and 200,000. Nothing
    /// else on the machine may use these ids. Started by an ordinary user, this counts that user's subordinate ids
    /// (/etc/subuid), from 1 [default: 1700000, or of an ordinary user the first that no other executor has]
    #[arg(long, env = "CROWNEST_UID_BASE", value_name = "UID", value_parser = clap::value_parser!(u32).range(1..=2_000_000_000))]
    pub uid_base: Option<u32>,
    /// The sandbox engine: bubblewrap, or an OCI runtime such as runc or gVisor's runsc
    #[arg(long, env = "CROWNEST_ENGINE", value_enum, default_value_t = EngineName::Bubblewrap, value_name = "ENGINE")]
    pub engine: EngineName,
    /// The OCI runtime, for `--engine oci`: a file, or a name to look for in PATH. One whose name begins with runsc is
    /// used as gVisor, any other as runc
    #[arg(long, env = "CROWNEST_OCI_RUNTIME", default_value = "runc", value_name = "FILE")]
    pub oci_runtime: PathBuf,
    /// Arguments for the OCI runtime before its own command, separated by blanks, such as `--platform=kvm`
    #[arg(
        long,
        env = "CROWNEST_OCI_RUNTIME_ARGS",
        default_value = "",
        value_name = "ARGS",
        allow_hyphen_values = true
    )]
    pub oci_runtime_args: String,
    /// The helper `crownest-sandbox` [default: beside this program]
    #[arg(long, env = "CROWNEST_SANDBOX_HELPER", value_name = "FILE")]
    pub sandbox_helper: Option<PathBuf>,
    /// Memory of one run, in bytes
    #[arg(long, env = "CROWNEST_MEMORY_BYTES", default_value_t = 2 << 30, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range((16 << 20)..))]
    pub memory_bytes: u64,
    /// Processes and threads of one run
    #[arg(long, env = "CROWNEST_PIDS", default_value_t = 1024, value_name = "N",
          value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    pub pids: u32,
    /// Processor time of one run, in thousandths of a core
    #[arg(long, env = "CROWNEST_CPU_MILLIS", default_value_t = 2_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub cpu_millis: u32,
    /// Bytes that one run may write to `/workspace` and `/tmp` together; 0 for no limit but the disk's own. Needs
    /// loop devices and mkfs.ext4; without root it is measured once a second, and a run with more is ended [default: 10
    /// GiB, or no limit and a warning where these are missing]
    #[arg(long, env = "CROWNEST_DISK_BYTES", value_name = "BYTES", value_parser = parse_disk_bytes)]
    pub disk_bytes: Option<u64>,
    /// Bytes of each output stream of a run that are stored: of a longer stream the beginning and the end, half of them
    /// each. The end waits in a file of the work directory until the command has ended; the command notices nothing
    #[arg(long, env = "CROWNEST_OUTPUT_CAP_BYTES", default_value_t = 64 << 20, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1024..=1 << 40))]
    pub output_cap_bytes: u64,
    /// Bytes of one artifact of a run whose plan does not say; a folder counts as its tar [default: as the artifacts of the
    /// run together]
    #[arg(long, env = "CROWNEST_ARTIFACT_BYTES", value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub artifact_bytes: Option<u64>,
    /// Bytes of all artifacts of a run whose plan does not say; holes of sparse files count [default: as --disk-bytes, or 10
    /// GiB without a limit]
    #[arg(long, env = "CROWNEST_ARTIFACT_RUN_BYTES", value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub artifact_run_bytes: Option<u64>,
    /// Artifacts of a run whose plan does not say
    #[arg(long, env = "CROWNEST_ARTIFACTS", default_value_t = 1_000, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub artifacts: u64,
    /// Time for collecting the artifacts of a run whose plan does not say, in milliseconds, beside the command's time limit
    #[arg(long, env = "CROWNEST_COLLECTION_MS", default_value_t = 600_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub collection_ms: u64,
    /// Addresses or networks that egress may reach although they are not public, such as a package mirror's 10.1.2.3;
    /// may be repeated. The project's policy must still allow the host
    #[arg(long, env = "CROWNEST_EGRESS_ALLOW_ADDRESS", value_name = "NETWORK", value_delimiter = ',')]
    pub egress_allow_address: Vec<Network>,
    /// Bytes of extracted archives to keep
    #[arg(long, env = "CROWNEST_CACHE_BYTES", default_value_t = 10 << 30, value_name = "BYTES")]
    pub cache_bytes: u64,
    /// Bytes of extracted templates to keep; those in use are kept in any case
    #[arg(long, env = "CROWNEST_TEMPLATE_CACHE_BYTES", default_value_t = 20 << 30, value_name = "BYTES")]
    pub template_cache_bytes: u64,
    /// Time from SIGTERM to SIGKILL of a run that is canceled or has timed out, in milliseconds
    #[arg(long, env = "CROWNEST_GRACE_MS", default_value_t = 10_000, value_name = "MS")]
    pub grace_ms: u64,
    /// Time for unfinished runs to end after a shutdown, in milliseconds; then they are redelivered
    #[arg(long, env = "CROWNEST_EXECUTOR_DRAIN_MS", default_value_t = 30_000, value_name = "MS")]
    pub drain_ms: u64,
}

/// Engines by the names that operators use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    Bubblewrap,
    Oci,
}

const DEFAULT_DISK_BYTES: u64 = 10 << 30;
/// The smallest disk limit: less leaves ext4 no room for itself.
const LEAST_DISK_BYTES: u64 = 16 << 20;

fn parse_disk_bytes(text: &str) -> Result<u64, String> {
    let bytes: u64 = text.parse().map_err(|_| "expected a number of bytes".to_owned())?;
    if bytes == 0 || bytes >= LEAST_DISK_BYTES {
        return Ok(bytes);
    }
    Err(format!("expected 0 or at least {LEAST_DISK_BYTES}"))
}

/// One slot for each core.
fn default_slots() -> u16 {
    std::thread::available_parallelism().map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(1))
}

impl ExecutorSettings {
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }

    pub(crate) fn engine(&self) -> EngineConfig {
        match self.engine {
            EngineName::Bubblewrap => EngineConfig::default(),
            EngineName::Oci => EngineConfig::Oci {
                runtime: self.oci_runtime.clone(),
                arguments: self.oci_runtime_args.split_whitespace().map(str::to_owned).collect(),
            },
        }
    }

    pub(crate) fn disk(&self) -> DiskLimit {
        match self.disk_bytes {
            None => DiskLimit::WherePossible(DEFAULT_DISK_BYTES),
            Some(0) => DiskLimit::None,
            Some(bytes) => DiskLimit::Bytes(bytes),
        }
    }

    /// Bounds of the collection of artifacts; `disk_bytes` is what a run's disk can hold.
    pub(crate) fn artifact_limits(&self, disk_bytes: Option<u64>) -> ArtifactLimits {
        let run_bytes = self.artifact_run_bytes.or(disk_bytes).unwrap_or(DEFAULT_DISK_BYTES);
        ArtifactLimits {
            artifact_bytes: Some(self.artifact_bytes.unwrap_or(run_bytes)),
            run_bytes: Some(run_bytes),
            artifacts: Some(self.artifacts),
            collection_ms: Some(self.collection_ms),
        }
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
