//! Generated JSON texts for tests, right and damaged. What reads them is not known here.

#![allow(dead_code, reason = "not every test that has this file needs all of it")]

use proptest::prelude::*;

/// Pieces of JSON texts, right and wrong.
pub(crate) fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(&["{", "}", "[", "]", ",", ":", "\"", "\\", "-", ".", "e", "0", " ", "\n"][..])
            .prop_map(str::to_owned),
        4 => prop::sample::select(&["null", "true", "false", "\"a\":", "\\u00", "\\ud83d", "\\n", "{}", "[]"][..])
            .prop_map(str::to_owned),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        2 => any::<f64>().prop_map(|number| format!("{number:e}")),
        2 => "[ -~]{0,40}",
        1 => "\\PC{0,10}",
    ]
}

pub(crate) fn value() -> impl Strategy<Value = String> {
    let space = || prop::sample::select(&["", "", "", " ", "\n", "\t  ", "\r\n        "][..]);
    let simple = prop_oneof![
        prop::sample::select(&["null", "true", "false", "0", "-0", "\"\"", "{}", "[]", "1e400", "\"\\ud800\""][..])
            .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no other", |number| number.is_finite())
            .prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[ -~]{0,80}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    simple.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            (space(), prop::collection::vec((inner.clone(), space()), 0..6)).prop_map(|(space, elements)| {
                let elements: Vec<String> =
                    elements.into_iter().map(|(value, after)| format!("{space}{value}{after}")).collect();
                format!("[{}{space}]", elements.join(","))
            }),
            (space(), prop::collection::vec((any::<String>(), inner, space()), 0..6)).prop_map(|(space, members)| {
                let members: Vec<String> = members
                    .into_iter()
                    .map(|(name, value, after)| {
                        let name = serde_json::to_string(&name).unwrap();
                        format!("{space}{name}{after}:{space}{value}{after}")
                    })
                    .collect();
                format!("{{{}{space}}}", members.join(","))
            }),
        ]
    })
}

/// `text` with some of its characters replaced, dropped or doubled.
pub(crate) fn damaged(text: &str, damages: &[(prop::sample::Index, u8, char)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (index, way, other) in damages {
        if chars.is_empty() {
            break;
        }
        let at = index.index(chars.len());
        match way % 4 {
            0 => chars[at] = *other,
            1 => drop(chars.remove(at)),
            2 => chars.insert(at, *other),
            _ => chars.truncate(at),
        }
    }
    chars.into_iter().collect()
}

pub(crate) fn damages() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, char)>> {
    let other = prop_oneof![
        4 => prop::sample::select(&['{', '}', '[', ']', ',', ':', '"', '\\', '0', '7', '-', '.', 'e', ' ', 'u', '\n'][..]),
        1 => any::<char>(),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), other), 1..4)
}
