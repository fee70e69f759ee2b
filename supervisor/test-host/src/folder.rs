//! The private folder of one host, in memory where the system has such a place. It is locked for as long as its host
//! lives, and removed at the end. What a host left that was killed is removed by the next one.

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::geteuid;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What is in memory on most systems.
const IN_MEMORY: &str = "/dev/shm";

/// Folders of one process that are tried.
const TRIES_MAX: u32 = 1000;

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct PrivateFolder {
    path: PathBuf,
    /// Its lock, which no other process has while this one lives.
    _lock: File,
}

impl PrivateFolder {
    /// Makes one in `parent`, or where files are fastest, and removes what killed hosts of this user left there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(parent: Option<&Path>) -> io::Result<PrivateFolder> {
        let parent = match parent {
            Some(parent) => std::path::absolute(parent)?,
            None => fastest(),
        };
        let prefix = format!("bulkhead-test-{}-", geteuid());
        remove_abandoned(&parent, &prefix);
        let pid = std::process::id();
        for number in 0..TRIES_MAX {
            let path = parent.join(format!("{prefix}{pid}-{number}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            if let Some(lock) = lock(&path) {
                return Ok(PrivateFolder { path, _lock: lock });
            }
            // Another host took it for abandoned in the moment before it was locked.
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("expected a free name of {TRIES_MAX}, found none")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("bulkhead test-host: cannot remove {}: {error}", self.path.display());
        }
    }
}

fn fastest() -> PathBuf {
    let is_in_memory = statfs(IN_MEMORY).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC);
    let is_writable = || nix::unistd::eaccess(IN_MEMORY, nix::unistd::AccessFlags::W_OK).is_ok();
    if is_in_memory && is_writable() { IN_MEMORY.into() } else { std::env::temp_dir() }
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

/// Removes folders whose hosts are gone. One that cannot be removed does no harm.
fn remove_abandoned(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_candidate = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix))
            && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
        if is_candidate && let Some(_lock) = lock(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
