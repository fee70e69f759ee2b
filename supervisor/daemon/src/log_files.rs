//! Writes the modules' log lines to files and rotates them, on a thread of its own: a slow disk
//! slows no message down. A queue that is full drops lines and says how many.

use crate::{crashes::module_of_file, sys};
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Orders that may wait for the disk, and their bytes. A line may be long, and a disk may stand still.
const WAITING_MAX: usize = 16 * 1024;
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long a line may stay in memory after it was taken from the queue, however many follow it.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// What the thread is asked to do.
enum Order {
    Line { module: Arc<str>, line: String },
    Close { module: Arc<str> },
    Reopen,
    File { path: PathBuf, content: Vec<u8> },
    ThinOut { dir: PathBuf, files_max: usize },
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct LogFiles {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    waiting_bytes: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
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
        let (orders, receiver) = sync_channel(WAITING_MAX);
        let (lost, waiting_bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let writer = Writer::new(rotation, waiting_bytes.clone(), lost.clone());
        let thread = std::thread::Builder::new().name("bulkhead-logs".into()).spawn(move || {
            sys::give_way();
            writer.run(&receiver);
        })?;
        Ok(LogFiles { orders: Some(orders), thread: Some(thread), waiting_bytes, lost })
    }

    /// Hands over one line, without its end.
    pub(crate) fn write(&self, module: &Arc<str>, line: String) {
        self.hand_over(line.len(), Order::Line { module: module.clone(), line });
    }

    /// Hands over a whole file, to be written under another name first so that it is never half there.
    pub(crate) fn write_file(&self, path: PathBuf, content: Vec<u8>) {
        self.hand_over(content.len(), Order::File { path, content });
    }

    fn hand_over(&self, bytes: usize, order: Order) {
        let Some(orders) = &self.orders else { return };
        // Only this side adds, so what is read here can only have become less.
        let has_room = self.waiting_bytes.load(Ordering::Relaxed) + bytes <= WAITING_BYTES_MAX;
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if !has_room || orders.try_send(order).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks for all but the newest records of each module in a folder to be removed.
    pub(crate) fn thin_out(&self, dir: PathBuf, files_max: usize) {
        if let Some(orders) = &self.orders {
            // A full queue only means that they stay until the next time.
            let _ = orders.try_send(Order::ThinOut { dir, files_max });
        }
    }

    /// Somebody has moved the files away: the next lines go into new ones.
    pub(crate) fn reopen(&self) {
        if let Some(orders) = &self.orders {
            // A full queue only means that lines go into the old files until somebody asks again.
            let _ = orders.try_send(Order::Reopen);
        }
    }

    /// The module is gone: its file need not stay open.
    pub(crate) fn close(&self, module: &Arc<str>) {
        if let Some(orders) = &self.orders {
            // A full queue only means that the descriptor stays open a little longer.
            let _ = orders.try_send(Order::Close { module: module.clone() });
        }
    }
}

impl Drop for LogFiles {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been printed already.
            let _ = thread.join();
        }
    }
}

struct Writer {
    rotation: Rotation,
    files: HashMap<Arc<str>, LogFile>,
    /// When the oldest line in a buffer must be on its way to the disk. None while all are empty.
    flush_at: Option<Instant>,
    waiting_bytes: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

struct LogFile {
    file: File,
    size: u64,
    buffer: Vec<u8>,
}

impl Writer {
    fn new(rotation: Rotation, waiting_bytes: Arc<AtomicUsize>, lost: Arc<AtomicU64>) -> Writer {
        Writer { rotation, files: HashMap::new(), flush_at: None, waiting_bytes, lost }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let received = match self.flush_at {
                // A host whose modules are silent is not woken for nothing.
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => orders.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(order) => self.turn(Some(order), Instant::now()),
                Err(RecvTimeoutError::Timeout) => self.turn(None, Instant::now()),
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
        }
    }

    /// Carries an order out, if there is one, and flushes when that is due.
    fn turn(&mut self, order: Option<Order>, now: Instant) {
        match order {
            None => {}
            Some(Order::Line { module, line }) => {
                self.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                self.line(&module, &line, now);
            }
            Some(Order::Close { module }) => {
                self.flush();
                self.files.remove(&module);
            }
            Some(Order::Reopen) => {
                self.flush();
                self.files.clear();
            }
            Some(Order::File { path, content }) => {
                self.waiting_bytes.fetch_sub(content.len(), Ordering::Relaxed);
                if let Err(error) = write_whole(&path, &content) {
                    tracing::error!("cannot write {}: {error}", path.display());
                }
            }
            Some(Order::ThinOut { dir, files_max }) => {
                if let Err(error) = thin_out(&dir, files_max) {
                    tracing::error!("cannot remove old files from {}: {error}", dir.display());
                }
            }
        }
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush();
        }
    }

    fn line(&mut self, module: &Arc<str>, line: &str, now: Instant) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if let Err(error) = self.append(module, line, lost) {
            tracing::error!(module = &**module, "cannot write the module's log file: {error}");
            self.files.remove(module);
        }
        if self.files.get(module).is_some_and(LogFile::holds_lines) {
            self.flush_at.get_or_insert(now + FLUSH_INTERVAL);
        } else if !self.files.values().any(LogFile::holds_lines) {
            self.flush_at = None;
        }
    }

    fn append(&mut self, module: &Arc<str>, line: &str, lost: u64) -> io::Result<()> {
        if !self.files.contains_key(module) {
            let file = open(&path(&self.rotation.dir, module, 0))?;
            let size = file.metadata()?.len();
            self.files.insert(module.clone(), LogFile { file, size, buffer: Vec::new() });
        }
        let log = self.files.get_mut(module).expect("it was inserted above");
        if lost > 0 {
            let marker = format!("[{lost} lines or records of all modules were lost: the disk was too slow]\n");
            log.buffer.extend_from_slice(marker.as_bytes());
        }
        log.buffer.extend_from_slice(line.as_bytes());
        log.buffer.push(b'\n');
        if log.buffer.len() >= 64 * 1024 {
            log.flush()?;
        }
        if log.size + log.buffer.len() as u64 >= self.rotation.file_bytes_max {
            log.flush()?;
            self.files.remove(module);
            rotate(&self.rotation, module)?;
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.flush_at = None;
        for (module, log) in &mut self.files {
            if let Err(error) = log.flush() {
                tracing::error!(module = &**module, "cannot write the module's log file: {error}");
                log.buffer.clear();
            }
        }
    }
}

impl LogFile {
    fn holds_lines(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_all(&self.buffer)?;
            self.size += self.buffer.len() as u64;
            self.buffer.clear();
            self.buffer.shrink_to(64 * 1024);
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(content)?;
    fs::rename(&unfinished, path)
}

/// Names of one module sort by their time.
fn thin_out(dir: &Path, files_max: usize) -> io::Result<()> {
    let mut of_module: HashMap<String, Vec<String>> = HashMap::new();
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if let Some(module) = module_of_file(&name) {
            of_module.entry(module.to_owned()).or_default().push(name);
        }
    }
    for mut names in of_module.into_values() {
        names.sort_unstable();
        for name in &names[..names.len().saturating_sub(files_max)] {
            fs::remove_file(dir.join(name))?;
        }
    }
    Ok(())
}

/// `NAME.log`, and `NAME.log.1` for the one before it.
fn path(dir: &Path, module: &str, age: usize) -> PathBuf {
    dir.join(if age == 0 { format!("{module}.log") } else { format!("{module}.log.{age}") })
}

fn rotate(rotation: &Rotation, module: &str) -> io::Result<()> {
    for age in (0..rotation.files.saturating_sub(1)).rev() {
        match fs::rename(path(&rotation.dir, module, age), path(&rotation.dir, module, age + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    if rotation.files <= 1 {
        fs::remove_file(path(&rotation.dir, module, 0))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
