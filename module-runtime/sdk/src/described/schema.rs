//! JSON Schemas 2020-12 of types of Rust, made so that they say what is read: the bounds of each whole number stand
//! there, and a set, which takes the same element twice, does not say otherwise.

use super::shape::compile::bounds_of_format;
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// What makes the schema of a type; `None` of JSON as it is.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Option<Schema>;

/// Schemas, and what they refer to.
pub(super) struct Schemas {
    /// `None` of JSON as it is.
    pub(super) of_each: Vec<Option<Value>>,
    pub(super) definitions: Map<String, Value>,
}

/// Which way values of a type go: a type may be written otherwise than it is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Read,
    Written,
}

/// The schemas of these types. Their definitions are one set, so that they can stand in one text.
pub(super) fn schemas(types: &[SchemaOf], way: Way) -> Schemas {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut generator = match way {
        Way::Read => settings.for_deserialize(),
        Way::Written => settings.for_serialize(),
    }
    .into_generator();
    let of_each = types.iter().map(|of| of(&mut generator).map(finished)).collect();
    let definitions = generator.take_definitions(true);
    let definitions = definitions
        .into_iter()
        .map(|(name, schema)| (name, Schema::try_from(schema).map_or(json!({}), finished)))
        .collect();
    Schemas { of_each, definitions }
}

fn finished(mut schema: Schema) -> Value {
    honest(&mut schema);
    // Other members can be put beside those of an object.
    if schema.as_bool() == Some(true) { json!({}) } else { schema.to_value() }
}

fn honest(schema: &mut Schema) {
    schema.remove("uniqueItems");
    let bounds = schema.get("format").and_then(Value::as_str).map(bounds_of_format);
    if let (Some(bounds), Some(object)) = (bounds, schema.as_object_mut()) {
        // Numbers of 128 bits have none in JSON.
        for (keyword, bound) in [("minimum", bounds.min), ("maximum", bounds.max)] {
            let number = bound.and_then(|bound| {
                u64::try_from(bound).map(Value::from).or_else(|_| i64::try_from(bound).map(Value::from)).ok()
            });
            if let Some(number) = number {
                object.entry(keyword).or_insert(number);
            }
        }
    }
    transform_subschemas(&mut honest, schema);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn schema_of<T: schemars::JsonSchema>() -> Value {
        schemas(&[|generator| Some(generator.subschema_for::<T>())], Way::Read).of_each.remove(0).unwrap()
    }

    #[test]
    fn whole_numbers_have_the_bounds_of_their_type() {
        let schema = json!({"type": "integer", "format": "uint64", "minimum": 0, "maximum": u64::MAX});
        assert_eq!(schema_of::<u64>(), schema);
        let schema = json!({"type": ["integer", "null"], "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX});
        assert_eq!(schema_of::<Option<i32>>(), schema);
        assert_eq!(schema_of::<u128>(), json!({"type": "integer", "format": "uint128", "minimum": 0}));
        let element = json!({"type": "integer", "format": "uint8", "minimum": 0, "maximum": 255});
        assert_eq!(schema_of::<HashSet<u8>>(), json!({"type": "array", "items": element}));
    }

    #[test]
    fn anything_is_an_object_to_which_members_can_be_added() {
        assert_eq!(schema_of::<Value>(), json!({}));
    }
}
