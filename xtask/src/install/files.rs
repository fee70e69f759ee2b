//! Files: their states, and how new ones are written. A new file is written beside its final path, made durable, and
//! renamed: the path has the old or the new one, never half of it, and a running program keeps its file.

use super::content::Content;
use super::plan::Found;
use super::receipt::Digest;
use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Files beside their final paths, ready to be moved there. Dropped before that, they are removed, and so are the
/// folders that were made for them.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    files: Vec<(PathBuf, PathBuf)>,
    folders: Vec<PathBuf>,
}

impl Staged {
    /// Makes a folder and those above it, which all users may read. A umask that lets the group write would make a
    /// module that the daemon refuses, so the mode is set.
    ///
    /// # Errors
    /// When one cannot be made.
    pub(crate) fn make_folder(&mut self, path: &Path, mode: u32) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_folder(parent, 0o755)?;
        }
        let made = fs::create_dir(path).and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
        made.with_context(|| format!("cannot make the folder {}", path.display()))?;
        self.folders.push(path.to_owned());
        Ok(())
    }

    /// Writes a file beside its final path.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(crate) fn write(&mut self, content: &Content, place: &Path, mode: u32) -> Result<()> {
        let beside = beside(place);
        self.make_folder(place.parent().expect("a file lies in a folder"), 0o755)?;
        remove_leftover(place)?;
        self.files.push((beside.clone(), place.to_owned()));
        write(content, &beside, mode).with_context(|| format!("cannot write {}", place.display()))
    }

    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Moves all files to their final paths.
    ///
    /// # Errors
    /// When one cannot be moved; those before it have been.
    pub(crate) fn commit(mut self) -> Result<()> {
        self.folders.clear();
        let mut changed = BTreeSet::new();
        while let Some((beside, place)) = self.files.last() {
            fs::rename(beside, place).with_context(|| format!("cannot write {}", place.display()))?;
            changed.extend(place.parent().map(Path::to_owned));
            self.files.pop();
        }
        for folder in changed {
            File::open(&folder).and_then(|open| open.sync_all()).with_context(|| folder.display().to_string())?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for (beside, _) in &self.files {
            let _ = fs::remove_file(beside);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Removes what an installation that was killed has left beside a path.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn remove_leftover(place: &Path) -> Result<()> {
    let beside = beside(place);
    match fs::remove_file(&beside) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(error).with_context(|| format!("cannot remove {}", beside.display()))
        }
        _ => Ok(()),
    }
}

fn beside(place: &Path) -> PathBuf {
    let name = place.file_name().expect("a file has a name").to_string_lossy();
    place.with_file_name(format!(".{name}.part"))
}

fn write(content: &Content, path: &Path, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    match content {
        Content::File(source) => io::copy(&mut open(source)?, &mut file).map(|_| ())?,
        Content::Bytes(bytes) => file.write_all(bytes)?,
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn open(source: &Path) -> io::Result<File> {
    File::open(source).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", source.display())))
}

/// Writes one file so that it is there whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let mut staged = Staged::default();
    staged.write(&Content::Bytes(text.into()), path, 0o644)?;
    staged.commit()
}

/// # Errors
/// When the content cannot be read.
pub(crate) fn digest(content: &Content) -> Result<Digest> {
    match content {
        Content::Bytes(bytes) => Ok(Digest::of(bytes)),
        Content::File(path) => digest_of(path).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::finish(hash)),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// What is at a path. A file that cannot be read is not ours.
pub(crate) fn look(path: &Path) -> Found {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => digest_of(path).map_or(Found::Other, Found::File),
        Ok(_) => Found::Other,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Found::Nothing,
        Err(_) => Found::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is removed with the value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("xtask-files-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Folder(path)
        }

        fn names(&self) -> Vec<String> {
            let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
            let mut names: Vec<String> = fs::read_dir(&self.0).unwrap().map(name).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn nothing_is_changed_where_one_file_cannot_be_written() {
        let folder = Folder::new("half");
        fs::write(folder.0.join("a"), "old").unwrap();
        let mut staged = Staged::default();
        staged.write(&Content::Bytes(b"new".into()), &folder.0.join("a"), 0o644).unwrap();
        staged.write(&Content::Bytes(b"new".into()), &folder.0.join("made/b"), 0o644).unwrap();
        let missing = Content::File(folder.0.join("no such file"));
        assert!(staged.write(&missing, &folder.0.join("c"), 0o644).is_err());
        drop(staged);
        assert_eq!(folder.names(), ["a"]);
        assert_eq!(fs::read_to_string(folder.0.join("a")).unwrap(), "old");
    }

    #[test]
    fn a_file_that_is_open_keeps_its_content_and_the_place_has_the_new_one() {
        let folder = Folder::new("open");
        let place = folder.0.join("a");
        fs::write(&place, "old").unwrap();
        fs::write(folder.0.join(".a.part"), "left by an installation that was killed").unwrap();
        let mut open = File::open(&place).unwrap();
        replace(&place, "new").unwrap();
        let mut text = String::new();
        open.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), fs::read_to_string(&place).unwrap().as_str()), ("old", "new"));
        assert_eq!(folder.names(), ["a"]);
    }

    #[test]
    fn modes_are_set_whatever_the_mask_of_modes_is() {
        let folder = Folder::new("modes");
        let mut staged = Staged::default();
        staged.write(&Content::Bytes(Vec::new()), &folder.0.join("made/program"), 0o755).unwrap();
        staged.commit().unwrap();
        let mode = |name: &str| fs::metadata(folder.0.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("made"), mode("made/program")), (0o755, 0o755));
    }

    #[test]
    fn a_link_and_a_folder_are_nothing_of_ours() {
        let folder = Folder::new("look");
        fs::write(folder.0.join("a"), "abc").unwrap();
        std::os::unix::fs::symlink("a", folder.0.join("link")).unwrap();
        assert_eq!(look(&folder.0.join("a")), Found::File(Digest::of(b"abc")));
        assert_eq!(look(&folder.0.join("link")), Found::Other);
        assert_eq!(look(&folder.0), Found::Other);
        assert_eq!(look(&folder.0.join("none")), Found::Nothing);
    }
}
