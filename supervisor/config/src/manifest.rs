//! Reads `module.toml` files and finds them in the folders of modules.

use crate::document::{Document, describe};
use crate::fill::{Filling, Scope};
use crate::keys::MODULE_KEYS;
use crate::nearest::nearest;
use crate::program;
use crate::read::Places;
use crate::relations::Draft;
use crate::surroundings::{Surroundings, problem};
use crate::{ModuleConfig, Problem};
use bulkhead_protocol::ModuleName;
use std::path::{Path, PathBuf};

/// The name of a manifest in the folder of its module.
pub(crate) const MANIFEST: &str = "module.toml";

/// Reads the manifest in `folder`. None when its name could not be read; every problem is reported.
pub(crate) fn read(
    folder: &Path,
    surroundings: &Surroundings,
    problems: &mut Vec<Problem>,
) -> Option<Draft<ModuleConfig>> {
    let path = folder.join(MANIFEST);
    let document = match Document::read(&path, &surroundings.shown(&path)) {
        Ok(document) => document,
        Err(mut problem) => {
            if path.symlink_metadata().is_err() {
                problem.message += "; a folder in a folder of modules has a manifest";
            }
            problems.push(problem);
            return None;
        }
    };
    of_document(&document, surroundings, problems)
}

/// Reads a manifest that is already in memory.
pub(crate) fn of_document(
    document: &Document,
    surroundings: &Surroundings,
    problems: &mut Vec<Problem>,
) -> Option<Draft<ModuleConfig>> {
    if document.is_blank() {
        let message = "expected [module] with a name and a command, found an empty file";
        problems.push(document.place(0).problem(message));
        return None;
    }
    let table = match document.parse() {
        Ok(table) => table,
        Err(found) => {
            problems.extend(found);
            return None;
        }
    };
    let section = table.get("module");
    let name = section.and_then(|module| module.get_ref().get("name")).and_then(|name| name.get_ref().as_str());
    let name = name.and_then(|name| ModuleName::new(name).ok());
    // Without a name the rest is still checked, so that one run tells everything.
    let stand_in = || ModuleName::new("unnamed").expect("the name follows the rules");
    let named = name.is_some();
    let config =
        ModuleConfig::with_defaults(name.unwrap_or_else(stand_in), document.folder.clone(), Vec::new(), PathBuf::new());
    let mut draft = Draft { config, places: Places::new() };
    let mut filling =
        Filling { document, scope: Scope::File, keys: MODULE_KEYS, others: &[], problems, places: &mut draft.places };
    filling.fill(&mut draft.config, &table);
    let at = section.map_or(0, |section| section.span().start);
    for (key, what) in [("module.name", "the module's name"), ("module.command", "the command and its arguments")] {
        if !draft.places.contains_key(key) && section.is_none_or(|section| section.get_ref().is_table()) {
            problems.push(document.place(at).problem(format!("{key}: expected {what}, found no such key")));
        }
    }
    find_program(&mut draft, surroundings, problems);
    named.then_some(draft)
}

/// Finds the program of the command; a command that was not read has its problem already.
pub(crate) fn find_program(draft: &mut Draft<ModuleConfig>, surroundings: &Surroundings, problems: &mut Vec<Problem>) {
    let Some(word) = draft.config.command.first().filter(|word| !word.is_empty()) else { return };
    match program::find(word, &draft.config.folder, surroundings) {
        Ok(path) => draft.config.program = path,
        Err(reason) => {
            let message = format!("module.command: {reason}");
            problems.push(draft.problem(&["module.command[0]", "module.command"], &message));
        }
    }
}

/// The folders of the modules in `folder`, in the order of their names: itself when it has a
/// manifest, otherwise every folder in it that isn't hidden.
pub(crate) fn folders_in(folder: &Path, shown: &Path) -> Result<Vec<PathBuf>, Problem> {
    let fail = |message: String| problem(format!("{}: {message}", shown.display()));
    if !folder.is_dir() {
        let found = std::fs::metadata(folder).map_or_else(|error| describe(&error), |_| "found a file".into());
        return Err(fail(format!("expected a folder of modules: {found}")));
    }
    if folder.join(MANIFEST).symlink_metadata().is_ok() {
        return Ok(vec![folder.to_path_buf()]);
    }
    let mut folders = Vec::new();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| fail(describe(&error)))? {
        let entry = entry.map_err(|error| fail(describe(&error)))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(name) }
    }
    let misspelt = files.iter().find(|name| nearest(name, [MANIFEST]).is_some());
    if let (true, Some(name)) = (folders.is_empty(), misspelt) {
        return Err(fail(format!("expected {MANIFEST:?} or folders that have it, found {name:?}")));
    }
    folders.sort();
    Ok(folders)
}
