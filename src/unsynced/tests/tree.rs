//! What a directory has in it. No locks.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// What is found at a path of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: u32,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) xattr: Option<Vec<u8>>,
    /// The first of the paths that lead to the same file.
    pub(super) first: String,
    pub(super) data: Vec<u8>,
}

pub(super) type Items = BTreeMap<String, Item>;

/// The attribute that is used.
pub(super) const ATTRIBUTE: &str = "user.test";

/// What is below a directory, the directory itself included.
pub(super) fn items(root: &Path) -> Items {
    let mut items = Items::new();
    let mut firsts = BTreeMap::new();
    let mut left = vec![String::new()];
    while let Some(path) = left.pop() {
        let whole = root.join(&path);
        let meta = fs::symlink_metadata(&whole).unwrap();
        let kind = meta.file_type();
        let data = match () {
            () if kind.is_file() => fs::read(&whole).unwrap(),
            () if kind.is_symlink() => {
                fs::read_link(&whole).unwrap().as_os_str().as_bytes().to_vec()
            }
            () => Vec::new(),
        };
        if kind.is_dir() {
            for entry in fs::read_dir(&whole).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                left.push(if path.is_empty() { name } else { format!("{path}/{name}") });
            }
            left.sort_unstable_by(|a, b| b.cmp(a));
        }
        let mut value = [0; 100];
        let xattr = rustix::fs::lgetxattr(&whole, ATTRIBUTE, &mut value[..]).ok();
        let xattr = xattr.map(|len| value[..len].to_vec());
        assert!(!kind.is_block_device());
        let first = firsts.entry(meta.ino()).or_insert_with(|| path.clone()).clone();
        let (mode, uid) = (meta.mode() & 0o7777, meta.uid());
        let kind = meta.mode() & libc::S_IFMT;
        items.insert(path, Item { kind, mode, uid, xattr, first, data });
    }
    // A name may be met first that is not the first in order.
    let mut least: BTreeMap<String, String> = BTreeMap::new();
    for (path, item) in &items {
        least.entry(item.first.clone()).or_insert_with(|| path.clone());
    }
    items.values_mut().for_each(|item| item.first = least[&item.first].clone());
    items
}
