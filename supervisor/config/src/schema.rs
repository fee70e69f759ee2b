//! JSON Schemas of both kinds of file, for editors: made from the tables that the checks use, so that a key, a bound or a
//! default stands in one place. `bulkhead config schema` prints them, and `docs/schemas` has them.
//!
//! A schema says less than the checks: it knows no files and no other modules, and the bounds of a duration or a size
//! are only in its description, as a schema cannot compare them.

use crate::keys::{HOST_KEYS, MODULE_KEYS, TRUSTED_USERS};
use crate::meanings::{HOST_MEANINGS, MODULE_MEANINGS, meaning};
use crate::setting::{Key, NONE, Operator, Slot, UNLIMITED};
use crate::units::{SIZE, TIME, parse_duration, parse_size};
use crate::{HostConfig, ModuleConfig, ModuleKind};
use bulkhead_protocol::ModuleName;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Which kind of file a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOf {
    /// `module.toml`.
    Module,
    /// `bulkhead.toml`.
    Host,
}

/// The version of JSON Schema that editors for TOML know.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// The names of modules. That two of them are the host's own is said beside it.
const NAME: &str = "^[a-z][a-z0-9_-]{0,63}$";

/// The types of entities.
const ENTITY: &str = "^[A-Za-z][A-Za-z0-9_-]{0,63}$";

/// Of which an editor offers those that are in the bounds of a key.
const DURATIONS: [&str; 5] = ["100ms", "5s", "2min", "1h", "7d"];
const SIZES: [&str; 4] = ["64KiB", "64MB", "64MiB", "2GiB"];

/// The schema of one kind of file, as JSON text that ends with a line end.
pub fn schema(of: SchemaOf) -> String {
    let schema = match of {
        SchemaOf::Module => module(),
        SchemaOf::Host => host(),
    };
    format!("{schema:#}\n")
}

fn module() -> Value {
    let mut kinds = kinds();
    let mut root = Section::default();
    for key in MODULE_KEYS {
        let of_kinds = kinds_with(key, &mut kinds);
        let slot = kinds.iter_mut().find_map(|(_, config)| key.slot(config)).expect("some kind has each key");
        root.insert(key.path, described(key.path, &slot, MODULE_MEANINGS, &of_kinds));
    }
    let mut schema = root.schema();
    schema["$schema"] = DIALECT.into();
    schema["title"] = "module.toml".into();
    schema["description"] = "The manifest of a module of Bulkhead.".into();
    schema["required"] = json!(["module"]);
    schema["properties"]["module"]["required"] = json!(["name"]);
    schema["allOf"] = kinds.iter_mut().map(|(kind, config)| of_kind(kind, config)).collect();
    schema
}

fn host() -> Value {
    let mut root = Section::default();
    let mut config = HostConfig::new("", "");
    for key in HOST_KEYS.iter().filter(|key| key.path != TRUSTED_USERS) {
        let slot = key.slot(&mut config).expect("every host has the keys that a file may set");
        root.insert(key.path, described(key.path, &slot, HOST_MEANINGS, &[]));
    }
    let mut kinds = kinds();
    let mut tuning = Section::default();
    for key in MODULE_KEYS.iter().filter(|key| key.operator != Operator::MayNot) {
        let of_kinds = kinds_with(key, &mut kinds);
        let slot = kinds.iter_mut().find_map(|(_, config)| key.slot(config)).expect("some kind has each key");
        let mut value = described(key.path, &slot, MODULE_MEANINGS, &of_kinds);
        // What holds without it is what the manifest says.
        value.as_object_mut().expect("a schema is an object").remove("default");
        tuning.insert(key.path.strip_prefix("module.").unwrap_or(key.path), value);
    }
    let mut tuning = tuning.schema();
    tuning["description"] = "What the host says of this module, beside its manifest.".into();
    let mut schema = root.schema();
    schema["$schema"] = DIALECT.into();
    schema["title"] = "bulkhead.toml".into();
    schema["description"] = "The host's file of Bulkhead.".into();
    schema["properties"]["module"] = json!({
        "type": "object",
        "description": "Tunes single modules, each by its name.",
        "propertyNames": name(),
        "additionalProperties": tuning,
    });
    schema
}

/// A module of each kind, by the kind's name.
fn kinds() -> Vec<(&'static str, ModuleConfig)> {
    let module = |kind| {
        let name = ModuleName::new("a").expect("it follows the rules");
        let of_kind = ModuleKind::of_name(kind).expect("it is one of the names");
        (kind, ModuleConfig::with_defaults(name, PathBuf::new(), of_kind))
    };
    ModuleKind::NAMES.map(module).into()
}

/// The kinds that have a key; none where all have it.
fn kinds_with(key: &Key<ModuleConfig>, kinds: &mut [(&'static str, ModuleConfig)]) -> Vec<&'static str> {
    let with: Vec<&str> = kinds.iter_mut().filter_map(|(kind, config)| key.slot(config).map(|_| *kind)).collect();
    if with.len() == kinds.len() { Vec::new() } else { with }
}

/// What holds for a manifest of one kind: the key that it must have, and those that it may not.
fn of_kind(kind: &str, config: &mut ModuleConfig) -> Value {
    let mut unfit = Section::default();
    for key in MODULE_KEYS {
        if key.slot(config).is_none() {
            unfit.insert(key.path, Value::Bool(false));
        }
    }
    let (required, _) = config.kind.required();
    let mut then = unfit.open_schema();
    then["properties"]["module"]["required"] = json!([required.trim_start_matches("module.")]);
    // Without a type it is the first kind.
    let mut module = json!({ "properties": { "type": { "const": kind } } });
    if kind != ModuleKind::NAMES[0] {
        module["required"] = json!(["type"]);
    }
    json!({ "if": { "properties": { "module": module } }, "then": then })
}

/// Keys by their names, and sections by theirs.
#[derive(Default)]
struct Section {
    keys: Map<String, Value>,
    sections: Vec<(String, Section)>,
}

impl Section {
    fn insert(&mut self, path: &str, value: Value) {
        let Some((section, rest)) = path.split_once('.') else {
            self.keys.insert(path.to_owned(), value);
            return;
        };
        let at = self.sections.iter().position(|(name, _)| name == section).unwrap_or_else(|| {
            self.sections.push((section.to_owned(), Section::default()));
            self.sections.len() - 1
        });
        self.sections[at].1.insert(rest, value);
    }

    /// A table with these keys and no others.
    fn schema(self) -> Value {
        let mut properties = self.keys;
        properties.extend(self.sections.into_iter().map(|(name, section)| (name, section.schema())));
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    }

    /// What holds for these keys, whatever others there are.
    fn open_schema(self) -> Value {
        let mut properties = self.keys;
        properties.extend(self.sections.into_iter().map(|(name, section)| (name, section.open_schema())));
        json!({ "properties": properties })
    }
}

/// The schema of one key, with its meaning, bounds, default and examples.
fn described(path: &str, slot: &Slot<'_>, meanings: &[(&str, &'static str)], kinds: &[&str]) -> Value {
    let mut schema = form(slot);
    let mut description = meaning(meanings, path).expect("each key has its meaning").to_owned();
    match slot {
        Slot::Time(..) | Slot::OptionalTime(..) => description += &format!(" A duration, {}.", slot.bounds()),
        Slot::Size(..) | Slot::OptionalSize(..) | Slot::SizeOrUnlimited(..) => {
            description += &format!(" A size, {}.", slot.bounds());
        }
        _ => {}
    }
    match slot {
        Slot::OptionalCount(..) | Slot::OptionalTime(..) | Slot::OptionalSize(..) => {
            description += &format!(" {NONE:?} switches it off.");
        }
        Slot::SizeOrUnlimited(..) => description += &format!(" {UNLIMITED:?} switches it off."),
        _ => {}
    }
    if !kinds.is_empty() {
        description += &format!(" Only of the type {}.", kinds.join(", "));
    }
    schema["description"] = description.into();
    // A value that is required or empty stands for no default.
    let default = slot.value();
    let is_default = match slot {
        Slot::Name(_) | Slot::Command(_) | Slot::Words(_) | Slot::Path(_) | Slot::Paths(_) => false,
        _ => !default.is_object(),
    };
    if is_default {
        schema["default"] = default;
    }
    let examples = examples(slot);
    if !examples.is_empty() {
        schema["examples"] = examples.into();
    }
    schema
}

/// Those of the examples that the key would accept.
fn examples(slot: &Slot<'_>) -> Vec<&'static str> {
    let durations = |range: &std::ops::RangeInclusive<std::time::Duration>| {
        DURATIONS.into_iter().filter(|text| parse_duration(text).is_some_and(|time| range.contains(&time))).collect()
    };
    let sizes = |from: u64, to: u64| {
        SIZES.into_iter().filter(|text| parse_size(text).is_some_and(|size| (from..=to).contains(&size))).collect()
    };
    match slot {
        Slot::Time(_, range) | Slot::OptionalTime(_, range) => durations(range),
        Slot::Size(_, range) => sizes(*range.start() as u64, *range.end() as u64),
        Slot::OptionalSize(_, range) | Slot::SizeOrUnlimited(_, range) => sizes(*range.start(), *range.end()),
        _ => Vec::new(),
    }
}

/// What the value of a key may be.
fn form(slot: &Slot<'_>) -> Value {
    let text = || json!({ "type": "string" });
    let list = |item: Value| json!({ "type": "array", "items": item });
    match slot {
        Slot::Count(_, range) => json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() }),
        Slot::OptionalCount(_, range) => json!({ "anyOf": [
            { "type": "integer", "minimum": range.start(), "maximum": range.end() },
            { "const": NONE },
        ] }),
        Slot::Time(..) => quantity(r"[0-9]+(\.[0-9]{1,9})?", TIME, None),
        Slot::OptionalTime(..) => quantity(r"[0-9]+(\.[0-9]{1,9})?", TIME, Some(NONE)),
        Slot::Size(..) => quantity("[0-9]+", SIZE, None),
        Slot::OptionalSize(..) => quantity("[0-9]+", SIZE, Some(NONE)),
        Slot::SizeOrUnlimited(..) => quantity("[0-9]+", SIZE, Some(UNLIMITED)),
        Slot::Switch(_) => json!({ "type": "boolean" }),
        Slot::Choice(choice) => json!({ "enum": choice.words() }),
        Slot::Text(_) => text(),
        Slot::Name(_) => name(),
        Slot::Names(_) => list(name()),
        Slot::Patterns(_) => list(json!({ "type": "string", "pattern": r"^([^*\s]+\*?|\*)$" })),
        Slot::Entities(_) => list(json!({ "type": "string", "pattern": r"^([A-Za-z][A-Za-z0-9_-]{0,63}\*?|\*)$" })),
        Slot::Texts(_, check) => list(checked_text(*check)),
        Slot::Command(_) => json!({ "type": "array", "items": text(), "minItems": 1 }),
        Slot::Words(_) => list(text()),
        Slot::Path(_) => path(),
        Slot::Paths(_) => list(path()),
        Slot::Folders(_) => list(json!({ "allOf": [path(), { "pattern": "^[^=]*$" }] })),
        Slot::Variables(_) => json!({
            "type": "object",
            "propertyNames": variable(),
            "additionalProperties": text(),
        }),
        Slot::Indexes(_) | Slot::Searches(_) => json!({
            "type": "object",
            "propertyNames": { "pattern": ENTITY },
            "additionalProperties": {
                "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1, "uniqueItems": true,
            },
        }),
        Slot::Config(_) => json!({ "type": "object" }),
    }
}

/// A number with one of these units, or a word in its place.
fn quantity(number: &str, units: &[(&str, u64)], word: Option<&str>) -> Value {
    let units: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
    let quantity = format!("{number}({})", units.join("|"));
    let pattern = match word {
        Some(word) => format!("^({quantity}|{word})$"),
        None => format!("^{quantity}$"),
    };
    json!({ "type": "string", "pattern": pattern })
}

/// The name of a module.
fn name() -> Value {
    json!({ "type": "string", "pattern": NAME, "not": { "enum": bulkhead_protocol::name::RESERVED } })
}

fn path() -> Value {
    json!({ "type": "string", "minLength": 1, "not": { "pattern": "^~(/|$)" } })
}

/// The name of a variable that is not the host's own.
fn variable() -> Value {
    json!({ "type": "string", "pattern": "^[^=]+$", "not": { "pattern": "^BULKHEAD_" } })
}

/// Texts of which each is checked: names of variables, or names that may be called. Which check it is shows in what
/// it refuses.
fn checked_text(check: fn(&str) -> Result<(), String>) -> Value {
    match check("A") {
        Ok(()) => variable(),
        Err(_) => json!({ "type": "string", "pattern": NAME, "not": { "const": "layer1" } }),
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
