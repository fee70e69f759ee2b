//! Keeps the folder of compiled code from growing without end: what was used least recently goes
//! first. Files that are not named as ours are not touched.

use super::ENDING;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What a writer that died left behind is removed after this long; a living one is done by then.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// Removes the oldest files until the rest is at most `bytes_max`. `keep` stays.
pub(super) fn sweep(folder: &Path, bytes_max: u64, keep: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(metadata) = entry.metadata() else { continue };
        let Ok(used) = metadata.modified() else { continue };
        if is_temporary(&name) {
            if SystemTime::now().duration_since(used).is_ok_and(|age| age > ABANDONED_AFTER) {
                let _ = std::fs::remove_file(entry.path());
            }
        } else if is_compiled(&name) && metadata.is_file() {
            // The one that was just written counts as the newest, whatever the clock says.
            let used = if name == keep { SystemTime::now() + ABANDONED_AFTER } else { used };
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

/// `<64 hexadecimal digits>.compiled`
fn is_compiled(name: &str) -> bool {
    name.strip_suffix(ENDING)
        .and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// `.<64 hexadecimal digits>.compiled.<number of a process>`
fn is_temporary(name: &str) -> bool {
    name.strip_prefix('.')
        .and_then(|rest| rest.rsplit_once('.'))
        .is_some_and(|(name, process)| is_compiled(name) && process.bytes().all(|byte| byte.is_ascii_digit()))
}
