//! What the operating system offers and no safe crate wraps, each as one safe function.

pub mod process;
