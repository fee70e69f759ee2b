//! The control socket: where it is, who may enter, and what is done about one that was left behind.

use crate::state_dir::create_private;
use bulkhead_core::Owner;
use nix::unistd::geteuid;
use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener as StdListener, UnixStream as StdStream},
    },
    path::{Path, PathBuf},
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

/// A listening socket whose file is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    pub(crate) listener: std::rc::Rc<UnixListener>,
    path: PathBuf,
    inode: Option<u64>,
}

impl ControlSocket {
    /// Listens at `path`, mode 0600, in a folder of mode 0700 if it has to be created.
    pub(crate) fn bind(path: &Path) -> Result<ControlSocket, SocketError> {
        let other = |error| SocketError::Other { path: path.to_owned(), error };
        if let Some(folder) = path.parent() {
            create_private(folder).map_err(other)?;
            let metadata = fs::metadata(folder).map_err(other)?;
            let shared = metadata.mode() & 0o1000 != 0;
            if metadata.uid() != geteuid().as_raw() && metadata.uid() != 0 && !shared {
                return Err(SocketError::Foreign { folder: folder.to_owned(), owner: metadata.uid() });
            }
        }
        remove_stale(path)?;
        let listener = StdListener::bind(path).map_err(other)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(other)?;
        listener.set_nonblocking(true).map_err(other)?;
        let inode = fs::symlink_metadata(path).ok().map(|metadata| metadata.ino());
        let listener = UnixListener::from_std(listener).map_err(other)?;
        Ok(ControlSocket { listener: std::rc::Rc::new(listener), path: path.to_owned(), inode })
    }
}

/// A socket that nobody listens on was left by a host that was killed; it may be replaced.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let other = |error| SocketError::Other { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(other(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match StdStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(other),
        Err(error) => Err(other(error)),
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Only our own: somebody may have replaced it in the meantime.
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| Some(metadata.ino()) == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
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
