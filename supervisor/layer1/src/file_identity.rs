//! Whether the files that the store has open are still those under their names. Others may delete them, move
//! them away, replace them or write over them, and SQLite goes on with what it has open: what it acknowledges
//! then is missing at the next start. Nothing is repaired here.

use crate::{continuation::has_mark, limits::LOG_BYTES_KEPT};
use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Which file a name leads to. A number is reused once its file is gone, so the time of birth belongs to it,
/// where the file system keeps that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    born: Option<SystemTime>,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino(), born: metadata.created().ok() }
    }

    /// As it can be kept: without the number of the device where that is not needed, as some change at each boot.
    pub(crate) fn text(&self) -> String {
        match self.born.and_then(|born| born.duration_since(UNIX_EPOCH).ok()) {
            Some(born) => format!("{} born {}", self.inode, born.as_nanos()),
            None => format!("{} on {}", self.inode, self.device),
        }
    }
}

/// The name of a file beside the database.
pub(crate) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(ending);
    name.into()
}

/// How a write-ahead log of SQLite begins, by the order of bytes in its checksums.
const LOG_HEADS: [[u8; 4]; 2] = [[0x37, 0x7f, 0x06, 0x82], [0x37, 0x7f, 0x06, 0x83]];

/// What is not as it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// What was committed is not all there any more.
    Data(String),
    /// A file beside the database has lost its name. What is in it can be saved: it is open.
    Name(String),
}

/// The files of a store that is open.
#[derive(Debug)]
pub(crate) struct FileIdentity {
    /// The folder of all of them.
    folder: Option<(PathBuf, FileId)>,
    database: (PathBuf, FileId),
    /// What this opening has left in it.
    mark: String,
    /// When it was written last, and how long it was then: both change by a checkpoint only, which is reported.
    written: (SystemTime, u64),
    /// The write-ahead log, and what readers share.
    beside: Vec<(PathBuf, FileId)>,
    log_bytes: u64,
}

impl FileIdentity {
    /// The files under these names now. To be called when all connections have read something, and so have all of
    /// the files open.
    pub(crate) fn of(database: &Path, mark: String) -> io::Result<FileIdentity> {
        let metadata = fs::symlink_metadata(database)?;
        let mut beside_it = Vec::new();
        let mut log_bytes = 0;
        for ending in ["-wal", "-shm"] {
            let path = beside(database, ending);
            match fs::symlink_metadata(&path) {
                Ok(found) => {
                    if ending == "-wal" {
                        log_bytes = found.len();
                    }
                    beside_it.push((path, FileId::of(&found)));
                }
                // A file system without shared memory has no such log.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let folder = database.parent().and_then(|folder| {
            let found = fs::symlink_metadata(folder).ok()?;
            Some((folder.to_owned(), FileId::of(&found)))
        });
        let database = (database.to_owned(), FileId::of(&metadata));
        Ok(FileIdentity { folder, database, mark, written: written(&metadata)?, beside: beside_it, log_bytes })
    }

    /// The store itself has written to the database.
    pub(crate) fn was_written(&mut self) {
        if let Ok(now) = fs::symlink_metadata(&self.database.0).and_then(|metadata| written(&metadata)) {
            self.written = now;
        }
    }

    /// What is not as it was, if anything.
    pub(crate) fn look(&mut self) -> Option<Lost> {
        // A link to where the folder was moved to would lead to the same files, for now.
        if let Some((folder, id)) = &self.folder
            && matches!(found(folder, *id), Found::Other)
        {
            let what = "is another one than this host has opened, or a link";
            return Some(Lost::Data(format!("the folder {} of the database {what}", folder.display())));
        }
        let (path, id) = &self.database;
        let database = |what: &str| Some(Lost::Data(format!("the database {} {what}", path.display())));
        match (found(path, *id), &self.written) {
            (Found::Same(metadata), last) if written(&metadata).is_ok_and(|now| now == *last) => {}
            (Found::Unknown, _) => return None,
            // Its time was set, or is rounded later by a file system of another machine: it was not written over.
            (Found::Same(metadata), last) if metadata.len() == last.1 && has_mark(path, &self.mark) => {
                self.written = written(&metadata).unwrap_or(self.written);
            }
            (Found::Same(_), _) => return database("was written by another program"),
            (Found::Other, _) => return database("is not the file any more that this host has open"),
            (Found::Gone, _) => return database("was deleted or moved away"),
        }
        for (path, id) in &self.beside {
            let part = |what: &str| format!("the file {}, a part of the database, {what}", path.display());
            match found(path, *id) {
                Found::Same(metadata) if path.as_os_str().as_encoded_bytes().ends_with(b"-wal") => {
                    let last = std::mem::replace(&mut self.log_bytes, metadata.len());
                    // The store itself cuts it to so many bytes when it begins anew. In one that others have cut,
                    // it goes on at the old position, so that it is as long as before, with nothing at its head.
                    let is_cut = metadata.len() < last.min(LOG_BYTES_KEPT.unsigned_abs());
                    if is_cut || (metadata.len() > 0 && !has_head(path)) {
                        return Some(Lost::Data(part("was cut or written over by another program")));
                    }
                }
                Found::Same(_) | Found::Unknown => {}
                Found::Other => return Some(Lost::Name(part("is not the file any more that this host has open"))),
                Found::Gone => return Some(Lost::Name(part("was deleted or moved away"))),
            }
        }
        None
    }
}

enum Found {
    Same(Metadata),
    Other,
    Gone,
    /// It cannot be looked at, so it is unknown what is there.
    Unknown,
}

fn found(path: &Path, id: FileId) -> Found {
    match fs::symlink_metadata(path) {
        Ok(metadata) if FileId::of(&metadata) == id => Found::Same(metadata),
        Ok(_) => Found::Other,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Found::Unknown,
        Err(_) => Found::Gone,
    }
}

/// Whether a log begins as one. SQLite holds no locks on this file, which would go when it is closed here.
fn has_head(log: &Path) -> bool {
    let mut head = [0; 4];
    match File::open(log).and_then(|mut file| file.read_exact(&mut head)) {
        Ok(()) => LOG_HEADS.contains(&head),
        // It cannot be looked at, so it is unknown what is in it.
        Err(_) => true,
    }
}

fn written(metadata: &Metadata) -> io::Result<(SystemTime, u64)> {
    Ok((metadata.modified()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Files {
            let folder = std::env::temp_dir().join(format!("bulkhead-place-{}-{name}", std::process::id()));
            fs::create_dir_all(folder.join("layer1")).unwrap();
            for ending in ["", "-wal", "-shm"] {
                fs::write(folder.join(format!("layer1/db{ending}")), b"\x37\x7f\x06\x82something").unwrap();
            }
            Files(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join("layer1").join(name)
        }

        fn identity(&self) -> FileIdentity {
            FileIdentity::of(&self.path("db"), "mark".into()).unwrap()
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[track_caller]
    fn expect(found: Option<Lost>, is_data: bool, words: &str) {
        match found {
            Some(Lost::Data(text)) if is_data => assert!(text.contains(words), "{text}"),
            Some(Lost::Name(text)) if !is_data => assert!(text.contains(words), "{text}"),
            other => panic!("expected {words:?}, found {other:?}"),
        }
    }

    #[test]
    fn each_file_that_is_deleted_or_another_is_lost() {
        for (name, is_data) in [("db", true), ("db-wal", false), ("db-shm", false)] {
            let files = Files::new(name);
            let mut identity = files.identity();
            assert_eq!(identity.look(), None);
            // Kept open as SQLite keeps it, so that its number is not used again.
            let _open = fs::File::open(files.path(name)).unwrap();
            fs::rename(files.path(name), files.path("away")).unwrap();
            expect(identity.look(), is_data, "was deleted or moved away");
            fs::copy(files.path("away"), files.path(name)).unwrap();
            expect(identity.look(), is_data, "is not the file any more");
            fs::remove_file(files.path(name)).unwrap();
            std::os::unix::fs::symlink(files.path("away"), files.path(name)).unwrap();
            expect(identity.look(), is_data, "is not the file any more");
            fs::remove_file(files.path(name)).unwrap();
            fs::rename(files.path("away"), files.path(name)).unwrap();
            assert_eq!(identity.look(), None, "it is there again");
        }
    }

    #[test]
    fn folders_that_are_deleted_moved_away_or_a_file_lose_the_database() {
        let files = Files::new("folders");
        let mut identity = files.identity();
        let (folder, away) = (files.0.join("layer1"), files.0.join("away"));
        fs::rename(&folder, &away).unwrap();
        expect(identity.look(), true, "was deleted or moved away");
        std::os::unix::fs::symlink(&away, &folder).unwrap();
        expect(identity.look(), true, "is another one than this host has opened, or a link");
        fs::remove_file(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        expect(identity.look(), true, "is another one");
        fs::remove_file(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::copy(away.join("db"), folder.join("db")).unwrap();
        expect(identity.look(), true, "is another one");
    }

    #[test]
    fn a_database_that_is_written_over_is_lost_and_one_that_the_store_writes_is_not() {
        let files = Files::new("written");
        let mut identity = files.identity();
        fs::write(files.path("db"), "something longer").unwrap();
        identity.was_written();
        assert_eq!(identity.look(), None);
        fs::write(files.path("db"), "short").unwrap();
        expect(identity.look(), true, "was written by another program");
    }

    #[test]
    fn a_log_that_grows_is_as_it_was_and_one_that_is_cut_is_lost() {
        let files = Files::new("cut");
        let mut identity = files.identity();
        let log = fs::OpenOptions::new().write(true).open(files.path("db-wal")).unwrap();
        let kept = LOG_BYTES_KEPT.unsigned_abs();
        for bytes in [1000, kept + 5000, kept] {
            log.set_len(bytes).unwrap();
            assert_eq!(identity.look(), None, "{bytes}");
        }
        log.set_len(0).unwrap();
        expect(identity.look(), true, "was cut or written over");
        let mut identity = files.identity();
        log.set_len(1000).unwrap();
        expect(identity.look(), true, "was cut or written over");
    }
}
