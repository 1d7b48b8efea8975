//! Where data is kept for later: what held operations keep, and what is remembered of what is not durable.
//! No locks.

use std::path::{Path, PathBuf};

use super::config::RunConfig;
use super::error::{StartError, strip};
use crate::kept::Keep;

/// What may be in memory of the bytes that were written over, before they go to a file.
const REMEMBERED: u64 = 64 << 20;

/// Who keeps data.
struct Keeper {
    /// As in "what held operations keep".
    what: &'static str,
    /// The option that names the directory of the file.
    option: &'static str,
    dir: Option<PathBuf>,
    /// Bytes that may be in memory.
    most: u64,
}

/// What held operations keep.
pub(super) fn keep(config: &RunConfig, mountpoint: &Path) -> Result<Keep, StartError> {
    let dir = config.held_dir.clone();
    let keeper =
        Keeper { what: "held operations keep", option: "--held-dir", dir, most: config.held_max };
    keeper.keep(mountpoint)
}

/// What is remembered of what is not durable.
pub(super) fn remember(dir: Option<PathBuf>, mountpoint: &Path) -> Result<Keep, StartError> {
    let (what, option) = ("--track-unsynced remembers", "--unsynced-dir");
    Keeper { what, option, dir, most: REMEMBERED }.keep(mountpoint)
}

impl Keeper {
    /// Makes the file for what is kept beyond the bound: before the mount, so that it can
    /// lie neither on it nor on what it covers. Without a file all stays in memory, with a warning.
    fn keep(self, mountpoint: &Path) -> Result<Keep, StartError> {
        let Keeper { what, option, dir: named, most } = self;
        let dir = named.clone().unwrap_or_else(std::env::temp_dir);
        let made = std::fs::canonicalize(&dir).and_then(|resolved| {
            Ok(if resolved.starts_with(mountpoint) {
                None
            } else {
                Some(Keep::new((what, option), most, &resolved)?)
            })
        });
        match made {
            Ok(Some(keep)) => Ok(keep),
            Ok(None) if named.is_some() => {
                Err(StartError::Below { option, dir, mountpoint: mountpoint.to_owned() })
            }
            Ok(None) => {
                tracing::warn!(
                    "{} lies below the mountpoint: what {what} stays in memory \
                     (name a directory with {option})",
                    dir.display()
                );
                Ok(Keep::in_memory_only())
            }
            Err(error) => {
                tracing::warn!(
                    "cannot make a file in {} for what {what}: {}; it stays in memory \
                     (name another directory with {option})",
                    dir.display(),
                    strip(&error)
                );
                Ok(Keep::in_memory_only())
            }
        }
    }
}
