//! The command line: what it may say, and what is asked for when it holds together.

use crate::language::{Kind, Language};
use bulkhead_protocol::ModuleName;
use clap::error::ErrorKind;
use clap::{CommandFactory, Error, Parser};
use std::path::PathBuf;

const HELP: &str = "\
The folder has a manifest, the source with one command, a test that passes, and the SDK of the language. It runs \
without a network, but for the first build in Rust, which may have to fetch the crates that the SDK needs.

  LANG        KIND (the first is the default)
  rust        program, native, wasm
  python      program
  typescript  program
  c           native, wasm
  jq, shell   filter

`program` speaks the wire itself, `native` is a shared library, `wasm` is WebAssembly, `filter` turns lines into lines.

Nothing that is there is changed: if the folder exists, or with --here module.toml, nothing is made. At the end, the \
commands are printed that run the module and call it. If a daemon runs, they are for that daemon; a module of the same \
name in it is no reason to refuse, but is said, and the commands then start a daemon of its own. A module comes into a daemon \
by a link in its folder of modules; to take it out, remove the link and send the daemon SIGHUP. The daemon is the one \
at --socket before `new`, else at $BULKHEAD_SOCKET, else at the default socket; the commands repeat --socket.

Exit codes:
  0  it is made
  1  nothing was made
  2  usage

Examples:
  bulkhead new greeter --lang python
  bulkhead new primes --lang c --kind wasm --dir ~/modules
  bulkhead new legacy --here -- ./serve --quiet";

/// Makes the folder of a new module, which runs at once.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-new", bin_name = "bulkhead new", version, after_help = HELP, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The module's name, and that of its folder.
    name: String,
    /// The language.
    #[arg(long, value_name = "LANG", value_enum, required_unless_present = "here")]
    lang: Option<Language>,
    /// What the module is to the host.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Where its folder is made [default: the current folder].
    #[arg(long, value_name = "DIR", conflicts_with = "here")]
    dir: Option<PathBuf>,
    /// Write the manifest only, into the current folder, for the program that the command runs.
    #[arg(long, conflicts_with = "lang", requires = "command")]
    here: bool,
    /// Make it also if the tools of the language are missing, or the program is.
    #[arg(long)]
    no_check: bool,
    /// With --here: the command that the host runs.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The folder of a new module.
    Folder {
        name: ModuleName,
        language: Language,
        kind: Kind,
        /// The folder that it is made in.
        parent: PathBuf,
        /// Whether it is made without a look at the tools.
        unchecked: bool,
    },
    /// A manifest in the current folder.
    Here { name: ModuleName, kind: Kind, command: Vec<String>, unchecked: bool },
}

impl Arguments {
    /// # Errors
    /// When the parts do not fit together.
    pub(crate) fn check(self) -> Result<Asked, Error> {
        let fail = |kind, text: String| Err(Arguments::command().error(kind, text));
        let name = match ModuleName::new(&self.name) {
            Ok(name) => name,
            Err(error) => return fail(ErrorKind::ValueValidation, format!("{:?}: {error}", self.name)),
        };
        let unchecked = self.no_check;
        let Some(language) = self.lang else {
            let kind = self.kind.unwrap_or(Kind::Program);
            if !matches!(kind, Kind::Program | Kind::Filter) {
                let text = format!("--here: a command is of the kind program or filter, found {}", kind.word());
                return fail(ErrorKind::ArgumentConflict, text);
            }
            return Ok(Asked::Here { name, kind, command: self.command, unchecked });
        };
        if !self.command.is_empty() {
            let text = "a command goes with --here, for a program that is there; remove it, or --lang".to_owned();
            return fail(ErrorKind::ArgumentConflict, text);
        }
        let kinds = language.kinds();
        let kind = self.kind.unwrap_or(kinds[0]);
        if !kinds.contains(&kind) {
            let known: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
            let text =
                format!("--kind {}: a module in {} is of the kind {}", kind.word(), language.title(), known.join(", "));
            return fail(ErrorKind::ArgumentConflict, text);
        }
        if language == Language::Rust && name.as_str().starts_with("bulkhead-") {
            let name = name.as_str();
            let text = format!("{name:?}: a package in Rust may not have the name of a crate of the SDK, bulkhead-…");
            return fail(ErrorKind::ValueValidation, text);
        }
        Ok(Asked::Folder { name, language, kind, parent: self.dir.unwrap_or_else(|| ".".into()), unchecked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked, String> {
        let words = std::iter::once("bulkhead new").chain(line.split_whitespace());
        Arguments::try_parse_from(words).and_then(Arguments::check).map_err(|error| error.to_string())
    }

    #[test]
    fn the_definitions_hold_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn each_language_has_a_default_kind_and_refuses_those_that_it_has_not() {
        for (line, expected) in [
            ("a --lang rust", Kind::Program),
            ("a --lang python", Kind::Program),
            ("a --lang typescript", Kind::Program),
            ("a --lang c", Kind::Native),
            ("a --lang c --kind wasm", Kind::Wasm),
            ("a --lang jq", Kind::Filter),
            ("a --lang shell", Kind::Filter),
        ] {
            match asked(line) {
                Ok(Asked::Folder { kind, .. }) => assert_eq!(kind, expected, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        let refused = asked("a --lang jq --kind native").unwrap_err();
        assert!(refused.contains("a module in jq is of the kind filter"), "{refused}");
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_the_rule() {
        for (line, expected) in [
            ("Greeter --lang python", "a module's name is made of a-z, 0-9, '-' and '_', found 'G'"),
            ("9 --lang python", "a module's name begins with a letter a-z"),
            ("layer1 --lang python", "is the host's own"),
            ("../a --lang python", "a module's name is made of a-z"),
            ("a", "--lang"),
            ("a --here", "-- <COMMAND>"),
            ("a --here --lang c -- b", "cannot be used with"),
            ("a --here --dir b -- c", "cannot be used with"),
            ("a --here --kind wasm -- b", "a command is of the kind program or filter, found wasm"),
            ("a --lang c -- b", "a command goes with --here"),
            ("a --lang cobol", "possible values: rust, python, typescript, c, jq, shell"),
            ("bulkhead-module --lang rust", "may not have the name of a crate of the SDK"),
        ] {
            let refused = asked(line).expect_err(line);
            assert!(refused.contains(expected), "{line}: {refused}");
        }
    }
}
