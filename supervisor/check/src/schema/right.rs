//! Values that a schema takes: the least one, and others by chance.

use super::fits::types;
use super::{Fits, Schema};
use crate::chance::Chance;
use serde_json::{Map, Number, Value, json};

/// Tries until a value is taken.
const TRIES_MAX: usize = 20;

/// How deep values are that are made by chance.
const DEPTH_MAX: usize = 6;

/// Items of a list beyond those that it must have.
const ITEMS_MAX: u64 = 3;

/// How much of a value is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Amount {
    /// What must be there.
    Least,
    /// What may be there, by chance.
    Some,
}

impl Schema {
    /// The least value, where one can be made that it is known to take.
    pub(crate) fn least(&self, chance: &mut Chance) -> Option<Value> {
        self.made(Amount::Least, chance)
    }

    /// A value by chance.
    pub(crate) fn some(&self, chance: &mut Chance) -> Option<Value> {
        self.made(Amount::Some, chance)
    }

    fn made(&self, amount: Amount, chance: &mut Chance) -> Option<Value> {
        let mut values = (0..TRIES_MAX).filter_map(|_| make(&self.root, &self.root, amount, chance, 0));
        values.find(|value| self.fits(value) == Fits::Yes)
    }
}

fn make(root: &Value, schema: &Value, amount: Amount, chance: &mut Chance, depth: usize) -> Option<Value> {
    if depth > super::DEPTH_MAX {
        return None;
    }
    let amount = if depth > DEPTH_MAX { Amount::Least } else { amount };
    let schema = Schema::resolved(root, schema)?;
    let keywords = match schema {
        Value::Bool(true) => return Some(json!({})),
        Value::Object(keywords) => keywords,
        _ => return None,
    };
    if let Some(value) = keywords.get("const") {
        return Some(value.clone());
    }
    if let Some(values) = keywords.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty()) {
        return Some(chance.one_of(values).clone());
    }
    // What its author has written is more likely to mean something than what is made.
    let written =
        keywords.get("examples").and_then(Value::as_array).into_iter().flatten().chain(keywords.get("default"));
    let written: Vec<&Value> = written.collect();
    if !written.is_empty() && chance.below(2) == 0 {
        return Some((*chance.one_of(&written)).clone());
    }
    for name in ["anyOf", "oneOf"] {
        if let Some(parts) = keywords.get(name).and_then(Value::as_array).filter(|parts| !parts.is_empty()) {
            let merged = merged(root, keywords, name, std::slice::from_ref(chance.one_of(parts)))?;
            return make(root, &merged, amount, chance, depth + 1);
        }
    }
    if let Some(parts) = keywords.get("allOf").and_then(Value::as_array) {
        return make(root, &merged(root, keywords, "allOf", parts)?, amount, chance, depth + 1);
    }
    let kinds = match keywords.get("type") {
        Some(rule) => types(rule)?,
        None => vec![implied(keywords)],
    };
    if kinds.is_empty() {
        return None;
    }
    match *chance.one_of(&kinds) {
        "null" => Some(Value::Null),
        "boolean" => Some(json!(chance.below(2) == 0)),
        "string" => Some(text(keywords, chance)),
        "integer" => number(keywords, chance, Whole::Yes),
        "number" => number(keywords, chance, Whole::No),
        "array" => list(root, keywords, amount, chance, depth),
        "object" => object(root, keywords, amount, chance, depth),
        _ => None,
    }
}

/// The keywords around an alternative, and those of the alternative.
fn merged(root: &Value, around: &Map<String, Value>, without: &str, parts: &[Value]) -> Option<Value> {
    let mut all = around.clone();
    all.remove(without);
    for part in parts {
        match Schema::resolved(root, part)? {
            Value::Bool(true) => {}
            Value::Object(part) => {
                for (name, rule) in part {
                    match (all.get_mut(name), rule) {
                        (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
                        (Some(Value::Array(known)), Value::Array(more)) if name == "required" => {
                            known.extend(more.clone())
                        }
                        _ => drop(all.insert(name.clone(), rule.clone())),
                    }
                }
            }
            _ => return None,
        }
    }
    Some(Value::Object(all))
}

/// The type that keywords are about, where none is named.
fn implied(keywords: &Map<String, Value>) -> &'static str {
    let has = |names: &[&str]| names.iter().any(|name| keywords.contains_key(*name));
    if has(&["items", "prefixItems", "minItems", "maxItems"]) {
        "array"
    } else if has(&["minLength", "maxLength"]) {
        "string"
    } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]) {
        "number"
    } else {
        // Arguments are mostly an object.
        "object"
    }
}

fn text(keywords: &Map<String, Value>, chance: &mut Chance) -> Value {
    let length =
        |name: &str| keywords.get(name).and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok());
    let least = length("minLength").unwrap_or(0).min(100_000);
    let most = length("maxLength").unwrap_or(usize::MAX);
    let texts = ["a", "plain text", "", "\u{e9}\u{1F30A} \"\\\n", "0", "null", "2026-03-01"];
    let mut letters: Vec<char> = chance.one_of(&texts).chars().take(most).collect();
    letters.extend(std::iter::repeat_n('x', least.saturating_sub(letters.len())));
    json!(letters.into_iter().collect::<String>())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Yes,
    No,
}

fn number(keywords: &Map<String, Value>, chance: &mut Chance, whole: Whole) -> Option<Value> {
    let bound = |name: &str| keywords.get(name).and_then(Value::as_f64);
    let least = bound("minimum").or(bound("exclusiveMinimum").map(|bound| bound + 1.0));
    let most = bound("maximum").or(bound("exclusiveMaximum").map(|bound| bound - 1.0));
    let mut candidates = vec![0.0, 1.0, 7.0, -1.0];
    if whole == Whole::No {
        candidates.push(0.5);
    }
    candidates.extend(least.into_iter().chain(most).chain(least.map(|least| least + 1.0)));
    let candidates: Vec<f64> = candidates
        .into_iter()
        .filter(|number| least.is_none_or(|least| *number >= least) && most.is_none_or(|most| *number <= most))
        .collect();
    if candidates.is_empty() {
        return Some(json!(0));
    }
    let number = *chance.one_of(&candidates);
    // As a whole number is written by most.
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Some(json!(number as i64));
    }
    Number::from_f64(number).map(Value::Number)
}

fn list(
    root: &Value,
    keywords: &Map<String, Value>,
    amount: Amount,
    chance: &mut Chance,
    depth: usize,
) -> Option<Value> {
    let least = keywords.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(100);
    let most = keywords.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX);
    let count = match amount {
        Amount::Least => least,
        Amount::Some => (least + chance.below(ITEMS_MAX + 1)).min(most),
    };
    let prefix = keywords.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut items = Vec::new();
    for at in 0..count {
        let schema = usize::try_from(at).ok().and_then(|at| prefix.get(at)).or(keywords.get("items"));
        match schema {
            Some(Value::Bool(false)) => break,
            Some(schema) => items.push(make(root, schema, amount, chance, depth + 1)?),
            None => items.push(json!(at)),
        }
    }
    Some(Value::Array(items))
}

fn object(
    root: &Value,
    keywords: &Map<String, Value>,
    amount: Amount,
    chance: &mut Chance,
    depth: usize,
) -> Option<Value> {
    let required = keywords.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let required: Vec<&str> = required.collect();
    let empty = Map::new();
    let properties = keywords.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let mut members = Map::new();
    for (name, schema) in properties {
        let is_required = required.contains(&name.as_str());
        if is_required || (amount == Amount::Some && chance.below(2) == 0) {
            match make(root, schema, amount, chance, depth + 1) {
                Some(value) => drop(members.insert(name.clone(), value)),
                None if is_required => return None,
                None => {}
            }
        }
    }
    let others = keywords.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
    for name in required {
        if !members.contains_key(name) {
            members.insert(name.to_owned(), make(root, &others, amount, chance, depth + 1)?);
        }
    }
    if amount == Amount::Some && others.is_object() && chance.below(2) == 0 {
        members.insert("one".to_owned(), make(root, &others, amount, chance, depth + 1)?);
    }
    Some(Value::Object(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_taken_and_the_same_for_a_seed() {
        let schemas = [
            json!({ "type": "object", "properties": { "item": { "type": "string", "minLength": 2 }, "count": { "type": "integer", "minimum": 3, "maximum": 4 } }, "required": ["item", "count"], "additionalProperties": false }),
            json!({ "type": "object", "properties": { "kind": { "enum": ["a", "b"] }, "lines": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/line" } } }, "required": ["lines"], "$defs": { "line": { "type": "object", "properties": { "n": { "type": "number" } }, "required": ["n"] } } }),
            json!({ "anyOf": [{ "type": "null" }, { "type": "object", "properties": { "deep": { "$ref": "#" } } }] }),
            json!({ "allOf": [{ "type": "object", "required": ["a"] }, { "properties": { "a": { "const": 1 } } }] }),
            json!({ "type": "object", "additionalProperties": { "type": "integer" } }),
            json!({}),
            json!(true),
        ];
        for schema in schemas {
            let schema = Schema::new(schema);
            for seed in 0..200 {
                let least = schema.least(&mut Chance::new(seed)).unwrap_or_else(|| panic!("{schema:?} with {seed}"));
                let some = schema.some(&mut Chance::new(seed)).unwrap_or_else(|| panic!("{schema:?} with {seed}"));
                assert_eq!((schema.fits(&least), schema.fits(&some)), (Fits::Yes, Fits::Yes), "{least} {some}");
                assert_eq!(schema.some(&mut Chance::new(seed)), Some(some));
            }
        }
    }

    #[test]
    fn nothing_is_made_where_it_is_not_known_whether_it_is_taken() {
        for schema in [json!({ "type": "string", "pattern": "^[a-z]+@" }), json!(false), json!({ "enum": [] })] {
            assert_eq!(Schema::new(schema.clone()).some(&mut Chance::new(1)), None, "{schema}");
        }
    }
}
