//! The grammar of Layer 1 with random payloads: all JSON is read or refused with its path, and
//! never ends the program.

use crate::{
    ErrorCode, Failure, Json,
    layer1::{Data, Mutation, Path, Query, Search},
};
use bulkhead_json::Raw;
use proptest::prelude::*;

/// Pieces that payloads are made of, right and wrong.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "null",
        "true",
        "1",
        "-0",
        "1.5",
        "1e999",
        "99999999999999999999",
        "\"A\"",
        "\"\"",
        "\"create\"",
        "\"update\"",
        "\"delete\"",
        "\"-a.b\"",
        "\"$id\"",
        "\"$x\"",
        "\"asc\"",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"2026-11-22\"",
        "{}",
        "[]",
        "\"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f\"",
    ])
    .prop_map(str::to_owned);
    let name = prop::sample::select(vec![
        "entity",
        "id",
        "filters",
        "search",
        "order",
        "include",
        "limit",
        "after",
        "count",
        "operations",
        "operation",
        "data",
        "expected_version",
        "by",
        "direction",
        "field",
        "as",
        "eq",
        "in",
        "gte",
        "contains",
        "exists",
        "a.b",
        "$created_at",
        "x",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(" , "))),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<String> =
                    members.into_iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_payload_is_read_or_refused(text in value()) {
        let payload = Json::parse(&text).unwrap();
        for fault in [Query::read(&payload).err(), Mutation::read(&payload).err()].into_iter().flatten() {
            let failure = Failure::from(fault);
            prop_assert_eq!(failure.code, ErrorCode::BadRequest);
            prop_assert!(!failure.error.ends_with('.') && !failure.retryable);
        }
        if let Ok(query) = Query::read(&payload) {
            prop_assert!(!query.needs().is_empty());
        }
    }

    #[test]
    fn a_merge_patch_does_what_the_standard_says(target in value(), patch in value()) {
        let (Ok(target), Ok(patch)) = (Data::new(Raw::new(&target)), Data::new(Raw::new(&patch))) else { return Ok(()) };
        let read = |data: &Data| serde_json::from_str::<serde_json::Value>(data.as_str());
        // serde_json refuses numbers that no double can hold; the texts are compared where it does not.
        let (Ok(before), Ok(changes)) = (read(&target), read(&patch)) else { return Ok(()) };
        let found = read(&target.patched(&patch).unwrap()).unwrap();
        prop_assert_eq!(found, patched(&before, &changes));
    }

    #[test]
    fn every_text_is_a_path_or_not_and_every_text_is_a_search_or_not(text in any::<String>()) {
        if let Ok(path) = Path::new(&text) {
            prop_assert_eq!(Path::new(&path.to_string()).unwrap(), path);
        }
        if let Ok(search) = Search::new(&text) {
            prop_assert!(!search.wanted.is_empty());
        }
    }

    #[test]
    fn text_that_is_no_json_is_walked_without_harm(text in "[{}\\[\\]\",:\\\\a0 ]{0,30}") {
        let _ = Data::new(Raw::new(&text));
        let raw = Raw::new(&text);
        prop_assert!(raw.members().count() <= text.len() && raw.elements().count() <= text.len());
    }
}

/// RFC 7396, on trees.
fn patched(target: &serde_json::Value, patch: &serde_json::Value) -> serde_json::Value {
    let serde_json::Value::Object(changes) = patch else { return patch.clone() };
    let mut members = target.as_object().cloned().unwrap_or_default();
    for (name, change) in changes {
        match change {
            serde_json::Value::Null => drop(members.remove(name)),
            change => {
                let old = members.get(name).cloned().unwrap_or_default();
                members.insert(name.clone(), patched(&old, change));
            }
        }
    }
    serde_json::Value::Object(members)
}
