//! The `crownest` binary in a clean environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const KEY: &str = "cn_live_0123456789";

/// A home folder of its own, without any configuration.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Without an address and a key.
    pub(crate) fn bare(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crownest"));
        command.env_clear().env("HOME", self.path()).current_dir(self.path()).args(args);
        command
    }

    pub(crate) fn command(&self, url: &str, args: &[&str]) -> Command {
        let mut command = self.bare(args);
        command.env("CROWNEST_API_URL", url).env("CROWNEST_API_KEY", KEY);
        command
    }

    pub(crate) fn run(&self, url: &str, args: &[&str]) -> Ended {
        Ended::from(self.command(url, args).output().unwrap())
    }
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self { code: output.status.code(), stdout: output.stdout, stderr: output.stderr }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.out(), self.err());
        self
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Every line of standard output, as JSON.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The error that `--json` prints.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let mut body: Value = serde_json::from_str(&self.err()).unwrap_or_else(|_| panic!("no error: {self:?}"));
        body["error"].take()
    }
}
