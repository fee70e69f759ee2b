//! Standard output: each line with the name of its module. Colour is for a terminal only, and not where `NO_COLOR` is
//! set; in a pipe a line is one line.

use crate::crash;
use crate::difference;
use bulkhead_protocol::escape;
use std::io::{self, IsTerminal, Write};

/// Columns of the program's own sentences on a terminal; what modules print stays as it is.
const COLUMNS: usize = 80;

/// Columns of a name. A longer one is not cut.
const NAME_COLUMNS_MAX: usize = 16;

/// The colours of names: none of them means anything else here.
const NAME_COLOURS: [&str; 5] = ["36", "35", "34", "96", "95"];

const GOOD: &str = "32";
const BAD: &str = "31";
const FAINT: &str = "2";
const STRONG: &str = "1";

/// What kind of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Printed by the module.
    Output,
    /// Written into its log by the host.
    Host,
    /// Printed by its build.
    Build,
    /// About a message to or from it.
    Message,
    /// About what was done.
    Note,
    /// About what has gone well.
    Good,
    /// About a failure.
    Bad,
}

/// The screen. All lines go through it.
#[derive(Debug)]
pub(crate) struct Screen {
    is_coloured: bool,
    is_terminal: bool,
    names: Vec<String>,
    columns: usize,
}

impl Screen {
    pub(crate) fn of_stdout(names: Vec<String>) -> Screen {
        let is_terminal = io::stdout().is_terminal();
        // https://no-color.org: any value but an empty one.
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let columns =
            names.iter().map(|name| name.chars().count()).max().unwrap_or_default().clamp(3, NAME_COLUMNS_MAX);
        Screen { is_coloured: is_terminal && !is_refused, is_terminal, names, columns }
    }

    /// A line about a module, or about the program itself, which is named `dev`.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn line(&self, name: &str, kind: Kind, text: &str) -> io::Result<()> {
        let (mark, colour) = match kind {
            Kind::Output => ("|", None),
            Kind::Host => ("|", Some(FAINT)),
            Kind::Build => (">", None),
            Kind::Message => ("~", Some(FAINT)),
            Kind::Note => ("*", None),
            Kind::Good => ("*", Some(GOOD)),
            Kind::Bad => ("!", Some(BAD)),
        };
        let is_own = matches!(kind, Kind::Note | Kind::Good | Kind::Bad);
        let text = escape(text);
        let lines = match is_own && self.is_terminal {
            true => wrapped(&text, COLUMNS.saturating_sub(self.columns + 3)),
            false => vec![text.into_owned()],
        };
        self.print(name, mark, lines.into_iter().map(|line| (colour, line)))
    }

    /// The page about a crash.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn crash(&self, name: &str, page: &[crash::Line]) -> io::Result<()> {
        let line = |line: &crash::Line| match line {
            crash::Line::Title(text) => (Some(BAD), text.clone()),
            crash::Line::Printed(text) => (None, format!("  | {text}")),
            crash::Line::Detail(text) => (Some(FAINT), format!("  {text}")),
            crash::Line::Command(text) => (Some(STRONG), format!("  again: {text}")),
        };
        self.print(name, "!", page.iter().map(line))
    }

    /// An answer, or its difference to the last one.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn difference(&self, name: &str, lines: &[difference::Line]) -> io::Result<()> {
        let line = |line: &difference::Line| match line {
            difference::Line::Same(text) => (None, format!("  {text}")),
            difference::Line::Added(text) => (Some(GOOD), format!("+ {text}")),
            difference::Line::Removed(text) => (Some(BAD), format!("- {text}")),
            difference::Line::Note(text) => (Some(FAINT), format!("  {text}")),
        };
        self.print(name, "=", lines.iter().map(line))
    }

    fn print(
        &self,
        name: &str,
        mark: &str,
        lines: impl Iterator<Item = (Option<&'static str>, String)>,
    ) -> io::Result<()> {
        let at = self.names.iter().position(|known| known == name);
        let colour = at.map_or(STRONG, |at| NAME_COLOURS[at % NAME_COLOURS.len()]);
        let shown = self.paint(Some(colour), &format!("{name:<width$}", width = self.columns));
        let mut text = String::new();
        for (colour, line) in lines {
            text.push_str(&format!("{shown} {mark} {}\n", self.paint(colour, &line)));
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn paint(&self, colour: Option<&str>, text: &str) -> String {
        match colour.filter(|_| self.is_coloured && !text.is_empty()) {
            Some(number) => format!("\x1b[{number}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }
}

/// Lines of whole words. A word that is too long has a line of its own.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_sentences_fit_into_the_columns_and_lose_no_word() {
        let text = "word ".repeat(40);
        let lines = wrapped(text.trim(), 61);
        assert!(lines.iter().all(|line| line.chars().count() <= 61), "{lines:?}");
        assert_eq!(lines.join(" "), text.trim());
        let long = "x".repeat(100);
        assert_eq!(wrapped(&format!("a {long} b"), 61), ["a", &long, "b"]);
    }
}
