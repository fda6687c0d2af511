//! Seeds of a search: one input of each kind that is understood. Texts are files in `corpus/`, inputs that once broke a
//! target are in `findings/`; archives and binary messages are made here.
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemas::evidence::event_log::PartBuilder;
use serde_json::Value;

use crate::Target;
use crate::tarball::{Raw, gzip, tar};

/// Names and inputs that the target understands.
pub fn of(target: &Target) -> Vec<(String, Vec<u8>)> {
    let mut seeds = files(&folder("corpus").join(target.name));
    match target.name {
        "archive" | "archive-gnu-tar" => seeds.extend(archives()),
        "archive-gzip" => seeds.extend(archives().into_iter().map(|(name, archive)| (name, gzip(&archive)))),
        "event-message" => seeds = seeds.into_iter().map(|(name, head)| (name, framed(&head))).collect(),
        "log-index" => seeds.extend(index().map(|index| ("index".to_owned(), index))),
        "evidence" => seeds.extend(documented("evidence").into_iter().map(|found| ("documented".to_owned(), found))),
        "envelope" => seeds.extend(exported("attestation.dsse.json")),
        "verification" => seeds.extend(exported("evidence.json")),
        "junit" => seeds.extend(reports(".xml")),
        "ctrf" => seeds.extend(reports(".json")),
        _ => {}
    }
    seeds
}

/// Inputs that once broke the target; never removed.
pub fn findings(target: &Target) -> Vec<(String, Vec<u8>)> {
    files(&folder("findings").join(target.name))
}

/// Writes seeds and findings into the folder `to`, and beside it `<to>.dict`, a dictionary of the texts in them.
pub fn write(target: &Target, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut words = BTreeSet::new();
    for (name, bytes) in of(target).into_iter().chain(findings(target)) {
        let is_word =
            |word: &&[u8]| (2..=40).contains(&word.len()) && word.iter().all(|byte| b' ' < *byte && *byte < 127);
        let split = bytes.split(|&byte| !(byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)));
        words.extend(split.filter(is_word).map(|word| format!("\"{}\"\n", String::from_utf8_lossy(word))));
        fs::write(to.join(name), bytes)?;
    }
    // libFuzzer refuses an empty dictionary.
    words.insert("\"\\x00\"\n".to_owned());
    fs::write(to.with_extension("dict"), words.into_iter().collect::<String>())
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The file of this name in every frozen export.
fn exported(name: &str) -> Vec<(String, Vec<u8>)> {
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let runs = entries(folder("../schemas/fixtures/evidence")).filter(|path| path.is_dir()).flat_map(entries);
    let file = |run: PathBuf| Some((run.file_name()?.to_string_lossy().into_owned(), fs::read(run.join(name)).ok()?));
    runs.filter_map(file).collect()
}

/// Reports as real tools write them.
fn reports(extension: &str) -> Vec<(String, Vec<u8>)> {
    let mut reports = files(&folder("../schemas/fixtures/test-reports"));
    reports.retain(|(name, _)| name.ends_with(extension));
    reports
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| Some((entry.file_name().into_string().ok()?, fs::read(entry.path()).ok()?));
    let mut files: Vec<_> = entries.filter_map(read).collect();
    files.sort();
    files
}

fn archives() -> Vec<(String, Vec<u8>)> {
    let pax = |records: &[(&str, &str)]| Raw::extended(b'x', records);
    let sparse = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "s"),
        ("GNU.sparse.realsize", "9216"),
    ];
    let mut map = b"2\n0\n512\n8704\n512\n".to_vec();
    map.resize(512 + 1024, 0);
    let old_map = "00000000000\x0000000001000\x0000000021000\x0000000001000\0";
    let old = Raw::new(b'S', "s").gnu().content([b'x'; 1024]).at(483, "00000022000\0").at(386, old_map);
    let cases: [(&str, &[Raw]); 8] = [
        ("files", &[Raw::folder("./"), Raw::folder("d/"), Raw::file("d/f", "content").mode(0o4755), Raw::named("d/f")]),
        (
            "links",
            &[Raw::named("f"), Raw::symlink("d/l", "../f"), Raw::hard_link("h", "f"), Raw::hard_link("d/i", "d/l")],
        ),
        ("ustar", &[Raw::named("f").at(345, "some/folder"), Raw::new(0, "d/").v7(), Raw::named("v").v7()]),
        (
            "gnu",
            &[
                Raw::long(b'K', "d/target"),
                Raw::long(b'L', "long/name"),
                Raw::symlink("cut", "cut"),
                Raw::new(b'V', "v").gnu(),
            ],
        ),
        (
            "pax",
            &[
                Raw::extended(b'g', &[("comment", "commit")]),
                pax(&[("path", "p/q"), ("mtime", "-1.5"), ("size", "1")]),
                Raw::file("f", "x"),
            ],
        ),
        ("pax-link", &[pax(&[("linkpath", "a"), ("hdrcharset", "BINARY")]), Raw::symlink("l", "b")]),
        ("sparse", &[old]),
        ("pax-sparse", &[pax(&sparse), Raw::file("GNUSparseFile.0/s", "").content(map)]),
    ];
    cases.iter().map(|(name, members)| ((*name).to_owned(), tar(members))).collect()
}

/// A message: the head of a file, and the frame that the head announces.
fn framed(head: &[u8]) -> Vec<u8> {
    let frame = zstd::bulk::compress(b"{\"seq\":4}\n{\"seq\":5}\n", 1).unwrap_or_default();
    let length = u32::try_from(head.len()).unwrap_or_default();
    [&length.to_be_bytes()[..], head, &frame].concat()
}

fn index() -> Option<Vec<u8>> {
    let mut part = PartBuilder::default();
    part.push(1, 3, 30, b"first");
    part.push(4, 4, 10, b"second one");
    let part = part.finish()?;
    part.bytes.get(usize::try_from(part.index_offset).ok()?..).map(<[u8]>::to_vec)
}

/// An example of the API's documentation.
fn documented(name: &str) -> Option<Vec<u8>> {
    let document: Value = serde_json::from_str(include_str!("../../schemas/openapi.json")).ok()?;
    let path =
        format!("/paths/~1v1~1workspace-runs~1{{id}}~1{name}/get/responses/200/content/application~1json/example");
    serde_json::to_vec(document.pointer(&path)?.get(name)?).ok()
}
