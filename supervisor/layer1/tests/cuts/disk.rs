//! A folder of real files whose changes are recorded, so that what a power cut leaves can be made of it at any moment
//! afterwards. It fails flushes and is full when it is ordered to. Nothing of it reaches a real disk: no flush is
//! passed on, so it is as fast as memory.
//!
//! The changes come from `calls.rs`, which stands in the place of the C library's functions. The shared memory of
//! SQLite and the lock of the store are not followed: no start relies on what is in them.

use crate::{
    calls,
    files::{Files, Op, Random},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// How the names of all such folders begin, by which the calls that concern them are found.
pub const FOLDER_PREFIX: &str = "bulkhead-cuts-";

/// The number of a file that stands for the folder itself.
pub const FOLDER: u32 = u32::MAX - 1;

static DISKS: RwLock<BTreeMap<u32, Arc<Disk>>> = RwLock::new(BTreeMap::new());

#[derive(Debug)]
pub struct Disk {
    number: u32,
    pub folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// As it was at the beginning.
    began: Files,
    now: Files,
    ops: Vec<Op>,
    faults: Faults,
    /// Flushes of the log by the store wait.
    is_gate_closed: bool,
    /// How many of them do.
    flushes_waiting: usize,
    flushes_failed: usize,
    writes_refused: usize,
    log_began_anew: usize,
}

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// After so many flushes, of any file, one fails.
    pub flush_fails_after: Option<usize>,
    /// Of what a flush has failed to write, nothing that is not on the disk can be read any more.
    pub is_dropped: bool,
    /// After so many writes there is no room.
    pub full_after: Option<usize>,
    /// Flushes of the database itself do nothing, and say that they did it.
    pub lies_about_database: bool,
    pub seed: u64,
}

/// A disk that is followed until the value is dropped; then its folder is removed.
#[derive(Debug)]
pub struct Mounted(pub Arc<Disk>);

impl std::ops::Deref for Mounted {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        DISKS.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0.number);
        let _ = std::fs::remove_dir_all(&self.0.folder);
    }
}

/// The disk with this number, if it is still followed.
pub fn numbered(number: u32) -> Option<Arc<Disk>> {
    DISKS.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
}

/// The number of the disk that this folder or file is of, and the name of the file in it.
pub fn find(path: &Path) -> Option<(Arc<Disk>, Option<String>)> {
    let disks = DISKS.read().unwrap_or_else(PoisonError::into_inner);
    disks.values().find_map(|disk| {
        let rest = path.strip_prefix(&disk.folder).ok()?.to_str()?;
        Some((Arc::clone(disk), (!rest.is_empty()).then(|| rest.to_owned())))
    })
}

/// Whether a file with this name is followed.
pub fn is_followed(name: &str) -> bool {
    !name.ends_with("-shm") && !name.ends_with(".lock")
}

impl Disk {
    /// Makes the files as they can be read, in a folder of their own, and follows them from now on.
    pub fn mount(files: Files, faults: Faults) -> Mounted {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{FOLDER_PREFIX}{}-{number}", std::process::id());
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = parent.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, file) in &files.names {
            std::fs::write(folder.join(name), &files.files[*file].cache).unwrap();
        }
        let state = State {
            began: files.clone(),
            now: files,
            ops: Vec::new(),
            faults,
            is_gate_closed: false,
            flushes_waiting: 0,
            flushes_failed: 0,
            writes_refused: 0,
            log_began_anew: 0,
        };
        let disk = Arc::new(Disk { number, folder, state: Mutex::new(state), changed: Condvar::new() });
        DISKS.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&disk));
        Mounted(disk)
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it was at the beginning, and what was done since.
    pub fn recorded(&self) -> (Files, Vec<Op>) {
        let state = self.state();
        (state.began.clone(), state.ops.clone())
    }

    /// How many flushes have failed, how many writes were refused, and how often the log began anew.
    pub fn counted(&self) -> (usize, usize, usize) {
        let state = self.state();
        (state.flushes_failed, state.writes_refused, state.log_began_anew)
    }

    pub fn reported(&self, unit: u64) {
        self.state().add(Op::Reported(unit));
    }

    /// From now on, the store's own flushes of the log wait.
    pub fn close_gate(&self) {
        self.state().is_gate_closed = true;
    }

    pub fn open_gate(&self) {
        self.state().is_gate_closed = false;
        self.changed.notify_all();
    }

    /// Waits until a flush of the log by the store waits, or so much time has passed.
    pub fn wait_for_flush(&self, most: Duration) {
        let waits = |state: &mut State| state.flushes_waiting == 0;
        let waited = self.changed.wait_timeout_while(self.state(), most, waits);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub fn set_full_after(&self, writes: Option<usize>) {
        self.state().faults.full_after = writes;
    }

    /// A flush that covers what was done before it began, while others write: for `Flush::by`.
    pub fn flush_log(&self, file: &std::fs::File) -> std::io::Result<()> {
        let number = calls::followed(file).expect("the store flushes a log that it has opened here");
        let mut state = self.state();
        let upto = state.now.next_position();
        state.flushes_waiting += 1;
        self.changed.notify_all();
        while state.is_gate_closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.flushes_waiting -= 1;
        match state.flush(number as usize, upto) {
            Ok(()) => Ok(()),
            Err(dropped) => {
                dropped.iter().for_each(|(offset, data)| calls::write_past_the_record(file, *offset, data));
                Err(std::io::Error::from_raw_os_error(nix::libc::EIO))
            }
        }
    }

    /// Has a file opened, and notes whether it is new. Gives its number.
    pub fn open<T>(&self, name: &str, is_new_ever: bool, open: impl FnOnce() -> Option<T>) -> Option<(T, u32)> {
        let mut state = self.state();
        let opened = open()?;
        let file = match state.now.names.get(name) {
            Some(file) => *file,
            None if is_new_ever => {
                let file = state.now.files.len();
                state.add(Op::Create { name: name.to_owned(), file });
                file
            }
            None => return Some((opened, u32::MAX)),
        };
        Some((opened, u32::try_from(file).unwrap()))
    }

    /// Has something written, and notes what of it was.
    pub fn write(&self, file: u32, data: &[u8], write: impl FnOnce(&[u8]) -> (isize, usize)) -> Result<isize, Full> {
        let mut state = self.state();
        let room = state.room(data.len());
        if room == 0 && !data.is_empty() {
            state.writes_refused += 1;
            return Err(Full);
        }
        let (written, offset) = write(&data[..room]);
        if let Ok(bytes) = usize::try_from(written) {
            let data = data[..bytes].to_vec();
            let is_log = state.now.names.get("layer1.db-wal") == Some(&(file as usize));
            state.log_began_anew += usize::from(is_log && offset == 0 && bytes == 32);
            state.add(Op::Write { file: file as usize, offset, data });
        }
        Ok(written)
    }

    /// Has something else done, and notes it if it was.
    pub fn change(&self, op: Op, change: impl FnOnce() -> i32) -> i32 {
        let mut state = self.state();
        let done = change();
        if done == 0 {
            state.add(op);
        }
        done
    }

    /// A flush by anything but the store's own function for the log. What is to be written over the file, if it failed.
    pub fn flush(&self, file: u32) -> Result<(), Vec<(usize, Vec<u8>)>> {
        let mut state = self.state();
        let upto = state.now.next_position();
        if file == FOLDER {
            state.add(Op::FlushFolder { upto });
            return Ok(());
        }
        state.flush(file as usize, upto)
    }
}

/// There is no room.
pub struct Full;

impl State {
    fn add(&mut self, op: Op) {
        self.now.apply(&op);
        self.ops.push(op);
    }

    fn room(&mut self, bytes: usize) -> usize {
        match &mut self.faults.full_after {
            None => bytes,
            // The last one is written in part.
            Some(1) => {
                self.faults.full_after = Some(0);
                bytes / 2
            }
            Some(0) => 0,
            Some(left) => {
                *left -= 1;
                bytes
            }
        }
    }

    fn flush(&mut self, file: usize, upto: usize) -> Result<(), Vec<(usize, Vec<u8>)>> {
        let is_database = self.now.names.get("layer1.db") == Some(&file);
        if is_database && self.faults.lies_about_database {
            return Ok(());
        }
        match &mut self.faults.flush_fails_after {
            Some(0) => {}
            left => {
                *left = left.map(|left| left - 1);
                self.add(Op::Flush { file, upto });
                return Ok(());
            }
        }
        self.faults.flush_fails_after = None;
        self.flushes_failed += 1;
        let before = self.now.files[file].cache.clone();
        let (seed, is_dropped) = (Random(self.faults.seed).next(), self.faults.is_dropped);
        self.add(Op::FailedFlush { file, seed, is_dropped });
        let after = &self.now.files[file].cache;
        const PIECE: usize = 512;
        let pieces = before.chunks(PIECE).zip(after.chunks(PIECE)).enumerate();
        Err(pieces
            .filter(|(_, (before, after))| before != after)
            .map(|(at, (_, after))| (at * PIECE, after.to_vec()))
            .collect())
    }
}

/// The files after the first operations.
pub fn replayed(began: &Files, ops: &[Op]) -> Files {
    let mut files = began.clone();
    ops.iter().for_each(|op| files.apply(op));
    files
}
