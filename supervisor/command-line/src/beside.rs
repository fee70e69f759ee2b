//! How a program beside `bulkhead` writes its manual page and its completions: what installs it runs it with a word
//! that is not in its help.

use clap::{Command, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// The word by which the manual page is asked for.
pub const ASKED_FOR_PAGE: &str = "__man";

/// The word by which completions are asked for. The name of a shell follows.
pub const ASKED_FOR_COMPLETIONS: &str = "__completions";

/// Prints the page or the completions, if these words, which begin with the name of the program, ask for them.
/// `command` has the name of the program's file.
pub fn answer(mut command: Command, words: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let words: Vec<String> = words.into_iter().skip(1).map(OsString::into_string).collect::<Result<_, _>>().ok()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut text = Vec::new();
    match words[..] {
        [ASKED_FOR_PAGE] => {
            command.build();
            crate::page(&command, &mut text).expect("a vector takes everything");
        }
        [ASKED_FOR_COMPLETIONS, shell] => {
            let shell = Shell::from_str(shell, false).ok()?;
            let name = command.get_name().to_owned();
            clap_complete::generate(shell, &mut command, name, &mut text);
        }
        _ => return None,
    }
    Some(match io::stdout().write_all(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_words_ask_and_only_alone() {
        for words in [&["x"][..], &["x", "__man", "more"], &["x", "__completions"], &["x", "__completions", "cmd"]] {
            let answered = answer(Command::new("bulkhead-x"), words.iter().map(OsString::from));
            assert!(answered.is_none(), "{words:?}");
        }
    }
}
