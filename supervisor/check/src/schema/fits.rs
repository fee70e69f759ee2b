//! Whether a schema takes a value: yes, no, or not known.

use super::{DEPTH_MAX, Schema};
use serde_json::{Map, Value};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fits {
    Yes,
    No,
    /// It has a keyword that is not known here.
    Unknown,
}

impl Fits {
    fn of(fits: bool) -> Fits {
        if fits { Fits::Yes } else { Fits::No }
    }

    /// Both hold.
    fn and(self, other: Fits) -> Fits {
        match (self, other) {
            (Fits::No, _) | (_, Fits::No) => Fits::No,
            (Fits::Unknown, _) | (_, Fits::Unknown) => Fits::Unknown,
            (Fits::Yes, Fits::Yes) => Fits::Yes,
        }
    }

    /// One of them holds.
    fn or(self, other: Fits) -> Fits {
        match (self, other) {
            (Fits::Yes, _) | (_, Fits::Yes) => Fits::Yes,
            (Fits::Unknown, _) | (_, Fits::Unknown) => Fits::Unknown,
            (Fits::No, Fits::No) => Fits::No,
        }
    }
}

/// What says nothing of values. `format` is one of these unless something else was agreed on.
const ANNOTATIONS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "format",
    "readOnly",
    "title",
    "writeOnly",
];

pub(super) fn fits(root: &Value, schema: &Value, value: &Value, depth: usize) -> Fits {
    if depth > DEPTH_MAX {
        return Fits::Unknown;
    }
    let keywords = match schema {
        Value::Bool(takes_all) => return Fits::of(*takes_all),
        Value::Object(keywords) => keywords,
        _ => return Fits::Unknown,
    };
    let all = keywords.iter().map(|(name, rule)| keyword(root, keywords, name, rule, value, depth));
    all.fold(Fits::Yes, Fits::and)
}

/// What one keyword says of a value.
fn keyword(root: &Value, schema: &Map<String, Value>, name: &str, rule: &Value, value: &Value, depth: usize) -> Fits {
    let each = |schemas: &Value| -> Option<Vec<Fits>> {
        Some(schemas.as_array()?.iter().map(|schema| fits(root, schema, value, depth + 1)).collect())
    };
    let found = match name {
        "$ref" => {
            let whole = Value::Object(schema.clone());
            Schema::resolved(root, &whole).map(|target| fits(root, target, value, depth + 1))
        }
        "type" => types(rule).map(|types| Fits::of(types.iter().any(|name| is_of_type(value, name)))),
        "const" => Some(Fits::of(same(rule, value))),
        "enum" => rule.as_array().map(|values| Fits::of(values.iter().any(|known| same(known, value)))),
        "allOf" => each(rule).map(|all| all.into_iter().fold(Fits::Yes, Fits::and)),
        "anyOf" => each(rule).map(|all| all.into_iter().fold(Fits::No, Fits::or)),
        "oneOf" => each(rule).map(|all| {
            let count = |wanted| all.iter().filter(|fits| **fits == wanted).count();
            match (count(Fits::Yes), count(Fits::Unknown)) {
                (1, 0) => Fits::Yes,
                (2.., _) | (0, 0) => Fits::No,
                _ => Fits::Unknown,
            }
        }),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => bound(name, rule, value),
        "minLength" | "maxLength" => of_length(name, rule, value.as_str().map(|text| text.chars().count())),
        "minItems" | "maxItems" => of_length(name, rule, value.as_array().map(Vec::len)),
        "minProperties" | "maxProperties" => of_length(name, rule, value.as_object().map(Map::len)),
        "required" => rule.as_array().map(|names| match value.as_object() {
            Some(object) => Fits::of(names.iter().filter_map(Value::as_str).all(|name| object.contains_key(name))),
            None => Fits::Yes,
        }),
        "properties" => Some(members(value, |name, member| {
            rule.get(name).map_or(Fits::Yes, |schema| fits(root, schema, member, depth + 1))
        })),
        "additionalProperties" if schema.contains_key("patternProperties") => None,
        "additionalProperties" => Some(members(value, |name, member| {
            let is_known = schema.get("properties").is_some_and(|known| known.get(name).is_some());
            if is_known { Fits::Yes } else { fits(root, rule, member, depth + 1) }
        })),
        "prefixItems" => rule.as_array().map(|schemas| match value.as_array() {
            Some(items) => {
                let all = schemas.iter().zip(items).map(|(schema, item)| fits(root, schema, item, depth + 1));
                all.fold(Fits::Yes, Fits::and)
            }
            None => Fits::Yes,
        }),
        "items" => Some(match value.as_array() {
            Some(items) => {
                let before = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                let all = items.iter().skip(before).map(|item| fits(root, rule, item, depth + 1));
                all.fold(Fits::Yes, Fits::and)
            }
            None => Fits::Yes,
        }),
        name if ANNOTATIONS.contains(&name) => Some(Fits::Yes),
        _ => None,
    };
    found.unwrap_or(Fits::Unknown)
}

fn members(value: &Value, check: impl Fn(&str, &Value) -> Fits) -> Fits {
    let Some(object) = value.as_object() else { return Fits::Yes };
    object.iter().map(|(name, member)| check(name, member)).fold(Fits::Yes, Fits::and)
}

fn bound(name: &str, rule: &Value, value: &Value) -> Option<Fits> {
    let limit = rule.as_f64()?;
    let Some(number) = value.as_f64() else { return Some(Fits::Yes) };
    Some(Fits::of(match name {
        "minimum" => number >= limit,
        "maximum" => number <= limit,
        "exclusiveMinimum" => number > limit,
        _ => number < limit,
    }))
}

fn of_length(name: &str, rule: &Value, length: Option<usize>) -> Option<Fits> {
    let limit = usize::try_from(rule.as_u64()?).ok()?;
    let Some(length) = length else { return Some(Fits::Yes) };
    Some(Fits::of(if name.starts_with("min") { length >= limit } else { length <= limit }))
}

/// The names of types that the keyword `type` lists.
pub(super) fn types(rule: &Value) -> Option<Vec<&str>> {
    match rule {
        Value::String(name) => Some(vec![name]),
        Value::Array(names) => names.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        // A whole number however it is written.
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    }
}

/// Whether two values are the same JSON; numbers by what they are worth.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|number| other.as_f64() == Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_keyword_takes_and_excludes() {
        let person = json!({
            "type": "object", "properties": { "name": { "type": "string", "minLength": 1 }, "age": { "type": ["integer", "null"] } },
            "required": ["name"], "additionalProperties": false,
        });
        let cases = [
            (person.clone(), json!({ "name": "Ada", "age": null }), Fits::Yes),
            (person.clone(), json!({ "name": "Ada", "age": 3.0 }), Fits::Yes),
            (person.clone(), json!({ "name": "" }), Fits::No),
            (person.clone(), json!({ "age": 3 }), Fits::No),
            (person.clone(), json!({ "name": "Ada", "shoe": 3 }), Fits::No),
            (person, json!([]), Fits::No),
            (json!({ "anyOf": [{ "type": "string" }, { "const": 7 }] }), json!(7.0), Fits::Yes),
            (json!({ "oneOf": [{ "type": "number" }, { "const": 7 }] }), json!(7), Fits::No),
            (json!({ "enum": ["a", 1, null] }), json!("b"), Fits::No),
            (json!({ "minimum": 0, "exclusiveMaximum": 1 }), json!(1), Fits::No),
            (json!({ "minimum": 0, "exclusiveMaximum": 1 }), json!("text"), Fits::Yes),
            (
                json!({ "prefixItems": [{ "type": "string" }], "items": { "type": "integer" } }),
                json!(["a", 1]),
                Fits::Yes,
            ),
            (json!({ "prefixItems": [{ "type": "string" }], "items": false }), json!(["a", 1]), Fits::No),
            (json!({ "type": "array", "maxItems": 1 }), json!([1, 2]), Fits::No),
            (
                json!({ "$defs": { "n": { "type": "integer" } }, "items": { "$ref": "#/$defs/n" } }),
                json!([1, "2"]),
                Fits::No,
            ),
            (json!({ "$ref": "#" }), json!(1), Fits::Unknown),
            (json!({ "type": "string", "pattern": "^a" }), json!("a"), Fits::Unknown),
            (json!({ "type": "string", "pattern": "^a" }), json!(1), Fits::No),
            (json!({ "type": "string", "format": "date", "description": "a day" }), json!("x"), Fits::Yes),
            (json!(false), json!(1), Fits::No),
            (json!({}), json!(1), Fits::Yes),
        ];
        for (schema, value, expected) in cases {
            assert_eq!(Schema::new(schema.clone()).fits(&value), expected, "{schema}: {value}");
        }
    }
}
