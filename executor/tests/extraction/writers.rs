//! Archives that are made by the programs that people use come out as GNU tar has them.
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use executor::extraction::ExtractLimits;

use crate::compare::Expect::{Refused, Same};
use crate::compare::compare;
use crate::tarball::extract_bytes;

/// A folder with a bit of everything.
fn source(folder: &Path) {
    let long = folder.join("long".repeat(20)).join("name".repeat(15));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("file"), "deep").unwrap();
    fs::write(folder.join("tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(folder.join("tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::write(folder.join("ünïcödé \u{1f426}"), "crow").unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::hard_link(folder.join("tool"), folder.join("zz-again")).unwrap();
    symlink("tool", folder.join("link")).unwrap();
    fs::hard_link(folder.join("link"), folder.join("link-again")).unwrap();
    symlink("../tool", folder.join("empty/up")).unwrap();
    let sparse = File::create(folder.join("sparse")).unwrap();
    sparse.set_len(3 << 20).unwrap();
    for at in 0..40 {
        sparse.write_at(b"data", at * 65_536).unwrap();
    }
}

/// Runs a shell script in `folder` that makes `made.tgz` of `source`; compares what comes of that.
fn check(script: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("source")).unwrap();
    source(&folder.path().join("source"));
    let made = Command::new("sh").args(["-ec", script]).current_dir(&folder).output().unwrap();
    assert!(made.status.success(), "{script}: {}", String::from_utf8_lossy(&made.stderr));
    let archive = fs::read(folder.path().join("made.tgz")).unwrap();
    compare(&archive, Same).unwrap_or_else(|difference| panic!("{script}: {difference}"));
    fs::create_dir(folder.path().join("again")).unwrap();
    let done = extract_bytes(&folder.path().join("again"), &archive, &ExtractLimits::default()).unwrap();
    assert!(done.entries >= 2, "{script}: {done:?}");
}

#[test]
fn gnu_tar() {
    for format in ["v7", "oldgnu", "gnu", "ustar", "pax"] {
        // Names of more than a hundred bytes are none of v7's.
        let names = if format == "v7" { "--exclude=long*" } else { "" };
        check(&format!("tar -czf made.tgz --format {format} {names} -C source ."));
        check(&format!("tar -czf made.tgz --format {format} {names} --sort=name --owner=0 source"));
    }
    for format in ["oldgnu", "gnu", "pax"] {
        check(&format!("tar -czSf made.tgz --format {format} -C source ."));
    }
    check("tar -czf made.tgz --format gnu --label name source");
    check("tar -czf made.tgz --format pax --label name --xattrs --acls --selinux source");
    check("tar -cf made.tar -C source tool; tar -rf made.tar -C source tool empty; gzip -c made.tar >made.tgz");
}

#[test]
fn other_sparse_formats_of_gnu_tar_are_refused_with_advice() {
    for version in ["0.0", "0.1"] {
        let folder = tempfile::tempdir().unwrap();
        source(folder.path());
        let script = format!("tar -czSf made.tgz --format posix --sparse-version {version} sparse");
        assert!(Command::new("sh").args(["-ec", &script]).current_dir(&folder).status().unwrap().success());
        let archive = fs::read(folder.path().join("made.tgz")).unwrap();
        compare(&archive, Refused("sparse", "create it without --sparse")).unwrap();
    }
}

#[test]
fn python() {
    for format in ["USTAR", "GNU", "PAX"] {
        check(&format!(
            "python3 -c 'import tarfile; tarfile.open(\"made.tgz\", \"w:gz\", format=tarfile.{format}_FORMAT).add(\"source\")'"
        ));
    }
}

#[test]
fn git() {
    let commit = "git -c user.name=a -c user.email=a@b -c commit.gpgsign=false commit -qm first";
    let out = "archive --format=tar.gz -o ../made.tgz HEAD";
    check(&format!("cd source; git init -q .; git add -A; {commit}; git {out}"));
    check(&format!("cd source; git init -q .; git add -A; {commit}; git {out} --prefix=some/folder/"));
}

/// Programs that a machine need not have.
#[test]
fn others_where_they_are_installed() {
    let has =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if has("bsdtar") {
        check("bsdtar -czf made.tgz source");
        for format in ["pax", "ustar", "gnutar", "v7"] {
            let names = if format == "v7" { "--exclude=long*" } else { "" };
            check(&format!("bsdtar -czf made.tgz --format {format} {names} source"));
        }
    }
    if has("npm") {
        let package = r#"{"name":"crow","version":"1.0.0"}"#;
        check(&format!(
            "cd source; echo '{package}' >package.json; npm pack --offline --silent; mv crow-1.0.0.tgz ../made.tgz"
        ));
    }
}
