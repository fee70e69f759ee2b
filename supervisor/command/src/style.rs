//! Colour, where a person looks: on a terminal, and unless `NO_COLOR` says otherwise.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

/// Whether what is written may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Text and nothing else.
    Plain,
    /// With the escape sequences of a terminal.
    Coloured,
}

/// A colour, by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// All is well.
    Good,
    /// Something is in progress, or deserves attention.
    Busy,
    /// Something is wrong.
    Bad,
    /// Of little importance.
    Faint,
    /// A heading.
    Strong,
}

impl Style {
    /// For what goes to standard output.
    pub(crate) fn of_stdout() -> Style {
        Style::of(io::stdout().is_terminal())
    }

    /// For what goes to standard error.
    pub(crate) fn of_stderr() -> Style {
        Style::of(io::stderr().is_terminal())
    }

    fn of(terminal: bool) -> Style {
        // https://no-color.org: any value but an empty one.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if terminal && !refused { Style::Coloured } else { Style::Plain }
    }

    /// `text` in that colour.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if self == Style::Plain || text.is_empty() {
            return text.to_owned();
        }
        let number = match colour {
            Colour::Good => "32",
            Colour::Busy => "33",
            Colour::Bad => "31",
            Colour::Faint => "2",
            Colour::Strong => "1",
        };
        format!("\x1b[{number}m{text}\x1b[0m")
    }
}

/// How many columns standard output has; none where it is no terminal.
pub(crate) fn width_of_stdout() -> Option<usize> {
    width_of(io::stdout())
}

/// How many columns a stream has; none where it is no terminal, or one that does not report it. The number of rows is
/// not used: a terminal over a serial line, or of a program that sets the columns only, has none.
pub(crate) fn width_of(stream: impl AsFd + IsTerminal) -> Option<usize> {
    let columns = stream.is_terminal().then(|| rustix::termios::tcgetwinsize(&stream).ok())??.ws_col;
    (columns > 0).then_some(usize::from(columns))
}
