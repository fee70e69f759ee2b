//! The private folder of a program that runs a host for a while. It is locked for as long as the program lives, and
//! removed at its end. What one left that was killed is removed by the next one.

use nix::unistd::geteuid;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Folders of one process that are tried.
const TRIES_MAX: u32 = 1000;

/// What becomes of the folder at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is removed.
    Removed,
    /// It stays, under a name that no later program removes.
    Kept,
}

/// A folder of this user alone.
#[derive(Debug)]
pub struct PrivateFolder {
    path: PathBuf,
    fate: Fate,
    /// Its lock, which no other process has while this one lives.
    _lock: File,
}

impl PrivateFolder {
    /// Makes one in `parent` for `purpose`, a word of the folder's name, and removes what killed programs of this user
    /// and purpose left there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(parent: &Path, purpose: &str, fate: Fate) -> io::Result<PrivateFolder> {
        let parent = std::path::absolute(parent)?;
        let removable = format!("bulkhead-{purpose}-{}-", geteuid());
        remove_abandoned(&parent, &removable);
        let prefix = match fate {
            Fate::Removed => removable,
            Fate::Kept => format!("bulkhead-{purpose}-kept-{}-", geteuid()),
        };
        let pid = std::process::id();
        for number in 0..TRIES_MAX {
            let path = parent.join(format!("{prefix}{pid}-{number}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            if let Some(lock) = lock(&path) {
                return Ok(PrivateFolder { path, fate, _lock: lock });
            }
            // Another program took it for abandoned in the moment before it was locked.
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("expected a free name of {TRIES_MAX}, found none")))
    }

    /// Whether it stays.
    pub fn is_kept(&self) -> bool {
        self.fate == Fate::Kept
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if self.fate == Fate::Removed
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("bulkhead: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// The lock of a folder that is still the one at its path; `None` if another process has it or removed the folder.
fn lock(path: &Path) -> Option<File> {
    let folder = File::open(path).ok()?;
    match folder.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_lock_is_removed_by_the_next_and_one_with_a_lock_is_not() {
        let parent = std::env::temp_dir().join(format!("bulkhead-private-folder-{}", std::process::id()));
        fs::create_dir(&parent).unwrap();
        let first = PrivateFolder::new(&parent, "a", Fate::Removed).unwrap();
        let abandoned = parent.join(format!("bulkhead-a-{}-1-0", geteuid()));
        let of_another_purpose = parent.join(format!("bulkhead-b-{}-1-0", geteuid()));
        for folder in [&abandoned, &of_another_purpose] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), "").unwrap();
        }
        let second = PrivateFolder::new(&parent, "a", Fate::Removed).unwrap();
        assert!(first.path().is_dir() && second.path().is_dir() && first.path() != second.path());
        assert!(!abandoned.exists() && of_another_purpose.exists());
        drop((first, second));
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 1);
        let kept = PrivateFolder::new(&parent, "a", Fate::Kept).unwrap().path().to_owned();
        drop(PrivateFolder::new(&parent, "a", Fate::Removed).unwrap());
        assert!(kept.is_dir());
        fs::remove_dir_all(&parent).unwrap();
    }
}
