//! The sentences in which arguments are refused. They are a contract that SDKs of other languages have as well: the
//! table is in the README of the Python SDK, and `module-runtime/refusals.json` has cases for the tests of all.

use super::quote::quote;
use crate::names::{NAMES_MAX, cut, hint};
use crate::{Error, json};
use bulkhead_json::Raw;

/// Lists and objects within each other, in each argument and in a payload.
pub(super) const LEVELS_MAX: usize = 128;

/// Of the place in the data of a refusal.
const PATH_CHARACTERS_MAX: usize = 1024;

/// Why a value does not fit, and at which place inside of what was given.
#[derive(Debug)]
pub(super) struct Refusal {
    form: Form,
    /// Whether it is of the right type, so that the fault says more than the types that were expected.
    pub(super) is_near: bool,
    /// The way to the place, the innermost step first.
    way: Vec<String>,
}

#[derive(Debug)]
enum Form {
    Twice,
    Unknown {
        hint: String,
    },
    Missing {
        expected: String,
    },
    Wrong {
        expected: String,
        found: String,
    },
    /// What the type says of itself.
    Own {
        sentence: String,
    },
}

/// What was given: what a member of it is called, what all of it is expected to be where the type does not say that,
/// and what a sentence begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) member: &'static str,
    pub(super) whole: Option<&'static str>,
    pub(super) before: &'static str,
}

/// The arguments of a command.
pub(super) const ARGUMENTS: Part = Part { member: "argument", whole: Some("an object of arguments"), before: "" };

/// The payload of a query or a mutation, and the data of an event.
pub(super) const PAYLOAD: Part = Part { member: "member", whole: None, before: "" };

/// The manifest's `[config]`.
pub(super) const CONFIG: Part = Part { member: "key", whole: Some("an object of keys"), before: "[config]: " };

impl Refusal {
    fn new(form: Form) -> Box<Refusal> {
        Box::new(Refusal { form, is_near: false, way: Vec::new() })
    }

    /// A value of another type.
    pub(super) fn wrong(expected: impl Into<String>, found: Raw<'_>) -> Box<Refusal> {
        Refusal::new(Form::Wrong { expected: expected.into(), found: quote(found) })
    }

    /// A value of the right type that is beyond its bounds.
    pub(super) fn beyond(expected: impl Into<String>, found: Raw<'_>) -> Box<Refusal> {
        let mut refusal = Refusal::wrong(expected, found);
        refusal.is_near = true;
        refusal
    }

    /// A list or a text with too many or too few parts.
    pub(super) fn length(expected: String, found: usize) -> Box<Refusal> {
        let mut refusal = Refusal::new(Form::Wrong { expected, found: found.to_string() });
        refusal.is_near = true;
        refusal
    }

    /// Lists and objects within each other without an end.
    pub(super) fn too_deep() -> Box<Refusal> {
        let expected = format!("at most {LEVELS_MAX} levels of lists and objects");
        Refusal::new(Form::Wrong { expected, found: "more".into() })
    }

    /// A member that is required.
    pub(super) fn missing(name: &str, expected: String) -> Box<Refusal> {
        Refusal::new(Form::Missing { expected }).inside(name)
    }

    /// A member that is there twice.
    pub(super) fn twice(name: &str) -> Box<Refusal> {
        Refusal::new(Form::Twice).inside(name)
    }

    /// A member that there is not.
    pub(super) fn unknown(name: &str, known: &[&str]) -> Box<Refusal> {
        Refusal::new(Form::Unknown { hint: hint(name, known, "expected none") }).inside(name)
    }

    /// A value that has the form of its type, and that the type does not take.
    pub(super) fn own(error: &serde_json::Error) -> Box<Refusal> {
        // Line and column count in a text that the caller may never have seen in that form.
        let sentence = error.to_string();
        let sentence = sentence.split(" at line ").next().unwrap_or(&sentence);
        Refusal::new(Form::Own { sentence: sentence.chars().take(500).collect() })
    }

    /// The same refusal, seen from one step further out.
    pub(super) fn inside(mut self: Box<Self>, step: impl Into<String>) -> Box<Refusal> {
        self.way.push(step.into());
        self
    }

    /// Whether it is about a part of what was given.
    pub(super) fn is_inside(&self) -> bool {
        !self.way.is_empty()
    }

    fn path(&self) -> String {
        let step = |step: &String| step.replace('\\', "\\\\").replace('.', "\\.");
        self.way.iter().rev().map(step).collect::<Vec<_>>().join(".")
    }

    fn sentence(&self, part: Part) -> String {
        let Part { member, whole, .. } = part;
        if self.way.is_empty() {
            return match &self.form {
                Form::Wrong { expected, found } => format!("expected {}, found {found}", whole.unwrap_or(expected)),
                Form::Own { sentence } => sentence.clone(),
                Form::Twice | Form::Unknown { .. } | Form::Missing { .. } => {
                    unreachable!("a member has a name, which is a step")
                }
            };
        }
        let path = cut(&self.path());
        match &self.form {
            Form::Twice => format!("{member} `{path}` stands there twice"),
            Form::Unknown { hint } => format!("unknown {member} `{path}`; {hint}"),
            Form::Missing { expected } => format!("missing {member} `{path}`; expected {expected}"),
            Form::Wrong { expected, found } => format!("{member} `{path}`: expected {expected}, found {found}"),
            Form::Own { sentence } => format!("{member} `{path}`: {sentence}"),
        }
    }

    /// The error that is answered.
    #[cold]
    pub(super) fn error(&self, part: Part) -> Error {
        let at: String = self.path().chars().take(PATH_CHARACTERS_MAX).collect();
        Error::bad_request(format!("{}{}", part.before, self.sentence(part))).with_data(json!({ "at": at }))
    }
}

/// `a text, an integer or null`.
pub(super) fn alternatives(words: &[String]) -> String {
    let mut named: Vec<&str> = Vec::new();
    for word in words {
        if !named.contains(&word.as_str()) {
            named.push(word);
        }
    }
    let others = match named.len().saturating_sub(NAMES_MAX) {
        0 => None,
        others => Some(format!("{others} others")),
    };
    named.truncate(NAMES_MAX);
    let last = others.as_deref().or_else(|| named.pop()).unwrap_or("nothing");
    if named.is_empty() { last.to_owned() } else { format!("{} or {last}", named.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_named_once_and_twenty_of_them() {
        let words = |words: &[&str]| alternatives(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["a text"]), "a text");
        assert_eq!(words(&["a text", "an integer", "a text", "null"]), "a text, an integer or null");
        let many: Vec<String> = (0..23).map(|number| number.to_string()).collect();
        assert!(alternatives(&many).ends_with(", 18, 19 or 3 others"), "{}", alternatives(&many));
    }

    #[test]
    fn a_path_has_dots_between_its_steps_and_backslashes_before_those_of_names() {
        let error = Refusal::twice("c\\d").inside("0").inside("a.b").error(PAYLOAD);
        assert_eq!(error.to_string(), r"member `a\.b.0.c\\d` stands there twice");
        assert_eq!(error.data().unwrap().as_str(), r#"{"at":"a\\.b.0.c\\\\d"}"#);
    }
}
