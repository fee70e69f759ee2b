//! What the audience sees: headings, sentences and commands, for the width of every terminal. Colour is for a terminal
//! only, and not where `NO_COLOR` is set.

use std::io::{IsTerminal, stdout};

/// Columns of a sentence, its indentation included.
const WIDTH: usize = 78;

const INDENT: &str = "   ";

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    coloured: bool,
}

impl Screen {
    pub(crate) fn of_stdout() -> Screen {
        // https://no-color.org: any value but an empty one.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen { coloured: stdout().is_terminal() && !refused }
    }

    fn paint(self, number: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{number}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Begins a part.
    pub(crate) fn act(self, title: &str) {
        println!("\n{}", self.paint("1;36", &format!("── {title}")));
    }

    /// Prints a sentence.
    pub(crate) fn say(self, text: &str) {
        wrapped(text, INDENT, INDENT).iter().for_each(|line| println!("{line}"));
    }

    /// One of several things.
    pub(crate) fn item(self, mark: &str, text: &str) {
        let (first, rest) = (format!("{INDENT}{mark} "), " ".repeat(INDENT.len() + mark.chars().count() + 1));
        wrapped(text, &first, &rest).iter().for_each(|line| println!("{line}"));
    }

    /// What was checked and holds.
    pub(crate) fn good(self, text: &str) {
        self.marked("32", "✓", text);
    }

    /// An intended failure.
    pub(crate) fn bad(self, text: &str) {
        self.marked("31", "✗", text);
    }

    fn marked(self, colour: &str, mark: &str, text: &str) {
        let rest = " ".repeat(INDENT.len() + 2);
        let lines = wrapped(text, &rest, &rest);
        for (at, line) in lines.iter().enumerate() {
            let mark = if at == 0 { self.paint(colour, mark) } else { " ".to_owned() };
            println!("{INDENT}{mark} {}", line.trim_start());
        }
    }

    /// What a person would type.
    pub(crate) fn command(self, words: &str) {
        println!("{INDENT}{}", self.paint("1", &format!("$ {words}")));
    }
}

/// Lines of whole words. A word that is too long has a line of its own.
fn wrapped(text: &str, first: &str, rest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut words = 0;
    for word in text.split(' ') {
        let length = line.chars().count() + word.chars().count() + usize::from(words > 0);
        if words > 0 && length > WIDTH {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            words = 0;
        }
        if words > 0 {
            line.push(' ');
        }
        line.push_str(word);
        words += 1;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_words_of_at_most_78_columns() {
        let text = "word ".repeat(40);
        let lines = wrapped(text.trim(), "   ", "     ");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        assert!(lines[1].starts_with("     word"), "{lines:?}");
        let words: usize = lines.iter().map(|line| line.split_whitespace().count()).sum();
        assert_eq!(words, 40);
        let long = "x".repeat(100);
        assert_eq!(wrapped(&format!("a {long} b"), "", "")[1], long);
    }
}
