//! Reading the command line without defining all of it first, which costs more than the rest of `bulkhead call`. What a
//! script may call a thousand times is read by a definition of that one command. All that this does not accept, help
//! and errors included, is left to the whole definition: this file has no texts of its own and decides nothing.

use super::{Call, Cli, Data, Emit, Events, Host, Pipe, Shown, Targets, Wait};
use clap::{Args, Command, FromArgMatches, Parser};
use std::ffi::OsString;

impl Cli {
    /// Reads the command line; `words` begins with the name of the program.
    ///
    /// # Errors
    /// What is printed instead of running a command: an error, or help.
    pub(crate) fn read(words: &[OsString]) -> Result<Cli, clap::Error> {
        quick(words).map_or_else(|| Cli::try_parse_from(words), Ok)
    }
}

/// Reads the command line by the definition of the command that it names.
fn quick(words: &[OsString]) -> Option<Cli> {
    // The only option that can precede the command.
    let at = match words.get(1)?.to_str()? {
        "--socket" => 3,
        word if word.starts_with("--socket=") => 2,
        _ => 1,
    };
    let (name, define) = *QUICK.iter().find(|(name, _)| words.get(at).is_some_and(|word| word == name))?;
    let whole = Host::augment_args(Command::new("bulkhead")).subcommand(define(Command::new(name)));
    Cli::from_arg_matches(&whole.try_get_matches_from(words).ok()?).ok()
}

/// Adds the options of a command.
type Define = fn(Command) -> Command;

/// The commands that are read quickly.
const QUICK: [(&str, Define); 12] = [
    ("call", Call::augment_args),
    ("query", Data::augment_args),
    ("mutate", Data::augment_args),
    ("emit", Emit::augment_args),
    ("pipe", Pipe::augment_args),
    ("events", Events::augment_args),
    ("status", Shown::augment_args),
    ("wait", Wait::augment_args),
    ("start", Targets::augment_args),
    ("stop", Targets::augment_args),
    ("restart", Targets::augment_args),
    ("reload", Targets::augment_args),
];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn words(line: &str) -> Vec<OsString> {
        ["bulkhead"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
    }

    #[test]
    fn what_is_read_quickly_is_what_the_whole_definition_reads() {
        for line in [
            "call a b",
            "call a",
            "call a b c d",
            "call a b c=1 --full d:=2 --key k",
            "call a b -5 --timeout 2m --key k --full",
            "call --socket /s a b {}",
            "--socket /s call a b -",
            "--socket=/s call a -- b --full",
            "--socket call call a b",
            "query layer1 {} --full",
            "mutate layer1 {} --key k",
            "emit a.b 1 --socket /s",
            "pipe a --command b --in-flight 7",
            "events a.* --after 3 --json",
            "status",
            "status a --json",
            "wait a --for ready",
            "start a b",
            "stop --all --timeout 5",
            "restart a",
            "reload a --json",
        ] {
            let whole = Cli::try_parse_from(words(line)).expect(line);
            let quick = quick(&words(line)).expect(line);
            assert_eq!(format!("{quick:?}"), format!("{whole:?}"), "{line}");
        }
    }

    #[test]
    fn what_is_no_plain_command_is_left_to_the_whole_definition() {
        for line in [
            "",
            "--help",
            "--version",
            "help call",
            "call",
            "call --help",
            "call a b --version",
            "call a b --timeout x",
            "call a b --help",
            "call a b --timeot 3",
            "--socket",
            "--socket /s",
            "--socket /s --socket /t call a b",
            "cal a b",
            "stop a --all",
            "events --after 3 --from-beginning",
            "run",
            "layer1 status",
        ] {
            assert!(quick(&words(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn each_quick_command_has_the_options_of_its_namesake() {
        let options = |command: &Command| -> Vec<String> {
            let of_kind = |argument: &clap::Arg| format!("{} {:?}", argument.get_id(), argument.get_action());
            let mut options: Vec<String> = command.get_arguments().map(of_kind).collect();
            options.sort();
            options
        };
        for (name, define) in QUICK {
            let whole = Cli::command();
            let namesake = whole.find_subcommand(name).expect(name);
            assert_eq!(options(&define(Command::new(name))), options(namesake), "{name}");
        }
    }
}
