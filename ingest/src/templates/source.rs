//! The sources of an import: a folder with an OCI image layout, or a tar of a root file system.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::decompress::decompressed;
use super::error::TemplateError;
use super::image::{self, Settings};
use super::spool::{Kind, Spool};
use super::tree::Tree;

/// Reads the tree at `path`, its contents, and the settings of its image.
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
