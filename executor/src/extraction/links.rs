//! The target of a link in an archive, judged by its text alone.
use std::ffi::OsStr;
use std::path::{Component, Path};

/// Lexically. (The kernel confines symlinks again wherever they are followed; this is about telling early.)
pub(super) fn points_outside(link: &Path, target: &OsStr) -> bool {
    let mut depth = link.iter().count() - 1;
    for component in Path::new(target).components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_where_symlinks_point() {
        for (link, target, outside) in [
            ("a", "b", false),
            ("a", "..", true),
            ("d/a", "..", false),
            ("d/a", "../../x", true),
            ("d/a", "./../b/../..", true),
            ("a", "/etc/passwd", true),
            ("a", "b/../../etc", true),
        ] {
            assert_eq!(points_outside(Path::new(link), OsStr::new(target)), outside, "{link} -> {target}");
        }
    }
}
