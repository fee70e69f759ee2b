//! What of the configuration's files is not loaded, as the last reading found it: modules with faults, and what is no
//! module. How it is logged, shown in the status, and reported to the caller of a reload.

use super::HostState;
use bulkhead_config::{Faulty, PassedOver, Problems};
use bulkhead_protocol::{ErrorCode, Failure, Json, name::RESERVED};
use std::{collections::HashMap, path::Path};

/// Lines of the status about modules that are not loaded; of more there is one that counts them.
const STATUS_LINES_MAX: usize = 20;

/// Faults that one answer lists.
const LISTED_MAX: usize = 100;

/// What the last reading found.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    faulty: Vec<Faulty>,
    passed_over: Vec<PassedOver>,
    /// Why the last reading found nothing that could be put in force.
    unread: Vec<String>,
}

impl Faults {
    pub(crate) fn new(faulty: Vec<Faulty>, passed_over: Vec<PassedOver>) -> Faults {
        Faults { faulty, passed_over, unread: Vec::new() }
    }

    /// Another reading has found these. What it found anew is logged, and all faults if it was for all modules.
    pub(super) fn replace(&mut self, faulty: &[Faulty], passed_over: &[PassedOver], was_for_all: bool) {
        let before: HashMap<&Path, &Faulty> = self.faulty.iter().map(|faulty| (&*faulty.folder, faulty)).collect();
        let is_new = |found: &&Faulty| before.get(&*found.folder) != Some(found);
        faulty.iter().filter(|found| was_for_all || is_new(found)).for_each(log_faulty);
        let before: HashMap<&Path, &PassedOver> =
            self.passed_over.iter().map(|passed| (&*passed.path, passed)).collect();
        passed_over.iter().filter(|found| before.get(&*found.path) != Some(found)).for_each(log_passed_over);
        *self = Faults::new(faulty.to_vec(), passed_over.to_vec());
    }

    /// A reading has failed: what was found before stays.
    pub(super) fn failed(&mut self, reasons: &[String]) {
        self.unread = reasons.to_vec();
    }

    /// Whether all that was found is loaded.
    fn are_none(&self) -> bool {
        self.faulty.is_empty() && self.passed_over.is_empty()
    }

    /// Why there is no module of this name, if it may be one of those that are not loaded. One whose name could not be
    /// read has that of its folder here, and so has a folder that is no module.
    pub(crate) fn explain(&self, name: &str) -> Option<Failure> {
        let is_at = |path: &Path| path.file_name().is_some_and(|last| last == name);
        let is_meant = |faulty: &&Faulty| match &faulty.name {
            Some(known) => known.as_str() == name,
            None => is_at(&faulty.folder),
        };
        let is_stray = |passed: &&PassedOver| passed.is_folder && is_at(&passed.path);
        if let Some(faulty) = self.faulty.iter().find(is_meant) {
            return Some(listed(ErrorCode::UnknownModule, &lines(&faulty.problems), |faults| {
                format!("there is no module {name:?}, since it is not loaded: {faults}; mend that, then reload it")
            }));
        }
        let stray = self.passed_over.iter().find(is_stray)?;
        Some(Failure::new(ErrorCode::UnknownModule, format!("there is no module {name:?}: {stray}")))
    }

    /// The folders that are no modules, a line for each.
    pub(super) fn strays(&self) -> Vec<String> {
        let folders = self.passed_over.iter().filter(|passed| passed.is_folder);
        folders.take(LISTED_MAX).map(ToString::to_string).collect()
    }

    /// A line for each fault, and for each thing that was passed over.
    pub(super) fn log(&self) {
        self.faulty.iter().for_each(log_faulty);
        self.passed_over.iter().for_each(log_passed_over);
    }

    /// The lines of the status. Whether a module runs as it was before is asked.
    pub(super) fn problems(&self, is_known: impl Fn(&Faulty) -> bool) -> Vec<String> {
        let unread = self.unread.iter().map(|reason| format!("the files cannot be reloaded: {reason}"));
        let of_modules = self.faulty.iter().flat_map(|faulty| {
            let what = if is_known(faulty) { "is left as it was" } else { "is not loaded" };
            faulty.problems.iter().map(move |problem| format!("{faulty} {what}: {problem}"))
        });
        let mut lines: Vec<String> = unread.chain(of_modules).take(STATUS_LINES_MAX).collect();
        let all = self.unread.len() + self.faulty.iter().map(|faulty| faulty.problems.iter().len()).sum::<usize>();
        if all > lines.len() {
            let more = all - lines.len();
            lines.push(format!(
                "{more} more faults of the configuration; the log and `bulkhead config check` list them"
            ));
        }
        lines
    }
}

impl HostState {
    /// That there is no such module, and why not where the files say so.
    pub(crate) fn unknown(&self, name: &str) -> Failure {
        let bare = || Failure::new(ErrorCode::UnknownModule, format!("there is no module {name:?}"));
        self.faults.explain(name).unwrap_or_else(bare)
    }

    /// Whether neither the core nor the files know anything of this name.
    pub(crate) fn is_strange(&self, name: &str) -> bool {
        !self.core.knows(name) && self.faults.explain(name).is_none()
    }

    /// Why something cannot be asked of a module that the core does not know, where the files say more than that.
    /// The addresses of the host itself are no modules, whatever folders have their names.
    pub(crate) fn check_loaded(&self, name: &str) -> Result<(), Failure> {
        match self.faults.are_none() || self.core.knows(name) || RESERVED.contains(&name) {
            true => Ok(()),
            false => self.faults.explain(name).map_or(Ok(()), Err),
        }
    }
}

fn log_faulty(faulty: &Faulty) {
    for problem in faulty.problems.iter() {
        tracing::error!("{faulty} is not loaded from its files: {problem}");
    }
}

fn log_passed_over(passed: &PassedOver) {
    tracing::info!("{passed}");
}

/// Each fault as a line of its own.
pub(super) fn lines(problems: &Problems) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// The answer to a reload that has nothing to change.
pub(super) fn nothing_changed(faults: &[String]) -> Failure {
    listed(ErrorCode::ModuleError, faults, |faults| format!("nothing was changed: {faults}"))
}

/// A failure that is about faults: one is a part of the message, several are listed with it.
fn listed(code: ErrorCode, faults: &[String], sentence: impl FnOnce(&str) -> String) -> Failure {
    let [only] = faults else {
        let mut failure = Failure::new(code, sentence(&format!("the files have {} faults", faults.len())));
        let mut listed: Vec<String> = faults.iter().take(LISTED_MAX).cloned().collect();
        if faults.len() > LISTED_MAX {
            listed.push(format!("{} more; `bulkhead config check` lists all", faults.len() - LISTED_MAX));
        }
        failure.data = Some(Json::of(&serde_json::json!({ "faults": listed })));
        return failure;
    };
    Failure::new(code, sentence(only))
}
