//! Subcommands that are programs of their own: `bulkhead NAME` runs `bulkhead-NAME`, which is beside this program or in
//! a folder of `$PATH`. What such a program does is deliberately unknown here, so that nothing of it is ever part of
//! the daemon; a command of `bulkhead` is never replaced by one.

use crate::cli::Cli;
use crate::exit::Halt;
use bulkhead_command_line::{SOCKET, SOCKET_ORIGIN, SocketOrigin};
use clap::error::ErrorKind;
use clap::{Command, CommandFactory};
use nix::unistd::{AccessFlags, eaccess};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

/// What the names of the programs' files begin with.
const PREFIX: &str = "bulkhead-";

/// A longer name is not looked up.
const NAME_BYTES_MAX: usize = 64;

/// How many are listed in the help and in completions; the others can be run as well.
const LISTED_MAX: usize = 100;

/// The program that a command line asks for instead of a command of `bulkhead`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    name: String,
    /// The value of `--socket` before the name.
    socket: Option<OsString>,
    /// The program's arguments.
    words: Vec<OsString>,
}

impl Asked {
    /// Reads a command line, which begins with the name of this program. `None` if it is for `bulkhead` itself.
    pub(crate) fn read(words: &[OsString]) -> Option<Asked> {
        let first = words.get(1)?.to_str()?;
        let (socket, at) = match first.strip_prefix("--socket") {
            Some("") => (words.get(2).cloned(), 3),
            Some(rest) => (Some(rest.strip_prefix('=')?.into()), 2),
            None => (None, 1),
        };
        let (name, rest) = words.get(at..)?.split_first()?;
        let (name, words) = match rest {
            [asked] if name == "help" => (asked, vec!["--help".into()]),
            _ => (name, rest.to_vec()),
        };
        let name = name.to_str().filter(|name| may_be_looked_up(name) && !is_own(name))?.to_owned();
        Some(Asked { name, socket, words })
    }

    /// Becomes the program, if there is one. `Ok` means that there is none.
    ///
    /// # Errors
    /// When there is one that cannot be run.
    pub(crate) fn run(self) -> Result<(), Halt> {
        let program = match find(&self.name, &folders()) {
            Found::Program(path) => path,
            Found::Nothing => return Ok(()),
            Found::NotExecutable(path) => return Err(Halt::Failed(not_executable(&path))),
        };
        let mut command = process::Command::new(&program);
        command.args(self.words);
        let origin = match self.socket {
            Some(socket) => {
                command.env(SOCKET, socket);
                SocketOrigin::Option
            }
            None => SocketOrigin::Environment,
        };
        match origin.value() {
            Some(value) => command.env(SOCKET_ORIGIN, value),
            None => command.env_remove(SOCKET_ORIGIN),
        };
        Err(Halt::Failed(format!("cannot run {}: {}", program.display(), command.exec())))
    }
}

/// The path of a program of the installation that another command runs.
///
/// # Errors
/// When there is none that can be run.
pub(crate) fn locate(name: &str) -> Result<PathBuf, Halt> {
    match find(name, &folders()) {
        Found::Program(path) => Ok(path),
        Found::NotExecutable(path) => Err(Halt::Failed(not_executable(&path))),
        Found::Nothing => {
            let own = env::current_exe().unwrap_or_default();
            Err(Halt::Failed(format!(
                "expected the program {PREFIX}{name} beside {} or in $PATH, found none; it is part of the installation",
                own.display()
            )))
        }
    }
}

fn not_executable(path: &Path) -> String {
    format!("{}: expected a program, found a file that is not executable; chmod +x it", path.display())
}

/// How a program is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Described {
    /// By its file's name alone, in what is used wherever the programs are.
    ByName,
    /// With the file's path.
    ByPath,
}

/// `command` with the programs that are there as subcommands, for help, completions and suggestions.
pub(crate) fn with_programs(command: Command, described: Described) -> Command {
    list(&folders()).into_iter().take(LISTED_MAX).fold(command, |command, (name, path)| {
        let about = match described {
            Described::ByName => format!("The program {PREFIX}{name}."),
            Described::ByPath => format!("The program {}.", path.display()),
        };
        // clap wants static names, so these are leaked. The program ends after printing them.
        command.subcommand(Command::new(&*name.leak()).about(about))
    })
}

/// What is printed instead of running a command, with the existing programs in it.
pub(crate) fn with_programs_in(error: clap::Error, words: &[OsString]) -> clap::Error {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::InvalidSubcommand => {
            with_programs(Cli::command(), Described::ByPath).try_get_matches_from(words).err().unwrap_or(error)
        }
        _ => error,
    }
}

/// No name that could leave the folder, look like an option or hide in a listing.
fn may_be_looked_up(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.len() <= NAME_BYTES_MAX
        && name.bytes().all(is_plain)
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

fn is_own(name: &str) -> bool {
    name == "help" || Cli::command().find_subcommand(name).is_some()
}

/// Where programs are looked for, the first of one name is used. A relative folder of `$PATH` is ignored: what is run
/// must not depend on the working directory.
fn folders() -> Vec<PathBuf> {
    let own = env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let path = env::var_os("PATH").unwrap_or_default();
    own.into_iter().chain(env::split_paths(&path)).filter(|folder| folder.is_absolute()).collect()
}

/// What was found for a name.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Program(PathBuf),
    /// Only a file that may not be executed.
    NotExecutable(PathBuf),
    Nothing,
}

fn find(name: &str, folders: &[PathBuf]) -> Found {
    let mut barred = None;
    for folder in folders {
        let path = folder.join(format!("{PREFIX}{name}"));
        match is_executable(&path) {
            Some(true) => return Found::Program(path),
            Some(false) => barred = barred.or(Some(path)),
            None => {}
        }
    }
    // One of a later folder that can be run is preferred, as shells do.
    barred.map_or(Found::Nothing, Found::NotExecutable)
}

/// `None` if there is no file.
fn is_executable(path: &Path) -> Option<bool> {
    let is_file = fs::metadata(path).ok()?.is_file();
    is_file.then(|| eaccess(path, AccessFlags::X_OK).is_ok())
}

/// The programs in some folders that can be run, by name.
fn list(folders: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for folder in folders {
        // A missing folder of $PATH is ignored.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let file = entry.file_name();
            let name = file.to_str().and_then(|name| name.strip_prefix(PREFIX));
            let Some(name) = name.filter(|name| may_be_looked_up(name) && !is_own(name)) else { continue };
            if is_executable(&entry.path()) == Some(true) {
                found.entry(name.to_owned()).or_insert(entry.path());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        ["bulkhead"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
    }

    #[test]
    fn a_name_that_is_no_command_asks_for_a_program_and_the_rest_is_the_programs() {
        let asked = |line: &str| Asked::read(&words(line)).map(|Asked { name, socket, words }| (name, socket, words));
        let expected = |socket: Option<&str>, passed: &[&str]| {
            Some(("console".to_owned(), socket.map(OsString::from), passed.iter().map(OsString::from).collect()))
        };
        assert_eq!(asked("console"), expected(None, &[]));
        assert_eq!(asked("console --socket /s -- a --help"), expected(None, &["--socket", "/s", "--", "a", "--help"]));
        assert_eq!(asked("--socket /s console a"), expected(Some("/s"), &["a"]));
        assert_eq!(asked("--socket=/s console a"), expected(Some("/s"), &["a"]));
        assert_eq!(asked("help console"), expected(None, &["--help"]));
    }

    #[test]
    fn commands_options_and_odd_names_ask_for_no_program() {
        for line in [
            "",
            "help",
            "help call",
            "help help",
            "call",
            "call console",
            "--help",
            "-h console",
            "--socket",
            "--socket console",
            "--socketx console",
            "../console",
            "a/b",
            ".console",
            "-console",
            "con.sole",
            "con\u{e9}",
            "help a b",
        ] {
            assert_eq!(Asked::read(&words(line)), None, "{line}");
        }
        assert_eq!(Asked::read(&words(&"a".repeat(NAME_BYTES_MAX + 1))), None);
    }
}
