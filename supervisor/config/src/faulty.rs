//! What a reading of the folders of modules found and did not load: modules with something wrong, and what is no
//! module. Neither hinders the other modules.

use crate::{Loaded, ModuleConfig, Problem, Problems, files, manifest::MANIFEST};
use bulkhead_protocol::{ModuleName, escape};
use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
};

/// A module that is not loaded, since something is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faulty {
    /// Its name; none where that could not be read.
    pub name: Option<ModuleName>,
    /// The folder of its manifest, absolute.
    pub folder: PathBuf,
    /// What is wrong.
    pub problems: Problems,
}

/// An entry of a folder of modules that is no module, as far as is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// The entry, absolute.
    pub path: PathBuf,
    /// The entry as messages show it.
    pub(crate) shown: PathBuf,
    /// Why it is none.
    pub reason: String,
    /// Whether this user may not look into it, so that a module may be there.
    pub is_closed: bool,
    /// Whether it is a folder, and not hidden: it may be meant as a module.
    pub is_folder: bool,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: passed over: {}", escape(&self.shown.to_string_lossy()), escape(&self.reason))
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "module {name}"),
            None => write!(f, "the module in {}", escape(&self.folder.to_string_lossy())),
        }
    }
}

impl Loaded {
    /// Everything that is wrong with modules, one problem after the other.
    ///
    /// # Errors
    /// When anything is.
    pub fn whole(self) -> Result<Loaded, Problems> {
        let found = self.faulty.iter().flat_map(|faulty| faulty.problems.iter().cloned()).collect();
        Problems::none_or(found, || self)
    }

    /// Notes as faulty those of the modules in force, each with its folder, whose folder is still there and has lost
    /// its manifest alone: this is more likely a mistake than a removal of the module. Nothing else that was read may
    /// name them.
    pub fn note_without_manifest(&mut self, in_force: impl IntoIterator<Item = (ModuleName, PathBuf)>) {
        let named: HashSet<&ModuleName> = self.modules.iter().map(|module| &module.name).collect();
        let (modules, faulty) = (&self.modules, &self.faulty);
        let taken: HashSet<&Path> =
            modules.iter().map(|module| &*module.folder).chain(faulty.iter().map(|faulty| &*faulty.folder)).collect();
        let is_looked_into = |folder: &Path| {
            let mut folders = self.host.modules.iter();
            folders.any(|modules| modules == folder || Some(&**modules) == folder.parent())
        };
        let is_lost = |name: &ModuleName, folder: &Path| {
            !named.contains(name)
                && !taken.contains(folder)
                && is_looked_into(folder)
                && files::is_dir(folder)
                && files::is_missing(&folder.join(MANIFEST))
        };
        let lost: Vec<_> = in_force.into_iter().filter(|(name, folder)| is_lost(name, folder)).collect();
        for (name, folder) in lost {
            let message = format!(
                "expected the manifest of {name}, found none; put it back, or remove the folder to remove the module"
            );
            let problem = Problem { file: Some(folder.join(MANIFEST)), position: None, message };
            self.passed_over.retain(|passed| passed.path != folder);
            self.faulty.push(Faulty { name: Some(name), folder, problems: problem.into() });
        }
    }

    /// Moves the modules to the faulty ones for which `wrong` has faults.
    pub fn set_aside(&mut self, wrong: impl Fn(&ModuleConfig) -> Option<Problems>) {
        for module in std::mem::take(&mut self.modules) {
            match wrong(&module) {
                None => self.modules.push(module),
                Some(problems) => {
                    let (name, folder) = (Some(module.name), module.folder);
                    self.faulty.push(Faulty { name, folder, problems });
                }
            }
        }
    }
}
