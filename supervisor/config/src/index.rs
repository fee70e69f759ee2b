//! An index of what was loaded, so that many modules are found in as many steps.

use crate::{Faulty, Loaded, ModuleConfig, PassedOver, Problem, Problems};
use std::{collections::HashMap, path::Path};

/// See [`Loaded::index`].
#[derive(Debug)]
pub struct Index<'a> {
    modules: HashMap<&'a str, &'a ModuleConfig>,
    faulty: HashMap<&'a str, &'a Faulty>,
    faulty_at: HashMap<&'a Path, &'a Faulty>,
    closed_at: HashMap<&'a Path, &'a PassedOver>,
}

impl Loaded {
    /// What was loaded and what was not, by name and by folder.
    pub fn index(&self) -> Index<'_> {
        let closed = self.passed_over.iter().filter(|passed| passed.is_closed);
        Index {
            modules: self.modules.iter().map(|module| (module.name.as_str(), module)).collect(),
            faulty: self.faulty.iter().filter_map(|faulty| Some((faulty.name.as_ref()?.as_str(), faulty))).collect(),
            faulty_at: self.faulty.iter().map(|faulty| (&*faulty.folder, faulty)).collect(),
            closed_at: closed.map(|passed| (&*passed.path, passed)).collect(),
        }
    }
}

impl Index<'_> {
    /// The module of this name.
    pub fn module(&self, name: &str) -> Option<&ModuleConfig> {
        self.modules.get(name).copied()
    }

    /// Why the files do not define this module, although they may name it: they have a fault, or its folder may not be
    /// read. `folder` is where it was before. None for a module that is loaded, and for one that is not there.
    pub fn withheld(&self, name: &str, folder: Option<&Path>) -> Option<Problems> {
        if self.modules.contains_key(name) {
            return None;
        }
        let faulty = self.faulty.get(name).or_else(|| self.faulty_at.get(folder?));
        if let Some(faulty) = faulty {
            return Some(faulty.problems.clone());
        }
        let closed = self.closed_at.get(folder?)?;
        Some(Problem { file: Some(closed.shown.clone()), position: None, message: closed.reason.clone() }.into())
    }
}
