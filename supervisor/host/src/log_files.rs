//! Writes the modules' log lines to files and rotates them, on a thread of its own: a slow disk
//! delays no message. A queue that is full drops lines and says how many.
//!
//! No file stays open: with ten thousand modules that would be as many descriptors. So nothing has to be
//! reopened when a file is moved away or removed, and what is written goes to the file that has
//! the name.

use crate::{
    control_socket::Identity,
    folder::Folder,
    records::{self, Number},
    sys,
};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, DirBuilder},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Orders that may wait for the disk, and their bytes. A line may be long, and a disk may block.
const WAITING_MAX: usize = 16 * 1024;
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long a line may stay in memory after it was taken from the queue, however many follow it.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes of one module's lines that are written without waiting for that.
const BUFFER_BYTES: usize = 64 * 1024;

/// Log files that cannot be written and are reported by name.
const PROBLEMS_MAX: usize = 8;

/// What the thread is asked to do.
enum Order {
    Line { module: Arc<str>, line: String },
    Flush,
    Cut { module: Arc<str>, reply: SyncSender<Cut> },
    File { path: PathBuf, content: Vec<u8> },
    ThinOut { dir: PathBuf, newest: Number },
    Report { written: SyncSender<()> },
}

/// Where a module's lines in its files end at some moment, and which of them this host has written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// `None` where there is no file.
    pub(crate) end: Option<End>,
    /// `None` where this host has written nothing.
    pub(crate) begun: Option<Begun>,
}

/// The newest file of a module, and how many bytes it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) file: Identity,
    pub(crate) age: usize,
    pub(crate) bytes: u64,
}

/// The position of this host's first line: after so many bytes of the file that was the newest one then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) file: Identity,
    pub(crate) bytes: u64,
    /// How often files were rotated since.
    pub(crate) rotations: usize,
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct LogFiles {
    queue: LogQueue,
    troubled: Troubled,
    thread: Option<JoinHandle<()>>,
}

/// Passes on what is to be written. Each thread that has something to write has its own.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue {
    /// `None` once nothing more is taken.
    orders: Option<SyncSender<Order>>,
    waiting_bytes: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

/// The modules whose lines cannot be written.
#[derive(Clone, Debug, Default)]
struct Troubled(Arc<Mutex<BTreeMap<Arc<str>, Trouble>>>);

/// The reason, and how many lines were lost by that.
#[derive(Debug)]
struct Trouble {
    reason: String,
    lost: u64,
}

impl Troubled {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Trouble>> {
        // It is held only for a step of the map, which is consistent after each.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How log files are kept.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    pub(crate) dir: PathBuf,
    pub(crate) file_bytes_max: u64,
    pub(crate) files: usize,
}

impl LogFiles {
    pub(crate) fn start(rotation: Rotation) -> io::Result<LogFiles> {
        let (queue, receiver) = LogQueue::new();
        let writer = Writer::new(rotation, queue.waiting_bytes.clone(), queue.lost.clone());
        let troubled = writer.troubled.clone();
        let thread = std::thread::Builder::new().name("bulkhead-logs".into()).spawn(move || {
            sys::give_way();
            writer.run(&receiver);
        })?;
        Ok(LogFiles { queue, troubled, thread: Some(thread) })
    }

    pub(crate) fn queue(&self) -> LogQueue {
        self.queue.clone()
    }

    /// Which log files of existing modules cannot be written, and why, up to some.
    pub(crate) fn problems(&self, is_known: impl Fn(&str) -> bool) -> Vec<String> {
        let troubled = self.troubled.lock();
        let mut known = troubled.iter().filter(|(module, _)| is_known(module)).map(|(_, trouble)| &trouble.reason);
        let mut problems: Vec<String> = known.by_ref().take(PROBLEMS_MAX).cloned().collect();
        let more = known.count();
        problems.extend((more > 0).then(|| format!("{more} more log files cannot be written")));
        problems
    }

    /// Passes on a whole file, to be written under another name first so that it is never half there.
    pub(crate) fn write_file(&self, path: PathBuf, content: Vec<u8>) {
        self.queue.hand_over(content.len(), Order::File { path, content });
    }

    /// Asks for a sign when every file that was passed on so far is written; `None` when the queue is full.
    pub(crate) fn written(&self) -> Option<Receiver<()>> {
        let (written, sign) = sync_channel(1);
        self.queue.ask(Order::Report { written }).then_some(sign)
    }

    /// Asks for all but the newest records of each module in a folder to be removed, of which `newest` is the
    /// last.
    pub(crate) fn thin_out(&self, dir: PathBuf, newest: Number) {
        // A full queue only means that they stay until the next time.
        self.queue.ask(Order::ThinOut { dir, newest });
    }

    /// Has everything written that was passed on: what comes from now on goes to the files that have the
    /// names then. Nothing else is to be done when log files were moved away, since none stays open.
    pub(crate) fn reopen(&self) {
        self.queue.ask(Order::Flush);
    }
}

impl LogQueue {
    fn new() -> (LogQueue, Receiver<Order>) {
        let (orders, receiver) = sync_channel(WAITING_MAX);
        (LogQueue { orders: Some(orders), waiting_bytes: Arc::default(), lost: Arc::default() }, receiver)
    }

    /// One that loses everything.
    #[cfg(test)]
    pub(crate) fn nowhere() -> LogQueue {
        LogQueue { orders: None, ..LogQueue::new().0 }
    }

    /// Passes on one line, without its end.
    pub(crate) fn write(&self, module: &Arc<str>, line: String) {
        self.hand_over(line.len(), Order::Line { module: module.clone(), line });
    }

    /// Asks where the lines of a module that were passed on so far end; `None` when the queue is full.
    pub(crate) fn cut(&self, module: &Arc<str>) -> Option<Receiver<Cut>> {
        let (reply, cut) = sync_channel(1);
        self.ask(Order::Cut { module: module.clone(), reply }).then_some(cut)
    }

    fn hand_over(&self, bytes: usize, order: Order) {
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > WAITING_BYTES_MAX || !self.ask(order) {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether there was room for it.
    fn ask(&self, order: Order) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.try_send(order).is_ok())
    }
}

impl Drop for LogFiles {
    fn drop(&mut self) {
        self.queue.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been printed already.
            let _ = thread.join();
        }
    }
}

struct Writer {
    rotation: Rotation,
    /// Which state directory it writes to: what has its path later may be another host's.
    state_dir: Option<Identity>,
    /// Lines that are not written yet, by module.
    buffers: HashMap<Arc<str>, Vec<u8>>,
    /// The position of this host's first line, by module.
    begun: HashMap<Arc<str>, Begun>,
    troubled: Troubled,
    /// Whole files that cannot be written; that is reported once, too.
    files_lost: u64,
    /// When the oldest line in a buffer must be on its way to the disk. None while all are empty.
    flush_at: Option<Instant>,
    waiting_bytes: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn new(rotation: Rotation, waiting_bytes: Arc<AtomicUsize>, lost: Arc<AtomicU64>) -> Writer {
        Writer {
            state_dir: identity_of_parent(&rotation.dir).ok(),
            rotation,
            buffers: HashMap::new(),
            begun: HashMap::new(),
            troubled: Troubled::default(),
            files_lost: 0,
            flush_at: None,
            waiting_bytes,
            lost,
        }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let received = match self.flush_at {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => orders.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(order) => self.step(Some(order), Instant::now()),
                Err(RecvTimeoutError::Timeout) => self.step(None, Instant::now()),
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
        }
    }

    /// Carries an order out, if there is one, and flushes when that is due.
    fn step(&mut self, order: Option<Order>, now: Instant) {
        match order {
            None => {}
            Some(Order::Line { module, line }) => {
                self.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                self.line(module, &line, now);
            }
            Some(Order::Flush) => self.flush(),
            Some(Order::Cut { module, reply }) => {
                if let Some(buffer) = self.buffers.remove(&module) {
                    self.write(&module, &buffer);
                }
                // The caller may no longer wait for it.
                let _ = reply.try_send(self.cut(&module));
            }
            Some(Order::File { path, content }) => {
                self.waiting_bytes.fetch_sub(content.len(), Ordering::Relaxed);
                self.file(&path, &content);
            }
            Some(Order::Report { written }) => {
                // The caller may no longer wait for it.
                let _ = written.try_send(());
            }
            Some(Order::ThinOut { dir, newest }) => {
                match self.check_place(&dir).and_then(|()| records::thin_out(&dir, newest)) {
                    // A folder that is gone has no old files.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::error!("cannot remove old files from {}: {error}", dir.display());
                    }
                    Ok(()) | Err(_) => {}
                }
            }
        }
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush();
        }
    }

    fn line(&mut self, module: Arc<str>, line: &str, now: Instant) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let buffer = self.buffers.entry(module.clone()).or_default();
        if lost > 0 {
            let marker = format!("[{lost} lines or records of all modules were lost: the disk was too slow]\n");
            buffer.extend_from_slice(marker.as_bytes());
        }
        buffer.extend_from_slice(line.as_bytes());
        buffer.push(b'\n');
        let is_full = buffer.len() >= BUFFER_BYTES.min(usize::try_from(self.rotation.file_bytes_max).unwrap_or(0));
        if is_full && let Some(buffer) = self.buffers.remove(&module) {
            self.write(&module, &buffer);
        }
        if self.buffers.is_empty() {
            self.flush_at = None;
        } else {
            self.flush_at.get_or_insert(now + FLUSH_INTERVAL);
        }
    }

    fn flush(&mut self) {
        self.flush_at = None;
        for (module, buffer) in std::mem::take(&mut self.buffers) {
            self.write(&module, &buffer);
        }
    }

    /// Writes a module's lines. That they cannot be written is reported once, and that they can again.
    fn write(&mut self, module: &Arc<str>, lines: &[u8]) {
        let lost = self.troubled.lock().get(module).map(|trouble| trouble.lost);
        let marker = lost.map(|lost| format!("[{lost} lines were lost: they could not be written]\n"));
        let file = self.rotation.dir.join(name(module, 0));
        let written = self.append(module, marker.unwrap_or_default().as_bytes(), lines);
        match (written, lost) {
            (Ok(()), None) => {}
            (Ok(()), Some(lost)) => {
                self.troubled.lock().remove(module);
                tracing::info!("{} is written again; {lost} lines were lost", file.display());
            }
            (Err(error), lost) => {
                let reason = format!("cannot write {}: {error}; trying again with each line", file.display());
                if lost.is_none() {
                    tracing::error!("{reason}");
                }
                let more = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
                let trouble = Trouble { reason, lost: lost.unwrap_or(0) + more };
                self.troubled.lock().insert(module.clone(), trouble);
            }
        }
    }

    fn write_whole(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let (parent, name) = path.parent().zip(path.file_name()).expect("a file is in a folder");
        // A file directly in the state directory, which is not made again.
        let is_state_dir = self.rotation.dir.parent() == Some(parent);
        let folder = if is_state_dir {
            self.check_place(&self.rotation.dir)?;
            Folder::open(parent)?
        } else {
            self.folder(parent)?
        };
        folder.replace(&name.to_string_lossy(), content).map(drop)
    }

    fn file(&mut self, path: &Path, content: &[u8]) {
        match (self.write_whole(path, content), self.files_lost) {
            (Ok(()), 0) => {}
            (Ok(()), lost) => {
                self.files_lost = 0;
                tracing::info!("{} is written; {lost} files before it were lost", path.display());
            }
            (Err(error), lost) => {
                self.files_lost += 1;
                if lost == 0 {
                    tracing::error!("cannot write {}: {error}; trying again with the next file", path.display());
                }
            }
        }
    }

    /// Adds lines to a module's log file, and rotates it when it is full.
    fn append(&mut self, module: &Arc<str>, marker: &[u8], lines: &[u8]) -> io::Result<()> {
        let Rotation { file_bytes_max, files, .. } = self.rotation;
        let folder = self.folder(&self.rotation.dir)?;
        let (mut file, mut size) = folder.append(&name(module, 0))?;
        if size >= file_bytes_max {
            // It should have been rotated before; one that cannot be rotated grows no further.
            self.rotate(&folder, files, module)?;
            (file, size) = folder.append(&name(module, 0))?;
        }
        let is_first = !self.begun.contains_key(module);
        // What was written last may be half a line: of a host that was killed, or on a disk that was full.
        if (is_first || !marker.is_empty()) && size > 0 && !ends_with_line(&folder, &name(module, 0), size)? {
            file.write_all(b"\n")?;
            size += 1;
        }
        if is_first {
            let begun = Begun { file: Identity::of(&file.metadata()?), bytes: size, rotations: 0 };
            self.begun.insert(module.clone(), begun);
        }
        for piece in [marker, lines] {
            file.write_all(piece)?;
            size += piece.len() as u64;
        }
        if size >= file_bytes_max {
            // If that fails, it is tried again, and reported, when the next lines come.
            let _ = self.rotate(&folder, files, module);
        }
        Ok(())
    }

    fn rotate(&mut self, folder: &Folder, files: usize, module: &str) -> io::Result<()> {
        rotate(folder, files, module)?;
        if let Some(begun) = self.begun.get_mut(module) {
            begun.rotations += 1;
        }
        Ok(())
    }

    /// Where the lines of a module that were written so far end.
    fn cut(&self, module: &str) -> Cut {
        let newest = |age| {
            let file = Folder::open(&self.rotation.dir).and_then(|folder| folder.open_file(&name(module, age))).ok()?;
            let metadata = file.metadata().ok()?;
            Some(End { file: Identity::of(&metadata), age, bytes: metadata.len() })
        };
        // A full file was rotated, and the next one comes with the next line.
        Cut { end: newest(0).or_else(|| newest(1)), begun: self.begun.get(module).copied() }
    }

    /// Opens a folder of the state directory, and makes it again if it was removed. Its parent is never made here:
    /// this thread does not make a state directory again that is gone as a whole.
    fn folder(&self, path: &Path) -> io::Result<Folder> {
        self.check_place(path)?;
        match Folder::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match DirBuilder::new().mode(0o700).create(path) {
                    Ok(()) => tracing::warn!("{} was removed and is made again", path.display()),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
                Folder::open(path)
            }
            opened => opened,
        }
    }

    /// Whether a folder is still in the state directory that this host has opened.
    fn check_place(&self, folder: &Path) -> io::Result<()> {
        if self.state_dir.is_none_or(|opened| identity_of_parent(folder).is_ok_and(|found| found == opened)) {
            return Ok(());
        }
        Err(io::Error::other("the state directory has gone or is not the one that this host opened"))
    }
}

/// Which file the parent of a folder is.
fn identity_of_parent(folder: &Path) -> io::Result<Identity> {
    let parent = folder.parent().ok_or(io::ErrorKind::NotFound)?;
    Ok(Identity::of(&fs::metadata(parent)?))
}

/// Whether the last byte of a file of this length ends a line.
fn ends_with_line(folder: &Folder, name: &str, size: u64) -> io::Result<bool> {
    let mut last = [0];
    folder.open_file(name)?.read_exact_at(&mut last, size - 1)?;
    Ok(last == *b"\n")
}

/// `NAME.log`, and `NAME.log.1` for the one before it.
pub(crate) fn name(module: &str, age: usize) -> String {
    if age == 0 { format!("{module}.log") } else { format!("{module}.log.{age}") }
}

fn rotate(folder: &Folder, files: usize, module: &str) -> io::Result<()> {
    for age in (0..files.saturating_sub(1)).rev() {
        match folder.rename(&name(module, age), &name(module, age + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    if files <= 1 {
        folder.remove(&name(module, 0))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
