//! Files where nothing was before: a folder appears whole, by a rename that replaces nothing, or not at all.

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// A file, with its path in the folder.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    /// As bytes, but it can be run.
    Script(Vec<u8>),
    /// A link to this path.
    Link(&'static str),
}

impl File {
    pub(crate) fn new(path: &str, text: impl Into<Vec<u8>>) -> File {
        File { path: path.into(), content: Content::Bytes(text.into()) }
    }

    pub(crate) fn script(path: &str, text: impl Into<Vec<u8>>) -> File {
        File { path: path.into(), content: Content::Script(text.into()) }
    }
}

/// The entries at the top of the folder, for people.
pub(crate) fn shown(files: &[File]) -> String {
    let top = |file: &File| {
        let mut parts = file.path.components();
        let first = parts.next().map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
        if parts.next().is_some() { first + "/" } else { first }
    };
    let names: BTreeSet<String> = files.iter().map(top).filter(|name| !name.starts_with('.')).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Makes a folder with these files, and returns its path without links.
///
/// # Errors
/// When something is there already, or cannot be written; then nothing is left.
pub(crate) fn make(parent: &Path, name: &str, files: &[File]) -> Result<PathBuf> {
    let parent = parent
        .canonicalize()
        .with_context(|| format!("nothing was made: expected a folder at {}", parent.display()))?;
    let target = parent.join(name);
    if target.symlink_metadata().is_ok() {
        bail!("nothing was made: {} is there already; choose another name, or --dir DIR", target.display());
    }
    // In the same folder, so that it can be renamed; hidden, so that a daemon that reads the folder passes it over.
    let staged = parent.join(format!(".{name}.new-{}", std::process::id()));
    let made = fill(&staged, files)
        .with_context(|| format!("nothing was made: {} cannot be written", staged.display()))
        .and_then(|()| place(&staged, &target));
    if made.is_err() {
        // The reason is reported; what is left of the attempt has a name that says so.
        let _ = fs::remove_dir_all(&staged);
    }
    made.map(|()| target)
}

/// Writes one file where there is none. It appears with all of its content.
///
/// # Errors
/// When it is there already, or cannot be written; then nothing is left.
pub(crate) fn write_new(target: &Path, text: &str) -> Result<()> {
    let staged = target.with_file_name(format!(".module.toml.new-{}", std::process::id()));
    let written = write(&staged, text.as_bytes(), 0o644)
        .with_context(|| format!("nothing was made: {} cannot be written", staged.display()))
        .and_then(|()| place(&staged, target));
    if written.is_err() {
        let _ = fs::remove_file(&staged);
    }
    written
}

/// Renames, and never replaces.
fn place(staged: &Path, target: &Path) -> Result<()> {
    match renameat2(AT_FDCWD, staged, AT_FDCWD, target, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EEXIST) => bail!("nothing was made: {} is there already", target.display()),
        // Some file systems have no such rename. A link to a file replaces nothing either, and the rename of a folder
        // replaces an empty folder at most.
        Err(Errno::EINVAL | Errno::ENOSYS) if staged.is_dir() => {
            fs::rename(staged, target).with_context(|| format!("nothing was made: {}", target.display()))
        }
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            fs::hard_link(staged, target).with_context(|| format!("nothing was made: {}", target.display()))?;
            fs::remove_file(staged).with_context(|| format!("cannot remove {}", staged.display()))
        }
        Err(error) => Err(error).with_context(|| format!("nothing was made: {}", target.display())),
    }
}

fn fill(folder: &Path, files: &[File]) -> std::io::Result<()> {
    make_folder(folder)?;
    for file in files {
        let path = folder.join(&file.path);
        for above in file.path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            match make_folder(&folder.join(above)) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        match &file.content {
            Content::Bytes(bytes) => write(&path, bytes, 0o644)?,
            Content::Script(bytes) => write(&path, bytes, 0o755)?,
            Content::Link(target) => symlink(target, &path)?,
        }
    }
    Ok(())
}

/// Others may never write to it, whatever the umask is: the host would refuse it.
fn make_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder that is removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("bulkhead-new-place-{}-{number}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> =
                fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_there_stays_as_it_is_and_is_named() {
        let scratch = Scratch::new();
        fs::write(scratch.0.join("a"), "mine").unwrap();
        symlink("nowhere", scratch.0.join("b")).unwrap();
        fs::create_dir(scratch.0.join("c")).unwrap();
        for name in ["a", "b", "c"] {
            let error = make(&scratch.0, name, &[File::new("f", "")]).unwrap_err().to_string();
            assert!(error.contains(&format!("/{name} is there already")), "{error}");
        }
        let error = write_new(&scratch.0.join("a"), "new").unwrap_err().to_string();
        assert!(error.contains("/a is there already"), "{error}");
        assert_eq!(fs::read_to_string(scratch.0.join("a")).unwrap(), "mine");
        assert_eq!(fs::read_dir(scratch.0.join("c")).unwrap().count(), 0);
        assert_eq!(scratch.names(), ["a", "b", "c"]);
    }

    #[test]
    fn a_folder_that_cannot_be_filled_is_not_left_half_written() {
        let scratch = Scratch::new();
        // The second file would have to be in the first.
        let error = make(&scratch.0, "a", &[File::new("f", "text"), File::new("f/g", "")]).unwrap_err();
        assert!(format!("{error:#}").contains("cannot be written"), "{error:#}");
        assert!(scratch.names().is_empty(), "{:?}", scratch.names());
    }

    #[test]
    fn the_entries_are_named_once_and_hidden_ones_not() {
        let files = [File::new("b/c", ""), File::new("b/d", ""), File::new(".gitignore", ""), File::new("a", "")];
        assert_eq!(shown(&files), "a, b/");
    }
}
