//! What an operator may name for import: a folder with an OCI image layout, or a tar of a root file system.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::TemplateError;
use super::image::{self, Settings};
use super::spool::{Kind, Spool};
use super::tree::Tree;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z'];
const BZIP2: &[u8] = b"BZh";

/// The tree at `path`, its contents, and what its image says beside them.
pub(super) fn read(path: &Path, ref_name: Option<&str>) -> Result<(Tree, Spool, Settings), TemplateError> {
    let name = path.display().to_string();
    let unreadable = |source| TemplateError::Unreadable { name: name.clone(), source };
    let (mut tree, mut spool) = (Tree::default(), Spool::create().map_err(TemplateError::Scratch)?);
    if path.is_dir() {
        if !path.join("oci-layout").is_file() {
            return Err(TemplateError::NoImage { name, found: "a folder without the file `oci-layout`" });
        }
        let settings = image::read(path, ref_name, &mut tree, &mut spool)?;
        return Ok((tree, spool, settings));
    }
    if ref_name.is_some() {
        return Err(TemplateError::NoImage { name, found: "a tar, which has no names of images" });
    }
    let file = File::open(path).map_err(unreadable)?;
    let tar = decompressed(BufReader::with_capacity(1 << 17, file)).map_err(unreadable)?;
    spool.add(&mut tree, tar, Kind::RootFs, &name)?;
    if tree.find("oci-layout").is_some() || tree.find("manifest.json").is_some() {
        let found = "an archive of an image (unpack it into a folder first: `mkdir image && tar -C image -xf ARCHIVE`)";
        return Err(TemplateError::NoImage { name, found });
    }
    Ok((tree, spool, Settings::default()))
}

/// Looks at the first bytes: media types and file names are not always right.
pub(super) fn decompressed<'a>(mut source: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let start = source.fill_buf()?;
    if start.starts_with(GZIP) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(source)));
    }
    if start.starts_with(ZSTD) {
        return Ok(Box::new(zstd::Decoder::with_buffer(source)?));
    }
    if start.starts_with(XZ) || start.starts_with(BZIP2) {
        return Err(io::Error::other(
            "expected a tar as it is, or compressed with gzip or zstd, but not with xz or bzip2",
        ));
    }
    Ok(Box::new(source))
}
