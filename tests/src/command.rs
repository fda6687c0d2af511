//! The real `crownest` command, with a configuration folder of its own instead of the developer's.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::Stack;
use crate::process::program;

/// The first `crownest up` on a busy machine takes longest.
const DEADLINE: Duration = Duration::from_secs(180);
/// Variables that would lead a command elsewhere.
const FOREIGN: [&str; 10] = [
    "CROWNEST_API_URL",
    "CROWNEST_API_KEY",
    "CROWNEST_BEARER_TOKEN",
    "CROWNEST_DATA",
    "CROWNEST_LISTEN",
    "CROWNEST_OPS_LISTEN",
    "CROWNEST_ENV_KEY_FILE",
    "CROWNEST_SIGNING_KEY",
    "CROWNEST_SIGNING_KEY_FILE",
    "CROWNEST_TRUSTED_KEYS",
];

#[derive(Debug)]
pub struct Crownest {
    config: TempDir,
    variables: Vec<(String, String)>,
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub struct Finished {
    /// -1 if a signal ended it.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Finished {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.text(), self.stderr);
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Code and message of the error, of a command that failed with `--json`.
    #[track_caller]
    pub fn error(self) -> (String, String) {
        let refused: serde_json::Value = serde_json::from_str(&self.expect(1).stderr).expect("an error as JSON");
        let text = |name: &str| refused["error"][name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message"))
    }

    /// Standard output as JSON lines, each without its `data` wrapper.
    #[track_caller]
    pub fn lines(&self) -> Vec<serde_json::Value> {
        let unwrap = |line: &str| -> serde_json::Value {
            let line: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
            line.get("data").expect("each line has data").clone()
        };
        self.text().lines().map(unwrap).collect()
    }

    /// The only line of standard output.
    #[track_caller]
    pub fn data(&self) -> serde_json::Value {
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{}", self.text());
        lines[0].clone()
    }
}

impl Default for Crownest {
    fn default() -> Self {
        Self::new()
    }
}

impl Crownest {
    /// Logged in nowhere.
    pub fn new() -> Self {
        let config = tempfile::Builder::new().prefix("crownest-config-").tempdir().expect("a folder can be made");
        Self { config, variables: Vec::new() }
    }

    /// With address and key of the stack in its environment.
    pub fn of(stack: &Stack) -> Self {
        Self::new().with("CROWNEST_API_URL", &stack.api_url).with("CROWNEST_API_KEY", stack.key())
    }

    /// The same, and believes what the stack's keys have signed.
    pub async fn trusting(stack: &Stack) -> Self {
        let crownest = Self::of(stack);
        crownest.run(["evidence", "trust"]).await.expect(0);
        crownest
    }

    /// With an administrator's access to the database and the store of the stack.
    pub fn admin(stack: &Stack) -> Self {
        let crownest = Self::new().with("CROWNEST_ADMIN_DATABASE_URL", &stack.admin_url());
        stack.store_env().into_iter().fold(crownest, |crownest, (name, value)| crownest.with(name, &value))
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn config_file(&self) -> PathBuf {
        self.config.path().join("crownest/config.json")
    }

    /// Killed when dropped; both outputs are captured.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(program("crownest"));
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.args(args).env("XDG_CONFIG_HOME", self.config.path()).env("XDG_STATE_HOME", self.config.path());
        command.env("XDG_CACHE_HOME", self.config.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Waits for its end.
    pub async fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Finished {
        let output = tokio::time::timeout(DEADLINE, self.command(args).output()).await.expect("it ends in time");
        let output = output.expect("crownest can be started");
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
