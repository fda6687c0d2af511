//! What the executor tells the helper on its command line: nothing secret (the environment travels in a memfd).
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::init::{At as _, Failure};

/// The arguments of `crownest-sandbox run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) executor_pid: i32,
    /// Host uid and gid of the slot.
    pub(super) uid: u32,
    /// Has `lower`, `upper` and `work`.
    pub(super) run_dir: PathBuf,
    pub(super) lower: PathBuf,
    /// Prepared once per host: `etc` and a mount point `workspace`.
    pub(super) stage: PathBuf,
    pub(super) bwrap: PathBuf,
    pub(super) command: OsString,
    /// Directories of the run in each cgroup hierarchy.
    pub(super) cgroups: Vec<PathBuf>,
}

impl Request {
    pub(super) fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![
            "run".into(),
            self.executor_pid.to_string().into(),
            self.uid.to_string().into(),
            self.run_dir.clone().into(),
            self.lower.clone().into(),
            self.stage.clone().into(),
            self.bwrap.clone().into(),
            self.command.clone(),
        ];
        args.extend(self.cgroups.iter().map(|path| path.clone().into_os_string()));
        args
    }

    pub(super) fn parse(args: &[OsString]) -> Result<Self, Failure> {
        let usage = || io::Error::other("crownest-sandbox is started by crownest-executor, not by hand");
        let [mode, executor_pid, uid, run_dir, lower, stage, bwrap, command, cgroups @ ..] = args else {
            return Err(usage()).at("parse arguments");
        };
        if mode != "run" {
            return Err(usage()).at("parse arguments");
        }
        Ok(Self {
            executor_pid: number(executor_pid)?,
            uid: number(uid)?,
            run_dir: run_dir.into(),
            lower: lower.into(),
            stage: stage.into(),
            bwrap: bwrap.into(),
            command: command.clone(),
            cgroups: cgroups.iter().map(PathBuf::from).collect(),
        })
    }
}

fn number<T: std::str::FromStr>(text: &OsString) -> Result<T, Failure> {
    let parsed = text.to_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| io::Error::other(format!("{} is not a number", text.display()))).at("parse arguments")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_command_line() {
        let request = Request {
            executor_pid: 7,
            uid: 1_700_003,
            run_dir: "/w/runs/a".into(),
            lower: "/c/b".into(),
            stage: "/w/stage".into(),
            bwrap: "/usr/bin/bwrap".into(),
            command: "echo '--' \"$x\"\n".into(),
            cgroups: vec!["/sys/fs/cgroup/crownest/a".into()],
        };
        assert_eq!(Request::parse(&request.to_args()).ok(), Some(request));
        assert!(Request::parse(&["run".into()]).is_err());
    }
}
