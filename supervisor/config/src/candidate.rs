//! A module that is being loaded: what was read of it, and its own faults. The faults of one module hinder no other.

use crate::cross_checks::Draft;
use crate::{Faulty, ModuleConfig, Problem, Problems};
use bulkhead_protocol::ModuleName;
use std::path::PathBuf;

/// A folder with a manifest.
pub(crate) struct Candidate {
    pub(crate) folder: PathBuf,
    /// None when not even its name could be read.
    pub(crate) draft: Option<Draft<ModuleConfig>>,
    pub(crate) problems: Vec<Problem>,
}

impl Candidate {
    /// A module without known faults.
    pub(crate) fn of(draft: Draft<ModuleConfig>) -> Candidate {
        Candidate { folder: draft.config.folder.clone(), draft: Some(draft), problems: Vec::new() }
    }

    pub(crate) fn name(&self) -> Option<&ModuleName> {
        self.draft.as_ref().map(|draft| &draft.config.name)
    }

    /// Notes a fault of the first of `keys` that was written somewhere.
    pub(crate) fn note(&mut self, keys: &[&str], message: &str) {
        let problem = self.draft.as_ref().map(|draft| draft.problem(keys, message));
        self.problems.extend(problem);
    }
}

/// Separates modules without faults, by name, from those with faults.
pub(crate) fn part(candidates: Vec<Candidate>) -> (Vec<Draft<ModuleConfig>>, Vec<Faulty>) {
    let (mut right, mut faulty) = (Vec::new(), Vec::new());
    for Candidate { folder, draft, problems } in candidates {
        match (draft, Problems::of(problems)) {
            (Some(draft), None) => right.push(draft),
            (draft, problems) => {
                let problems = problems.expect("what has no name has a problem that says why");
                faulty.push(Faulty { name: draft.map(|draft| draft.config.name), folder, problems });
            }
        }
    }
    right.sort_by(|a, b| a.config.name.cmp(&b.config.name));
    (right, faulty)
}
