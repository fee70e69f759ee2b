//! Loads a whole configuration: the host's file, the manifests, the host's file's settings of modules, and how all of
//! it fits together. Precedence is flag, environment, `bulkhead.toml`, manifest, default.

use crate::candidate::{Candidate, part};
use crate::cross_checks::{Draft, Others, check_together};
use crate::document::{Document, found, quote};
use crate::environment::{Environment, Paths, check_socket, problem};
use crate::files;
use crate::fill::{Filling, Scope, note_origins};
use crate::folders;
use crate::keys::{HOST_KEYS, MODULE_KEYS, TRUSTED_USERS};
use crate::manifest;
use crate::read::Positions;
use crate::suggestions::nearest;
use crate::{Faulty, Flags, HostConfig, Loaded, ModuleConfig, Origin, PassedOver, Problem, Problems};
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

impl HostConfig {
    /// Reads and checks everything: the host's file, all manifests, and how they fit together. The file is the one that
    /// the flag or else `$BULKHEAD_CONFIG` names, or else the default one, if it is there and no flag names folders of
    /// modules. Where nothing names any, there is a default one, which need not exist. Modules with faults are in
    /// [`Loaded::faulty`]; [`Loaded::whole`] refuses them.
    ///
    /// # Errors
    /// All faults of all files, where the host's own file has one, or a folder of modules cannot be read.
    pub fn load(flags: Flags) -> Result<Loaded, Problems> {
        HostConfig::load_in(flags, &Environment::from_process())
    }

    /// As [`HostConfig::load`], in a given environment.
    ///
    /// # Errors
    /// As [`HostConfig::load`].
    pub fn load_in(flags: Flags, environment: &Environment) -> Result<Loaded, Problems> {
        let mut problems = Vec::new();
        let document = read_host_file(&flags, environment, &mut problems);
        let mut host_table = document.as_ref().and_then(|document| match document.parse() {
            Ok(table) => Some(table),
            Err(found) => {
                problems.extend(found);
                None
            }
        });
        let overrides = host_table.as_mut().and_then(|table| table.remove("module"));
        let mut host = Draft { config: HostConfig::new("", ""), positions: Positions::new() };
        host.config.origins = crate::Origins::default();
        if let (Some(document), Some(table)) = (&document, &host_table) {
            let (keys, others, positions) = (HOST_KEYS, &["module"], &mut host.positions);
            Filling { document, scope: Scope::File, keys, others, problems: &mut problems, positions }
                .fill(&mut host.config, table);
        }
        settle_host(&mut host, &flags, environment, &mut problems);

        let mut read = read_modules(&host, environment, &mut problems);
        if let (Some(document), Some(overrides)) = (&document, &overrides) {
            match overrides.get_ref() {
                DeValue::Table(table) => apply(document, table, &mut read, &mut problems),
                other => {
                    let message = format!("module: expected a table for each module, found {}", found(other));
                    problems.push(document.problem(overrides.span(), message));
                }
            }
        }
        finish(host, read, environment, problems)
    }

    /// The control socket for a client: `flag`, else `$BULKHEAD_SOCKET`, else the default path.
    ///
    /// # Errors
    /// When there is no default path, or the path is too long.
    pub fn socket_for(flag: Option<&Path>) -> Result<PathBuf, Problems> {
        let environment = Environment::from_client();
        let path = match environment.chosen_socket(flag)? {
            Some((path, _)) => path,
            None => environment.default_socket()?,
        };
        check_socket(&path).map_err(problem)?;
        Ok(path)
    }
}

impl ModuleConfig {
    /// The module whose manifest is in `folder`, without a host's file.
    ///
    /// # Errors
    /// All faults of the manifest; whether what it requires exists is not checked.
    pub fn load(folder: &Path) -> Result<ModuleConfig, Problems> {
        ModuleConfig::load_in(folder, &Environment::from_process())
    }

    /// As [`ModuleConfig::load`], in a given environment.
    ///
    /// # Errors
    /// All faults of the manifest; whether what it requires exists is not checked.
    pub fn load_in(folder: &Path, environment: &Environment) -> Result<ModuleConfig, Problems> {
        let mut problems = Vec::new();
        let draft = manifest::read(&environment.absolute(folder)?, environment, &mut problems);
        if let Some(draft) = &draft {
            draft.check(environment, &mut problems);
        }
        Problems::none_or(problems, || {
            let mut draft = draft.expect("a manifest without a problem has a name");
            draft.settle();
            note_origins(&draft.positions, &mut draft.config.origins);
            draft.config
        })
    }

    /// The module whose manifest is in `folder`, as it stands there. Whether the file that it runs is there, and who
    /// may change it, is not checked, since the module may not be built.
    ///
    /// # Errors
    /// All faults of the manifest.
    pub fn load_unbuilt(folder: &Path, environment: &Environment) -> Result<ModuleConfig, Problems> {
        let read = manifest::read_unbuilt(&environment.absolute(folder)?, environment);
        read.map_err(|problems| Problems::of(problems).expect("a manifest without a problem has a name"))
    }
}

impl Loaded {
    /// Checks values that a program has set: their bounds, how the modules fit together, and that no other user can
    /// change what they run ([`HostConfig::trusted_users`]).
    ///
    /// # Errors
    /// All faults of the host and of [`Loaded::modules`].
    pub fn check(&self) -> Result<(), Problems> {
        let (mut problems, candidates) = self.examine();
        problems.extend(candidates.into_iter().flat_map(|candidate| candidate.problems));
        Problems::none_or(problems, || ())
    }

    /// As [`Loaded::check`], but modules with faults are moved to [`Loaded::faulty`], as with files.
    ///
    /// # Errors
    /// All faults of the host.
    pub fn sifted(mut self) -> Result<Loaded, Problems> {
        let (problems, candidates) = self.examine();
        Problems::none_or(problems, || ())?;
        let (_, faulty) = part(candidates);
        self.set_aside(|module| {
            let same = |faulty: &&Faulty| faulty.name.as_ref() == Some(&module.name) && faulty.folder == module.folder;
            faulty.iter().find(same).map(|faulty| faulty.problems.clone())
        });
        Ok(self)
    }

    /// What is wrong with the host, and what with each module.
    fn examine(&self) -> (Vec<Problem>, Vec<Candidate>) {
        let trusted_users = self.host.trusted_users.clone();
        let environment = Environment { trusted_users, paths: Paths::Absolute, ..Environment::from_process() };
        let mut problems = Vec::new();
        let mut host = Draft { config: self.host.clone(), positions: Positions::new() };
        for key in HOST_KEYS {
            if let Some(Err(message)) = key.slot(&mut host.config).map(|slot| slot.check()) {
                problems.push(problem(format!("{}: {message}", key.path)));
            }
        }
        host.check(&mut problems);
        let drafts = self.modules.iter().map(|module| Draft { config: module.clone(), positions: Positions::new() });
        let mut candidates: Vec<Candidate> = drafts.map(Candidate::of).collect();
        for Candidate { draft, problems, .. } in &mut candidates {
            let draft = draft.as_mut().expect("it was made with one");
            for key in MODULE_KEYS {
                if let Some(Err(message)) = key.slot(&mut draft.config).map(|slot| slot.check()) {
                    problems.push(draft.problem(&[], &format!("{}: {message}", key.path)));
                }
            }
            draft.check(&environment, problems);
            draft.check_declared(problems);
            draft.check_trust(&environment, problems);
        }
        let others = Others {
            names: self.faulty.iter().filter_map(|faulty| faulty.name.as_ref()).collect(),
            complete: is_complete(self.faulty.iter().map(|faulty| faulty.name.is_some()), &self.passed_over),
        };
        check_together(&self.host, &mut candidates, &others);
        (problems, candidates)
    }

    /// The module of this name.
    pub fn module(&self, name: &str) -> Option<&ModuleConfig> {
        self.modules.iter().find(|module| module.name.as_str() == name)
    }
}

/// Whether the names of all modules are known.
fn is_complete(mut named: impl Iterator<Item = bool>, passed_over: &[PassedOver]) -> bool {
    named.all(|named| named) && !passed_over.iter().any(|passed| passed.is_closed)
}

/// The host's file: the one that is named, or the default one if it is there. Where the command line names folders of
/// modules, the default one is not read: the command line decides what is to run.
fn read_host_file(flags: &Flags, environment: &Environment, problems: &mut Vec<Problem>) -> Option<Document> {
    let from_environment = || environment.variable("BULKHEAD_CONFIG").map(PathBuf::from);
    let path = match flags.config.clone().or_else(from_environment) {
        Some(path) => path,
        None if !flags.modules.is_empty() => return None,
        None => {
            let path = noted(environment.default_config(), problems).flatten()?;
            (!files::is_missing(&path)).then_some(path)?
        }
    };
    match environment.absolute(&path).and_then(|path| Document::read(&path, environment)) {
        Ok(document) => Some(document),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Applies what takes precedence over the file, and the defaults where nothing was set.
fn settle_host(host: &mut Draft<HostConfig>, flags: &Flags, environment: &Environment, problems: &mut Vec<Problem>) {
    let mut chosen = Vec::new();
    if !environment.trusted_users.is_empty() {
        host.config.trusted_users.clone_from(&environment.trusted_users);
        chosen.push((TRUSTED_USERS, Origin::Flag("--trust-user")));
    }
    if !flags.modules.is_empty() {
        let folders: Vec<_> = flags.modules.iter().map(|folder| environment.absolute(folder)).collect();
        host.config.modules = folders.into_iter().filter_map(|folder| noted(folder, problems)).collect();
        host.positions.retain(|key, _| !key.starts_with("host.modules"));
        chosen.push(("host.modules", Origin::Flag("--modules")));
    }
    if let Some(state) = &flags.state {
        host.config.state_dir = noted(environment.absolute(state), problems).unwrap_or_default();
        chosen.push(("host.state_dir", Origin::Flag("--state")));
    }
    if let Some((socket, origin)) = noted(environment.chosen_socket(flags.socket.as_deref()), problems).flatten() {
        host.config.socket = socket;
        chosen.push(("host.socket", origin));
    }
    for (key, origin) in chosen {
        host.positions.remove(key);
        host.config.origins.note(key, origin);
    }
    let unset = |path: &Path| path.as_os_str().is_empty();
    let written = |key: &str, positions: &Positions| positions.contains_key(key);
    if flags.modules.is_empty() && !written("host.modules", &host.positions) {
        host.config.modules.extend(noted(environment.default_modules(), problems).flatten());
    }
    if unset(&host.config.state_dir) && !written("host.state_dir", &host.positions) {
        match environment.default_state_dir() {
            Ok(path) => host.config.state_dir = path,
            Err(problem) => problems.push(problem),
        }
    }
    if unset(&host.config.socket) && !written("host.socket", &host.positions) {
        match environment.default_socket() {
            Ok(path) => host.config.socket = path,
            Err(problem) => problems.push(problem),
        }
    }
}

/// The value, or none and one more problem.
fn noted<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// What is in the folders of modules.
struct Read {
    candidates: Vec<Candidate>,
    passed_over: Vec<PassedOver>,
    /// Whether the names of all modules are known.
    complete: bool,
}

/// Reads every manifest of the host's folders.
fn read_modules(host: &Draft<HostConfig>, environment: &Environment, problems: &mut Vec<Problem>) -> Read {
    let (mut candidates, mut passed_over) = (Vec::new(), Vec::new());
    let mut complete = true;
    let is_default =
        host.config.origins.of("host.modules") == Origin::Default && !host.positions.contains_key("host.modules");
    for (index, folder) in host.config.modules.iter().enumerate() {
        // A default folder need not exist.
        if is_default && files::is_missing(folder) {
            continue;
        }
        let entries = folders::in_folder(folder, environment).unwrap_or_else(|mut problem| {
            if let Some(position) = host.positions.get(&format!("host.modules[{index}]")) {
                problem = position.problem(format!("host.modules: {}", problem.message));
            }
            problems.push(problem);
            complete = false;
            folders::Entries::default()
        });
        passed_over.extend(entries.passed_over);
        for folder in entries.modules {
            let mut problems = Vec::new();
            let draft = manifest::read(&folder, environment, &mut problems);
            candidates.push(Candidate { folder, draft, problems });
        }
    }
    complete &= is_complete(candidates.iter().map(|candidate| candidate.draft.is_some()), &passed_over);
    Read { candidates, passed_over, complete }
}

/// Applies the host's file's settings of single modules. An error in them is a fault of the host's file, unless the
/// manifest has a fault, which may be the cause.
fn apply(document: &Document, table: &DeTable<'_>, all: &mut Read, problems: &mut Vec<Problem>) {
    for (name, value) in table {
        let text = name.get_ref();
        let DeValue::Table(settings) = value.get_ref() else {
            let message = format!("module {}: expected a table, found {}", quote(text), found(value.get_ref()));
            problems.push(document.problem(value.span(), message));
            continue;
        };
        let is_meant = |candidate: &&mut Candidate| candidate.name().is_some_and(|name| name.as_str() == text);
        let Some(candidate) = all.candidates.iter_mut().find(is_meant) else {
            if all.complete {
                let known = all.candidates.iter().filter_map(|candidate| Some(candidate.name()?.as_str()));
                let hint = match nearest(text, known) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => "add its folder to the modules, or remove this".into(),
                };
                let message = format!("found no module {}; {hint}", quote(text));
                problems.push(document.problem(name.span(), message));
            }
            continue;
        };
        let draft = candidate.draft.as_mut().expect("what has a name was read");
        let problems = if candidate.problems.is_empty() { &mut *problems } else { &mut candidate.problems };
        let (scope, positions) = (Scope::Module(text), &mut draft.positions);
        Filling { document, scope, keys: MODULE_KEYS, others: &[], problems, positions }
            .fill(&mut draft.config, settings);
    }
}

fn finish(
    mut host: Draft<HostConfig>,
    read: Read,
    environment: &Environment,
    mut problems: Vec<Problem>,
) -> Result<Loaded, Problems> {
    let Read { mut candidates, passed_over, complete } = read;
    host.check(&mut problems);
    for Candidate { draft, problems, .. } in &mut candidates {
        if let Some(draft) = draft {
            draft.check(environment, problems);
        }
    }
    check_together(&host.config, &mut candidates, &Others { names: Vec::new(), complete });
    if !problems.is_empty() {
        // One run reports all faults.
        problems.extend(candidates.iter().flat_map(|candidate| candidate.problems.iter().cloned()));
    }
    Problems::none_or(problems, || {
        note_origins(&host.positions, &mut host.config.origins);
        let (mut drafts, faulty) = part(candidates);
        for draft in &mut drafts {
            draft.settle();
            note_origins(&draft.positions, &mut draft.config.origins);
        }
        let modules = drafts.into_iter().map(|draft| draft.config).collect();
        Loaded { host: host.config, modules, faulty, passed_over }
    })
}
