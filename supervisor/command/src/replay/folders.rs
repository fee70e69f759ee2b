//! The folders of a module and of those that it requires: asked of the daemon, or looked for in folders of modules.

use crate::exit::Halt;
use crate::output::printable;
use crate::session::Session;
use crate::status;
use bulkhead_config::{Environment, Flags, HostConfig, ModuleConfig, Problems};
use serde::Deserialize;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Modules that one may require, with those that they require.
const REQUIRED_MAX: usize = 256;

/// As the daemon has them, that of the module itself first.
///
/// # Errors
/// When it does not know one of them, or a manifest does not check.
pub(super) fn of_daemon(session: &mut Session, module: &str, trusted_users: &[u32]) -> Result<Vec<PathBuf>, Halt> {
    #[derive(Deserialize)]
    struct Located {
        #[serde(default)]
        folder: Option<PathBuf>,
    }
    collect(module, trusted_users, |name| {
        let status = status::ask(session, Some(name))?;
        let located: Option<Located> = status.read().ok();
        located.and_then(|located| located.folder).ok_or_else(|| {
            let name = printable(name);
            Halt::Failed(format!(
                "the daemon does not say where {name} is; --modules DIR names a folder in which it is"
            ))
        })
    })
}

/// As they are in folders of modules.
///
/// # Errors
/// When one of them is not there, or a manifest does not check.
pub(super) fn in_folders(folders: &[PathBuf], module: &str, trusted_users: &[u32]) -> Result<Vec<PathBuf>, Halt> {
    // Nothing runs by this, so the places of a host do not matter.
    let nowhere = Path::new("/").to_path_buf();
    let flags = Flags {
        config: None,
        modules: folders.to_vec(),
        state: Some(nowhere.clone()),
        socket: Some(nowhere.join("none")),
    };
    let loaded = HostConfig::load_in(flags, &environment(trusted_users)).map_err(unusable)?;
    collect(module, trusted_users, |name| {
        let found = loaded.modules.iter().find(|module| module.name.as_str() == name);
        found.map(|module| module.folder.clone()).ok_or_else(|| {
            let shown: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            let name = printable(name);
            Halt::Usage(format!("--modules: expected the module {name} in {}, found none there", shown.join(", ")))
        })
    })
}

/// The folder of a module, then those of all that it requires.
fn collect(
    module: &str,
    trusted_users: &[u32],
    mut find: impl FnMut(&str) -> Result<PathBuf, Halt>,
) -> Result<Vec<PathBuf>, Halt> {
    let environment = environment(trusted_users);
    let (mut names, mut folders) = (vec![module.to_owned()], Vec::new());
    while let Some(name) = names.get(folders.len()).cloned() {
        let folder = find(&name)?;
        let config = ModuleConfig::load_in(&folder, &environment).map_err(unusable)?;
        for required in config.requires {
            if !names.iter().any(|name| *name == required.as_str()) {
                names.push(required.to_string());
            }
        }
        if names.len() > REQUIRED_MAX {
            let found = format!("expected a module that requires at most {REQUIRED_MAX} others, found more");
            return Err(Halt::Usage(found));
        }
        folders.push(folder);
    }
    Ok(folders)
}

fn environment(trusted_users: &[u32]) -> Environment {
    let mut environment = Environment { trusted_users: trusted_users.to_vec(), ..Environment::from_process() };
    // It is about the daemon.
    environment.variables.remove(OsStr::new("BULKHEAD_CONFIG"));
    environment
}

fn unusable(problems: Problems) -> Halt {
    Halt::Usage(problems.to_string())
}
