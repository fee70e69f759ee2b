//! From a JSON Schema 2020-12, as schemars makes it, to a [`Shape`]. What has no form that is known here becomes
//! [`Shape::Own`]: the type decides, as it does about every value that fits.

use super::{Bounds, Member, Others, Shape, Shapes};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// Keywords of schemas that are more than a type with its bounds.
const COMBINING: [&str; 11] = [
    "allOf",
    "dependentSchemas",
    "else",
    "if",
    "patternProperties",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contains",
    "$dynamicRef",
    "$anchor",
];

/// Keywords that do not stand beside a reference or alternatives whose form is known here.
const ASSERTING: [&str; 8] =
    ["type", "properties", "required", "additionalProperties", "items", "enum", "const", "not"];

/// Reads a schema; what it refers to is in `$defs` of `definitions`.
pub(in crate::described) fn compile(schema: &Value, definitions: &Map<String, Value>) -> Shapes {
    let mut compiler = Compiler { definitions, numbers: BTreeMap::new(), referred: Vec::new() };
    let root = compiler.shape(schema);
    Shapes { root, referred: compiler.referred }
}

struct Compiler<'a> {
    definitions: &'a Map<String, Value>,
    /// The places of the definitions in `referred`.
    numbers: BTreeMap<String, usize>,
    referred: Vec<Shape>,
}

impl Compiler<'_> {
    fn shape(&mut self, schema: &Value) -> Shape {
        match schema {
            Value::Bool(true) => Shape::Anything,
            Value::Bool(false) => Shape::Nothing,
            Value::Object(keywords) => self.keywords(keywords),
            _ => Shape::Own,
        }
    }

    fn keywords(&mut self, keywords: &Map<String, Value>) -> Shape {
        if COMBINING.iter().any(|keyword| keywords.contains_key(*keyword)) {
            return Shape::Own;
        }
        let is_alone = || !ASSERTING.iter().any(|keyword| keywords.contains_key(*keyword));
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            return if is_alone() { self.reference(reference) } else { Shape::Own };
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(Value::Array(parts)) = keywords.get(keyword) {
                return if is_alone() { self.any_of(parts) } else { Shape::Own };
            }
        }
        if let Some(value) = keywords.get("const") {
            return one_of(std::slice::from_ref(value));
        }
        if let Some(Value::Array(values)) = keywords.get("enum") {
            return one_of(values);
        }
        match keywords.get("type") {
            Some(Value::String(kind)) => self.of_type(kind, keywords),
            Some(Value::Array(kinds)) => {
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
                let parts = kinds.iter().map(|kind| self.of_type(kind, keywords)).collect();
                Shape::AnyOf(parts)
            }
            Some(_) => Shape::Own,
            None if is_alone() => Shape::Anything,
            None => Shape::Own,
        }
    }

    fn any_of(&mut self, parts: &[Value]) -> Shape {
        let mut shapes = Vec::new();
        for part in parts {
            match self.shape(part) {
                Shape::AnyOf(inner) => shapes.extend(inner),
                shape => shapes.push(shape),
            }
        }
        Shape::AnyOf(shapes)
    }

    fn reference(&mut self, reference: &str) -> Shape {
        let Some(name) = reference.strip_prefix("#/$defs/") else { return Shape::Own };
        if let Some(number) = self.numbers.get(name) {
            return Shape::Reference(*number);
        }
        let Some(definition) = self.definitions.get(name).cloned() else { return Shape::Own };
        // Its place is known before it is read, as it may refer to itself.
        let number = self.referred.len();
        self.referred.push(Shape::Own);
        self.numbers.insert(name.to_owned(), number);
        self.referred[number] = self.shape(&definition);
        Shape::Reference(number)
    }

    fn of_type(&mut self, kind: &str, keywords: &Map<String, Value>) -> Shape {
        match kind {
            "string" => Shape::Text { characters: lengths(keywords, "minLength", "maxLength") },
            "integer" => integer(keywords),
            "number" => {
                let [min, max] = ["minimum", "maximum"].map(|keyword| keywords.get(keyword).and_then(Value::as_f64));
                let is_single = keywords.get("format").is_some_and(|format| format == "float");
                Shape::Number { is_single, bounds: Bounds { min, max } }
            }
            "boolean" => Shape::Boolean,
            "null" => Shape::Null,
            "array" => self.list(keywords),
            "object" => self.object(keywords),
            _ => Shape::Own,
        }
    }

    fn list(&mut self, keywords: &Map<String, Value>) -> Shape {
        let first = match keywords.get("prefixItems") {
            Some(Value::Array(first)) => first.iter().map(|schema| self.shape(schema)).collect(),
            _ => Vec::new(),
        };
        let others = Box::new(keywords.get("items").map_or(Shape::Anything, |schema| self.shape(schema)));
        Shape::List { first, others, length: lengths(keywords, "minItems", "maxItems") }
    }

    fn object(&mut self, keywords: &Map<String, Value>) -> Shape {
        let none = Map::new();
        let properties = keywords.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let required: Vec<&str> = match keywords.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        // Those that are required are in the order of the type, the others in that of their names.
        let names = required.iter().copied().filter(|name| properties.contains_key(*name));
        let optional = properties.keys().map(String::as_str).filter(|name| !required.contains(name));
        let members = names
            .chain(optional)
            .map(|name| Member {
                name: name.to_owned(),
                shape: self.shape(&properties[name]),
                is_required: required.contains(&name),
            })
            .collect::<Vec<_>>();
        let others = match keywords.get("additionalProperties") {
            Some(Value::Bool(false)) => Others::Refused,
            Some(schema @ Value::Object(_)) => Others::Each(Box::new(self.shape(schema))),
            Some(Value::Bool(true)) if members.is_empty() => Others::Each(Box::new(Shape::Anything)),
            _ => Others::Ignored,
        };
        Shape::Object { members, others }
    }
}

fn lengths(keywords: &Map<String, Value>, min: &str, max: &str) -> Bounds<usize> {
    let length = |keyword: &str| keywords.get(keyword).and_then(Value::as_u64).and_then(|value| value.try_into().ok());
    // A least length of nothing is none.
    Bounds { min: length(min).filter(|min| *min > 0), max: length(max) }
}

/// The bounds of the whole numbers of Rust, by the name that schemars gives their format.
pub(in crate::described) fn bounds_of_format(format: &str) -> Bounds<i128> {
    let (min, max) = match format {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" => (i64::MIN.into(), i64::MAX.into()),
        "int" => (isize::MIN as i128, isize::MAX as i128),
        "int128" => return Bounds { min: Some(i128::MIN), max: Some(i128::MAX) },
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" => (0, u64::MAX.into()),
        "uint" => (0, usize::MAX as i128),
        // The upper half of it is read by the type alone.
        "uint128" => return Bounds { min: Some(0), max: None },
        _ => return Bounds::NONE,
    };
    Bounds { min: Some(min), max: Some(max) }
}

fn integer(keywords: &Map<String, Value>) -> Shape {
    let own = keywords.get("format").and_then(Value::as_str).map_or(Bounds::NONE, bounds_of_format);
    let bound = |keyword: &str| keywords.get(keyword).and_then(Value::as_number).and_then(Number::as_i128);
    let min = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|bound| bound.saturating_add(1)));
    let max = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|bound| bound.saturating_sub(1)));
    let bounds = Bounds { min: min.or(own.min), max: max.or(own.max) };
    // What has no format of Rust may have a type that takes more, such as a float.
    Shape::Integer { bounds, is_narrowed: bounds != own || own == Bounds::NONE }
}

fn one_of(values: &[Value]) -> Shape {
    let is_plain = |value: &Value| !value.is_array() && !value.is_object() && !value.is_f64();
    if values.iter().all(is_plain) { Shape::OneOf(values.iter().map(Value::to_string).collect()) } else { Shape::Own }
}
