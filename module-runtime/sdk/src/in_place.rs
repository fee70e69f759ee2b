//! What [`json!`](crate::json) writes an object with: its members go into one text as they come, and no tree of them is
//! built. The result is what `serde_json` writes for the same members: sorted by name, and the last of two members with
//! one name.

use bulkhead_protocol::Json;
use serde_json::Value;
use std::borrow::Cow;

/// An object that is being written.
#[derive(Debug)]
pub struct Object<'a> {
    text: Vec<u8>,
    members: Vec<Member<'a>>,
    /// Whether each name so far sorts after the one before it.
    sorted: bool,
}

#[derive(Debug)]
struct Member<'a> {
    name: Cow<'a, str>,
    /// Its position in the text, without the comma after it.
    start: usize,
    end: usize,
}

/// Room for a usual answer.
const TEXT_BYTES: usize = 128;

impl<'a> Object<'a> {
    /// One without members.
    #[expect(clippy::new_without_default, reason = "only the macro makes one")]
    pub fn new() -> Object<'a> {
        let mut text = Vec::with_capacity(TEXT_BYTES);
        text.push(b'{');
        Object { text, members: Vec::new(), sorted: true }
    }

    /// Writes one more member.
    pub fn member(&mut self, name: Cow<'a, str>, value: &Value) {
        if let Some(last) = self.members.last() {
            self.sorted &= last.name < name;
            self.text.push(b',');
        }
        let start = self.text.len();
        write(&mut self.text, &name);
        self.text.push(b':');
        write(&mut self.text, value);
        self.members.push(Member { name, start, end: self.text.len() });
    }

    /// All of it.
    pub fn end(mut self) -> Json {
        if !self.sorted {
            self.sort();
        }
        self.text.push(b'}');
        Json::of_checked_buffer(String::from_utf8(self.text).expect("JSON is written as UTF-8"))
    }

    fn sort(&mut self) {
        // The sort keeps the order of equal names, of which the last one is kept.
        self.members.sort_by(|one, other| one.name.cmp(&other.name));
        let mut sorted = Vec::with_capacity(self.text.len() + 1);
        for (at, member) in self.members.iter().enumerate() {
            if self.members.get(at + 1).is_some_and(|next| next.name == member.name) {
                continue;
            }
            sorted.push(if sorted.is_empty() { b'{' } else { b',' });
            sorted.extend_from_slice(&self.text[member.start..member.end]);
        }
        self.text = sorted;
    }
}

fn write(text: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    serde_json::to_writer(text, value).expect("a value can be written to memory");
}

/// JSON in place, as `serde_json::json!` writes it, ready to be answered with.
#[macro_export]
macro_rules! json {
    ({ $($members:tt)+ }) => {{
        let mut object = $crate::in_place::Object::new();
        $crate::json_members!(object () $($members)+);
        object.end()
    }};
    ($($json:tt)+) => { $crate::Json::from($crate::serde_json::json!($($json)+)) };
}

/// Takes one member after another: first the tokens of its name, then its value. Only the object itself
/// is written in place; what is in it is `serde_json`'s.
#[doc(hidden)]
#[macro_export]
macro_rules! json_members {
    ($object:ident ()) => {};
    ($object:ident ($($name:tt)+) : null $(, $($rest:tt)*)?) => {
        $crate::json_member!($object ($($name)+) $crate::serde_json::Value::Null);
        $crate::json_members!($object () $($($rest)*)?);
    };
    ($object:ident ($($name:tt)+) : [$($value:tt)*] $(, $($rest:tt)*)?) => {
        $crate::json_member!($object ($($name)+) $crate::serde_json::json!([$($value)*]));
        $crate::json_members!($object () $($($rest)*)?);
    };
    ($object:ident ($($name:tt)+) : {$($value:tt)*} $(, $($rest:tt)*)?) => {
        $crate::json_member!($object ($($name)+) $crate::serde_json::json!({$($value)*}));
        $crate::json_members!($object () $($($rest)*)?);
    };
    ($object:ident ($($name:tt)+) : $value:expr $(, $($rest:tt)*)?) => {
        $crate::json_member!($object ($($name)+) $crate::serde_json::json!($value));
        $crate::json_members!($object () $($($rest)*)?);
    };
    // An expression in brackets is a name as a whole.
    ($object:ident () ($name:expr) : $($rest:tt)+) => { $crate::json_members!($object ($name) : $($rest)+) };
    ($object:ident ($($name:tt)*) $next:tt $($rest:tt)*) => {
        $crate::json_members!($object ($($name)* $next) $($rest)*)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! json_member {
    ($object:ident ($name:literal) $value:expr) => {
        $object.member(::std::borrow::Cow::Borrowed($name), &$value)
    };
    ($object:ident ($name:expr) $value:expr) => {{
        let name: ::std::string::String = ($name).into();
        $object.member(::std::borrow::Cow::Owned(name), &$value)
    }};
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    /// The results of both macros for the same tokens.
    macro_rules! same {
        ($($json:tt)+) => {
            assert_eq!(crate::json!($($json)+).as_str(), serde_json::json!($($json)+).to_string())
        };
    }

    #[test]
    fn an_object_in_place_is_what_serde_json_writes() {
        let (count, name, list) = (7_u64, String::from("dynamic \"name\""), vec![Some(1.5_f32), None]);
        same!({});
        same!({ "a": 1 });
        same!({ "pong": true, "count": count });
        same!({ "b": null, "a": [1, null, { "x": [] }], "c": { "z": 1, "y": {} }, });
        same!({ "é": "ü\n\"", "e": -1, "A": 1e300, "a\u{1}": f64::NAN });
        same!({ name.clone(): list, (format!("{name}!")): count + 1, "m": { name.clone(): null } });
        same!({ "twice": 1, "between": 2, "twice": 3 });
        same!({ "twice": 1, "twice": 3, "twice": null });
        same!({ "value": if count > 3 { "many" } else { "few" }, "call": name.len().max(3), "f32": 0.1_f32 });
    }

    #[test]
    fn what_is_no_object_is_written_as_well() {
        same!(null);
        same!([1, { "b": 1, "a": 2 }]);
        same!("text");
        same!(Some(3).map(|three| three + 1));
    }

    #[test]
    fn a_value_may_end_the_function_early() {
        fn early(value: Result<u8, String>) -> Result<crate::Json, String> {
            Ok(crate::json!({ "b": value?, "a": null }))
        }
        assert_eq!(early(Ok(1)).unwrap().as_str(), r#"{"a":null,"b":1}"#);
        assert_eq!(early(Err("x".into())), Err("x".into()));
    }

    proptest! {
        #[test]
        fn members_with_any_names_are_as_serde_json_has_them(
            members in prop::collection::vec(("[a-c\"\u{0}é]{0,2}", any::<Option<i64>>()), 0..12),
        ) {
            let mut object = super::Object::new();
            let mut expected = serde_json::Map::new();
            for (name, value) in &members {
                object.member(name.as_str().into(), &Value::from(*value));
                expected.insert(name.clone(), Value::from(*value));
            }
            let written = object.end();
            prop_assert_eq!(written.as_str(), Value::Object(expected).to_string());
        }
    }
}
