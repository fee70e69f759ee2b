//! The journal: a file of JSON lines that only grows. What a line means is the store's business.
//!
//! Several processes may have it open: a spare waits beside the active one, and a reload starts the
//! new process before the old one ends. Whoever writes holds the file's lock and has first read
//! what others wrote.

use crate::record::{Header, JOURNAL_VERSION};
use bulkhead_module::{Error, log};
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Where a line is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
}

pub(crate) struct Journal {
    path: PathBuf,
    file: Rc<File>,
    /// Bytes that were read, or written by this process: always whole lines.
    known_bytes: u64,
    lines: u64,
    /// Whether something was written or seen that may not be on the disk yet.
    dirty: Rc<Cell<bool>>,
}

/// The right to write, until it is dropped.
pub(crate) struct Lock(Rc<File>);

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock ends at the latest with the process.
        let _ = self.0.unlock();
    }
}

impl Journal {
    /// Opens the journal in this folder, or begins one. Nothing of it is read yet but by
    /// [`Journal::catch_up`].
    pub(crate) fn open(folder: &Path) -> Result<Journal, Error> {
        let path = folder.join("journal.jsonl");
        let fail = |error| Error::failed(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(folder).map_err(fail)?;
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(fail)?;
        Ok(Journal { file: Rc::new(file), known_bytes: 0, lines: 0, dirty: Rc::new(Cell::new(false)), path })
    }

    /// Waits until no other process writes.
    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        self.file.lock().map_err(|error| self.trouble("cannot be locked", &error))?;
        Ok(Lock(Rc::clone(&self.file)))
    }

    /// Whether another process wrote since the last look.
    pub(crate) fn has_news(&self) -> Result<bool, Error> {
        Ok(self.length()? != self.known_bytes)
    }

    /// Reads the lines that are new. It takes the lock, as only under it a line without an end is
    /// known to be the rest of a writer that died, and not one that is being written.
    pub(crate) fn catch_up(
        &mut self,
        _lock: &Lock,
        mut apply: impl FnMut(Place, &str) -> Result<(), String>,
    ) -> Result<(), Error> {
        let length = self.length()?;
        if length < self.known_bytes {
            let sentence = format!(
                "{}: expected at least {} bytes, found {length}; \
                somebody shortened it while it was in use",
                self.path.display(),
                self.known_bytes
            );
            return Err(Error::failed(sentence));
        }
        let mut reader = BufReader::with_capacity(256 * 1024, &*self.file);
        reader.seek(SeekFrom::Start(self.known_bytes)).map_err(|error| self.trouble("cannot be read", &error))?;
        let mut line = Vec::new();
        while self.known_bytes < length {
            line.clear();
            let count = reader.read_until(b'\n', &mut line).map_err(|error| self.trouble("cannot be read", &error))?;
            if line.last() != Some(&b'\n') {
                self.cut_torn_line(count)?;
                break;
            }
            let text = std::str::from_utf8(&line[..count - 1]).map_err(|error| self.broken(&error.to_string()))?;
            if self.lines == 0 {
                self.check_header(text)?;
            } else {
                let bytes = u32::try_from(count - 1).map_err(|_| self.broken("the line is longer than 4 GiB"))?;
                apply(Place { offset: self.known_bytes, bytes }, text).map_err(|reason| self.broken(&reason))?;
            }
            self.known_bytes += count as u64;
            self.lines += 1;
            // Its writer may have died before it made sure; nobody shall be told of what is not on the disk.
            self.dirty.set(true);
        }
        Ok(())
    }

    /// Begins the journal with its header, if there is nothing yet.
    pub(crate) fn begin(&mut self, lock: &Lock) -> Result<(), Error> {
        if self.lines > 0 {
            return Ok(());
        }
        let header = serde_json::to_string(&Header::current()).map_err(|error| Error::failed(error.to_string()))?;
        self.append(lock, &header)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let sync = |file: &File| file.sync_all().map_err(|error| self.trouble("cannot be made durable", &error));
        sync(&self.file)?;
        // The name of a new file is only durable when its folder is.
        sync(&File::open(folder).map_err(|error| self.trouble("has no readable folder", &error))?)
    }

    /// Writes one line. It is durable after the next [`Journal::sync`].
    pub(crate) fn append(&mut self, _lock: &Lock, line: &str) -> Result<Place, Error> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let place = Place {
            offset: self.known_bytes,
            bytes: u32::try_from(line.len()).map_err(|_| Error::bad_request("the change is longer than 4 GiB"))?,
        };
        if let Err(error) = (&*self.file).write_all(&bytes) {
            // What was written of it would be in the way of the next line. If even that fails, the
            // next start finds a torn line.
            let _ = self.file.set_len(self.known_bytes);
            return Err(self.trouble("cannot be written, and nothing was stored", &error));
        }
        self.dirty.set(true);
        self.known_bytes += bytes.len() as u64;
        self.lines += 1;
        Ok(place)
    }

    /// The line at a place.
    pub(crate) fn read(&self, place: Place) -> Result<String, Error> {
        let mut bytes = vec![0; place.bytes as usize];
        self.file.read_exact_at(&mut bytes, place.offset).map_err(|error| self.trouble("cannot be read", &error))?;
        String::from_utf8(bytes)
            .map_err(|_| Error::failed(format!("{}: changed while it was in use", self.path.display())))
    }

    /// What makes everything durable that was written or seen so far, once for all of it.
    pub(crate) fn sync(&self) -> impl FnMut() -> Result<(), Error> + 'static {
        let (file, dirty, path) = (Rc::clone(&self.file), Rc::clone(&self.dirty), self.path.clone());
        move || {
            if dirty.get() {
                file.sync_data().map_err(|error| Error::failed(format!("{}: {error}", path.display())))?;
                dirty.set(false);
            }
            Ok(())
        }
    }

    fn length(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().map_err(|error| self.trouble("cannot be read", &error))?.len())
    }

    /// Invariant: a torn line was never acknowledged, as an answer leaves after its whole line is durable.
    fn cut_torn_line(&mut self, bytes: usize) -> Result<(), Error> {
        log!(warn, "{}: cut {bytes} bytes of a change that was never finished", self.path.display());
        self.file.set_len(self.known_bytes).map_err(|error| self.trouble("cannot be repaired", &error))
    }

    fn check_header(&self, line: &str) -> Result<(), Error> {
        let header: Header = serde_json::from_str(line)
            .map_err(|error| self.broken(&format!("expected the header of a research log's journal: {error}")))?;
        if header.journal != "research-log" || header.version != JOURNAL_VERSION {
            let sentence = format!("expected a journal of research-log in version {JOURNAL_VERSION}, found {line}");
            return Err(self.broken(&sentence));
        }
        Ok(())
    }

    fn broken(&self, reason: &str) -> Error {
        let at = format!("{}: line {}: {reason}", self.path.display(), self.lines + 1);
        Error::failed(format!("{at}; nothing was changed, mend or remove that line, or put a copy back")).permanent()
    }

    fn trouble(&self, what: &str, error: &std::io::Error) -> Error {
        Error::failed(format!("{}: {what}: {error}", self.path.display()))
    }
}
