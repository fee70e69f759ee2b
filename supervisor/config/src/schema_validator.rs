//! As much of JSON Schema (draft 7) as the schemas of this crate use, to compare them with the checks. A word that it
//! does not know is a fault of the schema, so that no part of one is passed over.

use regex_lite::Regex;
use serde_json::Value;

/// Words that say something to people and editors only.
const ANNOTATIONS: [&str; 5] = ["$schema", "title", "description", "default", "examples"];

pub(super) struct Validator(Value);

impl Validator {
    pub(super) fn new(schema: Value) -> Validator {
        Validator(schema)
    }

    pub(super) fn is_valid(&self, value: &Value) -> bool {
        self.validate(value).is_ok()
    }

    /// # Errors
    /// With the place of the first value that does not fit, and the word of the schema that it does not fit to.
    pub(super) fn validate(&self, value: &Value) -> Result<(), String> {
        check(&self.0, value, "")
    }
}

fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Bool(false) => return Err(format!("{at}: nothing may be here")),
        other => other.as_object().unwrap_or_else(|| panic!("{at}: a schema is an object or a bool, found {other}")),
    };
    for (word, rule) in schema.iter().filter(|(word, _)| !ANNOTATIONS.contains(&word.as_str())) {
        let holds = match word.as_str() {
            "type" => type_of(value).contains(&text(rule)),
            "enum" => list(rule).contains(value),
            "const" => rule == value,
            "pattern" => value.as_str().is_none_or(|text| regex(rule).is_match(text)),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= number(rule)),
            "minimum" => value.as_f64().is_none_or(|value| value >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|value| value <= rule.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= number(rule)),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= number(rule)),
            "uniqueItems" => value.as_array().is_none_or(|items| {
                let again = |(number, item): (usize, &Value)| items[..number].contains(item);
                !items.iter().enumerate().any(again)
            }),
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, item, &format!("{at}/{number}"))?;
                }
                true
            }
            "required" => {
                value.as_object().is_none_or(|object| list(rule).iter().all(|name| object.contains_key(text(name))))
            }
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(name) {
                        check(rule, member, &format!("{at}/{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let others = |name: &str| schema.get("properties").and_then(|known| known.get(name)).is_none();
                for (name, member) in value.as_object().into_iter().flatten().filter(|(name, _)| others(name)) {
                    check(rule, member, &format!("{at}/{name}"))?;
                }
                true
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
                    check(rule, &Value::from(name.as_str()), &format!("{at}/{name}"))?;
                }
                true
            }
            "allOf" => {
                list(rule).iter().try_for_each(|rule| check(rule, value, at))?;
                true
            }
            "anyOf" => list(rule).iter().any(|rule| check(rule, value, at).is_ok()),
            "not" => check(rule, value, at).is_err(),
            "if" => {
                if check(rule, value, at).is_ok() {
                    check(&schema["then"], value, at)?;
                }
                true
            }
            "then" => schema.contains_key("if"),
            unknown => panic!("{at}: a schema has the word {unknown:?}, which is not checked here"),
        };
        if !holds {
            return Err(format!("{at}: expected {word} {rule}, found {value}"));
        }
    }
    Ok(())
}

/// The types that a value has.
fn type_of(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Number(number) if number.is_f64() => &["number"],
        Value::Number(_) => &["number", "integer"],
        Value::String(_) => &["string"],
        Value::Array(_) => &["array"],
        Value::Object(_) => &["object"],
    }
}

fn regex(rule: &Value) -> Regex {
    Regex::new(text(rule)).unwrap_or_else(|error| panic!("{rule}: {error}"))
}

fn text(rule: &Value) -> &str {
    rule.as_str().unwrap_or_else(|| panic!("expected a text in the schema, found {rule}"))
}

fn number(rule: &Value) -> u64 {
    rule.as_u64().unwrap_or_else(|| panic!("expected a number in the schema, found {rule}"))
}

fn list(rule: &Value) -> &[Value] {
    rule.as_array().unwrap_or_else(|| panic!("expected a list in the schema, found {rule}"))
}
