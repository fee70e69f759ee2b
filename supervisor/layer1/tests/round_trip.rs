//! Random objects with odd numbers, escapes and white space go through the store, and come back as the
//! text that they were, by id, in a page, in a unit, and through an export.

mod common;

use bulkhead_json::Raw;
use bulkhead_layer1::{Job, Outcome, UnitId};
use bulkhead_protocol::layer1::{Data, Query};
use common::*;
use proptest::prelude::*;
use std::ops::ControlFlow;

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,30})",
        "-?(0|[1-9][0-9]{0,5})\\.[0-9]{1,25}",
        "-?[1-9](\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,4}",
    ]
}

/// The text of a JSON text: plain characters, and every kind of escape.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-z é😀{}\\[\\],:']{1,4}",
        prop::sample::select(vec![
            "\\u0000",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u00e9",
            "\\uD83D\\uDE00",
            "\\u2028",
            "\\b\\f\\r\\t",
            "\u{7f}\u{ffff}"
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\n\t", "\r\n "])
}

fn value() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof![number(), text(), prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned)];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec((space(), inner.clone(), space()), 0..4).prop_map(|parts| {
                let parts: Vec<String> = parts.into_iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
                format!("[{}]", parts.join(","))
            }),
            members(inner),
        ]
    })
}

fn members(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((text(), space(), inner, space()), 0..4).prop_map(|members| {
        let members: Vec<String> = members
            .into_iter()
            .enumerate()
            // The number keeps the names apart.
            .map(|(index, (name, a, value, b))| {
                format!("{a}{}{index}\"{b}:{a}{value}{b}", name.strip_suffix('"').unwrap())
            })
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_in_comes_out(objects in prop::collection::vec(members(value()), 1..20)) {
        let store = Store::new();
        let mut kept = Vec::new();
        for object in &objects {
            let parsed: serde_json::Value = serde_json::from_str(object).unwrap_or_default();
            let data = Data::new(Raw::new(object)).unwrap();
            // Nothing but white space is lost, so both texts are the same value wherever serde can read it.
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(data.as_str()).unwrap_or_default(), parsed);
            prop_assert_eq!(&Data::new(data.raw()).unwrap(), &data);
            let unit = kept.len() % 2 == 0;
            let payload = format!(r#"{{"entity":"A","operation":"create","data":{object}}}"#);
            let (reply, _) = store.mutate_as(unit.then_some(1), "", &payload).unwrap();
            kept.push((reply["id"].as_str().unwrap().to_owned(), data));
        }
        let rows = |unit: Option<u64>, id: &str| {
            let query = Query::read(&json(&format!(r#"{{"entity":"A","id":"{id}"}}"#))).unwrap();
            match store.run(Job::Query { unit: unit.map(UnitId), query }) {
                Outcome::Rows(rows) => rows.as_str().to_owned(),
                other => panic!("{other:?}"),
            }
        };
        for (id, data) in &kept {
            let row = rows(Some(1), id);
            prop_assert!(row.contains(&format!("\"data\":{}}}]", data.as_str())), "{}", row);
        }
        store.commit(1);
        let mut exported = Vec::new();
        store.layer1.tools().export(None, &mut exported, &mut |_| ControlFlow::Continue(())).unwrap();
        let exported = String::from_utf8(exported).unwrap();
        for (id, data) in &kept {
            let row = rows(None, id);
            prop_assert!(row.contains(&format!("\"data\":{}}}]", data.as_str())), "{}", row);
            prop_assert!(exported.contains(&format!("\"data\":{}}}\n", data.as_str())), "{}", exported);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any text is a search or is refused for having no word; the index never gets a syntax error.
    #[test]
    fn no_text_is_a_fault_of_syntax_in_a_search(
        texts in prop::collection::vec(prop_oneof![any::<String>(), "[ab\"*():^+{}' \\-]{0,20}", "(AND|OR|NOT|NEAR|a|b| |\"|\\()*"], 1..50)
    ) {
        let store = Store::with(|settings| settings.searches = vec![searched("A", &["t"])]);
        for text in &texts {
            store.create("A", &serde_json::json!({"t": text}).to_string());
            let query = serde_json::json!({"entity": "A", "search": text, "count": true});
            match store.query_in(None, &query.to_string()) {
                Ok(_) => {}
                Err(failure) => prop_assert!(failure.code == bulkhead_protocol::ErrorCode::BadRequest && failure.error.starts_with("at search: "), "{:?}", failure),
            }
        }
    }
}
