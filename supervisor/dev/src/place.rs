//! The folder of a private host. It is locked for as long as its program lives and removed at the end; what a killed
//! program left is removed by the next one. One that is kept has another name, and is never removed.

use nix::unistd::geteuid;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Folders of one process that are tried.
const TRIES_MAX: u32 = 1000;

/// What becomes of the folder at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Removed,
    Kept,
}

/// A folder of this user alone.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    fate: Fate,
    /// Its lock, which no other process has while this one lives.
    _lock: File,
}

impl Place {
    /// Makes one among the temporary files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(fate: Fate) -> io::Result<Place> {
        let parent = std::env::temp_dir();
        let removable = format!("bulkhead-dev-{}-", geteuid());
        remove_abandoned(&parent, &removable);
        let prefix = match fate {
            Fate::Removed => removable,
            Fate::Kept => format!("bulkhead-kept-{}-", geteuid()),
        };
        for number in 0..TRIES_MAX {
            let path = parent.join(format!("{prefix}{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            // Another program may have taken it for abandoned in the moment before it was locked.
            if let Some(lock) = lock(&path) {
                return Ok(Place { path, fate, _lock: lock });
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("expected a free name of {TRIES_MAX}, found none")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.fate == Fate::Kept
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.fate == Fate::Removed
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("bulkhead dev: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// The lock of a folder that is still the one at its path; `None` if another process has it or removed the folder.
fn lock(path: &Path) -> Option<File> {
    let folder = File::open(path).ok()?;
    folder.try_lock().ok()?;
    let (own, at_path) = (folder.metadata().ok()?, fs::symlink_metadata(path).ok()?);
    ((own.dev(), own.ino()) == (at_path.dev(), at_path.ino())).then_some(folder)
}

/// Removes folders whose programs are gone. One that cannot be removed does no harm.
fn remove_abandoned(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_candidate = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix))
            && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
        if is_candidate && let Some(_lock) = lock(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
