//! Where everything goes: the standard folders below a prefix, and the module folder that `bulkhead run` reads.

use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::path::{Path, PathBuf};

/// On whose behalf something is installed.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) root: bool,
    pub(crate) home: Option<PathBuf>,
    /// `$XDG_DATA_HOME`.
    pub(crate) data_home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`.
    pub(crate) config_home: Option<PathBuf>,
}

impl User {
    pub(crate) fn of_process() -> User {
        let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        User {
            root: nix::unistd::geteuid().is_root(),
            home: folder("HOME"),
            data_home: folder("XDG_DATA_HOME"),
            config_home: folder("XDG_CONFIG_HOME"),
        }
    }

    fn default_prefix(&self) -> Result<PathBuf> {
        if self.root {
            return Ok("/usr/local".into());
        }
        let home =
            self.home.as_ref().context("no place to install to: $HOME is not set; set it, or give --prefix DIR")?;
        Ok(home.join(".local"))
    }

    /// The module folder that `bulkhead run` reads by default. `docs/configuration.md` has it.
    fn default_modules(&self) -> Option<PathBuf> {
        if self.root {
            return Some("/usr/local/lib/bulkhead/modules".into());
        }
        let data = self.data_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local/share")))?;
        Some(data.join("bulkhead/modules"))
    }

    /// The file that `bulkhead run` reads where it is there.
    pub(crate) fn default_host_file(&self) -> Option<PathBuf> {
        if self.root {
            return Some("/etc/bulkhead/bulkhead.toml".into());
        }
        let config = self.config_home.clone().or_else(|| Some(self.home.as_ref()?.join(".config")))?;
        Some(config.join("bulkhead/bulkhead.toml"))
    }
}

/// The folders of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) prefix: PathBuf,
    pub(crate) modules: PathBuf,
    /// Whether `bulkhead run` reads `modules` by default.
    pub(crate) modules_are_default: bool,
    /// Whether others may look into `modules`, where it is made.
    pub(crate) modules_are_private: bool,
}

impl Places {
    /// Those of this process's user.
    ///
    /// # Errors
    /// Without a prefix and a home, and when the prefix cannot be written into the list of installed files.
    pub(crate) fn find(prefix: Option<&Path>, user: &User) -> Result<Places> {
        let default = user.default_prefix();
        let prefix = match prefix {
            Some(prefix) => std::path::absolute(prefix).context("--prefix: expected a folder, found an empty name")?,
            None => default.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?.clone(),
        };
        match prefix.to_str() {
            Some(text) if !text.contains(['\n', '\\']) => {}
            _ => bail!("{prefix:?}: expected a prefix in UTF-8 without line ends and backslashes"),
        }
        ensure!(!prefix.exists() || prefix.is_dir(), "{}: expected a folder to install to", prefix.display());
        let of_user = user.default_modules();
        let below = prefix.join("lib/bulkhead/modules");
        let modules = match &of_user {
            Some(folder) if default.is_ok_and(|default| default == prefix) => folder.clone(),
            _ => below,
        };
        let modules_are_default = of_user.as_ref() == Some(&modules);
        Ok(Places { prefix, modules, modules_are_default, modules_are_private: modules_are_default && !user.root })
    }

    pub(crate) fn programs(&self) -> PathBuf {
        self.prefix.join("bin")
    }

    pub(crate) fn man_pages(&self) -> PathBuf {
        self.prefix.join("share/man/man1")
    }

    /// What is at the path that the shell reads.
    pub(crate) fn completion(&self, shell: Shell, program: &str) -> PathBuf {
        self.prefix.join(match shell {
            Shell::Bash => format!("share/bash-completion/completions/{program}"),
            Shell::Zsh => format!("share/zsh/site-functions/_{program}"),
            Shell::Fish => format!("share/fish/vendor_completions.d/{program}.fish"),
        })
    }

    /// What modules are written with.
    pub(crate) fn sdk(&self) -> PathBuf {
        self.prefix.join("share/bulkhead/sdk")
    }

    /// What editors read.
    pub(crate) fn schemas(&self) -> PathBuf {
        self.prefix.join("share/bulkhead/schemas")
    }

    /// The list of what was installed.
    pub(crate) fn receipt(&self) -> PathBuf {
        self.prefix.join("share/bulkhead/installed.sha256")
    }
}

/// The shells that get completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    pub(crate) const ALL: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

    /// Its name, also as the argument of `bulkhead completions`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> User {
        User { root: false, home: Some("/home/ada".into()), data_home: None, config_home: None }
    }

    fn root() -> User {
        User { root: true, ..ada() }
    }

    fn modules(prefix: Option<&str>, user: &User) -> (String, bool) {
        let places = Places::find(prefix.map(Path::new), user).unwrap();
        (places.modules.display().to_string(), places.modules_are_default)
    }

    #[test]
    fn a_user_installs_below_the_home_and_root_for_all() {
        assert_eq!(Places::find(None, &ada()).unwrap().programs(), Path::new("/home/ada/.local/bin"));
        assert_eq!(Places::find(None, &root()).unwrap().programs(), Path::new("/usr/local/bin"));
        let homeless = User { home: None, ..ada() };
        assert!(Places::find(None, &homeless).unwrap_err().to_string().contains("--prefix"));
        assert_eq!(Places::find(Some(Path::new("/opt/b")), &homeless).unwrap().programs(), Path::new("/opt/b/bin"));
    }

    #[test]
    fn with_the_default_prefix_modules_are_where_the_daemon_looks() {
        assert_eq!(modules(None, &ada()), ("/home/ada/.local/share/bulkhead/modules".into(), true));
        assert_eq!(modules(None, &root()), ("/usr/local/lib/bulkhead/modules".into(), true));
        let elsewhere = User { data_home: Some("/data/ada".into()), ..ada() };
        assert_eq!(modules(None, &elsewhere), ("/data/ada/bulkhead/modules".into(), true));
    }

    #[test]
    fn with_another_prefix_modules_are_below_it() {
        assert_eq!(modules(Some("/opt/b"), &ada()), ("/opt/b/lib/bulkhead/modules".into(), false));
        assert_eq!(modules(Some("/usr/local"), &ada()), ("/usr/local/lib/bulkhead/modules".into(), false));
        assert_eq!(modules(Some("/opt/b"), &root()), ("/opt/b/lib/bulkhead/modules".into(), false));
    }

    #[test]
    fn a_prefix_that_the_list_cannot_hold_is_refused() {
        assert!(Places::find(Some(Path::new("/opt/a\nb")), &ada()).is_err());
        assert!(Places::find(Some(Path::new("/etc/passwd")), &ada()).is_err());
        assert!(Places::find(Some(Path::new("")), &ada()).is_err());
    }
}
