//! How values fit together: two values of one module, two modules of one host. Each value alone was
//! checked when it was read.

use crate::candidate::Candidate;
use crate::document::describe;
use crate::environment::{Environment, check_socket, problem};
use crate::keys::CHILD_CPU_TIME;
use crate::kind::DATA_DIR;
use crate::layer1::sorted;
use crate::read::Positions;
use crate::suggestions::nearest;
use crate::{Folder, HostConfig, ModuleConfig, ModuleKind, Problem, Resources, Wasi};
use bulkhead_protocol::ModuleName;
use bulkhead_protocol::layer1::{EntityName, MemberPath};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
};

/// A configuration with the positions of its values. A program's has none.
pub(crate) struct Draft<T> {
    pub(crate) config: T,
    pub(crate) positions: Positions,
}

impl<T> Draft<T> {
    /// The problem of the first of `keys` that was written somewhere.
    fn problem_at(&self, keys: &[&str], subject: &str, message: &str) -> Problem {
        match keys.iter().find_map(|key| self.positions.get(*key)) {
            Some(position) => position.problem(message),
            None => problem(format!("{subject}{message}")),
        }
    }
}

impl Draft<ModuleConfig> {
    pub(crate) fn problem(&self, keys: &[&str], message: &str) -> Problem {
        self.problem_at(keys, &format!("module {}: ", self.config.name), message)
    }

    /// Sets what is not written and follows from other values.
    pub(crate) fn settle(&mut self) {
        let resources = &mut self.config.resources;
        if !self.positions.contains_key("resources.events_quota") {
            resources.events_quota = Resources::events_quota_default(resources.storage_quota);
        }
        if !self.positions.contains_key("resources.keys_quota") {
            resources.keys_quota = Resources::keys_quota_default(resources.storage_quota);
        }
    }

    /// Checks values that depend on each other.
    pub(crate) fn check(&self, environment: &Environment, problems: &mut Vec<Problem>) {
        if self.config.folder.to_str().is_none() {
            let message = format!(
                "expected a folder whose path is UTF-8, found {}; what is in it could not be named to its process, rename it",
                self.config.folder.display()
            );
            problems.push(self.problem(&["module.name"], &message));
        }
        self.check_texts(environment, problems);
        self.check_length(environment, problems);
        let restart = &self.config.restart;
        if restart.delay_max < restart.delay_initial {
            let message = format!(
                "restart.delay_max: expected at least restart.delay_initial, {:?}, found {:?}",
                restart.delay_initial, restart.delay_max
            );
            problems.push(self.problem(&["restart.delay_max", "restart.delay_initial"], &message));
        }
        match &self.config.kind {
            ModuleKind::Wasm { wasi, .. } => self.check_folders(wasi, problems),
            // In a file it is refused at reading; a program can set it for any kind.
            ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } if self.config.resources.cpu_time_limit.is_some() => {
                let message = format!("resources.cpu_time_limit: {CHILD_CPU_TIME}");
                problems.push(self.problem(&["resources.cpu_time_limit"], &message));
            }
            ModuleKind::Process { .. }
            | ModuleKind::Native { .. }
            | ModuleKind::Filter { .. }
            | ModuleKind::Mcp { .. } => {}
        }
    }

    /// Checks that what its process gets besides its folder can be passed on, as text.
    fn check_texts(&self, environment: &Environment, problems: &mut Vec<Problem>) {
        let (ModuleKind::Process { program: file, .. }
        | ModuleKind::Filter { program: file, .. }
        | ModuleKind::Mcp { program: file, .. }
        | ModuleKind::Native { library: file, .. }
        | ModuleKind::Wasm { module: file, .. }) = &self.config.kind;
        // A path in a folder that was reported already adds nothing.
        if file.to_str().is_none() && self.config.folder.to_str().is_some() {
            let (key, _) = self.config.kind.required();
            let message =
                format!("{key}: expected a path in UTF-8, found {}; rename it, or take another", file.display());
            problems.push(self.problem(&[key, "module.name"], &message));
        }
        let of_host = |name: &str| environment.variables.get(OsStr::new(name)).cloned();
        let environment = [self.config.environment(of_host), self.config.guest_environment(of_host)].concat();
        for (name, value) in environment.iter().filter(|(_, value)| value.to_str().is_none()) {
            // The same for each module that inherits it, and reported once.
            problems.push(problem(format!(
                "${}: expected UTF-8 in a variable that modules inherit, found {:?}; set it to something else for the host",
                name.to_string_lossy(),
                value
            )));
        }
    }

    /// Checks that what a manifest declares for the data store is about entities that it may touch. Grants that the
    /// operator removes afterwards make no declaration wrong.
    pub(crate) fn check_declared(&self, problems: &mut Vec<Problem>) {
        let declared = &self.config.declared;
        let index = declared.index.keys().map(|entity| ("layer1.index", entity));
        let search = declared.search.keys().map(|entity| ("layer1.search", entity));
        for (key, entity) in index.chain(search).filter(|(_, entity)| !self.config.touches(entity)) {
            let message = format!(
                "{key}: the module may neither read nor create nor update entities of type {entity}; add entity_read = [\"{entity}\"] under [capabilities], or remove it"
            );
            problems.push(self.problem(&[&format!("{key}.{entity}"), key], &message));
        }
    }

    /// Checks what a WebAssembly module sees: each folder is there, and no two have one name.
    fn check_folders(&self, wasi: &Wasi, problems: &mut Vec<Problem>) {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        if wasi.data_dir {
            seen.insert(DATA_DIR, "wasi.data_dir");
        }
        for (key, folders) in [("wasi.read", &wasi.read), ("wasi.write", &wasi.write)] {
            for (index, Folder { name, path }) in folders.iter().enumerate() {
                let positions = [&*format!("{key}[{index}]"), key];
                if let Some(first) = seen.insert(name, key) {
                    let message = match first {
                        "wasi.data_dir" => format!("{DATA_DIR:?} is the module's own data folder already"),
                        "wasi.read" if key == "wasi.write" => {
                            format!(
                                "{name:?} stands in wasi.read too; what can be written can be read, remove it there"
                            )
                        }
                        _ => format!("{name:?} stands there twice; remove one"),
                    };
                    problems.push(self.problem(&positions, &format!("{key}: {message}")));
                }
                if !name.contains('=') && path.to_string_lossy().contains('=') {
                    let message = format!("expected a folder whose whole path has no '=', found {}", path.display());
                    problems.push(self.problem(&positions, &format!("{key}: {message}")));
                }
                let found = match crate::files::metadata(path) {
                    Ok(metadata) if metadata.is_dir() => continue,
                    Ok(_) => "found a file".into(),
                    Err(error) => describe(&error),
                };
                problems.push(self.problem(&positions, &format!("{key}: expected a folder at {name:?}: {found}")));
            }
        }
    }
}

impl Draft<HostConfig> {
    /// Checks values that depend on each other.
    pub(crate) fn check(&self, problems: &mut Vec<Problem>) {
        let logs = &self.config.logs;
        if logs.file_bytes_max < logs.line_bytes_max {
            let message = format!(
                "logs.file_bytes_max: expected at least logs.line_bytes_max, {} bytes, found {} bytes",
                logs.line_bytes_max, logs.file_bytes_max
            );
            problems.push(self.problem_at(&["logs.file_bytes_max", "logs.line_bytes_max"], "", &message));
        }
        if self.config.state_dir.to_str().is_none() {
            let message = format!(
                "host.state_dir: expected a path in UTF-8, found {}; the modules would not know where their data is",
                self.config.state_dir.display()
            );
            problems.push(self.problem_at(&["host.state_dir"], "", &message));
        }
        if let Err(message) = check_socket(&self.config.socket) {
            problems.push(self.problem_at(&["host.socket"], "", &message));
        }
    }
}

/// Names of a circle that are shown.
const SHOWN_OF_CIRCLE: usize = 20;

/// Modules beside those that are checked.
pub(crate) struct Others<'a> {
    /// Their names.
    pub(crate) names: Vec<&'a ModuleName>,
    /// Whether the names of all modules are known. If not, a module that seems to be missing may exist.
    pub(crate) complete: bool,
}

/// The candidates of each name.
type ByName = BTreeMap<ModuleName, Vec<usize>>;

/// Checks how the modules of one host fit together. A conflict is noted as a fault of each module in it, since it is
/// not known which of them is wrong.
pub(crate) fn check_together(host: &HostConfig, all: &mut [Candidate], others: &Others<'_>) {
    let mut by_name = ByName::new();
    for (index, candidate) in all.iter().enumerate() {
        if let Some(name) = candidate.name() {
            by_name.entry(name.clone()).or_default().push(index);
        }
    }
    check_names(all, &by_name);
    if others.complete {
        check_required(all, &by_name, others);
    }
    check_circles(all, &by_name);
    check_searches(host, all);
}

fn check_names(all: &mut [Candidate], by_name: &ByName) {
    for (name, indexes) in by_name.iter().filter(|(_, indexes)| indexes.len() > 1) {
        let wheres: Vec<String> = indexes.iter().map(|index| where_is(&all[*index])).collect();
        for (at, index) in indexes.iter().enumerate() {
            let other = if at == 0 { &wheres[1] } else { &wheres[0] };
            let message = format!("two modules have the name {:?}, this one and {other}; rename one", name.as_str());
            all[*index].note(&["module.name"], &message);
        }
    }
}

/// Where a module's name is written.
fn where_is(candidate: &Candidate) -> String {
    match candidate.draft.as_ref().and_then(|draft| draft.positions.get("module.name")) {
        Some(position) => format!("{}:{}:{}", position.file.display(), position.line, position.column),
        None => candidate.folder.display().to_string(),
    }
}

/// Checks that no two modules want to search entities of one type in different members, unless the operator says in
/// which. A module with another fault is not loaded, and does not count.
fn check_searches(host: &HostConfig, all: &mut [Candidate]) {
    let mut by_entity: BTreeMap<EntityName, Vec<(usize, Vec<MemberPath>)>> = BTreeMap::new();
    for (index, candidate) in all.iter().enumerate().filter(|(_, candidate)| candidate.problems.is_empty()) {
        for (entity, paths) in candidate.draft.iter().flat_map(|draft| &draft.config.declared.search) {
            if !host.layer1.declared.search.contains_key(entity) {
                by_entity.entry(entity.clone()).or_default().push((index, sorted(paths)));
            }
        }
    }
    for (entity, declared) in &by_entity {
        for (index, paths) in declared {
            let Some((other, _)) = declared.iter().find(|(_, of_other)| of_other != paths) else { continue };
            let other = all[*other].name().map_or("another module", ModuleName::as_str);
            let message = format!(
                "layer1.search: {other} declares other members of {entity} to be searched; declare the same, or say which it is under [layer1.search] of the host's file, which goes before both"
            );
            all[*index].note(&[&format!("layer1.search.{entity}")], &message);
        }
    }
}

fn check_required(all: &mut [Candidate], by_name: &ByName, others: &Others<'_>) {
    for candidate in all {
        let Some(draft) = &candidate.draft else { continue };
        let mut missing = Vec::new();
        for (index, name) in draft.config.requires.iter().enumerate() {
            // A module with a fault is not missing: it is waited for.
            if by_name.contains_key(name) || others.names.contains(&name) {
                continue;
            }
            let known = by_name.keys().map(|known| known.as_str()).filter(|known| *known != draft.config.name.as_str());
            let hint = match nearest(name.as_str(), known) {
                Some(near) => format!("did you mean {near:?}?"),
                None => "add its folder to the modules, or remove it here".into(),
            };
            missing.push((index, format!("module.requires: found no module {:?}; {hint}", name.as_str())));
        }
        for (index, message) in missing {
            candidate.note(&[&format!("module.requires[{index}]")], &message);
        }
    }
}

/// Reports each circle of `requires`, at each module in it.
fn check_circles(all: &mut [Candidate], by_name: &ByName) {
    let requires = |name: &ModuleName, next: usize| {
        let draft = by_name.get(name).and_then(|indexes| all[indexes[0]].draft.as_ref())?;
        draft.config.requires.get(next).cloned()
    };
    // The search starts at each module once; circles of modules that were visited before are reported already.
    let mut done: BTreeSet<ModuleName> = BTreeSet::new();
    let mut circles: Vec<Vec<(ModuleName, usize)>> = Vec::new();
    for start in by_name.keys() {
        // The path from `start`, with the number of the next requirement to follow at each step.
        // It is kept in a list of its own, so that a long chain needs no deep stack.
        let mut path: Vec<(ModuleName, usize)> = vec![(start.clone(), 0)];
        while let Some((name, next)) = path.last_mut() {
            let Some(required) = requires(name, *next) else {
                done.insert(name.clone());
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(from) = path.iter().position(|(seen, _)| *seen == required) {
                circles.push(path[from..].to_vec());
            } else if !done.contains(&required) {
                path.push((required, 0));
            }
        }
    }
    circles.iter().for_each(|path| note_circle(all, by_name, path));
}

/// Notes a circle: each module's number is already one past the requirement that it follows.
fn note_circle(all: &mut [Candidate], by_name: &ByName, path: &[(ModuleName, usize)]) {
    let least = path.iter().enumerate().min_by_key(|(_, (name, _))| name).map_or(0, |(index, _)| index);
    let turned = path[least..].iter().chain(&path[..least]);
    let mut names: Vec<&str> = turned.map(|(name, _)| name.as_str()).collect();
    names.push(names[0]);
    // The circle is reported for each module in it, so the text is short.
    let many = format!("{} more", names.len().saturating_sub(SHOWN_OF_CIRCLE));
    if names.len() > SHOWN_OF_CIRCLE {
        names.splice(SHOWN_OF_CIRCLE / 2..names.len() - SHOWN_OF_CIRCLE / 2, [&*many]);
    }
    let message = format!("module.requires: goes in a circle, {}; none of them could start", names.join(" → "));
    for (name, next) in path {
        for index in &by_name[name] {
            all[*index].note(&[&format!("module.requires[{}]", next - 1)], &message);
        }
    }
}
