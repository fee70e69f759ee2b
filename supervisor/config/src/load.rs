//! Loads a whole configuration: the host's file, the manifests, what the host's file says about
//! modules, and how all of it fits together. Precedence is flag, environment, `bulkhead.toml`,
//! manifest, default.

use crate::document::{Document, found, quote};
use crate::fill::{Filling, Scope, note_origins};
use crate::keys::{HOST_KEYS, MODULE_KEYS, TRUSTED_USERS};
use crate::manifest;
use crate::nearest::nearest;
use crate::read::Places;
use crate::relations::{Draft, check_together};
use crate::surroundings::{Surroundings, check_socket, problem};
use crate::{Flags, HostConfig, Loaded, ModuleConfig, Origin, Problem, Problems};
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

impl HostConfig {
    /// Reads and checks everything: the host's file, all manifests, and how they fit together. The
    /// file is the one that the flag or else `$BULKHEAD_CONFIG` names; without either there is none.
    ///
    /// # Errors
    /// All faults of all files.
    pub fn load(flags: Flags) -> Result<Loaded, Problems> {
        HostConfig::load_in(flags, &Surroundings::of_process())
    }

    /// As [`HostConfig::load`], in given surroundings.
    ///
    /// # Errors
    /// All faults of all files.
    pub fn load_in(flags: Flags, surroundings: &Surroundings) -> Result<Loaded, Problems> {
        let mut problems = Vec::new();
        let document = read_host_file(&flags, surroundings, &mut problems);
        let mut host_table = document.as_ref().and_then(|document| match document.parse() {
            Ok(table) => Some(table),
            Err(found) => {
                problems.extend(found);
                None
            }
        });
        let overrides = host_table.as_mut().and_then(|table| table.remove("module"));
        let mut host = Draft { config: HostConfig::new("", ""), places: Places::new() };
        host.config.origins = crate::Origins::default();
        if let (Some(document), Some(table)) = (&document, &host_table) {
            let (keys, others, places) = (HOST_KEYS, &["module"], &mut host.places);
            Filling { document, scope: Scope::File, keys, others, problems: &mut problems, places }
                .fill(&mut host.config, table);
        }
        settle_host(&mut host, &flags, surroundings, &mut problems);

        let (mut drafts, complete) = read_modules(&host, surroundings, &mut problems);
        if let (Some(document), Some(overrides)) = (&document, &overrides) {
            match overrides.get_ref() {
                DeValue::Table(table) => apply(document, table, &mut drafts, complete, &mut problems),
                other => {
                    let message = format!("module: expected a table for each module, found {}", found(other));
                    problems.push(document.problem(overrides.span(), message));
                }
            }
        }
        finish(host, drafts, complete, surroundings, problems)
    }

    /// The control socket that a client means: `flag`, else `$BULKHEAD_SOCKET`, else the default place.
    ///
    /// # Errors
    /// When there is no default place, or the path is too long.
    pub fn socket_for(flag: Option<&Path>) -> Result<PathBuf, Problems> {
        let surroundings = Surroundings::of_client();
        let path = match surroundings.chosen_socket(flag)? {
            Some((path, _)) => path,
            None => surroundings.default_socket()?,
        };
        check_socket(&path).map_err(problem)?;
        Ok(path)
    }
}

impl ModuleConfig {
    /// The module whose manifest is in `folder`, without a host's file.
    ///
    /// # Errors
    /// All faults of the manifest; what it requires is not looked at.
    pub fn load(folder: &Path) -> Result<ModuleConfig, Problems> {
        ModuleConfig::load_in(folder, &Surroundings::of_process())
    }

    /// As [`ModuleConfig::load`], in given surroundings.
    ///
    /// # Errors
    /// All faults of the manifest; what it requires is not looked at.
    pub fn load_in(folder: &Path, surroundings: &Surroundings) -> Result<ModuleConfig, Problems> {
        let mut problems = Vec::new();
        let draft = manifest::read(&surroundings.absolute(folder)?, surroundings, &mut problems);
        if let Some(draft) = &draft {
            draft.check(surroundings, &mut problems);
        }
        Problems::none_or(problems, || {
            let mut draft = draft.expect("a manifest without a problem has a name");
            draft.settle();
            note_origins(&draft.places, &mut draft.config.origins);
            draft.config
        })
    }
}

impl Loaded {
    /// Checks values that a program has set: their bounds, how the modules fit together, and that no other user can
    /// change what they run ([`HostConfig::trusted_users`]).
    ///
    /// # Errors
    /// All faults.
    pub fn check(&self) -> Result<(), Problems> {
        let trusted_users = self.host.trusted_users.clone();
        let surroundings = Surroundings { trusted_users, ..Surroundings::of_process() };
        let mut problems = Vec::new();
        let mut host = Draft { config: self.host.clone(), places: Places::new() };
        for key in HOST_KEYS {
            if let Some(Err(message)) = key.slot(&mut host.config).map(|slot| slot.check()) {
                problems.push(problem(format!("{}: {message}", key.path)));
            }
        }
        host.check(&mut problems);
        let mut drafts: Vec<_> =
            self.modules.iter().map(|module| Draft { config: module.clone(), places: Places::new() }).collect();
        for draft in &mut drafts {
            for key in MODULE_KEYS {
                if let Some(Err(message)) = key.slot(&mut draft.config).map(|slot| slot.check()) {
                    problems.push(draft.problem(&[], &format!("{}: {message}", key.path)));
                }
            }
            draft.check(&surroundings, &mut problems);
            draft.check_declared(&mut problems);
            draft.check_trust(&surroundings, &mut problems);
        }
        check_together(&self.host, &drafts, true, &mut problems);
        Problems::none_or(problems, || ())
    }

    /// The module of this name.
    pub fn module(&self, name: &str) -> Option<&ModuleConfig> {
        self.modules.iter().find(|module| module.name.as_str() == name)
    }
}

fn read_host_file(flags: &Flags, surroundings: &Surroundings, problems: &mut Vec<Problem>) -> Option<Document> {
    let from_environment = || surroundings.variable("BULKHEAD_CONFIG").map(PathBuf::from);
    let path = flags.config.clone().or_else(from_environment)?;
    match surroundings.absolute(&path).and_then(|path| Document::read(&path, surroundings)) {
        Ok(document) => Some(document),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Puts what goes before the file over it, and the defaults where nothing was said.
fn settle_host(host: &mut Draft<HostConfig>, flags: &Flags, surroundings: &Surroundings, problems: &mut Vec<Problem>) {
    let mut chosen = Vec::new();
    if !surroundings.trusted_users.is_empty() {
        host.config.trusted_users.clone_from(&surroundings.trusted_users);
        chosen.push((TRUSTED_USERS, Origin::Flag("--trust-user")));
    }
    if !flags.modules.is_empty() {
        let folders: Vec<_> = flags.modules.iter().map(|folder| surroundings.absolute(folder)).collect();
        host.config.modules = folders.into_iter().filter_map(|folder| noted(folder, problems)).collect();
        host.places.retain(|key, _| !key.starts_with("host.modules"));
        chosen.push(("host.modules", Origin::Flag("--modules")));
    }
    if let Some(state) = &flags.state {
        host.config.state_dir = noted(surroundings.absolute(state), problems).unwrap_or_default();
        chosen.push(("host.state_dir", Origin::Flag("--state")));
    }
    if let Some((socket, origin)) = noted(surroundings.chosen_socket(flags.socket.as_deref()), problems).flatten() {
        host.config.socket = socket;
        chosen.push(("host.socket", origin));
    }
    for (key, origin) in chosen {
        host.places.remove(key);
        host.config.origins.note(key, origin);
    }
    let unset = |path: &Path| path.as_os_str().is_empty();
    let written = |key: &str, places: &Places| places.contains_key(key);
    if unset(&host.config.state_dir) && !written("host.state_dir", &host.places) {
        match surroundings.default_state_dir() {
            Ok(path) => host.config.state_dir = path,
            Err(problem) => problems.push(problem),
        }
    }
    if unset(&host.config.socket) && !written("host.socket", &host.places) {
        match surroundings.default_socket() {
            Ok(path) => host.config.socket = path,
            Err(problem) => problems.push(problem),
        }
    }
}

/// What is right, or nothing and one problem more.
fn noted<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// Reads every manifest of the host's folders; false when a module's name could not be read.
fn read_modules(
    host: &Draft<HostConfig>,
    surroundings: &Surroundings,
    problems: &mut Vec<Problem>,
) -> (Vec<Draft<ModuleConfig>>, bool) {
    let mut drafts = Vec::new();
    let mut complete = true;
    for (index, folder) in host.config.modules.iter().enumerate() {
        let folders = manifest::folders_in(folder, surroundings).unwrap_or_else(|mut problem| {
            if let Some(place) = host.places.get(&format!("host.modules[{index}]")) {
                problem = place.problem(format!("host.modules: {}", problem.message));
            }
            problems.push(problem);
            complete = false;
            Vec::new()
        });
        for folder in folders {
            match manifest::read(&folder, surroundings, problems) {
                Some(draft) => drafts.push(draft),
                None => complete = false,
            }
        }
    }
    (drafts, complete)
}

/// Applies what the host's file says about single modules.
fn apply(
    document: &Document,
    table: &DeTable<'_>,
    drafts: &mut [Draft<ModuleConfig>],
    complete: bool,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in table {
        let text = name.get_ref();
        let DeValue::Table(settings) = value.get_ref() else {
            let message = format!("module {}: expected a table, found {}", quote(text), found(value.get_ref()));
            problems.push(document.problem(value.span(), message));
            continue;
        };
        let Some(draft) = drafts.iter_mut().find(|draft| draft.config.name.as_str() == text) else {
            if complete {
                let known = drafts.iter().map(|draft| draft.config.name.as_str());
                let hint = match nearest(text, known) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => "add its folder to the modules, or remove this".into(),
                };
                let message = format!("found no module {}; {hint}", quote(text));
                problems.push(document.problem(name.span(), message));
            }
            continue;
        };
        let (scope, places) = (Scope::Module(text), &mut draft.places);
        Filling { document, scope, keys: MODULE_KEYS, others: &[], problems, places }.fill(&mut draft.config, settings);
    }
}

fn finish(
    mut host: Draft<HostConfig>,
    mut drafts: Vec<Draft<ModuleConfig>>,
    complete: bool,
    surroundings: &Surroundings,
    mut problems: Vec<Problem>,
) -> Result<Loaded, Problems> {
    host.check(&mut problems);
    for draft in &drafts {
        draft.check(surroundings, &mut problems);
    }
    check_together(&host.config, &drafts, complete, &mut problems);
    Problems::none_or(problems, || {
        note_origins(&host.places, &mut host.config.origins);
        for draft in &mut drafts {
            draft.settle();
            note_origins(&draft.places, &mut draft.config.origins);
        }
        let mut modules: Vec<ModuleConfig> = drafts.into_iter().map(|draft| draft.config).collect();
        modules.sort_by(|a, b| a.name.cmp(&b.name));
        Loaded { host: host.config, modules }
    })
}
