//! What of its environment a host depends on, as values: its user, its folder, and which variables of the environment
//! are set. Default paths are defined here; nothing else in this crate reads the environment.

use crate::{Origin, Problem};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// Longest path of a Unix socket: the kernel's 108 bytes less the NUL at the end (unix(7)).
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Names the control socket.
const SOCKET_VARIABLE: &str = "BULKHEAD_SOCKET";

/// Names the folder where the socket is by default, for all users but root.
const RUNTIME_VARIABLE: &str = "XDG_RUNTIME_DIR";

/// What a configuration depends on beside its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Whether the effective user is root.
    pub root: bool,
    /// The current directory, absolute; none where it was deleted. Paths that are absolute need none.
    pub current_dir: Option<PathBuf>,
    /// The variables of the environment.
    pub variables: BTreeMap<OsString, OsString>,
    /// Users whose files count as root's, by their numbers: these users may do all that this host may. None by default.
    pub trusted_users: Vec<u32>,
    /// How messages show paths.
    pub paths: Paths,
}

/// How messages show paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Paths {
    /// Short for paths in the current directory, for people who read the messages there.
    #[default]
    Short,
    /// Absolute, for people who read them elsewhere: a daemon's messages are read in other folders than the one it was
    /// started in.
    Absolute,
}

impl Environment {
    /// Those of this process.
    pub fn from_process() -> Environment {
        Environment::with_variables(std::env::vars_os().collect())
    }

    /// Those of this process that decide where a control socket is. A client that is started for one
    /// call does not copy its whole environment.
    pub(crate) fn from_client() -> Environment {
        let set = |name: &str| Some((name.into(), std::env::var_os(name)?));
        Environment::with_variables([SOCKET_VARIABLE, RUNTIME_VARIABLE].into_iter().filter_map(set).collect())
    }

    fn with_variables(variables: BTreeMap<OsString, OsString>) -> Environment {
        let root = nix::unistd::geteuid().is_root();
        let current_dir = std::env::current_dir().ok();
        Environment { root, current_dir, variables, trusted_users: Vec::new(), paths: Paths::default() }
    }

    /// A variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The path, relative to the current directory, as absolute path.
    pub(crate) fn absolute(&self, path: &Path) -> Result<PathBuf, Problem> {
        let joined = match &self.current_dir {
            Some(folder) => folder.join(path),
            None if path.is_absolute() => path.to_owned(),
            None => {
                let path = path.display();
                return Err(problem(format!(
                    "{path}: the path counts from the current directory, which was deleted; give an absolute path"
                )));
            }
        };
        Ok(std::path::absolute(&joined).unwrap_or(joined))
    }

    /// The path as messages show it.
    pub(crate) fn shown(&self, path: &Path) -> PathBuf {
        let folder = match self.paths {
            Paths::Short => self.current_dir.as_ref(),
            Paths::Absolute => None,
        };
        match folder.and_then(|folder| path.strip_prefix(folder).ok()) {
            Some(rest) if rest.as_os_str().is_empty() => ".".into(),
            Some(rest) => rest.to_path_buf(),
            None => path.to_path_buf(),
        }
    }

    /// The control socket by default: `/run/bulkhead/control.sock` for root, `$XDG_RUNTIME_DIR/bulkhead/control.sock`
    /// for other users.
    pub(crate) fn default_socket(&self) -> Result<PathBuf, Problem> {
        if self.root {
            return Ok("/run/bulkhead/control.sock".into());
        }
        let folder = self.folder(RUNTIME_VARIABLE)?.ok_or_else(|| {
            problem("no place for the control socket: $XDG_RUNTIME_DIR is not set; set it, or give --socket PATH")
        })?;
        Ok(folder.join("bulkhead/control.sock"))
    }

    /// The state directory by default: `/var/lib/bulkhead` for root, for other users `$XDG_STATE_HOME/bulkhead`, or
    /// without that `$HOME/.local/state/bulkhead`.
    pub(crate) fn default_state_dir(&self) -> Result<PathBuf, Problem> {
        if self.root {
            return Ok("/var/lib/bulkhead".into());
        }
        let folder = self.base("XDG_STATE_HOME", ".local/state")?.ok_or_else(|| {
            problem("no place for the state: neither $XDG_STATE_HOME nor $HOME is set; set one, or give --state DIR")
        })?;
        Ok(folder.join("bulkhead"))
    }

    /// Where the host's file is by default: `/etc/bulkhead/bulkhead.toml` for root, for another user
    /// `$XDG_CONFIG_HOME/bulkhead/bulkhead.toml`, or without that `$HOME/.config/bulkhead/bulkhead.toml`. It need not
    /// exist; none where neither variable is set.
    pub(crate) fn default_config(&self) -> Result<Option<PathBuf>, Problem> {
        if self.root {
            return Ok(Some("/etc/bulkhead/bulkhead.toml".into()));
        }
        Ok(self.base("XDG_CONFIG_HOME", ".config")?.map(|folder| folder.join("bulkhead/bulkhead.toml")))
    }

    /// Where modules are by default: `/usr/local/lib/bulkhead/modules` for root, for another user
    /// `$XDG_DATA_HOME/bulkhead/modules`, or without that `$HOME/.local/share/bulkhead/modules`. It need not exist;
    /// none where neither variable is set.
    pub(crate) fn default_modules(&self) -> Result<Option<PathBuf>, Problem> {
        if self.root {
            return Ok(Some("/usr/local/lib/bulkhead/modules".into()));
        }
        Ok(self.base("XDG_DATA_HOME", ".local/share")?.map(|folder| folder.join("bulkhead/modules")))
    }

    /// The control socket of a client or a host: the flag, else `$BULKHEAD_SOCKET`; none where neither is set.
    pub(crate) fn chosen_socket(&self, flag: Option<&Path>) -> Result<Option<(PathBuf, Origin)>, Problem> {
        if let Some(path) = flag {
            return Ok(Some((self.absolute(path)?, Origin::Flag("--socket"))));
        }
        let Some(path) = self.variable(SOCKET_VARIABLE) else { return Ok(None) };
        Ok(Some((self.absolute(Path::new(path))?, Origin::Environment(SOCKET_VARIABLE))))
    }

    /// A folder for files of one kind: what the variable names, or else one in the home folder.
    fn base(&self, variable: &str, in_home: &str) -> Result<Option<PathBuf>, Problem> {
        match self.folder(variable)? {
            Some(folder) => Ok(Some(folder)),
            None => Ok(self.folder("HOME")?.map(|home| home.join(in_home))),
        }
    }

    /// A folder that a variable names. A relative one would mean another folder with every current directory (XDG base
    /// directories calls it invalid).
    fn folder(&self, name: &str) -> Result<Option<PathBuf>, Problem> {
        match self.variable(name).map(PathBuf::from) {
            Some(folder) if folder.is_relative() => {
                Err(problem(format!("expected an absolute path in ${name}, found {folder:?}")))
            }
            other => Ok(other),
        }
    }
}

/// What is wrong with the path of a control socket, if anything is.
pub(crate) fn check_socket(path: &Path) -> Result<(), String> {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_BYTES_MAX {
        return Err(format!(
            "expected a path of at most {SOCKET_PATH_BYTES_MAX} bytes for the control socket, found {length}: \
             {}; choose a shorter one with --socket PATH",
            path.display()
        ));
    }
    Ok(())
}

/// A problem that is in no file.
pub(crate) fn problem(message: impl Into<String>) -> Problem {
    Problem { file: None, position: None, message: message.into() }
}
