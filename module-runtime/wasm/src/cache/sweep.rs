//! Keeps the folder of compiled code from growing without end: what was used least recently is removed first. Files
//! that are not named as ours are not touched.
//!
//! The times are those of the wall clock, which may have been set. A time in the future is meaningless: such a file is
//! removed first, and a use gives it the current time. A file that a process works on is known by its lock and not by
//! its time alone.

use super::ENDING;
use nix::fcntl::OFlag;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What a writer that died left behind is removed after this long.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// How far a time may be ahead of this clock: a file server's clock may differ.
pub(super) const AHEAD_MAX: Duration = Duration::from_secs(3600);

/// Removes the oldest files until the rest is at most `bytes_max`. `keep` stays.
pub(super) fn sweep(folder: &Path, bytes_max: u64, keep: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let now = SystemTime::now();
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(metadata) = entry.metadata() else { continue };
        let Ok(used) = metadata.modified() else { continue };
        if is_temporary(&name) {
            let away = now.duration_since(used).unwrap_or_else(|ahead| ahead.duration());
            if away > ABANDONED_AFTER && is_left(&entry.path()) {
                let _ = std::fs::remove_file(entry.path());
            }
        } else if is_compiled(&name) && metadata.is_file() {
            // The file that was just written counts as the newest, regardless of the clock.
            let used = match name == keep {
                true => now + 2 * AHEAD_MAX,
                false if used > now + AHEAD_MAX => SystemTime::UNIX_EPOCH,
                false => used,
            };
            files.push((used, metadata.len(), entry.path()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if total <= bytes_max || path.ends_with(keep) {
            break;
        }
        if std::fs::remove_file(path).is_ok() {
            total -= bytes;
        }
    }
}

/// Whether a file has no writer any more, and no process compiles under it: both hold its lock.
fn is_left(path: &Path) -> bool {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    // A file that cannot be opened is not ours; removing its name does no harm.
    opened.map_or(true, |file| file.try_lock().is_ok())
}

/// `<64 hexadecimal digits>.compiled`
fn is_compiled(name: &str) -> bool {
    name.strip_suffix(ENDING)
        .and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// `.<64 hexadecimal digits>.compiled.<process id>`
fn is_temporary(name: &str) -> bool {
    name.strip_prefix('.')
        .and_then(|rest| rest.rsplit_once('.'))
        .is_some_and(|(name, process)| is_compiled(name) && process.bytes().all(|byte| byte.is_ascii_digit()))
}
