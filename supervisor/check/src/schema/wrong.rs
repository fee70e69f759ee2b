//! Values that a schema excludes for certain, each for one reason.

use super::{Fits, Schema};
use crate::chance::Chance;
use serde_json::{Map, Value, json};

/// Values of one schema.
const WRONG_MAX: usize = 24;

/// A name that no schema has by accident.
const UNKNOWN_MEMBER: &str = "bulkhead_check_unknown";

impl Schema {
    /// Values that it excludes: a required member is missing, a member is of another type, one is not known, the whole
    /// is of another type. `null` as a whole is as no arguments, and left out.
    pub(crate) fn wrong(&self, chance: &mut Chance) -> Vec<Value> {
        let mut found: Vec<Value> = Vec::new();
        let mut add = |value: Value| {
            let is_new = found.len() < WRONG_MAX && !found.contains(&value);
            let is_wrong = is_new && self.fits(&value) == Fits::No;
            if is_wrong {
                found.push(value);
            }
            is_wrong
        };
        let base = self.least(chance).unwrap_or_else(|| json!({}));
        if let Value::Object(base) = &base {
            for name in base.keys() {
                let without: Map<String, Value> = base
                    .iter()
                    .filter(|(other, _)| *other != name)
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                add(Value::Object(without));
            }
            let properties = self.root.get("properties").and_then(Value::as_object);
            for name in properties.into_iter().flat_map(Map::keys) {
                let others = [json!(true), json!("text"), json!([]), json!({}), json!(1.5), json!(null)];
                for other in others {
                    let mut changed = base.clone();
                    changed.insert(name.clone(), other);
                    if add(Value::Object(changed)) {
                        break;
                    }
                }
            }
            let mut more = base.clone();
            more.insert(UNKNOWN_MEMBER.to_owned(), json!(1));
            add(Value::Object(more));
        }
        for other in [json!([]), json!("text"), json!(7), json!({})] {
            add(other);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_for_a_refusal_is_tried_and_nothing_that_might_be_taken() {
        let schema = Schema::new(json!({
            "type": "object", "properties": { "item": { "type": "string" }, "note": {} }, "required": ["item"],
            "additionalProperties": false,
        }));
        let wrong = schema.wrong(&mut Chance::new(1));
        for expected in [json!({}), json!([]), json!("text"), json!(7)] {
            assert!(wrong.contains(&expected), "{expected} is not in {wrong:?}");
        }
        assert!(wrong.iter().any(|value| value["item"] == true), "{wrong:?}");
        assert!(wrong.iter().any(|value| value.get(UNKNOWN_MEMBER).is_some()), "{wrong:?}");
        assert!(wrong.iter().all(|value| schema.fits(value) == Fits::No), "{wrong:?}");
        assert_eq!(Schema::new(json!({})).wrong(&mut Chance::new(1)), Vec::<Value>::new());
        assert_eq!(Schema::new(json!({ "pattern": "a" })).wrong(&mut Chance::new(1)), Vec::<Value>::new());
    }
}
