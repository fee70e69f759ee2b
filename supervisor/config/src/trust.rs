//! Which users could change what the host reads and runs. With a manifest or a program that another user may write,
//! that user can do all that the host's user may, so the host refuses both. The content of files is not considered
//! here.
//!
//! The rule, for each file, each folder on the way to it, and each link on that way: it belongs to root or to the
//! user that the host runs as, and no other user may write to it. It is sudo's rule for what it loads
//! (`sudo_secure_path`) and that of OpenSSH for a user's keys (`StrictModes`), with two differences:
//!
//! - A folder on the way may be writable by all if it is sticky, as `/tmp` is. There only the owner of a file can
//!   rename or remove it (inode(7)), and the owner of the entry there is checked next. That does not hold for a folder
//!   whose whole content is used.
//! - Its group may write to it if the host's user is in that group; of root's groups only its own counts. Many
//!   systems have a group for each user, and files that this group may write.
//!
//! A program outside the module's folder, as one of `$PATH`, is run by an ordinary user's host as by that user's shell:
//! it may belong to another user, such as an installer of shared software, and only what all users may write is
//! refused. To root the whole rule applies.
//!
//! A user whom the operator trusts counts as root does, as those of Mercurial's `trusted.users`, and so does the group
//! of that user's number, where each user has one. That is set where the host is started: a file that is checked here
//! cannot declare itself trusted. The host's own files are excepted.
//!
//! In a user namespace, what belongs to a user who has no number there may be used: it belongs to the system outside.
//!
//! No other user can change what was checked, so it is the same when it is read or run.

use crate::{document::describe, files};
use nix::unistd::{getegid, geteuid, getgroups};
use std::{
    ffi::OsString,
    fmt,
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    sync::OnceLock,
};

/// Links that are followed on the way to one file, as many as the kernel would.
const LINKS_MAX: usize = 40;

/// Mode bits.
const STICKY: u32 = 0o1000;
const BY_GROUP: u32 = 0o020;
const BY_OTHERS: u32 = 0o002;

/// What the host does with the last component of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// This one file is read or run.
    Itself,
    /// It is a folder, and its whole content is used.
    Content,
    /// It is run, and does not belong to the module.
    Shared,
    /// It belongs to the host, which writes there: trusted users may own folders on the way, but not this.
    Own,
}

/// Why a file or folder is not used: what was found, and the owner or the mode that would be accepted.
#[derive(Debug)]
pub enum TrustError {
    /// Its owner and its mode cannot be read.
    Unread {
        /// Its path.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// There are more links on the way to this path than are followed.
    TooManyLinks(PathBuf),
    /// It belongs to another user, who could change it.
    Foreign {
        /// Its path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process, to whom it may belong.
        user: u32,
        /// The trusted users, to whom it may belong as well; `None` for the host's own files.
        trusted: Option<Vec<u32>>,
    },
    /// Others may write to it.
    Writable {
        /// Its path.
        path: PathBuf,
        /// Which others.
        by: Writers,
        /// Its mode.
        mode: u32,
        /// The mode that would be accepted.
        fit: u32,
    },
}

/// The users who may write to a file, beside its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// All users.
    Everybody,
    /// Those of the group of this number.
    Group(u32),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustError::Unread { path, error } => write!(f, "{}: {}", path.display(), describe(error)),
            TrustError::TooManyLinks(path) => {
                write!(f, "{}: expected at most {LINKS_MAX} links, found more", path.display())
            }
            TrustError::Foreign { path, owner, user, trusted } => {
                let path = path.display();
                write!(f, "{path} belongs to user {owner}, who could change it: expected root")?;
                if *user != 0 {
                    write!(f, " or user {user}")?;
                }
                for trusted in trusted.iter().flatten() {
                    write!(f, " or user {trusted}")?;
                }
                write!(f, "; chown {user} {path}")?;
                match trusted {
                    Some(_) => write!(f, ", or trust that user with --trust-user {owner}"),
                    None => Ok(()),
                }
            }
            TrustError::Writable { path, by, mode, fit } => {
                let path = path.display();
                write!(f, "{path} may be written by {by} (mode {mode:04o}): expected mode {fit:04o}; ")?;
                write!(f, "chmod {fit:o} {path}")
            }
        }
    }
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Writers::Everybody => f.write_str("everybody"),
            Writers::Group(group) => write!(f, "group {group}"),
        }
    }
}

/// Without a source: the sentence has all of it.
impl std::error::Error for TrustError {}

/// Checks that only root, this process's user and `trusted` users can change what is at `path`, which is absolute.
///
/// # Errors
/// Which file or folder another user could change, and the owner or the mode that would be accepted.
pub fn check_trust(path: &Path, used: Use, trusted: &[u32]) -> Result<(), TrustError> {
    let user = User { trusted: trusted.to_vec(), ..User::from_process() };
    user.running(used).check(path, used)
}

/// Checks again that only root and this process's user can change an open file of the host's own ([`Use::Own`]); `path`
/// is its path. The folders on the way are not checked.
///
/// # Errors
/// As [`check_trust`].
pub fn check_own(found: &Metadata, path: &Path) -> Result<(), TrustError> {
    User::from_process().judge(Look::of(found, Kind::Last(Use::Own)), path)
}

/// The user as whom the host reads and runs.
#[derive(Clone, Debug)]
struct User {
    id: u32,
    /// Groups that may write.
    groups: Vec<u32>,
    /// Users who count as root.
    trusted: Vec<u32>,
    /// How the owner of a file is shown that has no number in this user namespace.
    unmapped: Option<u32>,
    /// Owner and group are left to the administrators of the machine.
    trusts_owners: bool,
}

/// What is known of one component on the way.
#[derive(Clone, Copy, Debug)]
struct Look {
    owner: u32,
    group: u32,
    mode: u32,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its mode is ignored: a link cannot be written.
    Link,
    /// On the way to something else.
    Passage,
    Last(Use),
}

impl User {
    fn from_process() -> User {
        let id = geteuid().as_raw();
        let mut groups = vec![getegid().as_raw()];
        if id != 0 {
            groups.extend(getgroups().unwrap_or_default().iter().map(|group| group.as_raw()));
        }
        static UNMAPPED: OnceLock<Option<u32>> = OnceLock::new();
        User { id, groups, trusted: Vec::new(), unmapped: *UNMAPPED.get_or_init(unmapped), trusts_owners: false }
    }

    fn running(mut self, used: Use) -> User {
        self.trusts_owners = used == Use::Shared && self.id != 0;
        self
    }

    /// Walks from the root to the end of `path` as the kernel would.
    fn check(&self, path: &Path, used: Use) -> Result<(), TrustError> {
        let mut at = PathBuf::from("/");
        let mut ahead = parts(path);
        let mut links = 0;
        self.check_one(&at, Kind::Passage)?;
        while let Some(part) = ahead.pop() {
            if part == ".." {
                at.pop();
                if ahead.is_empty() {
                    self.check_one(&at, Kind::Last(used))?;
                }
                continue;
            }
            let next = at.join(part);
            let found = files::metadata_of_link(&next).map_err(|error| unread(&next, error))?;
            if found.is_symlink() {
                links += 1;
                if links > LINKS_MAX {
                    return Err(TrustError::TooManyLinks(path.to_owned()));
                }
                self.judge(Look::of(&found, Kind::Link), &next)?;
                let target = files::target(&next).map_err(|error| unread(&next, error))?;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                ahead.extend(parts(&target));
                continue;
            }
            let kind = if ahead.is_empty() { Kind::Last(used) } else { Kind::Passage };
            self.judge(Look::of(&found, kind), &next)?;
            at = next;
        }
        Ok(())
    }

    fn check_one(&self, path: &Path, kind: Kind) -> Result<(), TrustError> {
        let found = files::metadata_of_link(path).map_err(|error| unread(path, error))?;
        self.judge(Look::of(&found, kind), path)
    }

    fn judge(&self, look: Look, path: &Path) -> Result<(), TrustError> {
        let path = || path.to_owned();
        let is_system = look.owner == 0 || Some(look.owner) == self.unmapped;
        if !is_system && look.owner != self.id && !self.trusts_owners && !self.trusts(look.owner, look.kind) {
            let trusted = (look.kind != Kind::Last(Use::Own)).then(|| self.trusted.clone());
            return Err(TrustError::Foreign { path: path(), owner: look.owner, user: self.id, trusted });
        }
        let refused = self.refused(look);
        if refused == 0 {
            return Ok(());
        }
        let by = if refused & BY_OTHERS != 0 { Writers::Everybody } else { Writers::Group(look.group) };
        Err(TrustError::Writable { path: path(), by, mode: look.mode, fit: look.mode & !refused })
    }

    /// Whether the user of this number is trusted, for a use of this kind.
    fn trusts(&self, user: u32, kind: Kind) -> bool {
        kind != Kind::Last(Use::Own) && self.trusted.contains(&user)
    }

    /// The mode bits by which others may write.
    fn refused(&self, look: Look) -> u32 {
        let is_guarded = look.kind == Kind::Passage && look.mode & STICKY != 0;
        if look.kind == Kind::Link || is_guarded {
            return 0;
        }
        let is_fit = self.trusts_owners || self.groups.contains(&look.group) || self.trusts(look.group, look.kind);
        let by_group = if is_fit { 0 } else { BY_GROUP };
        look.mode & (BY_OTHERS | by_group)
    }
}

fn unread(path: &Path, error: io::Error) -> TrustError {
    TrustError::Unread { path: path.to_owned(), error }
}

impl Look {
    fn of(found: &Metadata, kind: Kind) -> Look {
        Look { owner: found.uid(), group: found.gid(), mode: found.mode() & 0o7777, kind }
    }
}

/// The names in a path, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
}

/// The number that stands for all users who have none in this user namespace, where no user of it has that
/// number (user_namespaces(7)).
fn unmapped() -> Option<u32> {
    let read = |path: &str| files::head(Path::new(path), 4096).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let number = read("/proc/sys/kernel/overflowuid").and_then(|text| text.trim().parse().ok()).unwrap_or(65534);
    (!is_mapped(&read("/proc/self/uid_map")?, number)).then_some(number)
}

/// Whether a user of this number is in a map: lines of a first number, the one outside, and how many.
fn is_mapped(map: &str, number: u32) -> bool {
    let mut lines = map.lines().map(|line| line.split_ascii_whitespace().map_while(|text| text.parse::<u64>().ok()));
    lines.any(|mut line| match (line.next(), line.nth(1)) {
        (Some(first), Some(count)) => (first..first.saturating_add(count)).contains(&u64::from(number)),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
