//! What the executor asks of a helper: NUL-separated in a memfd, because a command may be long. Nothing secret (the
//! environment travels in what the engine is given to read).
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use rustix::fs::MemfdFlags;

use super::engine::{Engine, Runtime, RuntimeKind};
use super::failure::{At as _, Failure};

const PROXY_WORD: &str = "proxy";

/// The content of the command's own network namespace, beside loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Nothing,
    /// A listening socket, which the executor holds ([`Sandbox::take_listener`](crate::Sandbox::take_listener)). Its
    /// address is in the environment of the command.
    Proxy,
}

/// The address of the egress proxy, inside.
pub(crate) const PROXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3128);

/// One sandbox to set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Host uid and gid of the slot.
    pub(crate) uid: u32,
    /// Has `lower`, and either `upper`, `work` and `tmp` or, for these, `disk`.
    pub(crate) run_dir: PathBuf,
    /// The device to mount at `disk`, and the folder in it that has `upper`, `work` and `tmp`.
    pub(crate) disk: Option<(PathBuf, OsString)>,
    /// Prepared once per host: `etc`, and mount points `root`, `tmp` and `workspace`.
    pub(crate) stage: PathBuf,
    /// A root file system other than the host's.
    pub(crate) root: Option<PathBuf>,
    pub(crate) network: Network,
    pub(crate) engine: Engine,
    /// For bubblewrap; an OCI runtime has it in its configuration.
    pub(crate) command: OsString,
}

impl Request {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let uid = OsString::from(self.uid.to_string());
        let (device, folder) = match &self.disk {
            Some((device, folder)) => (device.as_os_str(), folder.as_os_str()),
            None => (OsStr::new(""), OsStr::new("")),
        };
        let (word, program, arguments): (_, _, &[String]) = match &self.engine {
            Engine::Bubblewrap { program } => ("bubblewrap", program, &[]),
            Engine::Oci(Runtime { program, arguments, kind: RuntimeKind::Native }) => ("oci", program, arguments),
            Engine::Oci(Runtime { program, arguments, kind: RuntimeKind::Guest }) => ("oci-guest", program, arguments),
        };
        let [run_dir, stage, program] = [&self.run_dir, &self.stage, program].map(|path| path.as_os_str());
        let root = self.root.as_ref().map_or(OsStr::new(""), |root| root.as_os_str());
        let network = OsStr::new(if self.network == Network::Proxy { PROXY_WORD } else { "" });
        let word = OsStr::new(word);
        let mut fields = vec![&*uid, run_dir, device, folder, stage, root, network, word, program, &self.command];
        fields.extend(arguments.iter().map(OsStr::new));
        fields.iter().map(|field| field.as_bytes()).collect::<Vec<_>>().join(&0)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let fields: Vec<OsString> =
            bytes.split(|byte| *byte == 0).map(|field| OsString::from_vec(field.into())).collect();
        let [uid, run_dir, device, folder, stage, root, network, word, program, command, arguments @ ..] = &fields[..]
        else {
            return Err(io::Error::other("fields are missing")).at("parse the request");
        };
        let program = program.into();
        let arguments = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let engine = match word.as_bytes() {
            b"bubblewrap" => Engine::Bubblewrap { program },
            b"oci" => Engine::Oci(Runtime { program, arguments, kind: RuntimeKind::Native }),
            b"oci-guest" => Engine::Oci(Runtime { program, arguments, kind: RuntimeKind::Guest }),
            _ => return Err(io::Error::other("unknown engine")).at("parse the request"),
        };
        let uid = uid.to_str().and_then(|uid| uid.parse().ok());
        Ok(Self {
            uid: uid.ok_or_else(|| io::Error::other("the uid is not a number")).at("parse the request")?,
            run_dir: run_dir.into(),
            disk: (!device.is_empty()).then(|| (device.into(), folder.clone())),
            stage: stage.into(),
            root: (!root.is_empty()).then(|| root.into()),
            engine,
            network: if network == PROXY_WORD { Network::Proxy } else { Network::Nothing },
            command: command.clone(),
        })
    }
}

/// Written at its start without moving the offset, so that a reader begins there.
pub(crate) fn memfd(content: &[u8]) -> io::Result<OwnedFd> {
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
            engine: Engine::Bubblewrap { program: "/usr/bin/bwrap".into() },
            network: Network::Nothing,
            command: "echo '--' \"$x\"\n".into(),
        };
        assert_eq!(Request::parse(&request.to_bytes()).ok().as_ref(), Some(&request));
        request.disk = Some(("/dev/loop0".into(), "a".into()));
        request.root = Some("/w/templates/a/tree".into());
        request.network = Network::Proxy;
        for kind in [RuntimeKind::Native, RuntimeKind::Guest] {
            let arguments = vec!["--debug".into(), "--platform=kvm".into()];
            request.engine = Engine::Oci(Runtime { program: "/usr/bin/runsc".into(), arguments, kind });
            assert_eq!(Request::parse(&request.to_bytes()).ok().as_ref(), Some(&request));
        }
        assert!(Request::parse(b"run").is_err());
    }
}
