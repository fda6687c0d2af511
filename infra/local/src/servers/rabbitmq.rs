//! A private RabbitMQ node: one AMQP port and one Erlang distribution port on 127.0.0.1, no plugins, no epmd.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lapin::{Connection, ConnectionProperties};
use rustix::process::Signal;
use tokio::net::TcpStream;

use infra::config::Secret;

use super::error::LocalError;
use super::home::{Home, remove_dir_if_present};
use super::ports::Ports;
use super::process::Launch;
use super::programs;
use super::secrets::{remove_if_present, write_file};
use super::server::Server;
use super::software::{Durability, Software};

const AMQP: &str = "amqp";
/// Erlang's distribution, which every node must have; here nobody is meant to connect to it.
const DISTRIBUTION: &str = "distribution";
const USER: &str = "crownest";
const NODE: &str = "rabbit@localhost";
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Libraries that only plugins use. Neither they nor the plugins themselves (`rabbitmq_…`) are put on the code path.
const PLUGIN_LIBRARIES: &[&str] = &[
    "accept",
    "amqp10_client",
    "amqp_client",
    "cowboy",
    "cowlib",
    "eetcd",
    "gun",
    "jose",
    "prometheus",
    "quantile_estimator",
];

pub type RabbitMq = Server<Node>;

#[derive(Debug)]
pub struct Node {
    script: PathBuf,
    emulator: PathBuf,
}

impl RabbitMq {
    /// The virtual host `/`, as administrator.
    pub fn url(&self) -> Secret {
        url(&self.home, &self.ports)
    }
}

fn url(home: &Home, ports: &Ports) -> Secret {
    let password = home.secrets.get("password").map(|secret| secret.reveal().to_owned()).unwrap_or_default();
    Secret::new(format!("amqp://{USER}:{password}@127.0.0.1:{}/%2f", ports.get(AMQP)))
}

impl Software for Node {
    const NAME: &'static str = "RabbitMQ";
    const USERS: &'static [&'static str] = &["rabbitmq"];
    const PORTS: &'static [&'static str] = &[AMQP, DISTRIBUTION];
    const STOP: Signal = Signal::TERM;
    const STOP_WITHIN: Duration = Duration::from_secs(30);
    /// A boot is 2 s of CPU, more on a busy machine, and longer with many queues to recover.
    const READY_WITHIN: Duration = Duration::from_mins(2);

    /// RabbitMQ has no setting for less durable quorum queues, so `durability` makes no difference.
    fn locate(_durability: Durability) -> Result<Self, LocalError> {
        let expected = "/usr/lib/rabbitmq/bin/rabbitmq-server (Debian: rabbitmq-server)";
        let missing = LocalError::NotInstalled { service: Self::NAME, expected };
        let script = Path::new(SERVER).is_file().then(|| PathBuf::from(SERVER)).ok_or(missing)?;
        let emulators = programs::versions("/usr/lib/erlang", "erts-").into_iter();
        let emulator = emulators.filter_map(|(_, dir)| programs::file(dir.join("bin/beam.smp"))).next_back();
        Ok(Self { emulator: emulator.unwrap_or_else(|| script.clone()), script })
    }

    fn program(&self) -> &Path {
        &self.emulator
    }

    async fn prepare(&self, home: &Home, ports: &Ports) -> Result<Launch, LocalError> {
        if !first_boot_done(home).exists() {
            // The user is made at the very end of a first boot; a node that was killed before would never get it.
            remove_dir_if_present(&home.dir.join("data"))?;
        }
        let data = home.own_dir("data")?;
        let config = home.config_file("rabbitmq.conf", &config(home, ports)?)?;
        let plugins = home.config_file("enabled_plugins", "[].\n")?;
        let environment = home.config_file("rabbitmq-env.conf", &self.short_code_path(home)?)?;
        let node_home = cookie(home)?;
        let distribution = ports.get(DISTRIBUTION);
        // Naming the node here keeps RabbitMQ from starting an epmd (and a second Erlang for that): with a fixed port
        // Erlang needs none (erl(1): -start_epmd, -erl_epmd_port).
        // Schedulers sleep at once instead of spinning (+sbwt): the cores belong to the sandboxes.
        let erlang = format!(
            "+sbwt none +sbwtdcpu none +sbwtdio none -noinput -sname {NODE} -start_epmd false -erl_epmd_port {distribution} \
             -kernel inet_dist_use_interface {{127,0,0,1}} \
             -kernel inet_dist_listen_min {distribution} -kernel inet_dist_listen_max {distribution}"
        );
        let env = vec![
            ("HOME", node_home.into()),
            // Makes the script become the server instead of staying its parent, so that signals reach it.
            ("RABBITMQ_ALLOW_INPUT", "true".into()),
            ("RABBITMQ_CONFIG_FILE", config.into()),
            ("RABBITMQ_CONF_ENV_FILE", environment.into()),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", plugins.into()),
            ("RABBITMQ_LOG_BASE", data.clone().into()),
            ("RABBITMQ_MNESIA_BASE", data.clone().into()),
            ("RABBITMQ_NODENAME", NODE.into()),
            ("RABBITMQ_DIST_PORT", distribution.to_string().into()),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erlang.into()),
            // Once a minute RabbitMQ makes sure that there is an epmd, by starting an Erlang that would start one, on every
            // interface: that Erlang, too, is told not to.
            ("ERL_ZFLAGS", "-start_epmd false".into()),
            ("ERL_CRASH_DUMP", data.join("erl_crash.dump").into()),
        ];
        Ok(Launch { program: self.script.clone(), args: Vec::new(), env, cwd: data })
    }

    async fn probe(&self, home: &Home, ports: &Ports) -> Result<(), String> {
        // Cheaper than lapin's attempt, and most attempts end here.
        drop(TcpStream::connect(("127.0.0.1", ports.get(AMQP))).await.map_err(|error| error.to_string())?);
        let properties = ConnectionProperties::default().with_connection_name("crownest readiness".into());
        let connection =
            Connection::connect(url(home, ports).reveal(), properties).await.map_err(|error| error.to_string())?;
        connection.close(200, "ready".into()).await.map_err(|error| error.to_string())?;
        write_file(&first_boot_done(home), b"", 0o644).map_err(|error| error.to_string())
    }
}

fn first_boot_done(home: &Home) -> PathBuf {
    home.dir.join("first-boot-done")
}

fn config(home: &Home, ports: &Ports) -> Result<String, LocalError> {
    let password = home.secrets.get("password")?;
    let amqp = ports.get(AMQP);
    Ok(format!(
        "listeners.tcp.local = 127.0.0.1:{amqp}
default_user = {USER}
default_pass = {}
default_user_tags.administrator = true
# An executor holds its delivery for the whole run: 24 h at most, and an hour to finish.
consumer_timeout = 90000000
# Real limits, but none that a developer's machine meets by accident.
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 200MB
# Kept in memory until it is full: 512 MB by default.
raft.wal_max_size_bytes = 67108864
collect_statistics_interval = 60000
log.file = false
log.console = true
log.console.level = info
log.console.use_colors = off
",
        password.reveal()
    ))
}

impl Node {
    /// Boot time is module loading, and each module is looked for in every folder of the code path: some 70 on Debian, of
    /// which a node without plugins needs 20. So the node gets a home that links to those only, which halves the boot
    /// (5.3 s to 2.6 s). The script sources this file after it has found its own home.
    fn short_code_path(&self, home: &Home) -> Result<String, LocalError> {
        let short = home.dir.join("code");
        remove_dir_if_present(&short)?;
        let links = short.join("plugins");
        fs::create_dir_all(&links).map_err(LocalError::io("create", &links))?;
        let script = self.script.canonicalize().map_err(LocalError::io("resolve", &self.script))?;
        let packaged = script.ancestors().nth(2).map(|home| home.join("plugins")).unwrap_or_default();
        let mut has_server = false;
        for (name, path) in programs::versions(&packaged.to_string_lossy(), "") {
            let application = name.split('-').next().unwrap_or_default();
            let is_plugin = application.starts_with("rabbitmq_") && application != "rabbitmq_prelaunch";
            if path.is_dir() && !is_plugin && !PLUGIN_LIBRARIES.contains(&application) {
                has_server |= application == "rabbit";
                symlink(&path, links.join(&name)).map_err(LocalError::io("link", &path))?;
            }
        }
        // Another layout than expected: boot slowly rather than not at all.
        Ok(if has_server { format!("RABBITMQ_HOME={}\n", short.display()) } else { String::new() })
    }
}

/// The node's HOME, with a cookie of its own: who knows the cookie may run any code in the node.
fn cookie(home: &Home) -> Result<PathBuf, LocalError> {
    let dir = home.own_dir("home")?;
    let cookie = dir.join(".erlang.cookie");
    if !cookie.exists() {
        let staged = home.dir.join("cookie");
        write_file(&staged, home.secrets.get("cookie")?.reveal().as_bytes(), 0o400)?;
        home.run_as.own(&staged)?;
        remove_if_present(&cookie).map_err(LocalError::io("replace", &cookie))?;
        fs::rename(&staged, &cookie).map_err(LocalError::io("create", &cookie))?;
    }
    Ok(dir)
}
