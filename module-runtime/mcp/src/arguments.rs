//! The command line, as the host writes it. Nothing is opened or started here.

use std::ffi::OsString;

/// What the program was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// To run this program with these arguments; never empty.
    Run(Vec<String>),
    Help,
    Version,
}

/// Reads the arguments after the program's name. The error is a sentence for their author.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, String> {
    let text = |word: OsString| word.into_string().map_err(|word| format!("expected UTF-8, found {word:?}"));
    let words: Vec<String> = arguments.into_iter().map(text).collect::<Result<_, _>>()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["run", "--", _, ..] => Ok(Invocation::Run(words[2..].iter().map(|&word| word.to_owned()).collect())),
        ["-h" | "--help" | "help"] => Ok(Invocation::Help),
        ["-V" | "--version"] => Ok(Invocation::Version),
        ["run", ..] => Err("run needs '--' and a program".to_owned()),
        [other, ..] => Err(format!("unknown subcommand '{other}', expected run")),
        [] => Err("a subcommand is missing, expected run".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Invocation, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_server_and_its_arguments_come_after_two_dashes() {
        let command = ["/bin/server", "--", "-h"].map(str::to_owned).to_vec();
        assert_eq!(read("run -- /bin/server -- -h"), Ok(Invocation::Run(command)));
        assert_eq!(read("--help"), Ok(Invocation::Help));
        assert_eq!(read("-V"), Ok(Invocation::Version));
    }

    #[test]
    fn a_wrong_command_line_is_named() {
        for (line, expected) in [
            ("", "a subcommand is missing, expected run"),
            ("walk", "unknown subcommand 'walk', expected run"),
            ("run", "run needs '--' and a program"),
            ("run --", "run needs '--' and a program"),
            ("run /bin/server", "run needs '--' and a program"),
        ] {
            assert_eq!(read(line), Err(expected.to_owned()), "{line}");
        }
    }
}
