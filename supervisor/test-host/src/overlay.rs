//! What a test sets of the module: `--config` and `--set` as the text of a host's file, so that its rules for values,
//! bounds and merging are those of every host.

use crate::cli::Options;
use toml::{Table, Value};

/// Levels of a JSON object that are read.
const LEVELS_MAX: usize = 64;

/// The text of a host's file for the module `name`.
///
/// # Errors
/// A sentence, where an option is not in its form.
pub(crate) fn text(options: &Options, name: &str) -> Result<String, String> {
    let mut settings = Table::new();
    if let Some(config) = &options.config {
        settings.insert("config".into(), Value::Table(config_table(config)?));
    }
    for setting in &options.settings {
        set(&mut settings, setting)?;
    }
    if settings.is_empty() {
        return Ok(String::new());
    }
    let modules = Table::from_iter([(name.to_owned(), Value::Table(settings))]);
    let file = Table::from_iter([("module".to_owned(), Value::Table(modules))]);
    Ok(toml::to_string(&file).expect("a table of TOML is TOML"))
}

fn config_table(text: &str) -> Result<Table, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("--config: {error}"))?;
    match to_toml(&value, "config", 0)? {
        Value::Table(table) => Ok(table),
        other => Err(format!("--config: expected a JSON object, found {}", other.type_str())),
    }
}

/// The same value as TOML, which has no `null` and no integers beyond 64 bits with a sign.
fn to_toml(value: &serde_json::Value, place: &str, level: usize) -> Result<Value, String> {
    if level > LEVELS_MAX {
        return Err(format!("--config: {place}: expected at most {LEVELS_MAX} levels, found more"));
    }
    Ok(match value {
        serde_json::Value::Null => {
            return Err(format!(
                "--config: {place}: expected a value that [config] can have, found null; leave the member out"
            ));
        }
        serde_json::Value::Bool(value) => Value::Boolean(*value),
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(float)) if !number.is_u64() => Value::Float(float),
            _ => return Err(format!("--config: {place}: expected a number of 64 bits with a sign, found {number}")),
        },
        serde_json::Value::Array(list) => {
            let parts = list.iter().enumerate().map(|(at, part)| to_toml(part, &format!("{place}[{at}]"), level + 1));
            Value::Array(parts.collect::<Result<_, _>>()?)
        }
        serde_json::Value::Object(members) => {
            let part = |(name, part)| Ok((String::clone(name), to_toml(part, &format!("{place}.{name}"), level + 1)?));
            Value::Table(members.iter().map(part).collect::<Result<_, String>>()?)
        }
    })
}

fn set(settings: &mut Table, setting: &str) -> Result<(), String> {
    let (key, text) = setting
        .split_once('=')
        .ok_or_else(|| format!("--set {setting}: expected KEY=VALUE, such as limits.deadline_default=1s"))?;
    let key = key.trim();
    let path: Vec<&str> = key.strip_prefix("module.").unwrap_or(key).split('.').collect();
    if path.iter().any(|part| part.is_empty()) {
        return Err(format!("--set {setting}: expected the name of a key, found {key:?}"));
    }
    let (last, tables) = path.split_last().expect("a split has a part");
    let mut table = settings;
    for part in tables {
        let inner = table.entry(*part).or_insert_with(|| Value::Table(Table::new()));
        table =
            inner.as_table_mut().ok_or_else(|| format!("--set {setting}: {part} was set to another value before"))?;
    }
    // A variable is text, also one that looks like a number.
    let value = if path[0] == "env" { Value::String(text.into()) } else { value(text) };
    table.insert((*last).to_owned(), value);
    Ok(())
}

/// What is no value of TOML is text: a shell takes the quotes of one away.
fn value(text: &str) -> Value {
    let read: Result<Table, _> = toml::from_str(&format!("value = {text}"));
    match read {
        Ok(mut table) if table.len() == 1 => table.remove("value").unwrap_or_else(|| Value::String(text.into())),
        Ok(_) | Err(_) => Value::String(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_toml_and_otherwise_text() {
        assert_eq!(value("1s"), Value::String("1s".into()));
        assert_eq!(value("never"), Value::String("never".into()));
        assert_eq!(value("3"), Value::Integer(3));
        assert_eq!(value("false"), Value::Boolean(false));
        assert_eq!(value(r#"["A","B"]"#), Value::Array(vec!["A".into(), "B".into()]));
        assert_eq!(value("1\nother = 2"), Value::String("1\nother = 2".into()));
    }

    #[test]
    fn a_key_is_set_in_its_table_and_a_variable_is_text() {
        let mut settings = Table::new();
        for setting in ["limits.queue=5", "env.PORT=80", "module.spares=1", "limits.deadline_default=1s"] {
            set(&mut settings, setting).unwrap();
        }
        let expected: Table =
            toml::from_str("spares = 1\n[env]\nPORT = \"80\"\n[limits]\nqueue = 5\ndeadline_default = \"1s\"\n")
                .unwrap();
        assert_eq!(settings, expected);
    }

    #[test]
    fn what_toml_cannot_hold_is_refused_with_its_place() {
        let refused = config_table(r#"{"a":[1,{"b":null}]}"#).unwrap_err();
        assert!(refused.contains("config.a[1].b") && refused.contains("null"), "{refused}");
        let refused = config_table(r#"{"n":18446744073709551615}"#).unwrap_err();
        assert!(refused.contains("config.n"), "{refused}");
        assert!(config_table("[1]").unwrap_err().contains("expected a JSON object"));
        assert_eq!(config_table(r#"{"f":1.5,"t":"x"}"#).unwrap().len(), 2);
    }
}
