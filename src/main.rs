//! slowfs.
fn main() {}
