//! Compiles `src/kernel/landlock/program.rs`: a program of its own, static and without libc, because it runs inside of
//! sandboxes whatever root file system they have. Cargo knows no such kind of target within a package.
use std::env;
use std::path::Path;
use std::process::Command;

const SOURCE: &str = "src/kernel/landlock/program.rs";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    let variable = |name| env::var_os(name).expect("cargo sets it");
    let mut compiler = Command::new(variable("RUSTC"));
    compiler.args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "landlock", SOURCE]);
    compiler.arg("--target").arg(variable("TARGET"));
    compiler.args(["-C", "panic=abort", "-C", "opt-level=s", "-C", "strip=symbols", "-C", "relocation-model=static"]);
    for argument in ["-nostartfiles", "-nostdlib", "-static"] {
        compiler.arg("-C").arg(format!("link-arg={argument}"));
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("linker=");
        option.push(linker);
        compiler.arg("-C").arg(option);
    }
    compiler.arg("-o").arg(Path::new(&variable("OUT_DIR")).join("landlock"));
    let status = compiler.status().expect("the compiler runs");
    assert!(status.success(), "{SOURCE} does not compile");
}
