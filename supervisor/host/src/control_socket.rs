//! The control socket: its path, who may connect, and what is done about a file that an earlier host has left.

use crate::{release::Releasable, state_dir::make_private};
use bulkhead_core::Owner;
use nix::{
    errno::Errno,
    sys::{
        socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket},
        stat::{Mode, fchmod},
    },
    unistd::geteuid,
};
use std::{
    fs::{self, Metadata},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::UnixListener as StdListener,
        },
    },
    path::{Path, PathBuf},
    rc::Rc,
    time::SystemTime,
};
use tokio::net::{UnixListener, UnixStream};

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("another host listens on {}; stop it, or choose another path with --socket PATH", .0.display())]
    InUse(PathBuf),
    #[error("{} is there and is no socket; remove it, or choose another path with --socket PATH", .0.display())]
    NotASocket(PathBuf),
    #[error("the folder {} belongs to user {owner}, not to this one; choose another path with --socket PATH", .folder.display())]
    Foreign { folder: PathBuf, owner: u32 },
    #[error("cannot listen on {}: {error}; choose another path with --socket PATH", .path.display())]
    Other { path: PathBuf, error: io::Error },
}

/// Which file a path led to. A number is reused once its file is gone, so the time of birth belongs to
/// it, where the file system keeps that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    born: Option<SystemTime>,
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Identity {
        Identity { device: metadata.dev(), inode: metadata.ino(), born: metadata.created().ok() }
    }
}

/// The file of a socket. It is removed when this is dropped, if it is still the same.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Option<Identity>,
}

impl SocketFile {
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Leaves the path alone from now on.
    pub(crate) fn disown(mut self) {
        self.identity = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Only our own: another file may have its path meanwhile.
        if self.identity.is_some()
            && fs::symlink_metadata(&self.path).is_ok_and(|metadata| Some(Identity::of(&metadata)) == self.identity)
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A socket that listens and that no loop waits for yet.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: StdListener,
    pub(crate) file: SocketFile,
}

impl Bound {
    /// Listens at `path`, mode 0600, in a folder of mode 0700 if it has to be created.
    pub(crate) fn at(path: &Path) -> Result<Bound, SocketError> {
        let other = |error| SocketError::Other { path: path.to_owned(), error };
        if let Some(folder) = path.parent() {
            make_private(folder).map_err(other)?;
            let metadata = fs::metadata(folder).map_err(other)?;
            let shared = metadata.mode() & 0o1000 != 0;
            if metadata.uid() != geteuid().as_raw() && metadata.uid() != 0 && !shared {
                return Err(SocketError::Foreign { folder: folder.to_owned(), owner: metadata.uid() });
            }
        }
        remove_stale(path)?;
        let listener = bind_privately(path).map_err(other)?;
        let identity = fs::symlink_metadata(path).ok().map(|metadata| Identity::of(&metadata));
        Ok(Bound { listener, file: SocketFile { path: path.to_owned(), identity } })
    }
}

/// A listening socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    pub(crate) listener: Rc<Releasable<UnixListener>>,
    pub(crate) file: SocketFile,
}

impl ControlSocket {
    /// # Errors
    /// When the loop cannot wait for it.
    pub(crate) fn of(bound: Bound) -> io::Result<ControlSocket> {
        let Bound { listener, file } = bound;
        Ok(ControlSocket { listener: Rc::new(Releasable::new(UnixListener::from_std(listener)?)), file })
    }
}

/// Listens at `path` with a file that only its owner may use from its first moment on. A change of the mode of a path
/// afterwards would change that of the file which has the path by then.
fn bind_privately(path: &Path) -> io::Result<StdListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let ours = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file gets the mode of its socket, less the mask of modes.
    fchmod(&ours, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(ours.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&ours, Backlog::MAXALLOWABLE)?;
    Ok(StdListener::from(ours))
}

/// A socket without a listener was left by a host that was killed; it may be replaced.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let other = |error| SocketError::Other { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(other(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match try_connect(path) {
        // One that is too busy to take another connection listens too.
        Ok(()) | Err(Errno::EAGAIN) => Err(SocketError::InUse(path.to_owned())),
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(other),
        Err(error) => Err(other(error.into())),
    }
}

fn try_connect(path: &Path) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let ours = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(ours.as_raw_fd(), &UnixAddr::new(path)?)
}

/// Whether the process at the other end may use the host: the same user, or root; which of the two.
pub(crate) fn check_peer(stream: &UnixStream) -> Result<Owner, String> {
    let peer = stream.peer_cred().map_err(|error| format!("the peer's credentials cannot be read: {error}"))?;
    if peer.uid() == 0 {
        return Ok(Owner::Root);
    }
    if peer.uid() == geteuid().as_raw() {
        return Ok(Owner::Own);
    }
    Err(format!("user {} may not use this host; it is user {}'s", peer.uid(), geteuid()))
}
