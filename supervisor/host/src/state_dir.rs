//! The state directory: its folders, the lock that keeps a second host out, and the notes by which a
//! host clears what a killed one left.

use crate::{
    folder::Folder,
    identity::Identity,
    processes::{self, FAMILY_BYTES_MAX, Family, Marks},
    records::Number,
};
use bulkhead_config::{Use, check_trust};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
};

/// The record of the processes below the guardian's leaders.
const FAMILY_FILE: &str = "family.json";

/// The longest note that is read.
const NOTE_BYTES_MAX: usize = 64 * 1024;

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    #[error("cannot use the state directory {}: {error}; choose another with --state DIR", .path.display())]
    Unusable { path: PathBuf, error: io::Error },
    #[error(
        "the state directory {} has a name that is not UTF-8, so its modules would not know where their data is; \
         choose another with --state DIR", .0.display()
    )]
    NotText(PathBuf),
    #[error(
        "the state directory {} is in use by another host (process {holder}); stop that one, or choose another with --state DIR",
        .path.display()
    )]
    InUse { path: PathBuf, holder: String },
}

/// A state directory that is this host's own until it is dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    lock: Flock<File>,
    /// The directory itself, where its file system can lock one: a lock file can be removed.
    _lock_of_itself: Option<Flock<File>>,
    identity: Identity,
    /// Of the records in it, the greatest number.
    newest_record: Number,
}

/// The lock file, to be written by another thread than the one that has the lock.
#[derive(Debug)]
pub(crate) struct NoteFile(File);

/// What the lock file says for the next host to clear.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    pid: u32,
    cgroup: Option<PathBuf>,
    /// How far the host is; none in the note of a version that does not say so.
    #[serde(default)]
    stage: Option<Stage>,
}

/// The state of a host's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It has not started anything, or has stopped all of it.
    Idle,
    /// It may have modules: one that ends so was killed, or its machine stopped.
    Running,
}

impl StateDir {
    /// Creates what is missing, locks it, and clears what a killed host left. Folders on the way to it may belong to
    /// these users as well.
    pub(crate) fn open(path: &Path, trusted_users: &[u32]) -> Result<StateDir, StateDirError> {
        let unusable = |error: io::Error| StateDirError::Unusable { path: path.to_owned(), error };
        if path.to_str().is_none() {
            return Err(StateDirError::NotText(path.to_owned()));
        }
        make_private(path).map_err(unusable)?;
        // Its content says which processes to kill, and is written as this process's user.
        let absolute = std::path::absolute(path).map_err(unusable)?;
        check_trust(&absolute, Use::Own, trusted_users).map_err(|error| unusable(io::Error::other(error)))?;
        let opened = absolute.canonicalize().and_then(|path| Folder::open(&path));
        let folder = opened.map_err(unusable)?;
        let in_folder = |name: &str, error: io::Error| unusable(io::Error::other(format!("{name}: {error}")));
        let file = folder.read_and_write("lock").map_err(|error| in_folder("lock", error))?;
        let in_use = |file: &File| {
            let holder = read_note(file).map_or("unknown".into(), |note| note.pid.to_string());
            StateDirError::InUse { path: path.to_owned(), holder }
        };
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(file, errno)| match errno {
            Errno::EWOULDBLOCK => in_use(&file),
            errno => unusable(errno.into()),
        })?;
        let itself = File::open(&absolute).map_err(unusable)?;
        let lock_of_itself = match Flock::lock(itself, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Some(lock),
            Err((_, Errno::EWOULDBLOCK)) => return Err(in_use(&lock)),
            // Some network file systems lock files only.
            Err(_) => None,
        };
        let identity = Identity::of(&folder).map_err(|error| in_folder("identity", error))?;
        // In a copy, the notes on processes and groups are about those of the original.
        if !identity.is_new {
            let note = read_note(&lock).unwrap_or_default();
            if note.stage == Some(Stage::Running) {
                let (pid, path) = (note.pid, path.display());
                tracing::warn!(
                    "the last host of {path} (process {pid}) did not end in order: it was killed or crashed, or its \
                     machine stopped"
                );
            }
            if let Some(cgroup) = note.cgroup {
                processes::clear_cgroup(&cgroup);
            }
            let family = Family::read(&folder.read(FAMILY_FILE, FAMILY_BYTES_MAX).unwrap_or_default());
            let marks = Marks { host: identity.number.clone(), family, adopts_only_its_own: false };
            let killed = processes::kill_leftovers(&marks);
            if killed > 0 {
                tracing::warn!("killed {killed} processes that a former host of {} left behind", path.display());
            }
        }
        let mut dir = StateDir {
            path: path.to_owned(),
            lock,
            _lock_of_itself: lock_of_itself,
            identity,
            newest_record: Number::default(),
        };
        for name in ["logs", "crashes", "quarantine", "layer1", "data"] {
            folder.sub(name).map_err(unusable)?;
        }
        folder.sub("cache").and_then(|cache| cache.sub("wasm")).map_err(unusable)?;
        dir.newest_record = Number::greatest_in(&[dir.crashes(), dir.quarantine()]).map_err(unusable)?;
        dir.note_file().and_then(|file| file.write_begin()).map_err(unusable)?;
        Ok(dir)
    }

    /// The file of the note for the next host.
    pub(crate) fn note_file(&self) -> io::Result<NoteFile> {
        self.lock.try_clone().map(NoteFile)
    }

    /// The host's number, which every process of its modules carries.
    pub(crate) fn identity(&self) -> &str {
        &self.identity.number
    }

    /// The greatest number that a record of a crash or a quarantined message had when this was opened.
    pub(crate) fn newest_record(&self) -> Number {
        self.newest_record
    }

    /// Where the processes below the guardian's leaders are recorded.
    pub(crate) fn family(&self) -> PathBuf {
        self.path.join(FAMILY_FILE)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Folders that are made again when they are gone. What was in them is lost in any case.
    pub(crate) fn renewable(&self) -> Vec<PathBuf> {
        vec![self.logs(), self.crashes(), self.quarantine(), self.path.join("data")]
    }

    /// The data store.
    pub(crate) fn layer1(&self) -> PathBuf {
        self.path.join("layer1")
    }

    pub(crate) fn crashes(&self) -> PathBuf {
        self.path.join("crashes")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.path.join("quarantine")
    }

    /// What the runtime of WebAssembly compiled, for the next start. All of it may be removed.
    pub(crate) fn wasm_cache(&self) -> PathBuf {
        self.path.join("cache/wasm")
    }

    /// The folder of a module's own, which each start of it makes where it is missing.
    pub(crate) fn data_path(&self, module: &str) -> PathBuf {
        self.path.join("data").join(module)
    }
}

impl NoteFile {
    /// Notes for the next host that this one is here and has started nothing.
    fn write_begin(self) -> io::Result<()> {
        self.write_note(&Note { pid: std::process::id(), cgroup: None, stage: Some(Stage::Idle) })
    }

    /// Notes for the next host that this one runs, and which control group is its guardian's. That of an earlier
    /// guardian stays until there is another, as it may not be cleared yet.
    pub(crate) fn write_running(self, cgroup: Option<PathBuf>) -> io::Result<()> {
        let former = || read_note(&self.0).and_then(|note| note.cgroup);
        let cgroup = cgroup.or_else(former);
        self.write_note(&Note { pid: std::process::id(), cgroup, stage: Some(Stage::Running) })
    }

    /// Notes for the next host that this one has ended by itself.
    pub(crate) fn write_end(self) -> io::Result<()> {
        let cgroup = read_note(&self.0).and_then(|note| note.cgroup);
        self.write_note(&Note { pid: std::process::id(), cgroup, stage: Some(Stage::Idle) })
    }

    /// Writes at a position of its own: other copies of the descriptor share the one of the file.
    fn write_note(&self, note: &Note) -> io::Result<()> {
        let text = serde_json::to_vec(note).expect("a note can be written as JSON");
        self.0.write_all_at(&text, 0)?;
        self.0.set_len(text.len() as u64)
    }
}

/// `None` where there is none, or none that can be read.
fn read_note(file: &File) -> Option<Note> {
    let mut text = vec![0; NOTE_BYTES_MAX];
    let mut length = 0;
    while length < text.len() {
        match file.read_at(&mut text[length..], length as u64).ok()? {
            0 => break,
            read => length += read,
        }
    }
    serde_json::from_slice(&text[..length]).ok()
}

/// As [`create_private`], and each folder that is made is logged.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|path| path.symlink_metadata().is_err()).collect();
    create_private(path)?;
    missing.iter().rev().for_each(|path| tracing::info!("made the folder {}", path.display()));
    Ok(())
}

/// Creates a folder that no other user may enter, and its parents, to which no other user may write.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}
