//! How a connection is made, and which user is at its other end. What is sent over it is not known here.

use crate::error::ConnectError;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// Longest path of a socket in bytes: `sun_path` has 108, the last of them a zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How another connection to the same host is made.
pub(crate) enum Way {
    /// By the path of its socket.
    Path(PathBuf),
    /// By a function of the embedding program.
    Function(Box<Reach>),
}

/// Makes a connection.
type Reach = dyn Fn() -> io::Result<UnixStream> + Send + Sync;

impl Way {
    pub(crate) fn open(&self) -> Result<UnixStream, ConnectError> {
        match self {
            Way::Path(path) => open(path),
            Way::Function(function) => function().map_err(ConnectError::Refused),
        }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Way::Function(_) => f.write_str("Function"),
        }
    }
}

/// Connects to the socket at `path`, if the right one listens there.
pub(crate) fn open(path: &Path) -> Result<UnixStream, ConnectError> {
    check_path(path)?;
    let stream = UnixStream::connect(path).map_err(|error| ConnectError::of(path, error))?;
    // Those of the process that called listen(2).
    let owner = getsockopt(&stream, PeerCredentials).map_err(|error| ConnectError::of(path, error.into()))?.uid();
    check_owner(path, owner)?;
    Ok(stream)
}

/// Checks that the kernel accepts a path of this length for a socket.
///
/// # Errors
/// [`ConnectError::TooLong`].
pub fn check_path(path: &Path) -> Result<(), ConnectError> {
    if path.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX {
        return Err(ConnectError::TooLong(path.to_owned()));
    }
    Ok(())
}

/// Checks that the user who listens at the socket `path` may read what this process sends: root or its own user.
///
/// # Errors
/// [`ConnectError::Foreign`].
pub fn check_owner(path: &Path, owner: u32) -> Result<(), ConnectError> {
    let own = geteuid().as_raw();
    if is_trusted(owner, own) { Ok(()) } else { Err(ConnectError::Foreign { path: path.to_owned(), owner, own }) }
}

/// Whether a user may read what this one sends: any user can listen at a path that no host uses yet.
fn is_trusted(owner: u32, own: u32) -> bool {
    owner == 0 || owner == own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_user_itself_are_trusted_and_no_other_user_not_even_by_root() {
        assert!(is_trusted(0, 0) && is_trusted(0, 1000) && is_trusted(1000, 1000));
        assert!(!is_trusted(1000, 1001) && !is_trusted(1000, 0));
        let error = ConnectError::Foreign { path: "/tmp/s".into(), owner: 1000, own: 0 };
        let expected = "the socket /tmp/s is served by user 1000, and this is user 0: what is sent would go to that user; \
                        run the command as user 1000, or name another socket";
        assert_eq!(error.to_string(), expected);
    }
}
