//! An OCI image layout on disk (image-spec 1.1): from `index.json` to the layers of one image, every blob checked
//! against the digest that named it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::decompress::decompressed;
use super::error::TemplateError;
use super::spool::{Kind, Spool};
use super::tree::Tree;

/// Maximum length of indexes, manifests and configurations; registries have the same bound.
const MAX_JSON_BYTES: u64 = 4 << 20;
const MAX_NESTED_INDEXES: usize = 4;
const REF_NAME: &str = "org.opencontainers.image.ref.name";

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    config: Option<Config>,
    architecture: String,
    os: String,
}

/// Members that runs ignore are kept as they come: they are shown and not used.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    env: Option<Vec<String>>,
    working_dir: Value,
    user: Value,
    entrypoint: Value,
}

/// The settings of an image's configuration.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) env: BTreeMap<String, String>,
    pub(super) ignored: Vec<IgnoredSetting>,
}

/// A setting of an image that runs ignore, such as its entry point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IgnoredSetting {
    /// The name in the image's configuration.
    pub name: &'static str,
    /// Text as it is, anything else as JSON.
    pub value: String,
}

impl Config {
    fn settings(self) -> Settings {
        let pair = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let named = [("WorkingDir", self.working_dir), ("User", self.user), ("Entrypoint", self.entrypoint)];
        let ignored = named.into_iter().filter_map(|(name, value)| {
            let value = match value {
                Value::Null => return None,
                Value::String(text) => text,
                other => other.to_string(),
            };
            (!value.is_empty() && value != "[]").then_some(IgnoredSetting { name, value })
        });
        Settings { env: self.env.iter().flatten().filter_map(pair).collect(), ignored: ignored.collect() }
    }
}

/// Puts the layers of the image on `tree`, and returns what its configuration says.
pub(super) fn read(
    layout: &Path,
    ref_name: Option<&str>,
    tree: &mut Tree,
    spool: &mut Spool,
) -> Result<Settings, TemplateError> {
    let index: Index = parse("index.json", &file(&layout.join("index.json"), "index.json")?)?;
    let mut chosen = choose(index, ref_name)?;
    for _ in 0..MAX_NESTED_INDEXES {
        if !chosen.media_type.ends_with("index.v1+json") && !chosen.media_type.ends_with("manifest.list.v2+json") {
            break;
        }
        chosen = choose(json(layout, &chosen)?, None)?;
    }
    let manifest: Manifest = json(layout, &chosen)?;
    let image: Image = json(layout, &manifest.config)?;
    if !is_ours(&Platform { architecture: image.architecture.clone(), os: image.os.clone() }) {
        let message = format!("the image is for {}/{}, expected {}", image.os, image.architecture, here());
        return Err(TemplateError::Image(message));
    }
    for layer in &manifest.layers {
        add_layer(layout, layer, tree, spool)?;
    }
    Ok(image.config.unwrap_or_default().settings())
}

fn choose(index: Index, ref_name: Option<&str>) -> Result<Descriptor, TemplateError> {
    let named =
        |found: &Descriptor| ref_name.is_none_or(|name| found.annotations.get(REF_NAME).is_some_and(|n| n == name));
    let runs_here = |found: &Descriptor| found.platform.as_ref().is_none_or(is_ours);
    let names: Vec<String> = index.manifests.iter().map(describe).collect();
    let mut fitting: Vec<Descriptor> = index.manifests.into_iter().filter(|one| named(one) && runs_here(one)).collect();
    match (fitting.len(), fitting.pop()) {
        (1, Some(only)) => Ok(only),
        (found, _) => {
            let wanted = ref_name.map(|name| format!(" named `{name}`")).unwrap_or_default();
            let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            let platform = here();
            let message = format!("expected one image{wanted} for {platform}, found {found}; the layout has {names}");
            Err(TemplateError::Image(message))
        }
    }
}

fn describe(found: &Descriptor) -> String {
    let name = found.annotations.get(REF_NAME).map_or(found.digest.as_str(), String::as_str);
    match &found.platform {
        Some(platform) => format!("{name} ({}/{})", platform.os, platform.architecture),
        None => name.to_owned(),
    }
}

fn here() -> String {
    format!("linux/{}", architecture())
}

/// The architecture in the spelling of Go and OCI.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn is_ours(platform: &Platform) -> bool {
    platform.os == "linux" && platform.architecture == architecture()
}

fn add_layer(layout: &Path, layer: &Descriptor, tree: &mut Tree, spool: &mut Spool) -> Result<(), TemplateError> {
    let unreadable = |source| TemplateError::Unreadable { name: layer.digest.clone(), source };
    if !layer.media_type.contains("tar") || layer.media_type.contains("encrypted") {
        let message = format!("layer {} has the media type {}, expected a tar", layer.digest, layer.media_type);
        return Err(TemplateError::Image(message));
    }
    let file = File::open(blob(layout, layer)?).map_err(unreadable)?;
    let mut checked = Checked { inner: file.take(layer.size), digest: Sha256::new(), bytes: 0 };
    let tar = decompressed(BufReader::with_capacity(1 << 17, &mut checked)).map_err(unreadable)?;
    spool.add(tree, tar, Kind::Layer, &layer.digest)?;
    io::copy(&mut checked, &mut io::sink()).map_err(unreadable)?;
    let got = format!("sha256:{}", hex::encode(checked.digest.finalize()));
    if got == layer.digest && checked.bytes == layer.size {
        return Ok(());
    }
    let message = format!("has the digest {got} and {} bytes, expected {} bytes", checked.bytes, layer.size);
    Err(unreadable(io::Error::other(message)))
}

fn json<T: DeserializeOwned>(layout: &Path, descriptor: &Descriptor) -> Result<T, TemplateError> {
    let bytes = file(&blob(layout, descriptor)?, &descriptor.digest)?;
    let got = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
    if got != descriptor.digest {
        let source = io::Error::other(format!("has the digest {got}"));
        return Err(TemplateError::Unreadable { name: descriptor.digest.clone(), source });
    }
    parse(&descriptor.digest, &bytes)
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, TemplateError> {
    serde_json::from_slice(bytes)
        .map_err(|error| TemplateError::Unreadable { name: name.to_owned(), source: error.into() })
}

fn file(path: &Path, name: &str) -> Result<Vec<u8>, TemplateError> {
    let read = || {
        if fs::metadata(path)?.len() > MAX_JSON_BYTES {
            return Err(io::Error::other(format!("expected at most {MAX_JSON_BYTES} bytes")));
        }
        fs::read(path)
    };
    read().map_err(|source| TemplateError::Unreadable { name: name.to_owned(), source })
}

/// The path of a blob. The digest becomes part of the path, so its form is checked.
fn blob(layout: &Path, descriptor: &Descriptor) -> Result<PathBuf, TemplateError> {
    let hex = descriptor.digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(layout.join("blobs/sha256").join(hex));
    }
    Err(TemplateError::Image(format!("`{}` is not a SHA-256 digest", descriptor.digest)))
}

struct Checked<R> {
    inner: R,
    digest: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.digest.update(&buffer[..bytes]);
        self.bytes += bytes as u64;
        Ok(bytes)
    }
}
