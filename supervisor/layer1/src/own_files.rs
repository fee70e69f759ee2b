//! Checks the files of the database before they are opened: SQLite follows a link, and writes to the file that has
//! the name. A user who could create one there could have the host write elsewhere, or read a database of that user.
//! The contents of the files and the folders on the way to them are not checked here; the host has checked its state
//! directory.
//!
//! They are checked by name, since SQLite opens them itself. They cannot change between the check and the opening
//! where no other user may write to the folder.

use crate::{OpenError, file_identity::beside};
use nix::unistd::{getegid, geteuid};
use std::{fs::Metadata, io::ErrorKind, os::unix::fs::MetadataExt, path::Path};

/// What SQLite and this store append to the name of the database.
const ENDINGS: [&str; 9] =
    ["", "-wal", "-shm", "-journal", ".lock", ".opened", ".opened.unfinished", ".compacting", ".migrating"];

/// # Errors
/// When one of the files is a link or none, has a second name, or could be changed by another user.
pub(crate) fn check(database: &Path) -> Result<(), OpenError> {
    for ending in ENDINGS {
        let path = beside(database, ending);
        match path.symlink_metadata() {
            // Refused when it is opened, with the message for that.
            Ok(found) if ending.is_empty() && !found.is_file() => {}
            Ok(found) => judge(&found, &path).map_err(|found| OpenError::NotOwn { path, found })?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(OpenError::of_io(&path, error)),
        }
    }
    Ok(())
}

fn judge(found: &Metadata, path: &Path) -> Result<(), String> {
    if found.is_symlink() {
        return Err("it is a link, and none is followed here; put the file itself in its place".into());
    }
    if !found.is_file() {
        return Err("it is no regular file; remove it".into());
    }
    if found.nlink() > 1 {
        // SQLite's own advice, too: it may be opened by both names, with two logs (howtocorrupt.html, 2.5).
        return Err("it has another name elsewhere (a hard link); put a copy in its place".into());
    }
    let own = geteuid().as_raw();
    if found.uid() != own && found.uid() != 0 {
        let (owner, path) = (found.uid(), path.display());
        return Err(format!(
            "it belongs to user {owner}, and this process is user {own}'s; run it as user {owner}, or chown {own} {path}"
        ));
    }
    let by_group = if found.gid() == getegid().as_raw() { 0 } else { 0o020 };
    let (mode, others) = (found.mode() & 0o7777, found.mode() & (0o002 | by_group));
    if others != 0 {
        let (fit, path) = (mode & !others, path.display());
        return Err(format!("others may write to it (mode {mode:04o}); chmod {fit:o} {path}"));
    }
    Ok(())
}
