//! Prints what is in force and where each value came from. What it prints is for people and
//! scripts; it is not meant to be read back as a file.

use crate::keys::{HOST_KEYS, MODULE_KEYS, TRUSTED_USERS};
use crate::setting::{Key, Slot};
use crate::{Loaded, Origin, Origins};
use serde_json::{Value, json};
use std::fmt::Write;

/// The version of the objects that `json` prints.
const SCHEMA: u32 = 1;

/// What is in force and where each value came from: TOML with comments, or with `json` one object
/// a line: `{"schema":1,"module":null|"name","key":"limits.queue","value":1024,"origin":"default"}`.
pub fn show(loaded: &Loaded, json: bool) -> String {
    let mut rows = rows(None, HOST_KEYS, &mut loaded.host.clone(), &loaded.host.origins);
    // It is no key of a file, and belongs to the section of those that are.
    let next = rows.iter().rposition(|row| row.key.starts_with("host.")).map_or(0, |last| last + 1);
    let trusted = Row {
        module: None,
        key: TRUSTED_USERS.into(),
        value: Value::from(loaded.host.trusted_users.clone()),
        origin: loaded.host.origins.of(TRUSTED_USERS).to_string(),
    };
    rows.insert(next, trusted);
    for module in &loaded.modules {
        let name = Some(module.name.as_str());
        let mut of_module = self::rows(name, MODULE_KEYS, &mut module.clone(), &module.origins);
        let program = module.kind.program().map(|program| ("program", program));
        let found = [("folder", module.folder.as_path())].into_iter().chain(program);
        of_module.extend(found.map(|(what, path)| Row {
            module: name,
            key: format!("module.{what}"),
            value: Value::from(path.to_string_lossy()),
            origin: "found".into(),
        }));
        // The folder and the program belong to the first section.
        of_module.sort_by_key(|row| !row.key.starts_with("module."));
        rows.extend(of_module);
    }
    if json { as_json(&rows) } else { as_toml(&rows) }
}

/// One value in force.
struct Row<'a> {
    module: Option<&'a str>,
    key: String,
    value: Value,
    origin: String,
}

fn rows<'a, T>(module: Option<&'a str>, keys: &[Key<T>], config: &mut T, origins: &Origins) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for key in keys {
        let Some(slot) = key.slot(config) else { continue };
        let row = |key: String, value, origin: &Origin| Row { module, key, value, origin: origin.to_string() };
        let members = match (&slot, slot.value()) {
            (Slot::Config(_) | Slot::Variables(_) | Slot::Indexes(_) | Slot::Searches(_), Value::Object(members))
                if !members.is_empty() =>
            {
                members
            }
            (_, value) => {
                rows.push(row(key.path.to_owned(), value, &origins.of(key.path)));
                continue;
            }
        };
        // A free table is shown member by member: each may have another origin.
        for (name, value) in members {
            let path = format!("{}.{name}", key.path);
            let origin = match origins.of(&path) {
                Origin::Default => origins.of(key.path),
                origin => origin,
            };
            rows.push(row(format!("{}.{}", key.path, key_literal(&name)), value, &origin));
        }
    }
    rows
}

fn as_json(rows: &[Row<'_>]) -> String {
    let mut out = String::new();
    for Row { module, key, value, origin } in rows {
        let line = json!({"schema": SCHEMA, "module": module, "key": key, "value": value, "origin": origin});
        writeln!(out, "{line}").expect("a String takes everything");
    }
    out
}

fn as_toml(rows: &[Row<'_>]) -> String {
    let mut out = String::new();
    let mut last = None;
    for Row { module, key, value, origin } in rows {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        let header = match module {
            Some(module) if section == "module" => format!("module.{module}"),
            Some(module) => format!("module.{module}.{section}"),
            None => section.to_owned(),
        };
        // `config` without members is a header with nothing under it.
        let line = if name.is_empty() { String::new() } else { format!("{name} = {}", literal(value)) };
        if last.as_ref() != Some(&header) {
            let gap = if last.is_some() { "\n" } else { "" };
            writeln!(out, "{gap}[{header}]").expect("a String takes everything");
            last = Some(header);
        }
        if !line.is_empty() {
            writeln!(out, "{line:<40} # {origin}").expect("a String takes everything");
        }
    }
    out
}

/// The value as TOML writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".into(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{} = {}", key_literal(name), literal(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        // JSON's escapes are TOML's too; only DEL, which JSON lets stand, is not allowed in TOML.
        Value::String(_) => value.to_string().replace('\u{7f}', "\\u007f"),
        other => other.to_string(),
    }
}

/// The key as TOML writes it: bare where that is allowed.
fn key_literal(name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if bare { name.to_owned() } else { literal(&Value::from(name)) }
}
