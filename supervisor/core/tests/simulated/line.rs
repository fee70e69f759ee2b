//! One line of a script: a verb, its words, its `name=value` options. What they mean is not here.

use bulkhead_core::Time;
use std::time::Duration;

/// A line that has been taken apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    /// When, if the line says so: `t=5000`, in milliseconds.
    pub(crate) at: Option<Time>,
    pub(crate) words: Vec<String>,
    options: Vec<(String, String)>,
}

impl Line {
    /// Splits a line. Words are separated by spaces; `"quotes"` keep spaces in a word.
    pub(crate) fn parse(text: &str) -> Line {
        let mut line = Line::default();
        for token in tokens(text) {
            match token.split_once('=') {
                Some(("t", at)) => {
                    let millis: f64 = at.parse().unwrap_or_else(|_| panic!("no moment: {token:?} in {text:?}"));
                    line.at = Some(Time::from_micros((millis * 1000.0).round() as u64));
                }
                Some((name, value)) if name.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                    line.options.push((name.to_owned(), value.to_owned()));
                }
                Some(_) | None => line.words.push(token),
            }
        }
        line
    }

    /// The word at this position.
    pub(crate) fn word(&self, at: usize) -> &str {
        self.words.get(at).unwrap_or_else(|| panic!("a word is missing at place {at}: {self:?}"))
    }

    /// The value of an option.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The number that an option gives.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.option(name).map(|value| value.parse().unwrap_or_else(|_| panic!("no number: {name}={value}")))
    }

    /// The time that an option gives: `5s`, `100ms`.
    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        self.option(name).map(duration)
    }

    /// The parts of an option that is separated by commas.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.option(name).map_or_else(Vec::new, |value| value.split(',').map(str::to_owned).collect())
    }

    /// The names of all options, so that a misspelt one is found.
    pub(crate) fn option_names(&self) -> impl Iterator<Item = &str> {
        self.options.iter().map(|(name, _)| name.as_str())
    }
}

/// Reads `5s` or `100ms`.
pub(crate) fn duration(text: &str) -> Duration {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("no time: {text:?}"));
    match text.strip_suffix("ms") {
        Some(millis) => Duration::from_millis(number(millis)),
        None => Duration::from_secs(number(text.strip_suffix('s').unwrap_or_else(|| panic!("no unit: {text:?}")))),
    }
}

fn tokens(text: &str) -> Vec<String> {
    let (mut all, mut token, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => {
                if !token.is_empty() {
                    all.push(std::mem::take(&mut token));
                }
            }
            other => token.push(other),
        }
    }
    if !token.is_empty() {
        all.push(token);
    }
    all
}
