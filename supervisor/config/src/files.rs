//! The only file of this crate that reads files. Only a regular file is read, no further than its limit, and never in a
//! way that waits for its writer: a named pipe, a device and a file of `/proc` that waits are refused. A file system
//! that does not answer cannot be detected here, so a caller that reads on another thread can see which file is in
//! progress ([`InProgress`]).

use nix::fcntl::OFlag;
use std::{
    cell::RefCell,
    fs::{File, Metadata, OpenOptions, ReadDir},
    io::{self, ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Which file a reading on another thread is processing.
#[derive(Clone, Debug, Default)]
pub struct InProgress(Arc<Mutex<At>>);

#[derive(Debug)]
struct At {
    since: Instant,
    path: Option<PathBuf>,
}

impl Default for At {
    fn default() -> At {
        At { since: Instant::now(), path: None }
    }
}

thread_local! {
    static WATCHED: RefCell<Option<InProgress>> = const { RefCell::new(None) };
}

impl InProgress {
    /// Does `read`, and notes here each file that it opens.
    pub fn during<T>(&self, read: impl FnOnce() -> T) -> T {
        let before = WATCHED.replace(Some(self.clone()));
        let result = read();
        WATCHED.set(before);
        *self.lock() = At::default();
        result
    }

    /// For how long it has processed the same file, and which; none before the first and after the last.
    pub fn now(&self) -> (Duration, Option<PathBuf>) {
        let at = self.lock();
        (at.since.elapsed(), at.path.clone())
    }

    fn begin(&self, path: &Path) {
        *self.lock() = At { since: Instant::now(), path: Some(path.to_owned()) };
    }

    fn lock(&self) -> MutexGuard<'_, At> {
        // No code panics while it is locked, and its content is whole after each step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(path: &Path) {
    WATCHED.with_borrow(|watched| {
        if let Some(in_progress) = watched {
            in_progress.begin(path);
        }
    });
}

pub(crate) fn metadata(path: &Path) -> io::Result<Metadata> {
    begin(path);
    std::fs::metadata(path)
}

/// Of the link itself, if it is one.
pub(crate) fn metadata_of_link(path: &Path) -> io::Result<Metadata> {
    begin(path);
    path.symlink_metadata()
}

/// Where a link leads.
pub(crate) fn target(path: &Path) -> io::Result<PathBuf> {
    begin(path);
    std::fs::read_link(path)
}

pub(crate) fn is_file(path: &Path) -> bool {
    metadata(path).is_ok_and(|metadata| metadata.is_file())
}

pub(crate) fn is_dir(path: &Path) -> bool {
    metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Whether there is something of this name, a link to nothing included.
pub(crate) fn is_there(path: &Path) -> bool {
    metadata_of_link(path).is_ok()
}

/// Whether there is certainly nothing of this name.
pub(crate) fn is_missing(path: &Path) -> bool {
    metadata_of_link(path).is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

pub(crate) fn folder(path: &Path) -> io::Result<ReadDir> {
    begin(path);
    std::fs::read_dir(path)
}

/// The first bytes of a file of which [`metadata`] says that it is regular; all of it, if it is no longer than
/// `bytes_max`.
///
/// # Errors
/// When it cannot be read, is no regular file any more, or its reading would wait.
pub(crate) fn head(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    begin(path);
    // Without the flag, the opening of a named pipe that replaced the file would wait.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(would_wait)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("expected a file, found something else"));
    }
    read(file, bytes_max)
}

fn read(file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes).map_err(would_wait)?;
    Ok(bytes)
}

fn would_wait(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => io::Error::other(
            "expected a file that can be read at once, found one whose reading waits for another program",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("bulkhead-files-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_pipe_that_took_the_place_of_a_file_is_refused_at_once() {
        let folder = scratch("pipe");
        let pipe = folder.join("module.toml");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (sender, receiver) = channel();
        let read = pipe.clone();
        std::thread::spawn(move || sender.send(head(&read, 100).map_err(|error| error.to_string())));
        let found = receiver.recv_timeout(Duration::from_secs(20)).expect("it does not wait");
        assert_eq!(found, Err("expected a file, found something else".into()));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_not_there_to_be_read_yet_is_refused_and_not_waited_for() {
        let (ours, _theirs) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
        let error = read(File::from(ours), 100).unwrap_err().to_string();
        assert!(error.contains("whose reading waits"), "{error}");
    }

    #[test]
    fn the_file_in_progress_is_the_last_one_opened_and_none_when_it_is_done() {
        let in_progress = InProgress::default();
        let seen = in_progress.clone();
        let last = in_progress.during(|| {
            metadata(Path::new("/nonexistent/a")).unwrap_err();
            head(Path::new("/nonexistent/b"), 1).unwrap_err();
            seen.now()
        });
        assert_eq!(last.1, Some("/nonexistent/b".into()));
        assert_eq!(in_progress.now().1, None);
        metadata(Path::new("/nonexistent/c")).unwrap_err();
        assert_eq!(in_progress.now().1, None, "what others read is not its business");
    }
}
