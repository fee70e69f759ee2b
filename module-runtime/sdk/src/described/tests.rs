//! What a schema says is what is read: any text is tried against types of every form.

use super::schema::Way;
use super::value::{Argument, Described, Expected};
use bulkhead_json::Raw;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

fn expected<T: Argument<Described>>() -> Expected {
    Expected::of_all(&[T::schema], Way::Read).0.remove(0)
}

/// What is read of a text, or why nothing is.
fn read<T: Argument<Described> + Debug>(text: &str) -> Result<T, String> {
    expected::<T>().read(text).map_err(|refusal| refusal.inside("a").error(super::refusal::ARGUMENTS).to_string())
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Closed {
    b: u8,
    #[serde(default)]
    a: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Open {
    a: i64,
    #[serde(default)]
    b: Vec<Closed>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Plain {
    A,
    B,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WithData {
    A,
    B(u64),
    C { a: Plain },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "a", rename_all = "snake_case")]
enum Tagged {
    A { b: u8 },
    B(Open),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMore {
    One(Plain),
    More(Vec<Plain>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Tree {
    a: u64,
    #[serde(default)]
    b: Vec<Tree>,
}

fn scalar() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "1.0",
        "1.5",
        "1e2",
        "255",
        "256",
        "1e400",
        "9007199254740993",
        "0.1000000000000000055",
        "18446744073709551615",
        "18446744073709551616",
        "\"a\"",
        "\"b\"",
        "\"c\"",
        "\"\"",
        "\"\\u0061\"",
        "\"\\ud800\"",
        "\"long\"",
    ])
    .prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["\"a\"", "\"b\"", "\"c\"", "\"\\u0061\""]);
    scalar().prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| format!("[{}]", parts.join(" , "))),
            prop::collection::vec((name.clone(), inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("{name} : {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Whether the schema and the type agree about a text: what fits is read, and what is read fits.
fn agree<T: Argument<Described> + Serialize + Debug>(text: &str) {
    let fits = expected::<T>().shapes.check(Raw::new(text)).is_ok();
    assert!(fits || !expected::<T>().shapes.surely_fits(text), "{} {text}", std::any::type_name::<T>());
    let found = read::<T>(text);
    assert_eq!(found.is_ok(), fits, "{} {text}: {found:?}", std::any::type_name::<T>());
    if let Ok(value) = found {
        // What was read is the same value still, and fits as well.
        let again = serde_json::to_string(&value).unwrap();
        assert!(expected::<T>().shapes.check(Raw::new(&again)).is_ok(), "{text} became {again}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_fits_the_schema_is_read_and_nothing_else(text in text()) {
        agree::<String>(&text);
        agree::<char>(&text);
        agree::<bool>(&text);
        agree::<()>(&text);
        agree::<u8>(&text);
        agree::<i32>(&text);
        agree::<u64>(&text);
        agree::<i128>(&text);
        agree::<f64>(&text);
        agree::<f32>(&text);
        agree::<Option<u64>>(&text);
        agree::<Vec<u64>>(&text);
        agree::<Vec<Option<String>>>(&text);
        agree::<(u8, String)>(&text);
        agree::<[u8; 2]>(&text);
        agree::<BTreeSet<u64>>(&text);
        agree::<BTreeMap<String, u64>>(&text);
        agree::<Value>(&text);
        agree::<Closed>(&text);
        agree::<Option<Closed>>(&text);
        agree::<Open>(&text);
        agree::<Plain>(&text);
        agree::<Option<Plain>>(&text);
        agree::<WithData>(&text);
        agree::<OneOrMore>(&text);
        agree::<Tree>(&text);
    }
}

#[test]
fn numbers_are_read_with_all_their_digits() {
    assert_eq!(read::<u64>("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(read::<i64>("-9223372036854775808"), Ok(i64::MIN));
    assert_eq!(read::<u128>("340282366920938463463374607431768211455"), Ok(u128::MAX));
    assert_eq!(read::<Vec<u64>>("[1e3,9007199254740993.0]"), Ok(vec![1000, 9_007_199_254_740_993]));
    // Of sixteen digits a reader in a hurry gets the last one wrong.
    assert_eq!(read::<f64>("9007199254740993e-16"), Ok(0.900_719_925_474_099_3));
    assert_eq!(read::<f64>("0.8427007929497149"), Ok(0.842_700_792_949_714_9));
}

#[test]
fn a_number_beyond_its_type_is_refused_with_the_bounds() {
    for (found, text, bounds) in [
        (read::<u8>("256").unwrap_err(), "256", "0 to 255"),
        (read::<u8>("-1").unwrap_err(), "-1", "0 to 255"),
        (read::<u32>("4294967296").unwrap_err(), "4294967296", "0 to 4294967295"),
        (read::<u64>("1e20").unwrap_err(), "1e20", "0 to 18446744073709551615"),
        (read::<u64>("1e400").unwrap_err(), "1e400", "0 to 18446744073709551615"),
    ] {
        assert_eq!(found, format!("argument `a`: expected an integer from {bounds}, found {text}"));
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the test is about reading, not about what was read")]
struct Bounded {
    #[schemars(range(min = 1, max = 10))]
    limit: u32,
    #[schemars(length(min = 2, max = 3))]
    name: String,
    #[schemars(length(max = 1))]
    tags: Vec<String>,
    #[schemars(range(min = 0.5))]
    weight: f64,
}

#[test]
fn bounds_that_an_author_gives_are_kept() {
    let read = |limit: &str, name: &str, tags: &str, weight: &str| {
        let text = format!("{{\"limit\":{limit},\"name\":{name},\"tags\":{tags},\"weight\":{weight}}}");
        read::<Bounded>(&text).map(drop)
    };
    assert_eq!(read("1", "\"ab\"", "[]", "0.5"), Ok(()));
    for (found, sentence) in [
        (read("0", "\"ab\"", "[]", "1"), "`a.limit`: expected an integer from 1 to 10, found 0"),
        (read("1", "\"a\"", "[]", "1"), "`a.name`: expected a text from 2 to 3 characters, found \"a\""),
        (read("1", "\"ab\"", "[\"a\",\"b\"]", "1"), "`a.tags`: expected a list of at most 1, found 2"),
        (read("1", "\"ab\"", "[]", "0.25"), "`a.weight`: expected a number of at least 0.5, found 0.25"),
    ] {
        assert_eq!(found, Err(format!("argument {sentence}")));
    }
}

#[test]
fn a_type_that_is_a_part_of_itself_is_read_and_refused_at_the_place() {
    assert!(read::<Tree>(r#"{"a":1,"b":[{"a":2,"b":[{"a":3}]}]}"#).is_ok());
    let sentence = r#"argument `a.b.0.b.0.a`: expected an integer, found "x""#;
    assert_eq!(read::<Tree>(r#"{"a":1,"b":[{"a":2,"b":[{"a":"x"}]}]}"#).unwrap_err(), sentence);
    let deep = |levels: usize| format!("{}{{\"a\":1}}{}", "{\"a\":1,\"b\":[".repeat(levels), "]}".repeat(levels));
    assert!(read::<Tree>(&deep(63)).is_ok());
    let sentence = "argument `a`: expected at most 128 levels of lists and objects, found more";
    assert_eq!(read::<Tree>(&deep(64)).unwrap_err(), sentence);
}

#[test]
fn a_form_that_is_not_known_is_left_to_the_type() {
    assert_eq!(read::<Tagged>(r#"{"a":"a","b":1}"#), Ok(Tagged::A { b: 1 }));
    let refused = read::<Tagged>(r#"{"a":"z","b":1}"#).unwrap_err();
    assert!(refused.starts_with("argument `a`: expected an object, found {\"a\":\"z\""), "{refused}");
    assert_eq!(read::<std::net::Ipv4Addr>("\"10.0.0.1\""), Ok([10, 0, 0, 1].into()));
    assert_eq!(read::<std::net::Ipv4Addr>("\"10\"").unwrap_err(), "argument `a`: invalid IPv4 address syntax");
}
