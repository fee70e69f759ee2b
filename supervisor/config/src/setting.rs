//! One setting: where its value is stored, what it may be, how it is read and how it is printed. Which settings there
//! are is in `keys.rs`.

use crate::document::quote;
use crate::units::{DURATION_FORM, SIZE_FORM, format_duration, format_size};
use crate::{Declarations, Folder, ModuleKind};
use bulkhead_protocol::layer1::{EntityName, MemberPath, Path as DeclaredPath};
use bulkhead_protocol::{Json, ModuleName, Pattern};
use serde_json::Value;
use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

/// What switches an optional limit off.
pub(crate) const NONE: &str = "none";

/// What switches off a limit of which a size of nothing is the default.
pub(crate) const UNLIMITED: &str = "unlimited";

/// A setting of `T`: its full name in the file and the location of its value.
pub(crate) struct Key<T: 'static> {
    /// Section and name, like `limits.queue`.
    pub(crate) path: &'static str,
    /// Whether the host's file may set it too.
    pub(crate) operator: Operator,
    /// Where the value is and what it may be.
    pub(crate) slot: Where<T>,
}

/// Where the value of a setting is.
pub(crate) enum Where<T: 'static> {
    /// Every `T` has it.
    Always(for<'a> fn(&'a mut T) -> Slot<'a>),
    /// Only some kinds of `T` have it.
    Sometimes(for<'a> fn(&'a mut T) -> Option<Slot<'a>>),
}

impl<T: 'static> Key<T> {
    /// Where the value of `target` is and what it may be; none where `target` is of a kind that
    /// doesn't have the setting.
    pub(crate) fn slot<'a>(&self, target: &'a mut T) -> Option<Slot<'a>> {
        match self.slot {
            Where::Always(slot) => Some(slot(target)),
            Where::Sometimes(slot) => slot(target),
        }
    }
}

/// Whether the host's file may set a setting of a module.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// It replaces the manifest's value.
    Replaces,
    /// It adds to the manifest's value, and replaces single members.
    Merges,
    /// It may narrow what the manifest grants.
    Narrows,
    /// It belongs to the module itself.
    MayNot,
}

/// Where a value is kept, and what it may be.
pub(crate) enum Slot<'a> {
    Count(&'a mut usize, RangeInclusive<usize>),
    OptionalCount(&'a mut Option<usize>, RangeInclusive<usize>),
    Time(&'a mut Duration, RangeInclusive<Duration>),
    OptionalTime(&'a mut Option<Duration>, RangeInclusive<Duration>),
    Size(&'a mut usize, RangeInclusive<usize>),
    OptionalSize(&'a mut Option<u64>, RangeInclusive<u64>),
    SizeOrUnlimited(&'a mut Option<u64>, RangeInclusive<u64>),
    Switch(&'a mut bool),
    Choice(&'a mut dyn Choose),
    Text(&'a mut String),
    Name(&'a mut ModuleName),
    Names(&'a mut Vec<ModuleName>),
    Patterns(&'a mut Vec<Pattern>),
    /// Names or patterns of types of entities.
    Entities(&'a mut Vec<Pattern>),
    /// Texts of which each is checked.
    Texts(&'a mut Vec<String>, fn(&str) -> Result<(), String>),
    Command(&'a mut Vec<String>),
    /// A command, or nothing.
    Words(&'a mut Vec<String>),
    Path(&'a mut PathBuf),
    Paths(&'a mut Vec<PathBuf>),
    Folders(&'a mut Vec<Folder>),
    Variables(&'a mut BTreeMap<String, String>),
    Indexes(&'a mut Declarations<DeclaredPath>),
    Searches(&'a mut Declarations<MemberPath>),
    Config(&'a mut Json),
}

/// A value that is one of a few words.
pub(crate) trait Named: Copy + PartialEq + 'static {
    /// Every value with its word, in the order of the documentation.
    const ALL: &'static [(&'static str, Self)];
}

/// A [`Named`] whose type is hidden.
pub(crate) trait Choose {
    fn words(&self) -> Vec<&'static str>;
    fn word(&self) -> &'static str;
    /// False when there is no such word.
    fn choose(&mut self, word: &str) -> bool;
}

impl<T: Named> Choose for T {
    fn words(&self) -> Vec<&'static str> {
        T::ALL.iter().map(|(word, _)| *word).collect()
    }

    fn word(&self) -> &'static str {
        T::ALL.iter().find(|(_, value)| value == self).expect("every value has its word").0
    }

    fn choose(&mut self, word: &str) -> bool {
        let chosen = T::ALL.iter().find(|(known, _)| *known == word);
        if let Some((_, value)) = chosen {
            *self = *value;
        }
        chosen.is_some()
    }
}

/// Choosing another kind begins it anew; the same kind stays as it is.
impl Choose for ModuleKind {
    fn words(&self) -> Vec<&'static str> {
        ModuleKind::NAMES.to_vec()
    }

    fn word(&self) -> &'static str {
        self.name()
    }

    fn choose(&mut self, word: &str) -> bool {
        let chosen = ModuleKind::of_name(word);
        let known = chosen.is_some();
        if let Some(kind) = chosen.filter(|_| word != self.name()) {
            *self = kind;
        }
        known
    }
}

impl Slot<'_> {
    /// What the value may be, as text after "expected". Bounds of time and size are not in it: after an error of form,
    /// the form is needed first.
    pub(crate) fn expected(&self) -> String {
        let bounds = self.bounds();
        match self {
            Slot::Count(..) => format!("a whole number from {bounds}"),
            Slot::OptionalCount(..) => format!("a whole number from {bounds}, or {NONE:?}"),
            Slot::Time(..) => DURATION_FORM.into(),
            Slot::OptionalTime(..) => format!("{DURATION_FORM}, or {NONE:?}"),
            Slot::Size(..) => SIZE_FORM.into(),
            Slot::OptionalSize(..) => format!("{SIZE_FORM}, or {NONE:?}"),
            Slot::SizeOrUnlimited(..) => format!("{SIZE_FORM}, or {UNLIMITED:?}"),
            Slot::Switch(_) => "true or false".into(),
            Slot::Choice(_) => bounds,
            Slot::Text(_) | Slot::Name(_) => "a text".into(),
            Slot::Names(_) => "a list of names of modules".into(),
            Slot::Patterns(_) => "a list of names or patterns of events".into(),
            Slot::Entities(_) => "a list of names or patterns of types of entities".into(),
            Slot::Indexes(_) | Slot::Searches(_) => "a table of lists of paths, one for each type of entity".into(),
            Slot::Texts(..) => "a list of names".into(),
            Slot::Command(_) => "a list of texts, the command and its arguments".into(),
            Slot::Words(_) => "a list of texts, a command and its arguments or nothing".into(),
            Slot::Path(_) => "a path".into(),
            Slot::Paths(_) | Slot::Folders(_) => "a list of paths".into(),
            Slot::Variables(_) => "a table of texts".into(),
            Slot::Config(_) => "a table".into(),
        }
    }

    /// The bounds or the choice; empty where there are none.
    pub(crate) fn bounds(&self) -> String {
        let times = |range: &RangeInclusive<Duration>| {
            format!("{} to {}", format_duration(*range.start()), format_duration(*range.end()))
        };
        match self {
            Slot::Count(_, range) | Slot::OptionalCount(_, range) => format!("{} to {}", range.start(), range.end()),
            Slot::Time(_, range) | Slot::OptionalTime(_, range) => times(range),
            Slot::Size(_, range) => sizes(&(*range.start() as u64..=*range.end() as u64)),
            Slot::OptionalSize(_, range) | Slot::SizeOrUnlimited(_, range) => sizes(range),
            Slot::Switch(_) => "true or false".into(),
            Slot::Choice(choice) => {
                let words: Vec<String> = choice.words().iter().map(|word| format!("{word:?}")).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                    _ => words.concat(),
                }
            }
            _ => String::new(),
        }
    }

    /// The value as it would be written in a file, in JSON's terms; none for an optional limit
    /// that is off.
    pub(crate) fn value(&self) -> Value {
        let none = || Value::from(NONE);
        match self {
            Slot::Count(value, _) => Value::from(**value),
            Slot::OptionalCount(value, _) => value.map_or_else(none, Value::from),
            Slot::Time(value, _) => Value::from(format_duration(**value)),
            Slot::OptionalTime(value, _) => value.map_or_else(none, |value| Value::from(format_duration(value))),
            Slot::Size(value, _) => Value::from(format_size(**value as u64)),
            Slot::OptionalSize(value, _) => value.map_or_else(none, |value| Value::from(format_size(value))),
            Slot::SizeOrUnlimited(value, _) => Value::from(value.map_or_else(|| UNLIMITED.into(), format_size)),
            Slot::Switch(value) => Value::from(**value),
            Slot::Choice(choice) => Value::from(choice.word()),
            Slot::Text(text) => Value::from(text.as_str()),
            Slot::Name(name) => Value::from(name.as_str()),
            Slot::Names(names) => names.iter().map(ModuleName::as_str).collect(),
            Slot::Indexes(declared) => texts(declared),
            Slot::Searches(declared) => texts(declared),
            Slot::Patterns(patterns) | Slot::Entities(patterns) => patterns.iter().map(Pattern::as_str).collect(),
            Slot::Texts(texts, _) | Slot::Command(texts) | Slot::Words(texts) => {
                texts.iter().map(String::as_str).collect()
            }
            Slot::Path(path) => Value::from(path.to_string_lossy()),
            Slot::Paths(paths) => paths.iter().map(|path| path.to_string_lossy()).collect(),
            Slot::Folders(folders) => folders.iter().map(|folder| folder.name.as_str()).collect(),
            Slot::Variables(variables) => {
                variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
            }
            Slot::Config(json) => json.read().unwrap_or(Value::Null),
        }
    }

    /// What is wrong with a value that a program has set; a file's values are checked while they
    /// are read.
    pub(crate) fn check(&self) -> Result<(), String> {
        let outside = |found: String| Err(format!("expected {}, found {found}", self.bounds()));
        match self {
            Slot::Count(value, range) if !range.contains(value) => outside(value.to_string()),
            Slot::OptionalCount(Some(value), range) if !range.contains(value) => outside(value.to_string()),
            Slot::Time(value, range) if !range.contains(value) => outside(format!("{value:?}")),
            Slot::OptionalTime(Some(value), range) if !range.contains(value) => outside(format!("{value:?}")),
            Slot::Size(value, range) if !range.contains(value) => outside(format!("{value} bytes")),
            Slot::OptionalSize(Some(value), range) | Slot::SizeOrUnlimited(Some(value), range)
                if !range.contains(value) =>
            {
                outside(format!("{value} bytes"))
            }
            Slot::Texts(texts, check) => texts.iter().try_for_each(|text| check(text)),
            Slot::Entities(patterns) => patterns.iter().try_for_each(|pattern| check_entities(pattern.as_str())),
            Slot::Command(words) => check_command(words),
            Slot::Words(words) => check_words(words),
            Slot::Folders(folders) => folders.iter().try_for_each(|folder| check_folder_name(&folder.name)),
            Slot::Variables(variables) => variables.iter().try_for_each(|(name, value)| check_variable(name, value)),
            Slot::Config(json) if !json.as_str().starts_with('{') => {
                Err(format!("expected a JSON object, found {}", quote(json.as_str())))
            }
            _ => Ok(()),
        }
    }
}

/// Declarations as texts.
fn texts<T: ToString>(declared: &Declarations<T>) -> Value {
    let list = |paths: &Vec<T>| paths.iter().map(T::to_string).collect::<Value>();
    declared.iter().map(|(entity, paths)| (entity.as_str(), list(paths))).collect()
}

fn sizes(range: &RangeInclusive<u64>) -> String {
    format!("{} to {}", format_size(*range.start()), format_size(*range.end()))
}

/// Whether a pattern can be one of types of entities.
pub(crate) fn check_entities(pattern: &str) -> Result<(), String> {
    let stem = pattern.strip_suffix('*').unwrap_or(pattern);
    if pattern == "*" {
        return Ok(());
    }
    EntityName::new(stem).map(drop).map_err(|fault| fault.to_string())
}

/// What no argument, variable or path of the operating system can hold.
pub(crate) fn check_no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err(format!("expected a text without NUL, found {}", quote(text))) } else { Ok(()) }
}

/// Whether a folder can have this path inside a WebAssembly module. The runtime gets `PATH=NAME`, so that neither may
/// have a '='; the path is checked with the folder itself.
pub(crate) fn check_folder_name(name: &str) -> Result<(), String> {
    check_no_nul(name)?;
    if name.contains('=') {
        return Err(format!("expected a path without '=', found {}", quote(name)));
    }
    Ok(())
}

/// Whether `words` can be run at all; whether the program is there is another question.
pub(crate) fn check_command(words: &[String]) -> Result<(), String> {
    match words.first() {
        None => Err("expected the command and its arguments, found an empty list".into()),
        Some(program) if program.is_empty() => Err("expected a command, found an empty text".into()),
        Some(_) => words.iter().try_for_each(|word| check_no_nul(word)),
    }
}

/// A command, or nothing.
pub(crate) fn check_words(words: &[String]) -> Result<(), String> {
    if words.is_empty() { Ok(()) } else { check_command(words) }
}

/// The prefix of the variables that the host itself gives to a module.
const OWN_VARIABLES: &str = "BULKHEAD_";

pub(crate) fn check_variable_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("expected the name of a variable, without '=', found {}", quote(name)));
    }
    if name.starts_with(OWN_VARIABLES) {
        return Err(format!("expected another name, found {}: {OWN_VARIABLES}… is the host's own", quote(name)));
    }
    Ok(())
}

pub(crate) fn check_variable(name: &str, value: &str) -> Result<(), String> {
    check_variable_name(name)?;
    check_no_nul(value)
}
