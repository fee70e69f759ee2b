//! Watches the files that the host needs and that others may remove while it runs: its control socket and
//! the folders of its state directory. What is gone is made again where that is safe; what cannot be is reported.
//!
//! This has a thread of its own, which looks every few seconds and wakes the loop only if something has
//! changed. The database and the log files are checked by the threads that write them.

use crate::{
    control_socket::{Bound, Identity, SocketFile},
    files::{Done, Gate, Outlet},
    state_dir::create_private,
};
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// A path that is not as it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Noticed {
    pub(crate) path: PathBuf,
    pub(crate) what: WatchEvent,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WatchEvent {
    /// It was gone, and is there again.
    MadeAgain,
    /// It is gone or is another, and stays so: the reason, and what to do.
    Wrong(String),
    /// What was wrong is right again.
    Fine,
}

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Watched {
    /// With what it was when the host opened it.
    pub(crate) state_dir: (PathBuf, Identity),
    /// Folders in it that may be made again.
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) socket: Option<(PathBuf, Option<Identity>)>,
}

impl Watched {
    /// # Errors
    /// When the state directory cannot be looked at.
    pub(crate) fn of(
        state_dir: &Path,
        folders: Vec<PathBuf>,
        socket: Option<(&Path, &SocketFile)>,
    ) -> io::Result<Watched> {
        let identity = Identity::of(&fs::metadata(state_dir)?);
        let socket = socket.map(|(path, file)| (path.to_owned(), file.identity()));
        Ok(Watched { state_dir: (state_dir.to_owned(), identity), folders, socket })
    }
}

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch(Sender<()>);

impl Watch {
    /// # Errors
    /// When there can be no more threads.
    pub(crate) fn start(watched: Watched, gate: Gate, outlet: Outlet) -> io::Result<Watch> {
        let (now, asked) = channel();
        let watcher = Watcher { watched, wrong: HashMap::new(), outlet };
        thread::Builder::new().name("bulkhead-watch".into()).spawn(move || watcher.run(&asked, &gate))?;
        Ok(Watch(now))
    }

    /// Looks at once.
    pub(crate) fn look(&self) {
        // One that has ended, since it panicked, has said so.
        let _ = self.0.send(());
    }
}

struct Watcher {
    watched: Watched,
    /// What was reported of each path and is still so.
    wrong: HashMap<PathBuf, String>,
    outlet: Outlet,
}

impl Watcher {
    fn run(mut self, asked: &Receiver<()>, gate: &Gate) {
        loop {
            match asked.recv_timeout(LOOK_EVERY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            gate("watch");
            self.look();
        }
    }

    fn look(&mut self) {
        if self.look_at_state_dir() {
            for folder in self.watched.folders.clone() {
                self.look_at_folder(&folder);
            }
        }
        self.look_at_socket();
    }

    /// Whether the state directory is the one that was opened. In another one nothing is made: it may be another
    /// host's.
    fn look_at_state_dir(&mut self) -> bool {
        let (path, identity) = self.watched.state_dir.clone();
        let reason = match fs::metadata(&path) {
            Ok(metadata) if Identity::of(&metadata) == identity => {
                self.fine(&path);
                return true;
            }
            Ok(_) => "is not the one that this host opened".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => "has gone".to_owned(),
            Err(error) => format!("cannot be looked at: {error}"),
        };
        let advice = "what this host keeps is not there for the next one; put it back, or start the host again";
        self.wrong(&path, format!("the state directory {} {reason}: {advice}", path.display()));
        false
    }

    fn look_at_folder(&mut self, folder: &Path) {
        // A link is no folder: nothing is written through one.
        let reason = match fs::symlink_metadata(folder) {
            Ok(metadata) if metadata.is_dir() => return self.fine(folder),
            Ok(_) => "is no folder any more".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match create_private(folder) {
                Ok(()) => return self.report(folder, WatchEvent::MadeAgain),
                Err(error) => format!("has gone and cannot be made again: {error}"),
            },
            Err(error) => format!("cannot be looked at: {error}"),
        };
        self.wrong(folder, format!("the folder {} {reason}; nothing can be kept in it", folder.display()));
    }

    fn look_at_socket(&mut self) {
        let Some((path, identity)) = self.watched.socket.clone() else { return };
        let found = fs::symlink_metadata(&path).ok().map(|metadata| Identity::of(&metadata));
        if found.is_some() && found == identity {
            return self.fine(&path);
        }
        // An attempt connects to what listens there, which ends one day and leaves its file.
        match Bound::at(&path) {
            Ok(bound) => {
                self.wrong.remove(&path);
                self.watched.socket = Some((path, bound.file.identity()));
                self.outlet.put(Done::Socket(bound));
            }
            Err(error) => self.wrong(&path, format!("the control socket has gone and cannot be made again: {error}")),
        }
    }

    fn wrong(&mut self, path: &Path, reason: String) {
        if self.wrong.get(path) != Some(&reason) {
            self.wrong.insert(path.to_owned(), reason.clone());
            self.send(path, WatchEvent::Wrong(reason));
        }
    }

    fn fine(&mut self, path: &Path) {
        if self.wrong.remove(path).is_some() {
            self.send(path, WatchEvent::Fine);
        }
    }

    fn report(&mut self, path: &Path, what: WatchEvent) {
        self.wrong.remove(path);
        self.send(path, what);
    }

    fn send(&self, path: &Path, what: WatchEvent) {
        self.outlet.put(Done::Noticed(Noticed { path: path.to_owned(), what }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{files::Files, scratch::Scratch};
    use std::{os::unix::net::UnixStream, sync::Arc};

    struct Test {
        folder: Scratch,
        files: Files,
        watcher: Watcher,
        /// What listens; the host's side of it.
        bound: Option<Bound>,
    }

    impl Test {
        fn new(name: &str) -> Test {
            let folder = Scratch::new(&format!("watch-{name}"));
            fs::create_dir_all(folder.join("state/logs")).unwrap();
            let socket = folder.join("run/control.sock");
            let bound = Bound::at(&socket).unwrap();
            let state = folder.join("state");
            let watched = Watched::of(&state, vec![state.join("logs")], Some((&socket, &bound.file))).unwrap();
            let files = Files::new(Arc::new(|_| ()));
            let watcher = Watcher { watched, wrong: HashMap::new(), outlet: files.outlet() };
            Test { folder, files, watcher, bound: Some(bound) }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.join(name)
        }

        /// What one look reports of paths.
        fn look(&mut self) -> Vec<(PathBuf, WatchEvent)> {
            self.watcher.look();
            let mut events = Vec::new();
            while let Some(done) = self.files.take() {
                match done {
                    Done::Noticed(noticed) => {
                        let path = noticed.path.strip_prefix(&*self.folder).unwrap().to_owned();
                        events.push((path, noticed.what));
                    }
                    Done::Socket(bound) => {
                        self.bound.replace(bound).unwrap().file.disown();
                        events.push(("run/control.sock".into(), WatchEvent::MadeAgain));
                    }
                    other => panic!("{other:?}"),
                }
            }
            events
        }

        fn is_reachable(&self) -> bool {
            UnixStream::connect(self.path("run/control.sock")).is_ok()
        }
    }

    #[track_caller]
    fn expect_wrong(events: &[(PathBuf, WatchEvent)], path: &str, reason: &str) {
        match events {
            [(found, WatchEvent::Wrong(text))] if found == Path::new(path) => {
                assert!(text.contains(reason), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_socket_that_was_removed_listens_again_and_so_does_one_whose_folder_was() {
        let mut test = Test::new("removed");
        assert!(test.look().is_empty());
        for _ in 0..2 {
            fs::remove_file(test.path("run/control.sock")).unwrap();
            assert_eq!(test.look(), [("run/control.sock".into(), WatchEvent::MadeAgain)]);
            assert!(test.is_reachable() && test.look().is_empty());
        }
        fs::remove_dir_all(test.path("run")).unwrap();
        assert_eq!(test.look(), [("run/control.sock".into(), WatchEvent::MadeAgain)]);
        assert!(test.is_reachable());
        fs::rename(test.path("run/control.sock"), test.path("run/elsewhere")).unwrap();
        assert_eq!(test.look(), [("run/control.sock".into(), WatchEvent::MadeAgain)]);
        drop(test.bound.take());
        assert!(!test.path("run/control.sock").exists(), "it is removed at the end");
    }

    #[test]
    fn a_socket_of_another_that_is_dead_is_replaced_and_one_that_listens_is_reported_and_left_alone() {
        let mut test = Test::new("other");
        let socket = test.path("run/control.sock");
        fs::remove_file(&socket).unwrap();
        let other = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        expect_wrong(&test.look(), "run/control.sock", "another host listens on");
        assert!(test.look().is_empty(), "it is reported once");
        drop(other);
        assert_eq!(test.look(), [("run/control.sock".into(), WatchEvent::MadeAgain)], "the other has left its file");
        fs::remove_file(&socket).unwrap();
        fs::write(&socket, "").unwrap();
        expect_wrong(&test.look(), "run/control.sock", "is there and is no socket");
        fs::remove_file(&socket).unwrap();
        assert_eq!(test.look(), [("run/control.sock".into(), WatchEvent::MadeAgain)]);
    }

    #[test]
    fn a_folder_that_vanished_is_made_again_and_reported_once() {
        let mut test = Test::new("folder");
        let logs = test.path("state/logs");
        fs::remove_dir(&logs).unwrap();
        assert_eq!(test.look(), [("state/logs".into(), WatchEvent::MadeAgain)]);
        assert!(logs.is_dir() && test.look().is_empty());
        fs::remove_dir(&logs).unwrap();
        fs::write(&logs, "").unwrap();
        expect_wrong(&test.look(), "state/logs", "is no folder any more");
        assert!(test.look().is_empty());
        fs::remove_file(&logs).unwrap();
        assert_eq!(test.look(), [("state/logs".into(), WatchEvent::MadeAgain)]);
    }

    #[test]
    fn in_a_state_directory_that_is_another_nothing_is_made() {
        let mut test = Test::new("state");
        let (state, away) = (test.path("state"), test.path("away"));
        fs::rename(&state, &away).unwrap();
        expect_wrong(&test.look(), "state", "has gone: what this host keeps");
        assert!(!state.exists());
        fs::create_dir(&state).unwrap();
        expect_wrong(&test.look(), "state", "is not the one that this host opened");
        assert!(!state.join("logs").exists());
        fs::remove_dir(&state).unwrap();
        fs::rename(&away, &state).unwrap();
        assert_eq!(test.look(), [("state".into(), WatchEvent::Fine)]);
    }

    #[test]
    fn it_looks_at_once_when_it_is_asked_to() {
        let mut test = Test::new("asked");
        fs::remove_dir(test.path("state/logs")).unwrap();
        let (now, asked) = channel();
        now.send(()).unwrap();
        drop(now);
        let outlet = test.files.outlet();
        let watched = Watched { socket: None, ..std::mem::replace(&mut test.watcher, unused(&outlet)).watched };
        Watcher { watched, wrong: HashMap::new(), outlet }.run(&asked, &test.files.gate());
        assert!(test.path("state/logs").is_dir());
    }

    fn unused(outlet: &Outlet) -> Watcher {
        let identity = Identity::of(&fs::metadata("/").unwrap());
        let watched = Watched { state_dir: ("/".into(), identity), folders: Vec::new(), socket: None };
        Watcher { watched, wrong: HashMap::new(), outlet: outlet.clone() }
    }
}
