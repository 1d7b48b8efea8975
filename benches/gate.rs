//! The gate's cost per operation.
fn main() {}
