//! What a JSON Schema says to a person: the first level of its members, and types in words. It is read leniently and
//! only shown; what it would accept is not known here.

use bulkhead_protocol::Json;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// How far references, and types within types, are followed.
const DEPTH_MAX: usize = 4;

/// Alternatives of a type that are named.
const ALTERNATIVES_MAX: usize = 8;

/// A member of an object, as its schema describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    /// Its name.
    pub(crate) name: String,
    /// Its type in words.
    pub(crate) kind: String,
    /// Whether a text is one of its values.
    pub(crate) is_text: bool,
    /// Whether it has to be there.
    pub(crate) is_required: bool,
    /// What it is without it, as JSON.
    pub(crate) default: Option<String>,
    /// What it is for.
    pub(crate) description: String,
}

/// A schema as a whole.
#[derive(Debug)]
pub(super) struct Schema {
    root: Value,
    /// The names of its members, in their order.
    order: Vec<String>,
}

impl Schema {
    /// `None` of one that is nested too deeply to be looked into.
    pub(super) fn read(text: &Json) -> Option<Schema> {
        let root = text.read().ok()?;
        let order = text.read::<Ordered>().map(|ordered| ordered.properties.0).unwrap_or_default();
        Some(Schema { root, order })
    }

    /// The type of the whole in words.
    pub(super) fn kind(&self) -> String {
        kind(&self.root, &self.root, 0)
    }

    /// What the whole is for.
    pub(super) fn description(&self) -> &str {
        text_of(resolved(&self.root, &self.root), "description")
    }

    /// Its members, those that are required first.
    pub(super) fn members(&self) -> Vec<Argument> {
        let object = resolved(&self.root, &self.root);
        let Some(properties) = object.get("properties").and_then(Value::as_object) else { return Vec::new() };
        let required = object.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        let known = self.order.iter().filter_map(|name| properties.get_key_value(name));
        // Those that a reference leads to have the order of their names.
        let others = properties.iter().filter(|(name, _)| !self.order.contains(name));
        let mut members: Vec<Argument> = known
            .chain(others)
            .map(|(name, schema)| Argument {
                name: name.clone(),
                kind: kind(schema, &self.root, 0),
                is_text: is_text(schema, &self.root, 0),
                is_required: is_required(name),
                default: schema.get("default").map(Value::to_string),
                description: described(schema, &self.root),
            })
            .collect();
        members.sort_by_key(|member| !member.is_required);
        members
    }
}

/// The arguments that a schema names.
pub(crate) fn arguments(schema: &Json) -> Vec<Argument> {
    Schema::read(schema).map(|schema| schema.members()).unwrap_or_default()
}

/// The names of the members of `properties`, in their order.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Ordered {
    properties: Names,
}

#[derive(Default)]
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        struct Listen;
        impl<'de> Visitor<'de> for Listen {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Listen)
    }
}

/// The schema that this one refers to, in the same text; itself, if it refers to none that is there.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let mut found = schema;
    for _ in 0..DEPTH_MAX {
        let reference = found.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        match reference.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => found = next,
            None => break,
        }
    }
    found
}

fn text_of<'a>(schema: &'a Value, member: &str) -> &'a str {
    schema.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// What a member is for: in its own words, else in those of what it refers to.
fn described(schema: &Value, root: &Value) -> String {
    let own = text_of(schema, "description");
    if own.is_empty() { text_of(resolved(schema, root), "description").to_owned() } else { own.to_owned() }
}

/// A type in words.
fn kind(schema: &Value, root: &Value, depth: usize) -> String {
    let schema = match resolved(schema, root) {
        Value::Object(schema) => schema,
        Value::Bool(false) => return "nothing".into(),
        _ => return "anything".into(),
    };
    if let Some(only) = schema.get("const") {
        return only.to_string();
    }
    if let Some(all) = schema.get("enum").and_then(Value::as_array) {
        return either(all.iter().map(Value::to_string));
    }
    for of in ["anyOf", "oneOf"] {
        if let Some(all) = schema.get(of).and_then(Value::as_array)
            && !schema.contains_key("type")
        {
            return match depth < DEPTH_MAX {
                true => either(all.iter().map(|one| kind(one, root, depth + 1))),
                false => "one of several".into(),
            };
        }
    }
    match schema.get("type") {
        Some(Value::String(name)) => typed(name, schema, root, depth),
        Some(Value::Array(names)) => {
            either(names.iter().filter_map(Value::as_str).map(|name| typed(name, schema, root, depth)))
        }
        _ if schema.contains_key("properties") => "object".into(),
        _ if schema.contains_key("items") => typed("array", schema, root, depth),
        _ => "anything".into(),
    }
}

/// A type that has a name, with what bounds it.
fn typed(name: &str, schema: &Map<String, Value>, root: &Value, depth: usize) -> String {
    match name {
        "array" => match schema.get("items") {
            Some(items) if depth < DEPTH_MAX => format!("list of {}", kind(items, root, depth + 1)),
            _ => "list".into(),
        },
        "string" => match schema.get("format").and_then(Value::as_str) {
            Some(format) => format!("text ({format})"),
            None => "text".into(),
        },
        "integer" | "number" => match (schema.get("minimum"), schema.get("maximum")) {
            (Some(least), Some(most)) => format!("{name}, {least} to {most}"),
            (Some(least), None) => format!("{name}, at least {least}"),
            (None, Some(most)) => format!("{name}, at most {most}"),
            (None, None) => name.to_owned(),
        },
        "boolean" => "true or false".into(),
        other => other.to_owned(),
    }
}

fn either(all: impl Iterator<Item = String>) -> String {
    let mut named = Vec::new();
    for (at, one) in all.enumerate() {
        if at == ALTERNATIVES_MAX {
            named.push("…".to_owned());
            break;
        }
        if !named.contains(&one) {
            named.push(one);
        }
    }
    named.join(" or ")
}

/// Whether a text is one of the values, so that it can be given as it stands.
fn is_text(schema: &Value, root: &Value, depth: usize) -> bool {
    let schema = resolved(schema, root);
    if depth > DEPTH_MAX {
        return false;
    }
    let is_string = |value: &Value| value == "string";
    let by_type = match schema.get("type") {
        Some(Value::Array(names)) => names.iter().any(is_string),
        Some(name) => is_string(name),
        None => false,
    };
    let by_value = schema.get("const").is_some_and(Value::is_string)
        || schema.get("enum").and_then(Value::as_array).is_some_and(|all| all.iter().all(Value::is_string));
    let alternatives = ["anyOf", "oneOf"].iter().filter_map(|of| schema.get(*of)?.as_array()).flatten();
    by_type || by_value || alternatives.into_iter().any(|one| is_text(one, root, depth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Schema {
        Schema::read(&Json::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn types_are_described_in_words() {
        for (text, expected) in [
            ("true", "anything"),
            ("false", "nothing"),
            ("{}", "anything"),
            (r#"{"type":"string"}"#, "text"),
            (r#"{"type":"string","format":"date-time"}"#, "text (date-time)"),
            (r#"{"type":["string","null"]}"#, "text or null"),
            (r#"{"anyOf":[{"type":"integer"},{"type":"null"}]}"#, "integer or null"),
            (r#"{"enum":["a",1,null]}"#, r#""a" or 1 or null"#),
            (r#"{"enum":[1,2,3,4,5,6,7,8,9,10]}"#, "1 or 2 or 3 or 4 or 5 or 6 or 7 or 8 or …"),
            (r#"{"const":"x"}"#, r#""x""#),
            (r#"{"type":"integer","minimum":1,"maximum":9}"#, "integer, 1 to 9"),
            (r#"{"type":"number","minimum":0.5}"#, "number, at least 0.5"),
            (r#"{"type":"boolean"}"#, "true or false"),
            (r#"{"type":"array","items":{"type":"array","items":{"type":"string"}}}"#, "list of list of text"),
            (r#"{"properties":{}}"#, "object"),
            (r##"{"$ref":"#/$defs/N","$defs":{"N":{"type":"integer"}}}"##, "integer"),
            (r##"{"$ref":"#/$defs/N"}"##, "anything"),
            (r#"{"type":7,"enum":{}}"#, "anything"),
        ] {
            assert_eq!(schema(text).kind(), expected, "{text}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_or_has_no_end_is_shown_in_part() {
        assert_eq!(schema(r##"{"$ref":"#"}"##).kind(), "anything");
        let tree = r##"{"type":"array","items":{"$ref":"#"}}"##;
        assert_eq!(schema(tree).kind(), "list of list of list of list of list");
        let either = r##"{"anyOf":[{"$ref":"#"},{"type":"null"}]}"##;
        assert!(schema(either).kind().contains("null"));
        assert!(!is_text(&schema(either).root, &schema(either).root, 0));
        let deep = format!("{}true{}", r#"{"not":"#.repeat(1000), "}".repeat(1000));
        assert!(Schema::read(&Json::parse(&deep).unwrap()).is_none());
    }

    #[test]
    fn members_are_listed_in_the_order_of_the_schema_the_required_ones_first() {
        let text = r##"{"type":"object","properties":{"z":{"type":"string","default":"x","description":"last"},
            "b":{"$ref":"#/$defs/B"},"a":true},"required":["a"],"$defs":{"B":{"enum":["p","q"],"description":"which"}}}"##;
        let members = schema(text).members();
        let listed: Vec<_> = members.iter().map(|it| (&*it.name, &*it.kind, it.is_text, it.is_required)).collect();
        let expected =
            [("a", "anything", false, true), ("z", "text", true, false), ("b", r#""p" or "q""#, true, false)];
        assert_eq!(listed, expected);
        assert_eq!((members[1].default.as_deref(), &*members[1].description), (Some("\"x\""), "last"));
        assert_eq!((&members[2].default, &*members[2].description), (&None, "which"));
        let referred = schema(r##"{"$ref":"#/$defs/A","$defs":{"A":{"properties":{"b":true,"a":true}}}}"##);
        assert_eq!(referred.members().len(), 2);
        assert!(schema(r#"{"properties":[1],"required":5}"#).members().is_empty());
    }
}
