//! Filters: which entities a query is about. Every condition on every path must hold.

use super::{
    Column, Fault, Path, Value,
    fault::Inside,
    fields::Fields,
    limits::{FILTERS_MAX, IN_VALUES_MAX},
};
use crate::time;
use bulkhead_json::{Kind, Raw};

/// One path and what must hold there.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The part of the entity.
    pub path: Path,
    /// What must hold, all of it.
    pub conditions: Vec<Condition>,
}

/// What must hold for the value at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// It is this value. Nothing at all is `null`.
    Equal(Value),
    /// It is not this value.
    NotEqual(Value),
    /// It is of the same kind, number or text, and compares like this.
    Compare(Comparison, Value),
    /// It is one of these values.
    In(Vec<Value>),
    /// It is a text with this text in it, or a list with this value in it.
    Contains(Value),
    /// There is a value, be it `null`.
    Exists,
    /// There is no value.
    Missing,
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `lt`
    Less,
    /// `lte`
    LessOrEqual,
    /// `gt`
    Greater,
    /// `gte`
    GreaterOrEqual,
}

const OPERATORS: &[&str] = &["eq", "ne", "gt", "gte", "lt", "lte", "in", "contains", "exists"];

pub(super) fn read_filters(raw: Raw<'_>) -> Result<Vec<Filter>, Fault> {
    if raw.kind() != Kind::Object {
        return Err(Fault::new(format!("expected an object of paths and what must hold there, found {}", raw.quote())));
    }
    let mut filters: Vec<Filter> = Vec::new();
    for (name, value) in raw.members() {
        if filters.len() == FILTERS_MAX {
            return Err(Fault::new(format!("a query filters on at most {FILTERS_MAX} paths, found more")));
        }
        let step = name.text().unwrap_or_default().into_owned();
        let path = Path::read(name).inside(&step)?;
        if filters.iter().any(|filter| filter.path == path) {
            return Err(Fault::new("the path stands here twice; put its conditions into one object").inside(&step));
        }
        let conditions = read_conditions(&path, value).inside(&step)?;
        filters.push(Filter { path, conditions });
    }
    Ok(filters)
}

fn read_conditions(path: &Path, raw: Raw<'_>) -> Result<Vec<Condition>, Fault> {
    if raw.kind() == Kind::List {
        return Err(Fault::new(format!(
            "expected a value or conditions, found a list; write {{\"in\":{0}}} for one of these, {{\"eq\":{0}}} for this very list",
            raw.quote()
        )));
    }
    if raw.kind() != Kind::Object {
        return Ok(vec![Condition::Equal(operand(path, raw)?)]);
    }
    // Unknown and duplicate operators are refused; those that are there keep their order.
    Fields::read(raw, "a condition", OPERATORS)?;
    let mut conditions = Vec::new();
    for (name, value) in raw.members() {
        let name = name.text().unwrap_or_default();
        conditions.push(read_condition(path, &name, value).inside(&name)?);
    }
    match conditions.is_empty() {
        true => Err(Fault::new(format!("expected at least one of {}, found {{}}", OPERATORS.join(", ")))),
        false => Ok(conditions),
    }
}

fn read_condition(path: &Path, operator: &str, raw: Raw<'_>) -> Result<Condition, Fault> {
    let compare = |comparison| match operand(path, raw)? {
        value @ (Value::Integer(_) | Value::Real(_) | Value::Text(_)) => Ok(Condition::Compare(comparison, value)),
        _ => Err(Fault::new(format!("expected a number or a text, found {}", raw.quote()))),
    };
    match operator {
        "eq" => operand(path, raw).map(Condition::Equal),
        "ne" => operand(path, raw).map(Condition::NotEqual),
        "lt" => compare(Comparison::Less),
        "lte" => compare(Comparison::LessOrEqual),
        "gt" => compare(Comparison::Greater),
        "gte" => compare(Comparison::GreaterOrEqual),
        "in" => read_in(path, raw).map(Condition::In),
        "contains" | "exists" if matches!(path, Path::Column(_)) => {
            Err(Fault::new(format!("{path} can be compared, but has no {operator:?}")))
        }
        "contains" => Value::of_filter(raw).map(Condition::Contains),
        _ => match raw.as_str() {
            "true" => Ok(Condition::Exists),
            "false" => Ok(Condition::Missing),
            _ => Err(Fault::new(format!("expected true or false, found {}", raw.quote()))),
        },
    }
}

fn read_in(path: &Path, raw: Raw<'_>) -> Result<Vec<Value>, Fault> {
    if raw.kind() != Kind::List {
        return Err(Fault::new(format!("expected a list of values, found {}", raw.quote())));
    }
    if raw.elements().nth(IN_VALUES_MAX).is_some() {
        return Err(Fault::new(format!("expected at most {IN_VALUES_MAX} values, found {}", raw.elements().count())));
    }
    raw.elements().enumerate().map(|(index, raw)| operand(path, raw).inside(index)).collect()
}

/// The value that the part at `path` is compared with, in the form in which the store keeps that part.
fn operand(path: &Path, raw: Raw<'_>) -> Result<Value, Fault> {
    let value = Value::of_filter(raw)?;
    match (path, value) {
        (Path::Member(_), value) => Ok(value),
        (Path::Column(Column::Id), Value::Text(text)) => Ok(Value::Text(text.to_ascii_lowercase())),
        (Path::Column(Column::Id), _) => Err(Fault::new(format!("expected an id, a text, found {}", raw.quote()))),
        (Path::Column(Column::Version), value @ (Value::Integer(_) | Value::Real(_))) => Ok(value),
        (Path::Column(Column::Version), _) => Err(Fault::new(format!("expected a number, found {}", raw.quote()))),
        (Path::Column(Column::CreatedAt | Column::UpdatedAt), value) => {
            let micros = if let Value::Text(text) = &value { time::parse(text) } else { None };
            micros.map(Value::Integer).ok_or_else(|| {
                Fault::new(format!(
                    "expected a time in UTC like \"2026-11-22\" or \"2026-11-22T14:33:05.5Z\", found {}",
                    raw.quote()
                ))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        read_filters(Raw::new(text)).unwrap_err().to_string()
    }

    #[test]
    fn a_bare_value_is_equality_and_an_object_is_conditions() {
        let filters = read_filters(Raw::new(
            r#"{"a":1,"b.c":{"gte":"x","lt":"y"},"d":{"eq":{"e":[]}},"$created_at":{"gt":"1970-01-02"}}"#,
        ))
        .unwrap();
        assert_eq!(filters[0].conditions, [Condition::Equal(Value::Integer(1))]);
        assert_eq!(
            filters[1].conditions,
            [
                Condition::Compare(Comparison::GreaterOrEqual, Value::Text("x".into())),
                Condition::Compare(Comparison::Less, Value::Text("y".into()))
            ]
        );
        assert_eq!(filters[2].conditions, [Condition::Equal(Value::Composite(r#"{"e":[]}"#.into()))]);
        assert_eq!(filters[3].conditions, [Condition::Compare(Comparison::Greater, Value::Integer(86_400_000_000))]);
    }

    #[test]
    fn faults_name_their_path_and_what_was_expected() {
        assert_eq!(refused(r#"{"a.b":{"gte":true}}"#), "at a.b.gte: expected a number or a text, found true");
        assert_eq!(refused(r#"{"a":{"gr":1}}"#), r#"at a: a condition has no member "gr"; did you mean "gt"?"#);
        assert!(refused(r#"{"a":{}}"#).starts_with("at a: expected at least one of eq, ne"));
        assert!(refused(r#"{"a":{"b":1}}"#).starts_with(r#"at a: a condition has no member "b"; "#));
        assert!(refused(r#"{"a":[1,2]}"#).contains(r#"write {"in":[1,2]} for one of these"#));
        assert_eq!(refused(r#"{"a":{"exists":1}}"#), "at a.exists: expected true or false, found 1");
        assert_eq!(refused(r#"{"a":{"in":{}}}"#), "at a.in: expected a list of values, found {}");
        assert!(refused(r#"{"a":{"in":[1,"\udead"]}}"#).starts_with("at a.in.1: expected a text of whole characters"));
        assert_eq!(
            refused(r#"{"a":1,"\u0061":2}"#),
            "at a: the path stands here twice; put its conditions into one object"
        );
        assert_eq!(
            refused(r#"{"$id":{"contains":"a"}}"#),
            r#"at $id.contains: $id can be compared, but has no "contains""#
        );
        assert!(refused(r#"{"$updated_at":{"gt":"yesterday"}}"#).contains("expected a time in UTC"));
        assert!(refused(r#"{"$version":"1"}"#).contains("expected a number"));
        assert!(refused("[]").starts_with("expected an object of paths"));
        assert!(refused(r#"{"a..b":1}"#).starts_with("at a..b: expected names between the dots"));
    }

    #[test]
    fn no_more_is_taken_than_the_limits_say() {
        let values = vec!["1"; IN_VALUES_MAX + 1].join(",");
        assert_eq!(
            refused(&format!(r#"{{"a":{{"in":[{values}]}}}}"#)),
            "at a.in: expected at most 1000 values, found 1001"
        );
        let paths: Vec<String> = (0..=FILTERS_MAX).map(|n| format!("\"p{n}\":1")).collect();
        assert_eq!(refused(&format!("{{{}}}", paths.join(","))), "a query filters on at most 32 paths, found more");
    }
}
