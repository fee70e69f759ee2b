//! Reads `module.toml` files. Where they are is in `folders.rs`.

use crate::cross_checks::Draft;
use crate::document::Document;
use crate::environment::Environment;
use crate::file_type::{check_library_file, check_wasm_file};
use crate::files;
use crate::fill::{Filling, Scope};
use crate::keys::MODULE_KEYS;
use crate::program;
use crate::read::Positions;
use crate::trust::{Use, check_trust};
use crate::{ModuleConfig, ModuleKind, Problem};
use bulkhead_protocol::ModuleName;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::DeValue;

/// The name of a manifest in the folder of its module.
pub(crate) const MANIFEST: &str = "module.toml";

/// Reads the manifest in `folder`. None when its name could not be read; every problem is reported.
pub(crate) fn read(
    folder: &Path,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> Option<Draft<ModuleConfig>> {
    let path = folder.join(MANIFEST);
    let document = match Document::read(&path, environment) {
        Ok(document) => document,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    if let Err(error) = check_trust(folder, Use::Content, &environment.trusted_users) {
        problems.push(Problem { file: Some(document.shown.to_path_buf()), position: None, message: error.to_string() });
    }
    of_document(&document, environment, problems)
}

/// Reads a manifest that is already in memory.
pub(crate) fn of_document(
    document: &Document,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> Option<Draft<ModuleConfig>> {
    let Values { mut draft, named } = values(document, problems)?;
    if find_files(&mut draft, environment, problems) {
        draft.check_trust(environment, problems);
    }
    named.then_some(draft)
}

/// Reads the manifest in `folder`, and does not look for the file that is run, which may not be built.
pub(crate) fn read_unbuilt(folder: &Path, environment: &Environment) -> Result<ModuleConfig, Vec<Problem>> {
    let document = Document::read(&folder.join(MANIFEST), environment).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    match values(&document, &mut problems) {
        Some(Values { draft, named: true }) if problems.is_empty() => Ok(draft.config),
        _ => Err(problems),
    }
}

/// What a manifest says.
struct Values {
    draft: Draft<ModuleConfig>,
    /// Whether the name is the module's own, and not one that stands in for it.
    named: bool,
}

/// Reads the keys of a manifest. None when they cannot be read at all.
fn values(document: &Document, problems: &mut Vec<Problem>) -> Option<Values> {
    if document.is_blank() {
        let message = "expected [module] with a name and a command, found an empty file";
        problems.push(document.position(0).problem(message));
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
    // Without a name the rest is still checked, so that one run reports all faults.
    let stand_in = || ModuleName::new("unnamed").expect("the name follows the rules");
    let named = name.is_some();
    let kind = kind_of(section.map(Spanned::get_ref));
    let config = ModuleConfig::with_defaults(name.unwrap_or_else(stand_in), document.folder.clone(), kind);
    let mut draft = Draft { config, positions: Positions::new() };
    let mut filling = Filling {
        document,
        scope: Scope::File,
        keys: MODULE_KEYS,
        others: &[],
        problems,
        positions: &mut draft.positions,
    };
    filling.fill(&mut draft.config, &table);
    draft.check_declared(problems);
    let at = section.map_or(0, |section| section.span().start);
    for (key, what) in [("module.name", "the module's name"), draft.config.kind.required()] {
        if !draft.positions.contains_key(key) && section.is_none_or(|section| section.get_ref().is_table()) {
            problems.push(document.position(at).problem(format!("{key}: expected {what}, found no such key")));
        }
    }
    Some(Values { draft, named })
}

/// The kind that the table `[module]` is about: which keys it has depends on that. Where the type is invalid and
/// refused, it is the kind whose file is named, so that one mistake is one problem.
fn kind_of(section: Option<&DeValue<'_>>) -> ModuleKind {
    let key = |name: &str| section?.get(name).map(Spanned::get_ref);
    let written = key("type").and_then(DeValue::as_str).and_then(ModuleKind::of_name);
    written.unwrap_or_else(|| {
        let meant = match key("type") {
            Some(_) if key("library").is_some() => "native",
            Some(_) if key("wasm").is_some() => "wasm",
            Some(_) | None => "process",
        };
        ModuleKind::of_name(meant).expect("there is such a kind")
    })
}

/// Finds the file that is run or loaded, and whether it is there; one that was not read has its problem already.
pub(crate) fn find_files(
    draft: &mut Draft<ModuleConfig>,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> bool {
    let folder = &draft.config.folder;
    let shown = |path: &Path, reason: String| format!("{}: {reason}", environment.shown(path).display());
    let found = match &mut draft.config.kind {
        ModuleKind::Process { command, program, .. }
        | ModuleKind::Filter { command, program, .. }
        | ModuleKind::Mcp { command, program } => {
            let Some(word) = command.first().filter(|word| !word.is_empty()) else { return false };
            program::find(word, folder, environment).map(|path| *program = path)
        }
        ModuleKind::Native { library: path, .. } | ModuleKind::Wasm { module: path, .. }
            if path.as_os_str().is_empty() =>
        {
            return false;
        }
        ModuleKind::Native { library, .. } => check_library_file(library).map_err(|reason| shown(library, reason)),
        ModuleKind::Wasm { module, .. } => check_wasm_file(module).map_err(|reason| shown(module, reason)),
    };
    draft.note(found, problems)
}

impl Draft<ModuleConfig> {
    /// Checks that no other user can change what was found to be run or loaded.
    pub(crate) fn check_trust(&self, environment: &Environment, problems: &mut Vec<Problem>) {
        let (folder, trusted) = (&*self.config.folder, &*environment.trusted_users);
        let checked = match &self.config.kind {
            ModuleKind::Process { command, program, .. }
            | ModuleKind::Filter { command, program, .. }
            | ModuleKind::Mcp { command, program } => check_command(program, command, folder, trusted),
            ModuleKind::Native { library: path, .. } | ModuleKind::Wasm { module: path, .. } => {
                check_trust(path, whose(path, folder), trusted).map_err(|error| error.to_string())
            }
        };
        self.note(checked, problems);
    }

    /// Whether the module's file is right; a fault becomes a problem.
    fn note(&self, checked: Result<(), String>, problems: &mut Vec<Problem>) -> bool {
        let (key, _) = self.config.kind.required();
        let problem = |reason| self.problem(&[&format!("{key}[0]"), key], &format!("{key}: {reason}"));
        checked.map_err(|reason| problems.push(problem(reason))).is_ok()
    }
}

/// Files in the module's folder belong to the module.
fn whose(file: &Path, folder: &Path) -> Use {
    if file.starts_with(folder) { Use::Itself } else { Use::Shared }
}

/// Checks that no other user can change what a command runs: its program, and the files of the module's own folder that
/// it names, as a script after its interpreter.
fn check_command(program: &Path, command: &[String], folder: &Path, trusted: &[u32]) -> Result<(), String> {
    let check = |path: &Path, used: Use| check_trust(path, used, trusted).map_err(|error| error.to_string());
    check(program, whose(program, folder))?;
    program::check_interpreter(program, trusted)?;
    let named = command.iter().skip(1).filter(|word| !word.is_empty()).map(|word| folder.join(word));
    let own = |path: &PathBuf| path.starts_with(folder) && files::is_file(path);
    named.filter(own).try_for_each(|path| check(&path, Use::Itself))
}
