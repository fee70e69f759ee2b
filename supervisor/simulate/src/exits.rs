//! The list of ends: `signal 9 after 2s, code 1 after 30ms`. Faults are named with their place.

use crate::cli::{parse_time, quoted};
use bulkhead_protocol::Exit;
use nix::sys::signal::Signal;
use std::{fmt, str::FromStr, time::Duration};

/// Ends in one list.
const EXITS_MAX: usize = 1000;

/// Bytes of one list.
const LIST_BYTES_MAX: usize = 64 * 1024;

/// When a process ends, where the list does not say it.
const AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// How a process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself or by a signal, so long after its start.
    Exit {
        /// How.
        exit: Exit,
        /// When.
        after: Duration,
    },
    /// It never answers `init`, and waits to be killed.
    Silent,
    /// Not by itself.
    Lives,
}

/// The ends of all processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exits(Vec<Ending>);

impl Exits {
    /// The end of the process with this number, counted from 0: beyond the list, its last one.
    pub(crate) fn of(&self, number: usize) -> &Ending {
        self.0.get(number).or(self.0.last()).expect("a list has an end")
    }
}

/// What is wrong with a list, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The character, counted from 1.
    column: usize,
    message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: {}", self.column, self.message)
    }
}

/// Reads a list.
///
/// # Errors
/// The first fault of it.
pub(crate) fn parse(text: &str) -> Result<Exits, Fault> {
    if text.len() > LIST_BYTES_MAX {
        let message = format!("expected a list of at most {LIST_BYTES_MAX} bytes, found {}", text.len());
        return Err(Fault { column: 1, message });
    }
    let mut endings = Vec::new();
    let mut at = 0;
    for part in text.split(',') {
        if endings.len() == EXITS_MAX {
            return Err(fault(text, at, format!("expected at most {EXITS_MAX} ends, found more")));
        }
        endings.push(Words::of(text, at, part).ending()?);
        at += part.len() + 1;
    }
    Ok(Exits(endings))
}

fn fault(text: &str, at: usize, message: String) -> Fault {
    Fault { column: text[..at].chars().count() + 1, message }
}

/// The words of one end, with their places.
struct Words<'a> {
    text: &'a str,
    words: std::vec::IntoIter<(usize, &'a str)>,
    /// Where the end of this part is.
    end: usize,
}

impl<'a> Words<'a> {
    fn of(text: &'a str, at: usize, part: &'a str) -> Words<'a> {
        let mut words = Vec::new();
        let mut from = None;
        for (index, char) in part.char_indices().chain([(part.len(), ' ')]) {
            match (char.is_whitespace(), from) {
                (true, Some(begin)) => {
                    words.push((at + begin, &part[begin..index]));
                    from = None;
                }
                (false, None) => from = Some(index),
                (true, None) | (false, Some(_)) => {}
            }
        }
        Words { text, words: words.into_iter(), end: at + part.len() }
    }

    fn next(&mut self, expected: &str) -> Result<(usize, &'a str), Fault> {
        self.words.next().ok_or_else(|| fault(self.text, self.end, format!("expected {expected}, found the end")))
    }

    fn ending(mut self) -> Result<Ending, Fault> {
        let kinds = "code, signal, silent or lives";
        let (at, kind) = self.next(kinds)?;
        let ending = match kind {
            "code" => Ending::Exit { exit: self.code()?, after: self.after()? },
            "signal" => Ending::Exit { exit: self.signal()?, after: self.after()? },
            "silent" => Ending::Silent,
            "lives" => Ending::Lives,
            other => return Err(fault(self.text, at, format!("expected {kinds}, found {}", quoted(other)))),
        };
        match self.words.next() {
            None => Ok(ending),
            Some((at, word)) => {
                Err(fault(self.text, at, format!("expected a comma or the end, found {}", quoted(word))))
            }
        }
    }

    fn code(&mut self) -> Result<Exit, Fault> {
        let expected = "an exit code from 0 to 255";
        let (at, word) = self.next(expected)?;
        let code: Option<u8> = word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()));
        let code = code.ok_or_else(|| fault(self.text, at, format!("expected {expected}, found {}", quoted(word))))?;
        Ok(Exit::Code(code.into()))
    }

    fn signal(&mut self) -> Result<Exit, Fault> {
        let expected = "a signal that ends a process, from 1 to 31 or by its name such as KILL";
        let (at, word) = self.next(expected)?;
        let by_number = || word.parse::<i32>().ok().and_then(|number| Signal::try_from(number).ok());
        let by_name = || {
            let name = word.to_ascii_uppercase();
            let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
            Signal::from_str(&name).ok()
        };
        let ends = |signal: &Signal| {
            use Signal::{SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
            ![SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH].contains(signal)
        };
        let signal = by_number().or_else(by_name).filter(ends);
        let signal =
            signal.ok_or_else(|| fault(self.text, at, format!("expected {expected}, found {}", quoted(word))))?;
        Ok(Exit::Signal(signal.as_str().to_owned()))
    }

    fn after(&mut self) -> Result<Duration, Fault> {
        let Some((at, word)) = self.words.next() else { return Ok(AFTER_DEFAULT) };
        if word != "after" {
            return Err(fault(self.text, at, format!("expected after, a comma or the end, found {}", quoted(word))));
        }
        let (at, word) = self.next("a time such as 30ms or 2s")?;
        parse_time(word).map_err(|message| fault(self.text, at, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(name: &str, ms: u64) -> Ending {
        Ending::Exit { exit: Exit::Signal(name.into()), after: Duration::from_millis(ms) }
    }

    #[test]
    fn ends_are_read_in_their_order_and_the_last_one_is_repeated() {
        let exits = parse(" signal 9 after 2s,code 1 after 30ms , signal term, silent,lives").unwrap();
        assert_eq!(exits.of(0), &signal("SIGKILL", 2000));
        assert_eq!(exits.of(1), &Ending::Exit { exit: Exit::Code(1), after: Duration::from_millis(30) });
        assert_eq!(exits.of(2), &signal("SIGTERM", 1000));
        assert_eq!((exits.of(3), exits.of(4), exits.of(5000)), (&Ending::Silent, &Ending::Lives, &Ending::Lives));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_what_was_expected() {
        for (text, expected) in [
            ("", "character 1: expected code, signal, silent or lives, found the end"),
            ("code 1,", "character 8: expected code, signal, silent or lives, found the end"),
            ("code 1, explode", "character 9: expected code, signal, silent or lives, found \"explode\""),
            ("é", "character 1: expected code, signal, silent or lives, found \"é\""),
            ("code", "character 5: expected an exit code from 0 to 255, found the end"),
            ("code 256", "character 6: expected an exit code from 0 to 255, found \"256\""),
            ("code +1", "character 6: expected an exit code from 0 to 255, found \"+1\""),
            (
                "signal 99",
                "character 8: expected a signal that ends a process, from 1 to 31 or by its name such as KILL, found \"99\"",
            ),
            (
                "signal STOP",
                "character 8: expected a signal that ends a process, from 1 to 31 or by its name such as KILL, found \"STOP\"",
            ),
            ("code 1 in 2s", "character 8: expected after, a comma or the end, found \"in\""),
            ("code 1 after", "character 13: expected a time such as 30ms or 2s, found the end"),
            ("code 1 after -2s", "character 14: expected a time such as 30ms, 2s, 5min or 1h, found \"-2s\""),
            ("code 1 after 5", "character 14: expected a time such as 30ms, 2s, 5min or 1h, found \"5\""),
            ("code 1 after 367d", "character 14: expected a time of at most 366d, found \"367d\""),
            (
                "code 1 after 99999999999999999999d",
                "character 14: expected a time such as 30ms, 2s, 5min or 1h, found \"99999999999999999999d\"",
            ),
            ("code 1 after 2s 3s", "character 17: expected a comma or the end, found \"3s\""),
            ("lives after 2s", "character 7: expected a comma or the end, found \"after\""),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_list_is_bounded_in_number_and_in_bytes() {
        assert!(parse(&vec!["lives"; EXITS_MAX].join(",")).is_ok());
        let many = parse(&vec!["lives"; EXITS_MAX + 1].join(",")).unwrap_err();
        assert_eq!(many.to_string(), "character 6001: expected at most 1000 ends, found more");
        let long = parse(&" ".repeat(LIST_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(long.to_string(), "character 1: expected a list of at most 65536 bytes, found 65537");
    }
}
