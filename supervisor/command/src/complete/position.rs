//! Where on a command line a word is being written, by the definitions of the command line: what of a daemon's could
//! stand there.

use crate::arguments::name_of;
use crate::cli::Cli;
use clap::{Arg, ArgAction, Command, CommandFactory};
use std::path::PathBuf;

/// A position where something of the daemon's may stand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// What `--socket` says.
    pub(super) socket: Option<PathBuf>,
    pub(super) wanted: Wanted,
    /// What is written there already.
    pub(super) written: String,
    /// What stands on the line before, and need not be offered again.
    pub(super) given: Vec<String>,
}

/// What may stand there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The name of a module, or of one of the host's own addresses.
    Module { others: &'static [&'static str] },
    /// A command of this module.
    Command { module: String },
    /// The name of an argument of this command.
    Argument { module: String, command: String },
    /// The value of an argument, of which nothing is known.
    Value,
}

impl Position {
    /// Finds the position of the last word of a line, which begins with the name of the program.
    pub(super) fn find(line: &[String]) -> Option<Position> {
        let (written, before) = line.split_last()?;
        let whole = Cli::command();
        let mut command: Option<&Command> = None;
        let (mut words, mut socket, mut is_end) = (Vec::new(), None, false);
        let mut rest = before.get(1..)?.iter();
        while let Some(word) = rest.next() {
            if !is_end && word == "--" {
                is_end = true;
            } else if !is_end && word.starts_with('-') && word != "-" {
                let option = find_option(&whole, command, word);
                let value = match word.split_once('=') {
                    Some((_, value)) => Some(value.to_owned()),
                    None if option.is_some_and(takes_next) => match rest.next() {
                        Some(value) => Some(value.clone()),
                        None => return value_of(option?, command?, &words, socket, written),
                    },
                    None => None,
                };
                if option.is_some_and(|option| option.get_id() == "socket") {
                    socket = value.map(PathBuf::from);
                }
            } else if command.is_none() {
                command = Some(whole.find_subcommand(word)?);
            } else {
                words.push(word.clone());
            }
        }
        let command = command?;
        // A command with commands of its own has names of its own.
        if (written.starts_with('-') && !is_end) || command.has_subcommands() {
            return None;
        }
        let positional = command.get_positionals().nth(words.len()).or_else(|| {
            let last = command.get_positionals().last()?;
            matches!(last.get_action(), ArgAction::Append).then_some(last)
        })?;
        let (wanted, given) = match positional.get_id().as_str() {
            "name" => (Wanted::Module { others: others(command) }, Vec::new()),
            "names" => (Wanted::Module { others: &[] }, words),
            "command" => (Wanted::Command { module: words.first()?.clone() }, Vec::new()),
            "args" => {
                let [module, of, given @ ..] = &words[..] else { return None };
                if given.iter().any(|word| name_of(word).is_none()) || written.starts_with(['{', '[', '"', '@']) {
                    return None;
                }
                let wanted = match name_of(written) {
                    Some(_) => Wanted::Value,
                    None => Wanted::Argument { module: module.clone(), command: of.clone() },
                };
                (wanted, given.iter().filter_map(|word| name_of(word)).map(str::to_owned).collect())
            }
            _ => return None,
        };
        Some(Position { socket, wanted, written: written.clone(), given })
    }
}

/// The value of an option, where it is a module or a command of one.
fn value_of(
    option: &Arg,
    command: &Command,
    words: &[String],
    socket: Option<PathBuf>,
    written: &str,
) -> Option<Position> {
    let wanted = match (command.get_name(), option.get_id().as_str()) {
        ("pipe", "command") => Wanted::Command { module: words.first()?.clone() },
        ("replay", "to") => Wanted::Module { others: &[] },
        _ => return None,
    };
    Some(Position { socket, wanted, written: written.to_owned(), given: Vec::new() })
}

/// Addresses of the host's own that a command takes in the place of a module.
fn others(command: &Command) -> &'static [&'static str] {
    match command.get_name() {
        "call" | "describe" => &["supervisor", "layer1"],
        "query" | "mutate" => &["layer1"],
        _ => &[],
    }
}

fn find_option<'a>(whole: &'a Command, command: Option<&'a Command>, word: &str) -> Option<&'a Arg> {
    let options = || whole.get_arguments().chain(command.into_iter().flat_map(Command::get_arguments));
    match word.strip_prefix("--") {
        Some(long) => {
            let long = long.split_once('=').map_or(long, |(long, _)| long);
            options().find(|option| option.get_long() == Some(long))
        }
        None => options().find(|option| option.get_short().is_some() && option.get_short() == word.chars().nth(1)),
    }
}

/// Whether an option as it stands takes the next word as its value.
fn takes_next(option: &Arg) -> bool {
    let is_optional = option.get_num_args().is_some_and(|count| count.min_values() == 0);
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append) && !is_optional
}

/// The words of a line as `bash` has cut them, which also ends words at `=` and `:`.
pub(super) fn rejoined(words: Vec<String>) -> Vec<String> {
    let is_break = |word: &str| !word.is_empty() && word.chars().all(|c| matches!(c, '=' | ':'));
    let mut joined: Vec<String> = Vec::new();
    let mut ends_in_break = false;
    for word in words {
        let joins = is_break(&word) || ends_in_break;
        ends_in_break = is_break(&word);
        match joined.last_mut().filter(|_| joins) {
            Some(last) => last.push_str(&word),
            None => joined.push(word),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(line: &str) -> Option<Position> {
        // A space at the end begins a word.
        Position::find(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn wanted(line: &str) -> Option<Wanted> {
        find(line).map(|position| position.wanted)
    }

    #[test]
    fn modules_stand_where_the_definitions_have_a_name() {
        for (line, others) in [
            ("bulkhead call ", &["supervisor", "layer1"][..]),
            ("bulkhead describe re", &["supervisor", "layer1"]),
            ("bulkhead query ", &["layer1"]),
            ("bulkhead mutate --full ", &["layer1"]),
            ("bulkhead status ", &[]),
            ("bulkhead --socket /s logs -n 5 -f ", &[]),
            ("bulkhead pipe --in-flight 5 ", &[]),
            ("bulkhead wait --for ready ", &[]),
            ("bulkhead crashes ", &[]),
            ("bulkhead replay x --to ", &[]),
            ("bulkhead stop a ", &[]),
        ] {
            assert_eq!(wanted(line), Some(Wanted::Module { others }), "{line}");
        }
        assert_eq!(find("bulkhead stop a b ").unwrap().given, ["a", "b"]);
        let position = find("bulkhead --socket=/s status re").unwrap();
        assert_eq!((position.socket, &*position.written), (Some(PathBuf::from("/s")), "re"));
    }

    #[test]
    fn commands_and_arguments_come_after_their_module() {
        let command = || Some(Wanted::Command { module: "a".into() });
        assert_eq!(wanted("bulkhead call a "), command());
        assert_eq!(wanted("bulkhead call a --timeout 5 ad"), command());
        assert_eq!(wanted("bulkhead describe a "), command());
        assert_eq!(wanted("bulkhead pipe a --command "), command());
        let argument = || Some(Wanted::Argument { module: "a".into(), command: "b".into() });
        assert_eq!(wanted("bulkhead call a b "), argument());
        assert_eq!(wanted("bulkhead call --key k a b ti"), argument());
        assert_eq!(wanted("bulkhead call a b x=1 y:=2 "), argument());
        assert_eq!(find("bulkhead call a b x=1 y:=2 ").unwrap().given, ["x", "y"]);
        assert_eq!(wanted("bulkhead call a b x="), Some(Wanted::Value));
        assert_eq!(wanted("bulkhead call a b -- "), argument());
    }

    #[test]
    fn what_the_script_knows_or_nothing_does_is_left_to_it() {
        for line in [
            "bulkhead",
            "bulkhead ",
            "bulkhead ca",
            "bulkhead call -",
            "bulkhead call a b {\"x\"",
            "bulkhead call a b @",
            "bulkhead call a b {} ",
            "bulkhead call a --timeout ",
            "bulkhead call --socket ",
            "bulkhead layer1 forget ",
            "bulkhead nonsense ",
            "bulkhead run ",
            "bulkhead status a ",
            "bulkhead emit ",
            "bulkhead query a ",
            "bulkhead wait a --for ",
        ] {
            assert_eq!(wanted(line), None, "{line}");
        }
    }

    #[test]
    fn what_bash_has_cut_is_one_word_again() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let cut = words(&["bulkhead", "call", "a", "b", "x", "=", "1", "n", ":=", "", ""]);
        assert_eq!(rejoined(cut), words(&["bulkhead", "call", "a", "b", "x=1", "n:=", ""]));
        assert_eq!(rejoined(words(&["bulkhead", "--socket", "=", "/s", ""])), words(&["bulkhead", "--socket=/s", ""]));
        assert_eq!(rejoined(words(&["=", ""])), words(&["="]));
    }
}
