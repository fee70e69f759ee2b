//! The manifest of a module that has none: a process, with what a test wants of one. It is text, so that what is run
//! and what is printed are the same.

use crate::cli::Options;
use bulkhead_config::{Environment, Flags, HostConfig, nearest};
use bulkhead_protocol::limits::NAME_BYTES_MAX;
use std::fs;
use std::path::Path;

/// The keys of `[capabilities]`, each with whether everything is granted where the test says nothing of it.
const CAPABILITIES: [(&str, bool); 7] = [
    ("entity_read", true),
    ("entity_create", true),
    ("entity_write", true),
    ("entity_delete", true),
    ("event_emit", true),
    ("event_subscribe", false),
    ("call", false),
];

/// What is printed: the module's own manifest, or the one that is made.
///
/// # Errors
/// A sentence, where there is none.
pub(crate) fn print(options: &Options) -> Result<String, String> {
    match &options.dir {
        Some(dir) => {
            let path = dir.join("module.toml");
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        }
        None => manifest(options, &options.command),
    }
}

/// The manifest for `command`, which is that of the options in words that have a meaning where the manifest is.
///
/// # Errors
/// A sentence, where an option has a fault.
pub(crate) fn manifest(options: &Options, command: &[String]) -> Result<String, String> {
    let mut module = toml::Table::new();
    module.insert("name".into(), name(options).into());
    module.insert("command".into(), command.to_vec().into());
    let mut capabilities = toml::Table::new();
    for (key, has_all) in CAPABILITIES {
        let granted = match key {
            "call" => callable(options)?,
            _ if has_all => vec!["*".to_owned()],
            _ => Vec::new(),
        };
        capabilities.insert(key.into(), granted.into());
    }
    for option in &options.capabilities {
        let (key, patterns) = option
            .split_once('=')
            .ok_or_else(|| format!("--capability {option}: expected KEY=PATTERNS, such as entity_read=Item"))?;
        if !CAPABILITIES.iter().any(|(known, _)| *known == key) {
            let known = CAPABILITIES.map(|(known, _)| known);
            let hint = match nearest(key, known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", known.join(", ")),
            };
            return Err(format!("--capability {option}: unknown capability {key:?}; {hint}"));
        }
        let patterns: Vec<String> =
            patterns.split(',').filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect();
        capabilities.insert(key.into(), patterns.into());
    }
    let text = |table: &toml::Table| toml::to_string(table).expect("texts and lists of them are TOML");
    Ok(format!("[module]\n{}\n[capabilities]\n{}", text(&module), text(&capabilities)))
}

/// The name of the module: the one that is given, or that of the script or program.
pub(crate) fn name(options: &Options) -> String {
    if let Some(name) = &options.name {
        return name.clone();
    }
    let (program, arguments) = options.command.split_first().expect("there is a command where there is no folder");
    let is_script = |word: &&String| !word.starts_with('-') && Path::new(word).is_file();
    let file = arguments.iter().find(is_script).unwrap_or(program);
    name_of_file(Path::new(file))
}

/// What of a file's name can be a module's.
fn name_of_file(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let allowed = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_');
    let name: String = stem.chars().map(|letter| if allowed(letter) { letter } else { '-' }).collect();
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    let name = if begins_well { name } else { format!("module-{name}") };
    name.chars().take(NAME_BYTES_MAX).collect()
}

/// The other modules of the test, and the host itself.
fn callable(options: &Options) -> Result<Vec<String>, String> {
    let mut names = options.fakes.clone();
    if !options.with.is_empty() {
        let nowhere = Path::new("/").to_path_buf();
        let flags = Flags {
            modules: options.with.clone(),
            state: Some(nowhere.clone()),
            socket: Some(nowhere.join("none")),
            config: None,
        };
        let mut environment = Environment::from_process();
        environment.variables.remove(std::ffi::OsStr::new("BULKHEAD_CONFIG"));
        environment.trusted_users = crate::loading::owners(options);
        let others = HostConfig::load_in(flags, &environment).map_err(|problems| problems.to_string())?;
        names.extend(others.modules.iter().map(|module| module.name.to_string()));
    }
    names.push("supervisor".into());
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_a_name_is_called_after_its_file() {
        for (file, expected) in [
            ("stock.py", "stock"),
            ("/srv/Research-Log.mjs", "research-log"),
            ("./9lives", "module-9lives"),
            ("dist/my module.js", "my-module"),
        ] {
            assert_eq!(name_of_file(Path::new(file)), expected);
        }
        assert_eq!(name_of_file(Path::new(&"a".repeat(100))).len(), NAME_BYTES_MAX);
    }
}
