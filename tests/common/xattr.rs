//! Extended attributes, of symlinks their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{lgetxattr, llistxattr};
use rustix::path::Arg;

/// More than a value or a list may have.
const ROOM: usize = 70_000;

pub fn get(path: impl AsRef<Path>, name: impl Arg) -> rustix::io::Result<Vec<u8>> {
    let mut value = vec![0; ROOM];
    let size = lgetxattr(path.as_ref(), name, &mut value[..])?;
    value.truncate(size);
    Ok(value)
}

/// The names as listed, sorted.
pub fn list(path: impl AsRef<Path>) -> Vec<OsString> {
    let mut list = vec![0; ROOM];
    let size = llistxattr(path.as_ref(), &mut list[..]).unwrap();
    let names = list[..size].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<_> = names.map(|name| OsString::from_vec(name.to_vec())).collect();
    names.sort_unstable();
    names
}

/// All with their values, ACLs among them.
pub fn all(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let with_value = |name: OsString| (name.clone(), get(path, name).unwrap());
    list(path).into_iter().map(with_value).collect()
}
