//! The sentences in which arguments are refused are those of every SDK: `module-runtime/refusals.json` has them, and
//! the Python and the TypeScript SDK try the same cases.

use bulkhead_module::testing::{Harness, RequestType};
use bulkhead_module::{Error, Json, JsonSchema, Module, json, module};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Refusals {
    commands: BTreeMap<String, Value>,
    cases: Vec<Case>,
    parts: Vec<Part>,
    unknown_commands: Vec<UnknownCommand>,
}

#[derive(Deserialize)]
struct Case {
    command: String,
    args: String,
    #[serde(default)]
    sdks: Vec<String>,
    sentence: Option<String>,
    at: Option<String>,
    #[serde(default)]
    taken: bool,
}

#[derive(Deserialize)]
struct Part {
    part: String,
    given: String,
    sentence: String,
    at: String,
}

#[derive(Deserialize)]
struct UnknownCommand {
    name: String,
    known: Vec<String>,
    sentence: String,
}

fn refusals() -> Refusals {
    serde_json::from_str(include_str!("../../refusals.json")).expect("the file has this form")
}

/// A value out of a list of them, whatever their types.
macro_rules! one_of {
    ($name:ident, $values:expr) => {
        #[derive(Default, Serialize)]
        struct $name(Value);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let value = Value::deserialize(deserializer)?;
                let values: Vec<Value> = $values;
                if values.contains(&value) { Ok($name(value)) } else { Err(D::Error::custom("another value")) }
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut bulkhead_module::schemars::SchemaGenerator) -> bulkhead_module::schemars::Schema {
                let values: Vec<Value> = $values;
                bulkhead_module::schemars::json_schema!({ "enum": values })
            }
        }
    };
}

one_of!(Colour, vec!["red".into(), "green".into(), 7.into(), Value::Null]);
one_of!(Small, (0..23).map(Value::from).collect());

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the test is about reading, not about what was read")]
struct Line {
    item: String,
    count: i64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the test is about reading, not about what was read")]
struct Address {
    street: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the test is about reading, not about what was read")]
enum Size {
    Text(String),
    Integer(i64),
}

/// A struct whose members may all be left out, and are null.
macro_rules! many {
    ($($name:ident)*) => {
        #[derive(Deserialize, JsonSchema)]
        #[expect(dead_code, reason = "the test is about reading, not about what was read")]
        struct Many {
            $(#[serde(default)] $name: ()),*
        }
    };
}

many!(name_0 name_1 name_2 name_3 name_4 name_5 name_6 name_7 name_8 name_9 name_10 name_11 name_12 name_13 name_14
    name_15 name_16 name_17 name_18 name_19 name_20 name_21 name_22);

#[derive(Default)]
struct Shop;

#[module(name = "shop")]
impl Shop {
    #[command]
    #[expect(clippy::too_many_arguments, reason = "the file has so many")]
    fn order(
        id: String,
        lines: Vec<Line>,
        #[default] colour: Colour,
        #[default] paid: bool,
        #[default] price: f64,
        #[default] extra: Value,
        to: Option<Address>,
        size: Option<Size>,
        #[default] prices: BTreeMap<String, f64>,
    ) {
        drop((id, lines, colour, paid, price, extra, to, size, prices));
    }

    #[command]
    fn take(item: &str, count: i64) {
        let _ = (item, count);
    }

    #[command]
    fn nothing() {}

    #[command]
    fn many(#[arguments] many: Many) {
        let _ = many;
    }

    #[command]
    fn choose(number: Small) {
        drop(number);
    }
}

/// A schema without what only Rust says: the bounds of its types, defaults, and `null` among several types.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(keywords) => {
            let mut plain: serde_json::Map<String, Value> =
                keywords.iter().map(|(keyword, value)| (keyword.clone(), plain_keyword(keyword, value))).collect();
            for keyword in ["format", "minimum", "maximum", "default"] {
                plain.remove(keyword);
            }
            if plain.get("type") == Some(&"object".into()) && plain.contains_key("properties") {
                plain.entry("required").or_insert(Value::Array(Vec::new()));
            }
            if let Some(Value::Array(kinds)) = plain.get("type").cloned() {
                assert_eq!(kinds[1], "null", "{schema}");
                plain.insert("type".into(), kinds[0].clone());
                return serde_json::json!({ "anyOf": [plain, { "type": "null" }] });
            }
            if let Some(Value::Array(parts)) = plain.get_mut("anyOf") {
                let flat = std::mem::take(parts).into_iter().flat_map(|mut part| match part.get_mut("anyOf") {
                    Some(Value::Array(inner)) => std::mem::take(inner),
                    _ => vec![part],
                });
                *parts = flat.collect();
            }
            plain.into()
        }
        other => other.clone(),
    }
}

fn plain_keyword(keyword: &str, value: &Value) -> Value {
    match (keyword, value) {
        ("properties", Value::Object(members)) => {
            members.iter().map(|(name, schema)| (name.clone(), plain(schema))).collect::<serde_json::Map<_, _>>().into()
        }
        ("anyOf", Value::Array(parts)) => parts.iter().map(plain).collect(),
        ("items" | "additionalProperties", schema) => plain(schema),
        _ => value.clone(),
    }
}

#[test]
fn the_commands_are_those_of_the_file() {
    let shop = Harness::<Shop>::start(json!({})).unwrap();
    let ready: Value = shop.described().read().unwrap();
    for (name, schema) in refusals().commands {
        let commands = ready["commands"].as_array().expect("it has commands");
        let command = commands.iter().find(|command| command["name"] == *name).expect("it is declared");
        assert_eq!(plain(&command["args"]), schema, "{name}");
    }
}

/// The sentence and the place of a refusal.
fn refused(given: Result<Json, Error>) -> Option<(String, String)> {
    let error = given.err()?;
    let data: Value = error.data().map_or(Value::Null, |data| data.read().unwrap());
    assert_eq!(error.code().name(), "bad_request", "{error}");
    Some((error.to_string(), data["at"].as_str().expect("there is a place").to_owned()))
}

#[test]
fn each_case_of_the_file_is_refused_in_its_words_or_taken() {
    let mut shop = Harness::<Shop>::start(json!({})).unwrap();
    let cases = refusals().cases;
    assert!(cases.len() > 80, "{}", cases.len());
    for Case { command, args, sdks, sentence, at, taken } in cases {
        if !sdks.is_empty() && !sdks.iter().any(|sdk| sdk == "rust") {
            continue;
        }
        let payload = Json::parse(&format!("{{\"name\":\"{command}\",\"args\":{args}}}")).unwrap();
        let found = refused(shop.send(RequestType::Command, &payload));
        assert_eq!(taken, sentence.is_none());
        assert_eq!(found, sentence.zip(at), "{command} {args:.200}");
    }
}

macro_rules! taking_null {
    ($name:ident, $payload:ty, $config:ty) => {
        struct $name;

        #[module(name = "taking")]
        impl $name {
            #[init]
            fn start(config: $config) -> $name {
                let _ = config;
                $name
            }

            #[query]
            fn query(payload: $payload) {
                let _ = payload;
            }
        }
    };
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "the test is about reading, not about what was read")]
struct OneNull {
    a: (),
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "the test is about reading, not about what was read")]
struct Low {
    low: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

taking_null!(TakesNull, (), Json);
taking_null!(TakesOneNull, OneNull, Json);
taking_null!(TakesLow, (), Low);
taking_null!(TakesNoKeys, (), NoKeys);

#[test]
fn a_member_of_a_payload_and_a_key_of_the_configuration_are_called_what_they_are() {
    fn asked<M: Module>(given: Json) -> Result<Json, Error> {
        Harness::<M>::start(json!({})).unwrap().send(RequestType::Query, &given)
    }
    fn started<M: Module>(given: Json) -> Result<Json, Error> {
        let started = Harness::<M>::start(given).map(|_| Json::null());
        assert!(started.as_ref().is_err_and(Error::is_permanent));
        started
    }
    let parts = refusals().parts;
    assert_eq!(parts.len(), 4);
    for Part { part, given, sentence, at } in parts {
        let given = Json::parse(&given).unwrap();
        let found = match (part.as_str(), given.as_str()) {
            ("member", "1") => asked::<TakesNull>(given),
            ("member", _) => asked::<TakesOneNull>(given),
            ("key", "[]") => started::<TakesNoKeys>(given),
            _ => started::<TakesLow>(given),
        };
        assert_eq!(refused(found), Some((sentence, at)));
    }
}

#[derive(Default)]
struct Counts;

#[module(name = "counts")]
impl Counts {
    #[command]
    fn count() {}
}

#[derive(Default)]
struct Others;

#[module(name = "others")]
impl Others {
    #[command]
    fn other() {}

    #[command]
    fn more() {}
}

#[derive(Default)]
struct Silent;

#[module(name = "silent")]
impl Silent {}

#[test]
fn an_unknown_command_is_refused_with_the_nearest() {
    fn sent<M: Module>(name: &str) -> Error {
        Harness::<M>::start(json!({})).unwrap().command(name, json!({})).unwrap_err()
    }
    let unknown = refusals().unknown_commands;
    assert_eq!(unknown.len(), 3);
    for UnknownCommand { name, known, sentence } in unknown {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let error = match &known[..] {
            ["count"] => sent::<Counts>(&name),
            ["other", "more"] => sent::<Others>(&name),
            _ => sent::<Silent>(&name),
        };
        assert_eq!((error.to_string(), error.code().name()), (sentence, "unknown_command"));
    }
}
