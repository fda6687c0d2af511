//! libFuzzer's loop around the target that the variable `CROWNEST_FUZZ_TARGET` names: one program for all targets,
//! because linking takes longer than compiling. `fuzz/run.sh` builds and runs it.
#![no_main]
use std::sync::LazyLock;

use fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("CROWNEST_FUZZ_TARGET").unwrap_or_default();
    let names: Vec<&str> = fuzz::TARGETS.iter().map(|target| target.name).collect();
    let found = fuzz::TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("CROWNEST_FUZZ_TARGET: expected one of {}, got `{name}`", names.join(" ")))
});

/// Writes the seeds before libFuzzer looks for its corpus.
fn write_seeds() {
    if let Some(folder) = std::env::var_os("CROWNEST_FUZZ_SEEDS") {
        fuzz::seeds::write(&TARGET, folder.as_ref()).expect("seeds can be written");
    }
}

libfuzzer_sys::fuzz_target!(init: write_seeds(), |bytes: &[u8]| {
    (TARGET.run)(bytes);
});
