//! The engines that must conform.
use std::path::PathBuf;

use sandbox::EngineConfig;

use crate::support::Machine;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Bubblewrap,
    Runc,
    Runsc,
    /// bubblewrap, and an executor that an ordinary user has started.
    Rootless,
}

impl Engine {
    fn program(self) -> &'static str {
        match self {
            Self::Bubblewrap | Self::Rootless => "bwrap",
            Self::Runc => "runc",
            Self::Runsc => "runsc",
        }
    }

    fn installed(self) -> PathBuf {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let found =
            std::env::split_paths(&folders).map(|folder| folder.join(self.program())).find(|path| path.is_file());
        found.unwrap_or_else(|| panic!("{} is not in PATH: infra/setup.sh --test installs all engines", self.program()))
    }

    pub(crate) fn config(self) -> EngineConfig {
        let program = self.installed();
        match self {
            Self::Bubblewrap | Self::Rootless => EngineConfig::Bubblewrap { program },
            Self::Runc | Self::Runsc => EngineConfig::Oci { runtime: program, arguments: Vec::new() },
        }
    }

    pub(crate) async fn open(self) -> Machine {
        Machine::open_with(|config| config.engine = self.config()).await
    }

    /// Apart from each other, so that processes of tests that run at the same time are told apart.
    pub(crate) fn uid_base(self, of_test: u32) -> u32 {
        match self {
            // Of the subordinate ids, half: what has no number of its own begins with the first.
            Self::Rootless => 50_000 + of_test * 1_000,
            _ => 1_820_000 + of_test * 3_000 + 1_000 * self as u32,
        }
    }

    /// With or without root.
    pub(crate) fn is_bubblewrap(self) -> bool {
        matches!(self, Self::Bubblewrap | Self::Rootless)
    }

    /// Each run's processes have one of these users, of which the first is the command's.
    pub(crate) fn users(uid: u32) -> [u32; 3] {
        [uid, uid + 100_000, uid + 200_000]
    }
}

/// To see that the engine's program is still what it was.
pub(crate) fn digest_of(engine: Engine) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(std::fs::read(engine.installed()).expect("the engine's program")).to_vec()
}

/// Makes a test of each engine out of functions that take one.
macro_rules! on_each_engine {
    ($($check:ident),+ $(,)?) => {
        mod bubblewrap {
            $(#[tokio::test] async fn $check() { super::$check(crate::engine::Engine::Bubblewrap).await; })+
        }
        mod runc {
            $(#[tokio::test] async fn $check() { super::$check(crate::engine::Engine::Runc).await; })+
        }
        mod runsc {
            $(#[tokio::test] async fn $check() { super::$check(crate::engine::Engine::Runsc).await; })+
        }
        mod rootless {
            $(#[test] fn $check() {
                let name = concat!(module_path!(), "::", stringify!($check));
                crate::ordinary::test(name, super::$check(crate::engine::Engine::Rootless));
            })+
        }
    };
}
pub(crate) use on_each_engine;
