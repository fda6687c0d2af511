//! What the executor asks of a helper: NUL-separated in a memfd, because a command may be long. Nothing secret (the
//! environment travels in bubblewrap's own arguments).
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use rustix::fs::MemfdFlags;

use super::config::Network;
use super::init::{At as _, Failure};

const PROXY_WORD: &str = "proxy";

/// One sandbox to set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Host uid and gid of the slot.
    pub(super) uid: u32,
    /// Has `lower`, and either `upper` and `work` or, for these, `disk`.
    pub(super) run_dir: PathBuf,
    /// What to mount at `disk`, and the folder in it that has `upper` and `work`.
    pub(super) disk: Option<(PathBuf, OsString)>,
    /// Prepared once per host: `etc`, and mount points `root` and `workspace`.
    pub(super) stage: PathBuf,
    /// A root file system other than the host's.
    pub(super) root: Option<PathBuf>,
    pub(super) bwrap: PathBuf,
    pub(super) network: Network,
    pub(super) command: OsString,
}

impl Request {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let uid = OsString::from(self.uid.to_string());
        let (device, folder) = match &self.disk {
            Some((device, folder)) => (device.as_os_str(), folder.as_os_str()),
            None => (OsStr::new(""), OsStr::new("")),
        };
        let [run_dir, stage, bwrap] = [&self.run_dir, &self.stage, &self.bwrap].map(|path| path.as_os_str());
        let root = self.root.as_ref().map_or(OsStr::new(""), |root| root.as_os_str());
        let network = OsStr::new(if self.network == Network::Proxy { PROXY_WORD } else { "" });
        let fields = [&uid, run_dir, device, folder, stage, root, bwrap, network, &self.command];
        fields.map(|field: &OsStr| field.as_bytes()).join(&0)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let fields: Vec<OsString> =
            bytes.split(|byte| *byte == 0).map(|field| OsString::from_vec(field.into())).collect();
        let [uid, run_dir, device, folder, stage, root, bwrap, network, command] = &fields[..] else {
            return Err(io::Error::other("fields are missing")).at("parse the request");
        };
        let uid = uid.to_str().and_then(|uid| uid.parse().ok());
        Ok(Self {
            uid: uid.ok_or_else(|| io::Error::other("the uid is no number")).at("parse the request")?,
            run_dir: run_dir.into(),
            disk: (!device.is_empty()).then(|| (device.into(), folder.clone())),
            stage: stage.into(),
            root: (!root.is_empty()).then(|| root.into()),
            bwrap: bwrap.into(),
            network: if network == PROXY_WORD { Network::Proxy } else { Network::Nothing },
            command: command.clone(),
        })
    }
}

/// Written at its start without moving the offset, so that a reader begins there.
pub(super) fn memfd(content: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("crownest", MemfdFlags::CLOEXEC)?;
    let mut offset = 0;
    while let Some(rest) = content.get(offset..).filter(|rest| !rest.is_empty()) {
        offset += rustix::io::pwrite(&file, rest, offset as u64)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_to_the_helper() {
        let mut request = Request {
            uid: 1_700_003,
            run_dir: "/w/runs/a".into(),
            disk: None,
            stage: "/w/stage".into(),
            root: None,
            bwrap: "/usr/bin/bwrap".into(),
            network: Network::Nothing,
            command: "echo '--' \"$x\"\n".into(),
        };
        assert_eq!(Request::parse(&request.to_bytes()).ok().as_ref(), Some(&request));
        request.disk = Some(("/dev/loop0".into(), "a".into()));
        request.root = Some("/w/templates/a/tree".into());
        request.network = Network::Proxy;
        assert_eq!(Request::parse(&request.to_bytes()).ok(), Some(request));
        assert!(Request::parse(b"run").is_err());
    }
}
