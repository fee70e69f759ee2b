//! The functions that the store adds to SQLite, so that filters, orders and indexes mean exactly what
//! the grammar says: `layer1_value`, `layer1_has` and `layer1_contains`. SQLite's own JSON functions
//! take `true` for 1, cut texts at a NUL and round some numbers differently.
//!
//! A value is encoded so that SQLite's own order of storage classes is the documented one: nothing and
//! `null` as NULL, numbers as INTEGER or REAL, texts as TEXT, `false` as x'00', `true` as x'01', lists
//! and objects as x'02' and their canonical text.
//!
//! Indexes are made with `layer1_value`. A change of what it returns needs a migration that rebuilds them.

use bulkhead_json::{Kind, Raw};
use bulkhead_protocol::layer1::{MemberPath, Value};
use rusqlite::{
    Connection, Error,
    functions::{Context, FunctionFlags},
    types::{Value as Sql, ValueRef},
};

/// Makes the functions known to this connection.
pub(crate) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("layer1_value", 2, flags, |context| {
        Ok(find(context)?.map_or(Sql::Null, |raw| encode(Value::of(raw))))
    })?;
    connection.create_scalar_function("layer1_has", 2, flags, |context| Ok(find(context)?.is_some()))?;
    connection.create_scalar_function("layer1_contains", 3, flags, |context| {
        let needle = context.get_raw(2);
        Ok(find(context)?.is_some_and(|raw| contains(raw, needle)))
    })
}

/// The value in the object of the first argument at the path of the second.
fn find<'a>(context: &'a Context<'_>) -> rusqlite::Result<Option<Raw<'a>>> {
    let path = context
        .get_or_create_aux(1, |path| -> Result<MemberPath, Box<dyn std::error::Error + Send + Sync>> {
            Ok(MemberPath::new(path.as_str()?)?)
        })?;
    let text = context.get_raw(0).as_str().map_err(|error| Error::UserFunctionError(error.into()))?;
    Ok(path.find(Raw::new(text)))
}

/// The value as SQLite compares it.
pub(crate) fn encode(value: Value) -> Sql {
    match value {
        Value::Null => Sql::Null,
        Value::Integer(integer) => Sql::Integer(integer),
        Value::Real(real) => Sql::Real(real),
        Value::Text(text) => Sql::Text(text),
        Value::Boolean(boolean) => Sql::Blob(vec![u8::from(boolean)]),
        Value::Composite(text) => {
            let mut blob = vec![2];
            blob.extend_from_slice(text.as_bytes());
            Sql::Blob(blob)
        }
    }
}

fn contains(raw: Raw<'_>, needle: ValueRef<'_>) -> bool {
    match (raw.kind(), needle) {
        (Kind::Text, ValueRef::Text(needle)) => {
            let needle = std::str::from_utf8(needle).unwrap_or_default();
            raw.text().is_some_and(|text| text.contains(needle))
        }
        (Kind::List, needle) => raw.elements().any(|element| is_same(&encode(Value::of(element)), needle)),
        _ => false,
    }
}

/// Equality as SQLite has it, but NULL equals NULL.
fn is_same(left: &Sql, right: ValueRef<'_>) -> bool {
    match (left, right) {
        (Sql::Integer(integer), ValueRef::Real(real)) => same_number(*integer, real),
        (Sql::Real(real), ValueRef::Integer(integer)) => same_number(integer, *real),
        (left, right) => ValueRef::from(left) == right,
    }
}

/// Whether a double is exactly this integer.
fn same_number(integer: i64, real: f64) -> bool {
    // Every double from -2^63 up to, not including, 2^63 that has no fraction is an i64 exactly.
    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&real)
        && real.fract() == 0.0
        && real as i64 == integer
}

/// The words of the member at `path`, for the index of a search: a text, or the texts of a list.
pub(crate) fn words(raw: Raw<'_>, path: &MemberPath) -> String {
    let Some(found) = path.find(raw) else { return String::new() };
    match found.kind() {
        Kind::Text => found.text().unwrap_or_default().into_owned(),
        Kind::List => {
            let texts: Vec<_> = found.elements().filter_map(Raw::text).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(expression: &str, data: &str) -> Sql {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        connection.query_row(&format!("SELECT {expression}"), [data], |row| row.get(0)).unwrap()
    }

    #[test]
    fn values_of_different_kinds_are_different_to_sqlite() {
        let data = r#"{"n":1,"t":true,"s":"a\u0000b","l":[1.0,"x"],"z":null,"big":18446744073709551615}"#;
        assert_eq!(evaluate("layer1_value(?1,'n')", data), Sql::Integer(1));
        assert_eq!(evaluate("layer1_value(?1,'t')", data), Sql::Blob(vec![1]));
        assert_eq!(evaluate("layer1_value(?1,'s')", data), Sql::Text("a\0b".into()));
        assert_eq!(evaluate("layer1_value(?1,'l')", data), Sql::Blob(b"\x02[1,\"x\"]".to_vec()));
        assert_eq!(evaluate("layer1_value(?1,'z')", data), Sql::Null);
        assert_eq!(evaluate("layer1_value(?1,'big')", data), Sql::Real(18_446_744_073_709_551_615.0));
        assert_eq!(evaluate("layer1_has(?1,'z')", data), Sql::Integer(1));
        assert_eq!(evaluate("layer1_has(?1,'y')", data), Sql::Integer(0));
        assert_eq!(evaluate("layer1_contains(?1,'l',1)", data), Sql::Integer(1));
        assert_eq!(evaluate("layer1_contains(?1,'s',char(0)||'b')", data), Sql::Integer(1));
        assert_eq!(evaluate("layer1_contains(?1,'n',1)", data), Sql::Integer(0));
        assert_eq!(
            evaluate("layer1_value(?1,'z') IS NULL AND 9e99 < 'a' AND 'a' < x'00' AND x'01' < x'02'", data),
            Sql::Integer(1)
        );
    }

    #[test]
    fn integers_and_doubles_are_the_same_only_when_they_are() {
        assert!(same_number(1, 1.0) && same_number(i64::MIN, i64::MIN as f64));
        assert!(!same_number(i64::MAX, i64::MAX as f64) && !same_number(1, 1.5) && !same_number(0, f64::INFINITY));
    }
}
