//! Tests as an ordinary user: this program once more, started by the user `crownest-test` (which infra/setup.sh --test
//! makes) with control groups that are delegated to it and in the user namespace that an executor without root enters.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses its part; a failed step is a failed test")]
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const USER: &str = "crownest-test";
const ENTER: &str = "crownest-sandbox";
/// Name of the group; set in the process that has it.
const GROUP: &str = "CROWNEST_TEST_GROUP";
/// Controllers of cgroup v1, or the only hierarchy of v2.
const V1: [&str; 5] = ["memory", "pids", "cpu", "cpuacct", "blkio"];
const V2: [&str; 1] = [""];

/// The folder in which hosts make their groups, in the hierarchy of this controller (`""` on cgroup v2).
pub(crate) fn groups_of(controller: &str) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(controller).join(std::env::var_os(GROUP).unwrap_or_default())
}

/// True in the process that the ordinary user started.
fn is_ordinary() -> bool {
    std::env::var_os(GROUP).is_some()
}

/// Has the test of this name (a path, as `module_path!` begins it) done by that process.
pub(crate) fn test(name: &str, check: impl Future<Output = ()>) {
    if is_ordinary() {
        return tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(check);
    }
    let this = std::env::current_exe().unwrap();
    let helper = this.ancestors().map(|folder| folder.join(ENTER)).find(|file| file.is_file());
    let ordinary = Ordinary::new(&[helper.expect("cargo build --workspace --bins"), this.clone()]);
    let name = name.split_once("::").unwrap().1;
    let mut command = ordinary.command(ENTER);
    command.arg("enter").arg(ordinary.program(&this)).args(["--exact", name, "--nocapture", "--test-threads=1"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    assert!(output.status.success() && text.contains("1 passed"), "{}:\n{text}", output.status);
    ordinary.remove_groups();
}

/// Files and control groups of the user; dropping it removes them.
pub(crate) struct Ordinary {
    folder: tempfile::TempDir,
    uid: u32,
    group: String,
}

impl Ordinary {
    /// With copies of these programs: their own folders may be closed to others.
    pub(crate) fn new(programs: &[PathBuf]) -> Self {
        let folder = tempfile::Builder::new().prefix("ordinary-").tempdir().unwrap();
        let uid = id("-u").unwrap_or_else(|| panic!("there is no user {USER}: infra/setup.sh --test makes it"));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        chown(folder.path().join("home"), Some(uid), None).unwrap();
        let ordinary = Self { folder, uid, group: format!("crownest-ordinary-{}", std::process::id()) };
        for program in programs {
            fs::copy(program, ordinary.program(program)).unwrap();
        }
        for group in ordinary.groups() {
            fs::create_dir(&group).unwrap();
            chown(&group, Some(uid), None).unwrap();
            for file in ["cgroup.procs", "cgroup.subtree_control"].map(|file| group.join(file)) {
                if file.exists() {
                    chown(file, Some(uid), None).unwrap();
                }
            }
        }
        ordinary
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// A folder that the user may write to.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Users and commands of the processes that are in the group.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        self.members().into_iter().map(|member| (member.uid, member.name)).collect()
    }

    /// The pids of processes in the group that execute this program.
    pub(crate) fn pids(&self, name: &str) -> Vec<i32> {
        self.members().into_iter().filter(|member| member.name == name).map(|member| member.pid).collect()
    }

    fn members(&self) -> Vec<Member> {
        let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        entries
            .filter(|process| fs::read_to_string(process.join("cgroup")).is_ok_and(|text| text.contains(&self.group)))
            .filter_map(|process| {
                let pid = process.file_name()?.to_str()?.parse().ok()?;
                let status = fs::read_to_string(process.join("status")).ok()?;
                let field =
                    |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
                let (uid, name) = (field("Uid:")?.parse().ok()?, field("Name:")?.to_owned());
                (field("State:")? != "Z").then_some(Member { pid, uid, name })
            })
            .collect()
    }

    /// Takes the groups from the user again.
    pub(crate) fn undelegate(&self) {
        for group in self.groups() {
            chown(group, Some(0), None).unwrap();
        }
    }

    fn program(&self, program: &Path) -> PathBuf {
        self.folder.path().join(program.file_name().unwrap())
    }

    fn groups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let controllers = if root.join("cgroup.controllers").exists() { &V2[..] } else { &V1[..] };
        controllers.iter().map(|controller| root.join(controller).join(&self.group)).collect()
    }

    /// One of the programs, as the user and in the group.
    pub(crate) fn command(&self, program: &str) -> Command {
        // A group is joined by whoever executes the rest.
        const SCRIPT: &str = "user=$1; shift
            while [ $1 != -- ]; do echo $$ > $1/cgroup.procs || exit; shift; done; shift
            exec setpriv --reuid $user --regid $user --clear-groups -- \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh", USER]).args(self.groups()).arg("--").arg(self.program(Path::new(program)));
        command.env(GROUP, &self.group).env("HOME", self.home()).env("TMPDIR", self.home()).current_dir("/");
        command
    }

    /// Fails if anything stays in them. A process that has ended is in its group until it is waited for, which for an orphan
    /// is the machine's to do.
    pub(crate) fn remove_groups(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        for group in self.groups() {
            while let Err(error) = remove(&group) {
                let is_busy = error.kind() == std::io::ErrorKind::ResourceBusy && Instant::now() < deadline;
                assert!(is_busy, "{}: {error}: {:?}", group.display(), self.processes());
                std::thread::yield_now();
            }
        }
    }
}

struct Member {
    pid: i32,
    uid: u32,
    name: String,
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        for group in self.groups() {
            let _ = remove(&group);
        }
    }
}

/// A control group and those in it.
fn remove(group: &Path) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(group) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove(&entry.path())?;
    }
    fs::remove_dir(group)
}

fn id(flag: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, USER]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
