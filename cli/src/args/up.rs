//! `crownest up`, `status` and `down`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use infra::telemetry::LogConfig;

use super::size::parse_size;

pub(crate) const UP_HELP: &str = "\
One process with the four services, beside a private PostgreSQL, RabbitMQ and SeaweedFS of its own: all on
loopback, with generated secrets below the data folder. The first start makes an organization, a project and
a key, and logs the command line in. Starting again on the same data goes on where it was, also after a crash.
Every service takes its other settings from its CROWNEST_* variables; see crownest-executor --help and so on.
It runs as root, or as a user with subordinate ids (/etc/subuid) and control groups of its own; it says what is missing.

Examples:
  crownest up --detach
  systemd-run --user --scope --property=Delegate=yes crownest up --detach     # not as root, with cgroup v2
  crownest up --data /srv/crownest --listen 127.0.0.1:9000 --slots 8
  crownest down";

/// The folder where everything is kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataArgs {
    /// Data folder [default: /var/lib/crownest as root, else crownest under the XDG data folder]
    #[arg(long, env = "CROWNEST_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// Return once everything is ready, and go on in the background
    #[arg(long)]
    pub detach: bool,
    /// Where to serve the API [default: the address of last time, else 127.0.0.1:8080, else a free port]
    #[arg(long, env = "CROWNEST_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Limits of the local organization [default: none on first start, else as before]
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<Plan>,
    /// Concurrent runs [default: one for each core]
    #[arg(long, env = "CROWNEST_SLOTS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub slots: Option<u16>,
    /// Register the tables of sealed runs in the Iceberg catalog of the local object store
    #[arg(long, env = "CROWNEST_ICEBERG")]
    pub iceberg: bool,
    /// Space to keep back on the disk of the local object store, such as 512M or 2G: with less free space no archive and no
    /// artifact is taken and no run begins, so that runs under way can still be sealed; 0 for none
    #[arg(long, env = "CROWNEST_STORE_RESERVE", default_value = "512M", value_name = "SIZE", value_parser = parse_size)]
    pub store_reserve: u64,
    #[command(flatten)]
    pub log: LogConfig,
    /// This process was started by --detach
    #[arg(long, hide = true)]
    pub background: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plan {
    /// No rate limit and no quota
    Local,
    Free,
    Builder,
    Scale,
    Enterprise,
}

impl Plan {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Free => "free",
            Self::Builder => "builder",
            Self::Scale => "scale",
            Self::Enterprise => "enterprise",
        }
    }
}

impl DataArgs {
    pub(crate) fn folder(&self) -> PathBuf {
        if let Some(folder) = &self.data {
            return std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let user_data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        match user_data.or_else(|| home.map(|home| home.join(".local/share"))) {
            Some(folder) if !rustix::process::geteuid().is_root() => folder.join("crownest"),
            _ => PathBuf::from("/var/lib/crownest"),
        }
    }
}
