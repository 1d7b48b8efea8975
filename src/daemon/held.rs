//! Where held operations keep their data. No locks.

use std::path::Path;

use super::config::RunConfig;
use super::error::{StartError, strip};
use crate::fs::Keep;

/// Makes the file for what held operations keep beyond the bound: before the mount, so that it can
/// lie neither on it nor on what it covers. Without a file all stays in memory, with a warning.
pub(super) fn keep(config: &RunConfig, mountpoint: &Path) -> Result<Keep, StartError> {
    let named = config.held_dir.clone();
    let dir = named.clone().unwrap_or_else(std::env::temp_dir);
    let made = std::fs::canonicalize(&dir).and_then(|resolved| {
        Ok(if resolved.starts_with(mountpoint) {
            None
        } else {
            Some(Keep::new(config.held_max, &resolved)?)
        })
    });
    match made {
        Ok(Some(keep)) => Ok(keep),
        Ok(None) if named.is_some() => Err(StartError::HeldBelow(dir, mountpoint.to_owned())),
        Ok(None) => {
            tracing::warn!(
                "{} lies below the mountpoint: what held operations keep stays in memory \
                 (name a directory with --held-dir)",
                dir.display()
            );
            Ok(Keep::in_memory_only())
        }
        Err(error) => {
            tracing::warn!(
                "cannot make a file in {} for what held operations keep: {}; it stays in memory \
                 (name another directory with --held-dir)",
                dir.display(),
                strip(&error)
            );
            Ok(Keep::in_memory_only())
        }
    }
}
