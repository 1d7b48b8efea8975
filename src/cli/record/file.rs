//! The file that is written: refused before anything is recorded, whole or not there afterwards. No locks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) struct Output {
    path: PathBuf,
    file: File,
    /// It was made here, and nothing stands in it yet.
    is_new: bool,
}

impl Output {
    /// # Errors
    /// It is there already, or cannot be written; one line.
    pub(super) fn open(path: &Path, force: bool) -> Result<Output, String> {
        let name = path.display();
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Output { path: path.to_owned(), file, is_new: true }),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(format!("cannot write {name}: {error}"))
            }
            Err(_) if !force => Err(format!("{name} is there already; --force writes over it")),
            Err(_) => {
                let file = OpenOptions::new().write(true).open(path);
                let file = file.map_err(|error| format!("cannot write {name}: {error}"))?;
                Ok(Output { path: path.to_owned(), file, is_new: false })
            }
        }
    }

    /// # Errors
    /// It cannot be written; one line.
    pub(super) fn write(&mut self, text: &str) -> Result<(), String> {
        let emptied = if self.is_new { Ok(()) } else { self.file.set_len(0) };
        let written = emptied.and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| format!("cannot write {}: {error}", self.path.display()))?;
        self.is_new = false;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_new {
            // Nothing was recorded, and that was said.
            let _ = fs::remove_file(&self.path);
        }
    }
}
