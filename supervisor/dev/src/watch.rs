//! Which files change: the folders that are watched, and what has happened in them since it was last asked. Links to
//! folders are not followed, so that a circle of links has no end to find. What a change means is decided elsewhere.

use crate::plan::Id;
use crate::sources::{Happened, is_ignored, is_tool_folder};
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, INotifyWatcher, RecursiveMode, Watcher};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How many folders are watched.
const FOLDERS_MAX: usize = 8192;

/// How many changed paths are kept one by one. With more, everything counts as changed.
const PATHS_MAX: usize = 10_000;

/// How many files are remembered as being there. One that is not counts as an author's when it changes.
const FILES_MAX: usize = 100_000;

/// What has changed and was not looked at.
#[derive(Debug, Default)]
struct Pending {
    paths: HashSet<PathBuf>,
    /// More has changed than is known.
    is_incomplete: bool,
}

/// A file or folder that is watched, with all that is in it.
#[derive(Debug)]
struct Root {
    id: Id,
    path: PathBuf,
    is_there: bool,
}

/// What is to be known about a module's files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Changed(PathBuf, Happened),
    /// Anything may have changed.
    All,
    /// What is watched is gone.
    Gone(PathBuf),
    /// It is there again.
    Back(PathBuf),
    /// Changes there will not be noticed, with the reason.
    Unwatched(String),
}

/// All that is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    watcher: INotifyWatcher,
    pending: Arc<Mutex<Pending>>,
    roots: Vec<Root>,
    folders: HashSet<PathBuf>,
    /// The files that are there, as far as is known.
    files: HashSet<PathBuf>,
}

/// What is made of the files that are found in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// They were there before anything was done.
    Before,
    /// What happens to them will show.
    New,
}

impl Watch {
    /// Watches nothing yet. `wake` is called on another thread when there is something new to look at.
    ///
    /// # Errors
    /// When the system has no more of what it takes.
    pub(crate) fn start(wake: impl Fn() + Send + 'static) -> notify::Result<Watch> {
        let pending: Arc<Mutex<Pending>> = Arc::default();
        let shared = pending.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let is_news = shared.lock().unwrap_or_else(PoisonError::into_inner).note(event);
            if is_news {
                wake();
            }
        })?;
        Ok(Watch { watcher, pending, roots: Vec::new(), folders: HashSet::new(), files: HashSet::new() })
    }

    /// Watches these for a module, and nothing else for it.
    pub(crate) fn set_roots(&mut self, id: Id, paths: &[PathBuf]) -> Vec<Seen> {
        if self.roots.iter().filter(|root| root.id == id).map(|root| &root.path).eq(paths) {
            return Vec::new();
        }
        self.roots.retain(|root| root.id != id);
        let mut seen = Vec::new();
        for path in paths {
            let is_there = path.exists();
            self.roots.push(Root { id, path: path.clone(), is_there });
            seen.push(if is_there { self.add_root(path) } else { Some(Seen::Gone(path.clone())) });
        }
        seen.into_iter().flatten().collect()
    }

    /// Whether something is not there that should be watched; it is looked for with [`Watch::look_for_gone`].
    pub(crate) fn misses_some(&self) -> bool {
        self.roots.iter().any(|root| !root.is_there)
    }

    /// Watches what has come back.
    pub(crate) fn look_for_gone(&mut self) -> Vec<(Id, Seen)> {
        let mut seen = Vec::new();
        for at in 0..self.roots.len() {
            let Root { id, path, is_there } = &self.roots[at];
            if *is_there || !path.exists() {
                continue;
            }
            let (id, path) = (*id, path.clone());
            self.roots[at].is_there = true;
            seen.extend(self.add_root(&path).map(|seen| (id, seen)));
            seen.push((id, Seen::Back(path)));
        }
        seen
    }

    /// What has changed since the last time, by module.
    pub(crate) fn take(&mut self) -> Vec<(Id, Seen)> {
        let Pending { paths, is_incomplete } =
            std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut seen = Vec::new();
        if is_incomplete {
            // Folders may be new as well, or others than before at the same path.
            self.folders.clear();
            for at in 0..self.roots.len() {
                let (id, path) = (self.roots[at].id, self.roots[at].path.clone());
                seen.extend(self.add_root(&path).map(|seen| (id, seen)));
                seen.push((id, Seen::All));
            }
            return seen;
        }
        for path in paths {
            let Some(happened) = self.happened(&path) else { continue };
            for at in 0..self.roots.len() {
                self.look(at, &path, happened, &mut seen);
            }
        }
        seen
    }

    /// What happened to a path; none if it came and went.
    fn happened(&mut self, path: &Path) -> Option<Happened> {
        if fs::symlink_metadata(path).is_err() {
            let is_watched = self.folders.remove(path) || self.roots.iter().any(|root| root.path == path);
            return (self.files.remove(path) || is_watched).then_some(Happened::Changed);
        }
        if self.files.len() >= FILES_MAX || !self.files.insert(path.to_owned()) {
            return Some(Happened::Changed);
        }
        Some(Happened::Appeared)
    }

    /// What a change means for one root.
    fn look(&mut self, at: usize, path: &Path, happened: Happened, seen: &mut Vec<(Id, Seen)>) {
        let Root { id, path: root, is_there } = &mut self.roots[at];
        let id = *id;
        let Ok(within) = path.strip_prefix(&*root) else { return };
        if within.as_os_str().is_empty() {
            let root = root.clone();
            if !root.exists() {
                if std::mem::replace(is_there, false) {
                    self.folders.retain(|folder| !folder.starts_with(&root));
                    seen.push((id, Seen::Gone(root)));
                }
                return;
            }
            // Another folder may have taken its place.
            let was_there = std::mem::replace(is_there, true);
            self.folders.retain(|folder| !folder.starts_with(&root));
            seen.extend(self.add_root(&root).map(|seen| (id, seen)));
            seen.push((id, if was_there { Seen::Changed(root, happened) } else { Seen::Back(root) }));
            return;
        }
        if is_ignored(within) {
            return;
        }
        // One that was moved here may be watched by its old name.
        if happened == Happened::Appeared && is_folder(path) {
            self.folders.retain(|folder| !folder.starts_with(path));
            seen.extend(self.add_folder(path, Found::New).map(|seen| (id, seen)));
        }
        seen.push((id, Seen::Changed(path.to_owned(), happened)));
    }

    fn add_root(&mut self, path: &Path) -> Option<Seen> {
        // A file is replaced by many editors, so its folder is watched.
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => self.add_folder(path, Found::Before),
            Ok(_) => {
                self.files.insert(path.to_owned());
                self.add_one(path.parent().unwrap_or(path)).err()
            }
            Err(error) => Some(Seen::Unwatched(format!("{}: {error}", path.display()))),
        }
    }

    /// Watches a folder and those in it.
    fn add_folder(&mut self, path: &Path, found: Found) -> Option<Seen> {
        let mut to_do = vec![path.to_owned()];
        while let Some(folder) = to_do.pop() {
            if let Err(seen) = self.add_one(&folder) {
                // A folder that was removed meanwhile needs no watch.
                if folder.exists() {
                    return Some(seen);
                }
                continue;
            }
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                // A link is none, wherever it leads.
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && !entry.file_name().to_str().is_some_and(is_tool_folder) {
                    to_do.push(entry.path());
                }
                if found == Found::Before && self.files.len() < FILES_MAX {
                    self.files.insert(entry.path());
                }
            }
        }
        None
    }

    fn add_one(&mut self, folder: &Path) -> Result<(), Seen> {
        if self.folders.contains(folder) {
            return Ok(());
        }
        if self.folders.len() >= FOLDERS_MAX {
            return Err(Seen::Unwatched(format!(
                "expected at most {FOLDERS_MAX} folders to watch, found more: changes in {} and others are not noticed; \
                 [dev] watch in module.toml names those that matter",
                folder.display()
            )));
        }
        self.watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|error| {
            let remedy = match error.kind {
                notify::ErrorKind::MaxFilesWatch => "; sysctl fs.inotify.max_user_watches sets how many there may be",
                _ => "",
            };
            Seen::Unwatched(format!("changes in {} are not noticed: {error}{remedy}", folder.display()))
        })?;
        self.folders.insert(folder.to_owned());
        Ok(())
    }
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

impl Pending {
    /// Notes what has happened, and says whether it is the first thing to look at.
    fn note(&mut self, event: notify::Result<Event>) -> bool {
        let was_empty = self.paths.is_empty() && !self.is_incomplete;
        match event {
            Ok(event) if event.need_rescan() => self.is_incomplete = true,
            Ok(event) if !is_change(event.kind) => return false,
            Ok(event) if self.paths.len() >= PATHS_MAX => self.is_incomplete |= !event.paths.is_empty(),
            Ok(event) => self.paths.extend(event.paths),
            Err(_) => self.is_incomplete = true,
        }
        was_empty && (!self.paths.is_empty() || self.is_incomplete)
    }
}

/// Whether something was changed, and not only read.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Any | EventKind::Access(_) | EventKind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    const SAVED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const READ: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));

    #[test]
    fn the_loop_is_woken_once_for_many_changes_and_not_for_what_is_read() {
        let mut pending = Pending::default();
        assert!(!pending.note(event(READ, "/a")));
        assert!(pending.note(event(SAVED, "/a")));
        assert!(!pending.note(event(SAVED, "/b")));
        assert_eq!(pending.paths.len(), 2);
    }

    #[test]
    fn more_changes_than_are_kept_are_all_changes() {
        let mut pending = Pending::default();
        for number in 0..=PATHS_MAX {
            pending.note(event(SAVED, &format!("/{number}")));
        }
        assert!(pending.is_incomplete);
        assert_eq!(pending.paths.len(), PATHS_MAX);
    }
}
