//! Reads one TOML value into one setting, or reports what was expected and what was found. Which value belongs to which
//! setting is decided in `fill.rs`.

use crate::document::{Document, Position, found, quote};
use crate::setting::{
    NONE, Slot, UNLIMITED, check_command, check_entities, check_folder_name, check_no_nul, check_variable, check_words,
};
use crate::units::{parse_duration, parse_size};
use crate::{Declarations, Folder, Problem};
use bulkhead_protocol::layer1::{EntityName, Fault, MemberPath, Path as DeclaredPath};
use bulkhead_protocol::{Json, ModuleName, Pattern};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Paths that may be declared for one type of entity.
const DECLARED_PATHS_MAX: usize = 64;

/// Where each value was written last: by the key's full name, and for elements of a list or table by `name[0]` or
/// `name.member`.
pub(crate) type Positions = BTreeMap<String, Position>;

/// One value of a document, about to be read.
pub(crate) struct Reading<'a> {
    pub(crate) document: &'a Document,
    /// The key's full name, under which its position is noted.
    pub(crate) path: &'a str,
    /// The key as the person wrote it.
    pub(crate) label: &'a str,
    /// Whether the value may only narrow what is there.
    pub(crate) narrows: bool,
    pub(crate) value: &'a Spanned<DeValue<'a>>,
    pub(crate) problems: &'a mut Vec<Problem>,
    pub(crate) positions: &'a mut Positions,
}

impl Reading<'_> {
    /// Reads the value into `slot`; what doesn't fit is reported and leaves the slot as it was.
    pub(crate) fn into_slot(mut self, slot: Slot<'_>) {
        let value = self.value.get_ref();
        // A quantity in the right form that is refused is out of its bounds.
        let in_form = match slot {
            Slot::Time(..) | Slot::OptionalTime(..) => time(value).is_some(),
            Slot::Size(..) | Slot::OptionalSize(..) | Slot::SizeOrUnlimited(..) => size(value).is_some(),
            _ => false,
        };
        let expected = if in_form { slot.bounds() } else { slot.expected() };
        let fits = match slot {
            Slot::Count(target, range) => put(target, count(value).filter(|n| range.contains(n))),
            Slot::OptionalCount(target, range) => optional(target, value, count(value).filter(|n| range.contains(n))),
            Slot::Time(target, range) => put(target, time(value).filter(|t| range.contains(t))),
            Slot::OptionalTime(target, range) => optional(target, value, time(value).filter(|t| range.contains(t))),
            Slot::Size(target, range) => {
                let bytes = size(value).and_then(|bytes| usize::try_from(bytes).ok());
                put(target, bytes.filter(|bytes| range.contains(bytes)))
            }
            Slot::OptionalSize(target, range) => optional(target, value, size(value).filter(|n| range.contains(n))),
            Slot::SizeOrUnlimited(target, range) => {
                let bytes = size(value).filter(|n| range.contains(n));
                put(target, if value.as_str() == Some(UNLIMITED) { Some(None) } else { bytes.map(Some) })
            }
            Slot::Switch(target) if self.narrows && !*target && value.as_bool() == Some(true) => {
                self.report("expected false, as the manifest has it, found true; grant it in the manifest".into());
                true
            }
            Slot::Switch(target) => put(target, value.as_bool()),
            Slot::Choice(target) => target.choose(value.as_str().unwrap_or_default()),
            Slot::Text(target) => put(target, value.as_str().map(str::to_owned)),
            Slot::Name(target) => self.name(target),
            Slot::Names(target) => self.list(target, |_, text| ModuleName::new(text).map_err(|e| e.to_string())),
            Slot::Patterns(target) => self.list(target, narrowed_pattern),
            Slot::Entities(target) => self.list(target, |granted, text| {
                check_entities(text)?;
                narrowed_pattern(granted, text)
            }),
            Slot::Indexes(target) => self.declarations(target, DeclaredPath::new),
            Slot::Searches(target) => self.declarations(target, member),
            Slot::Texts(target, check) => self.list(target, |granted, text| {
                check(text)?;
                match granted {
                    Some(granted) if !granted.iter().any(|name| name == text) => Err(not_granted(text)),
                    _ => Ok(text.to_owned()),
                }
            }),
            Slot::Command(target) => self.command(target, check_command),
            Slot::Words(target) => self.command(target, check_words),
            Slot::Path(target) => self.path(target),
            Slot::Paths(target) => {
                let folder = self.document.folder.clone();
                self.list(target, |_, text| absolute(&folder, text))
            }
            Slot::Folders(target) => {
                let folder = self.document.folder.clone();
                self.list(target, |granted, text| granted_folder(&folder, granted, text))
            }
            Slot::Variables(target) => self.variables(target),
            Slot::Config(target) => self.config(target),
        };
        if fits {
            return;
        }
        let unit = match value {
            DeValue::Integer(_) | DeValue::Float(_) if expected.contains("such as") => "; write the unit too",
            _ => "",
        };
        self.report(format!("expected {expected}, found {}{unit}", found(value)));
    }

    fn report(&mut self, message: String) {
        self.report_at(self.value, message);
    }

    fn report_at(&mut self, value: &Spanned<DeValue<'_>>, message: String) {
        self.problems.push(self.document.problem(value.span(), format!("{}: {message}", self.label)));
    }

    fn note(&mut self, path: String, offset: usize) {
        self.positions.insert(path, self.document.position(offset));
    }

    fn name(&mut self, target: &mut ModuleName) -> bool {
        let Some(text) = self.value.get_ref().as_str() else { return false };
        match ModuleName::new(text) {
            Ok(name) => *target = name,
            Err(error) => self.report(error.to_string()),
        }
        true
    }

    /// Reads a list of texts. `element` gets what the list held before where the value may only narrow it.
    fn list<T>(&mut self, target: &mut Vec<T>, element: impl Fn(Option<&[T]>, &str) -> Result<T, String>) -> bool {
        let Some(array) = self.value.get_ref().as_array() else { return false };
        let mut read = Vec::with_capacity(array.len());
        for item in array {
            let Some(text) = item.get_ref().as_str() else {
                self.report_at(item, format!("expected a text in the list, found {}", found(item.get_ref())));
                continue;
            };
            match element(self.narrows.then_some(target.as_slice()), text) {
                Ok(value) => {
                    self.note(format!("{}[{}]", self.path, read.len()), item.span().start);
                    read.push(value);
                }
                Err(message) => self.report_at(item, message),
            }
        }
        *target = read;
        true
    }

    fn command(&mut self, target: &mut Vec<String>, check: fn(&[String]) -> Result<(), String>) -> bool {
        if let DeValue::String(text) = self.value.get_ref() {
            let words: Vec<&str> = text.split_whitespace().collect();
            self.report(format!("expected a list, found a text; write {}", Value::from(words)));
            return true;
        }
        let problems = self.problems.len();
        if !self.list(target, |_, text| Ok(text.to_owned())) {
            return false;
        }
        if self.problems.len() == problems
            && let Err(message) = check(target)
        {
            self.report(message);
        }
        true
    }

    fn path(&mut self, target: &mut PathBuf) -> bool {
        let Some(text) = self.value.get_ref().as_str() else { return false };
        match absolute(&self.document.folder, text) {
            Ok(path) => *target = path,
            Err(message) => self.report(message),
        }
        true
    }

    fn variables(&mut self, target: &mut BTreeMap<String, String>) -> bool {
        let Some(table) = self.value.get_ref().as_table() else { return false };
        for (name, item) in table {
            let Some(text) = item.get_ref().as_str() else {
                let message = format!("expected a text for {}, found {}", quote(name.get_ref()), found(item.get_ref()));
                self.report_at(item, message);
                continue;
            };
            if let Err(message) = check_variable(name.get_ref(), text) {
                self.report_at(item, message);
            }
            self.note(format!("{}.{}", self.path, name.get_ref()), name.span().start);
            target.insert(name.get_ref().to_string(), text.to_owned());
        }
        true
    }

    /// Reads a table that has a list of paths for each type of entity.
    fn declarations<T: PartialEq>(
        &mut self,
        target: &mut Declarations<T>,
        path: impl Fn(&str) -> Result<T, Fault>,
    ) -> bool {
        let Some(table) = self.value.get_ref().as_table() else { return false };
        for (name, item) in table {
            let entity = match EntityName::new(name.get_ref()) {
                Ok(entity) => entity,
                Err(fault) => {
                    let message = format!("{}: {fault}", self.label);
                    self.problems.push(self.document.problem(name.span(), message));
                    continue;
                }
            };
            self.note(format!("{}.{}", self.path, entity), name.span().start);
            let Some(array) = item.get_ref().as_array().filter(|array| !array.is_empty()) else {
                let found = if item.get_ref().is_array() { "an empty list".into() } else { found(item.get_ref()) };
                self.report_at(item, format!("expected a list of paths for {entity}, found {found}"));
                continue;
            };
            let mut paths = Vec::with_capacity(array.len());
            for element in array {
                let read = match element.get_ref().as_str() {
                    Some(text) => path(text).map_err(|fault| fault.to_string()),
                    None => Err(format!("expected a path, a text, found {}", found(element.get_ref()))),
                };
                match read {
                    Ok(_) if paths.len() == DECLARED_PATHS_MAX => {
                        let message = format!("expected at most {DECLARED_PATHS_MAX} paths for {entity}, found more");
                        self.report_at(element, message);
                        break;
                    }
                    Ok(path) if paths.contains(&path) => self.report_at(element, "this path stands here twice".into()),
                    Ok(path) => paths.push(path),
                    Err(message) => self.report_at(element, message),
                }
            }
            target.insert(entity, paths);
        }
        true
    }

    /// Merges a table into the module's own configuration, member by member of its first level.
    fn config(&mut self, target: &mut Json) -> bool {
        let Some(table) = self.value.get_ref().as_table() else { return false };
        let mut merged: serde_json::Map<String, Value> = target.read().unwrap_or_default();
        for (name, item) in table {
            self.note(format!("{}.{}", self.path, name.get_ref()), name.span().start);
            match json(item) {
                Ok(value) => {
                    merged.insert(name.get_ref().to_string(), value);
                }
                Err((at, message)) => self.report_at(at, message),
            }
        }
        *target = Json::of(&merged);
        true
    }
}

/// Only an entity's own members are searched.
fn member(text: &str) -> Result<MemberPath, Fault> {
    match DeclaredPath::new(text)? {
        DeclaredPath::Member(path) => Ok(path),
        DeclaredPath::Column(column) => {
            Err(Fault::new(format!("expected the path of a member, found {:?}", column.name())))
        }
    }
}

fn put<T>(target: &mut T, value: Option<T>) -> bool {
    let fits = value.is_some();
    if let Some(value) = value {
        *target = value;
    }
    fits
}

fn optional<T>(target: &mut Option<T>, value: &DeValue<'_>, read: Option<T>) -> bool {
    if value.as_str() == Some(NONE) {
        *target = None;
        return true;
    }
    put(target, read.map(Some))
}

fn count(value: &DeValue<'_>) -> Option<usize> {
    let number = value.as_integer()?;
    usize::from_str_radix(number.as_str(), number.radix()).ok()
}

fn time(value: &DeValue<'_>) -> Option<Duration> {
    value.as_str().and_then(parse_duration)
}

fn size(value: &DeValue<'_>) -> Option<u64> {
    value.as_str().and_then(parse_size)
}

fn absolute(folder: &Path, text: &str) -> Result<PathBuf, String> {
    check_no_nul(text)?;
    if text.is_empty() {
        return Err("expected a path, found an empty text".into());
    }
    if text == "~" || text.starts_with("~/") {
        return Err(format!("expected a path without '~', found {}; write the whole path", quote(text)));
    }
    std::path::absolute(folder.join(text)).map_err(|error| format!("no such path: {error}"))
}

fn narrowed_pattern(granted: Option<&[Pattern]>, text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::new(text).map_err(|error| error.to_string())?;
    match granted {
        Some(granted) if !granted.iter().any(|wide| covers(wide, text)) => Err(not_granted(text)),
        _ => Ok(pattern),
    }
}

/// The folder that `text` means. A folder that is granted already is named by the path with which it was granted,
/// wherever the narrowing file is.
fn granted_folder(folder: &Path, granted: Option<&[Folder]>, text: &str) -> Result<Folder, String> {
    if let Some(granted) = granted {
        return granted.iter().find(|known| known.name == text).cloned().ok_or_else(|| not_granted(text));
    }
    check_folder_name(text)?;
    Ok(Folder { name: text.to_owned(), path: absolute(folder, text)? })
}

/// Whether everything that the pattern `narrow` chooses is also chosen by `wide`.
fn covers(wide: &Pattern, narrow: &str) -> bool {
    match (wide.as_str().strip_suffix('*'), narrow.strip_suffix('*')) {
        (Some(wide), Some(narrow)) => narrow.starts_with(wide),
        (None, Some(_)) => false,
        (_, None) => wide.matches(narrow),
    }
}

fn not_granted(text: &str) -> String {
    format!("expected a part of what the manifest grants, found {}; grant it in the manifest", quote(text))
}

/// The value as JSON; dates become texts.
fn json<'a, 'i>(value: &'a Spanned<DeValue<'i>>) -> Result<Value, (&'a Spanned<DeValue<'i>>, String)> {
    let fail = |message: &str| Err((value, format!("{message}, found {}", found(value.get_ref()))));
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => return fail("expected a whole number of at most 64 bits"),
        },
        DeValue::Float(number) => match number.as_str().parse().ok().and_then(serde_json::Number::from_f64) {
            Some(number) => Value::Number(number),
            None => return fail("expected a number that JSON can hold"),
        },
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(array) => Value::Array(array.iter().map(json).collect::<Result<_, _>>()?),
        DeValue::Table(table) => Value::Object(object(table)?),
    })
}

type JsonObject = serde_json::Map<String, Value>;

fn object<'a, 'i>(table: &'a DeTable<'i>) -> Result<JsonObject, (&'a Spanned<DeValue<'i>>, String)> {
    table.iter().map(|(name, value)| Ok((name.get_ref().to_string(), json(value)?))).collect()
}
