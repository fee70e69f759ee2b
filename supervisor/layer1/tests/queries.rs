//! What queries answer, each rule once. Random ones are compared with a model in `model.rs`.

mod common;

use bulkhead_layer1::{Clock, Job, JobId, Outcome};
use bulkhead_protocol::{ErrorCode, layer1::Query};
use common::*;
use serde_json::{Value, json as value};
use std::time::{Duration, Instant};

fn names(store: &Store, query: &str) -> Vec<Value> {
    column(&store.query(query), "n")
}

#[test]
fn an_entity_comes_back_as_it_was_written() {
    let store = Store::new();
    let data = r#"{"big":12345678901234567890123.4500,"one":1.0,"exp":-1E+2,"nul":"a\u0000b","uni":"\u00e9é😀","empty":{},"list":[null,true,-0]}"#;
    let id = store.create("Odd", &data.replace(',', " ,\n "));
    let query = Query::read(&json(&format!(r#"{{"entity":"Odd","id":"{}"}}"#, id.to_uppercase()))).unwrap();
    let Outcome::Rows(rows) = store.run(Job::Query { unit: None, query }) else { panic!("it is there") };
    assert!(rows.as_str().contains(&format!(r#""data":{data}}}"#)), "{}", rows.as_str());
    assert!(
        rows.as_str()
            .starts_with(&format!(r#"{{"entities":[{{"id":"{id}","entity":"Odd","version":1,"created_at":"20"#))
    );
    assert!(rows.as_str().ends_with(r#"}],"next":null}"#));
    let missing = store.refused_query(r#"{"entity":"Odd","id":"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f"}"#);
    assert_code(&missing, ErrorCode::NotFound, "there is no Odd with the id 01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f");
}

#[test]
fn filters_compare_values_of_one_kind_with_and_without_an_index() {
    let plain = Store::new();
    let indexed = Store::with(|settings| settings.indexes = vec![index("A", "v")]);
    for store in [&plain, &indexed] {
        for (n, v) in [
            "1",
            "1.0",
            "2.5",
            "\"1\"",
            "\"b\\u0000\"",
            "true",
            "false",
            "null",
            "[1,\"x\"]",
            r#"{"k":1}"#,
            "9007199254740993",
        ]
        .iter()
        .enumerate()
        {
            store.create("A", &format!(r#"{{"n":{n},"v":{v}}}"#));
        }
        store.create("A", r#"{"n":99}"#);
        let with = |filter: &str| {
            let answer = store.query(&format!(r#"{{"entity":"A","filters":{{"v":{filter}}},"count":true}}"#));
            assert_eq!(answer["count"], column(&answer, "n").len());
            column(&answer, "n").iter().map(|n| n.as_u64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(with("1"), [0, 1]);
        assert_eq!(with("\"1\""), [3]);
        assert_eq!(with("\"b\\u0000\""), [4]);
        assert_eq!(with("true"), [5]);
        assert_eq!(with("{\"eq\":null}"), [7, 99]);
        assert_eq!(with("{\"ne\":null}"), [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]);
        assert_eq!(with("{\"eq\":[1.0,\"x\"]}"), [8]);
        assert_eq!(with("{\"eq\":{\"k\":1e0}}"), [9]);
        assert_eq!(with("{\"gte\":1,\"lt\":3}"), [0, 1, 2]);
        assert_eq!(with("{\"gt\":1}"), [2, 10]);
        assert_eq!(with("{\"lte\":2.5}"), [0, 1, 2]);
        assert_eq!(with("{\"gt\":\"0\"}"), [3, 4]);
        assert_eq!(with("{\"lt\":\"b\"}"), [3]);
        assert_eq!(with("{\"gt\":9007199254740992}"), [10]);
        assert_eq!(with("{\"in\":[2.5,\"1\",null,false]}"), [2, 3, 6, 7, 99]);
        assert_eq!(with("{\"in\":[]}"), Vec::<u64>::new());
        assert_eq!(with("{\"contains\":\"\\u0000\"}"), [4]);
        assert_eq!(with("{\"contains\":\"x\"}"), [8]);
        assert_eq!(with("{\"contains\":1.0}"), [8]);
        assert_eq!(with("{\"exists\":true}"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(with("{\"exists\":false}"), [99]);
        let order = store.query(r#"{"entity":"A","order":"v"}"#);
        assert_eq!(column(&order, "n"), [7, 99, 0, 1, 2, 10, 3, 4, 6, 5, 8, 9].map(Value::from));
        let order = store.query(r#"{"entity":"A","order":"-v"}"#);
        assert_eq!(column(&order, "n"), [9, 8, 5, 6, 4, 3, 10, 2, 1, 0, 99, 7].map(Value::from));
    }
}

/// The member `n` of each entity of a page, where the next one begins, and the count. It reads no other number:
/// not every one fits into what a `Value` has for them.
fn page(store: &Store, unit: Option<u64>, query: &str) -> (Vec<usize>, Option<String>, Option<usize>) {
    #[derive(serde::Deserialize)]
    struct Page {
        entities: Vec<Entity>,
        next: Option<String>,
        count: Option<usize>,
    }
    #[derive(serde::Deserialize)]
    struct Entity {
        data: Data,
    }
    #[derive(serde::Deserialize)]
    struct Data {
        n: usize,
    }
    let query = Query::read(&json(query)).unwrap_or_else(|fault| panic!("{query}: {fault}"));
    let Outcome::Rows(rows) = store.run(Job::Query { unit: unit.map(bulkhead_layer1::UnitId), query }) else {
        panic!("a query has rows")
    };
    let page: Page = rows.read().unwrap();
    (page.entities.into_iter().map(|entity| entity.data.n).collect(), page.next, page.count)
}

#[test]
fn numbers_beyond_64_signed_bits_are_found_as_their_nearest_doubles() {
    /// In their order; those of one line are alike.
    const STORED: [&[&str]; 13] = [
        &["-1e400", "-1e999"],
        &["-1e19", "-10000000000000000000"],
        &["-9223372036854777856", "-9223372036854777857"],
        &["-9223372036854775809", "-9223372036854775808", "-9.223372036854775808e18"],
        &["-9223372036854775807"],
        &["9223372036854775806"],
        &["9223372036854775807"],
        &["9223372036854775808", "9223372036854775809", "9.223372036854775808e18"],
        &["9223372036854777856"],
        &["1e19", "10000000000000000000", "10000000000000000001"],
        &["18446744073709551614", "18446744073709551615", "18446744073709551616"],
        &["100000000000000000000000000000", "1e29"],
        &["1e400", "1e999"],
    ];
    let plain = Store::new();
    let indexed = Store::with(|settings| settings.indexes = vec![index("A", "v")]);
    for (store, unit) in [(&plain, None), (&indexed, None), (&plain, Some(1)), (&indexed, Some(1))] {
        let kind = if unit.is_some() { "B" } else { "A" };
        for (rank, alike) in STORED.iter().enumerate() {
            for v in *alike {
                let data = format!(r#"{{"n":{rank},"v":{v},"l":["x",{v}],"o":{{"k":{v}}}}}"#);
                let payload = format!(r#"{{"entity":"{kind}","operation":"create","data":{data}}}"#);
                store.mutate_as(unit, "", &payload).unwrap();
            }
        }
        let with = |filters: &str| {
            let query = format!(r#"{{"entity":"{kind}","filters":{filters},"order":"v","count":true}}"#);
            let (ranks, _, count) = page(store, unit, &query);
            assert_eq!(count, Some(ranks.len()));
            ranks
        };
        let ranks = |wanted: &dyn Fn(usize) -> bool| {
            let ranks = (0..STORED.len()).filter(|rank| wanted(*rank));
            ranks.flat_map(|rank| STORED[rank].iter().map(move |_| rank)).collect::<Vec<_>>()
        };
        for (rank, alike) in STORED.iter().enumerate() {
            for v in *alike {
                assert_eq!(with(&format!(r#"{{"v":{v}}}"#)), ranks(&|other| other == rank), "{v}");
                assert_eq!(with(&format!(r#"{{"v":{{"ne":{v}}}}}"#)), ranks(&|other| other != rank), "{v}");
                assert_eq!(with(&format!(r#"{{"v":{{"gt":{v}}}}}"#)), ranks(&|other| other > rank), "{v}");
                assert_eq!(with(&format!(r#"{{"v":{{"gte":{v}}}}}"#)), ranks(&|other| other >= rank), "{v}");
                assert_eq!(with(&format!(r#"{{"v":{{"lt":{v}}}}}"#)), ranks(&|other| other < rank), "{v}");
                assert_eq!(with(&format!(r#"{{"v":{{"lte":{v}}}}}"#)), ranks(&|other| other <= rank), "{v}");
                assert_eq!(with(&format!(r#"{{"v":{{"in":["x",{v},1]}}}}"#)), ranks(&|other| other == rank), "{v}");
                assert_eq!(with(&format!(r#"{{"l":{{"contains":{v}}}}}"#)), ranks(&|other| other == rank), "{v}");
                assert_eq!(with(&format!(r#"{{"o":{{"eq":{{"k":{v}}}}}}}"#)), ranks(&|other| other == rank), "{v}");
                assert_eq!(with(&format!(r#"{{"l":{{"eq":["x",{v}]}}}}"#)), ranks(&|other| other == rank), "{v}");
            }
        }
        for direction in ["", "-"] {
            let (mut found, mut after) = (Vec::new(), Some(String::from("null")));
            while let Some(place) = after {
                let query = format!(r#"{{"entity":"{kind}","order":"{direction}v","limit":1,"after":{place}}}"#);
                let (ranks, next, _) = page(store, unit, &query);
                found.extend(ranks);
                after = next.map(|next| format!("{next:?}"));
            }
            if direction == "-" {
                found.reverse();
            }
            assert_eq!(found, ranks(&|_| true));
        }
    }
}

#[test]
fn columns_of_the_store_are_filtered_and_ordered_by() {
    let store = Store::with(|settings| {
        settings.indexes = vec![index("A", "$updated_at")];
        settings.clock = Clock::system();
    });
    let ids: Vec<String> = (0..3).map(|n| store.create("A", &format!(r#"{{"n":{n}}}"#))).collect();
    store.mutate(&format!(r#"{{"entity":"A","operation":"update","id":"{}","data":{{}}}}"#, ids[0]));
    assert_eq!(names(&store, r#"{"entity":"A"}"#), [0, 1, 2].map(Value::from));
    assert_eq!(names(&store, r#"{"entity":"A","order":"$updated_at"}"#), [1, 2, 0].map(Value::from));
    assert_eq!(names(&store, r#"{"entity":"A","filters":{"$version":{"gt":1}}}"#), [0].map(Value::from));
    assert_eq!(names(&store, r#"{"entity":"A","filters":{"$created_at":{"lt":"2000-01-01"}}}"#), Vec::<Value>::new());
    assert_eq!(names(&store, r#"{"entity":"A","filters":{"$updated_at":{"gt":"2000-01-01"}}}"#).len(), 3);
    let two = format!(r#"{{"entity":"A","filters":{{"$id":{{"in":["{}","{}"]}}}}}}"#, ids[2], ids[1].to_uppercase());
    assert_eq!(names(&store, &two), [1, 2].map(Value::from));
}

/// All pages of a query, and how many there were.
fn pages(store: &Store, query: &str, mut between: impl FnMut(usize)) -> (Vec<Value>, usize) {
    let mut found = Vec::new();
    let mut after = String::from("null");
    for page in 1.. {
        let answer = store.query(&query.replace("AFTER", &after));
        found.extend(column(&answer, "n"));
        match &answer["next"] {
            Value::Null => return (found, page),
            next => after = next.to_string(),
        }
        between(page);
    }
    unreachable!("every answer has an end")
}

#[test]
fn cursors_go_on_where_the_page_ended_whatever_was_created_or_deleted_meanwhile() {
    for indexes in [vec![], vec![index("A", "k")]] {
        let store = Store::with(|settings| settings.indexes = indexes);
        let ids: Vec<String> = (0..50)
            .map(|n| {
                let k = ["", ",\"k\":null", ",\"k\":1", ",\"k\":\"x\"", ",\"k\":true"][n % 5];
                store.create("A", &format!(r#"{{"n":{n}{k}}}"#))
            })
            .collect();
        for order in [r#""k""#, r#""-k""#, r#"["k","-n"]"#, r#"["-k","n"]"#, "null", r#""-$id""#] {
            let query = format!(r#"{{"entity":"A","order":{order},"limit":7,"after":AFTER}}"#);
            let all = names(&store, &format!(r#"{{"entity":"A","order":{order}}}"#));
            assert_eq!(all.len(), 50);
            let (found, count) = pages(&store, &query, |_| {});
            assert_eq!((found, count), (all, 8), "{order}");
        }
        // What lies before the cursor, and the entity that it was made of, may be deleted.
        let query = r#"{"entity":"A","limit":10,"after":AFTER}"#;
        let (found, _) = pages(&store, query, |page| {
            let id = &ids[10 * page - 1];
            store.mutate(&format!(r#"{{"entity":"A","operation":"delete","id":"{id}"}}"#));
            store.create("B", "{}");
        });
        assert_eq!(found, (0..50).map(Value::from).collect::<Vec<_>>());
    }
}

#[test]
fn a_cursor_of_another_query_is_refused() {
    let store = Store::new();
    for n in 0..3 {
        store.create("A", &format!(r#"{{"n":{n}}}"#));
    }
    let next = store.query(r#"{"entity":"A","order":"n","limit":1}"#)["next"].as_str().unwrap().to_owned();
    for query in [
        format!(r#"{{"entity":"A","order":"-n","after":"{next}"}}"#),
        format!(r#"{{"entity":"B","order":"n","after":"{next}"}}"#),
        format!(r#"{{"entity":"A","order":"n","after":"{}0"}}"#, next),
        r#"{"entity":"A","order":"n","after":"x"}"#.to_owned(),
        r#"{"entity":"A","order":"n","after":"é"}"#.to_owned(),
        r#"{"entity":"A","order":"n","after":""}"#.to_owned(),
    ] {
        assert_code(&store.refused_query(&query), ErrorCode::BadRequest, "at after: expected the \"next\"");
    }
}

#[test]
fn an_answer_ends_early_when_it_would_be_too_long() {
    let store = Store::with(|settings| settings.answer_bytes_max = 10_000);
    for n in 0..20 {
        store.create("A", &format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(3000)));
    }
    let (found, count) = pages(&store, r#"{"entity":"A","limit":100,"after":AFTER}"#, |_| {});
    assert_eq!((found.len(), count), (20, 7));
    let id = store.create("B", &format!(r#"{{"text":"{}"}}"#, "x".repeat(20_000)));
    for query in [format!(r#"{{"entity":"B","id":"{id}"}}"#), r#"{"entity":"B"}"#.to_owned()] {
        assert_code(&store.refused_query(&query), ErrorCode::FrameTooLarge, "raise frame_bytes_max");
    }
    let long = r#"{"entity":"A","order":"text","limit":1}"#;
    assert!(store.query(long)["next"].as_str().unwrap().len() > 6000);
}

#[test]
fn includes_bring_what_refers_to_an_entity_and_say_when_there_is_more() {
    for indexes in [vec![], vec![index("Note", "about.id")]] {
        let store = Store::with(|settings| settings.indexes = indexes);
        let ids: Vec<String> = (0..2).map(|n| store.create("A", &format!(r#"{{"n":{n}}}"#))).collect();
        for n in 0..5 {
            store.create("Note", &format!(r#"{{"n":{n},"about":{{"id":"{}"}}}}"#, ids[0]));
        }
        let include = r#"[{"entity":"Note","field":"about.id","as":"notes","limit":3},{"entity":"Tag","field":"of"}]"#;
        let answer = store.query(&format!(r#"{{"entity":"A","include":{include}}}"#));
        let first = &answer["entities"][0];
        assert_eq!(first["included"]["notes"].as_array().unwrap().len(), 3);
        assert_eq!(first["included"]["notes"][1]["data"]["n"], 1);
        assert_eq!(first["included"]["notes"][0]["entity"], "Note");
        assert_eq!(first["included"]["Tag"], value!([]));
        assert_eq!(first["more"], value!(["notes"]));
        assert_eq!(answer["entities"][1]["included"]["notes"], value!([]));
        assert_eq!(answer["entities"][1].get("more"), None);
        let one = store.query(&format!(r#"{{"entity":"A","id":"{}","include":{include}}}"#, ids[0]));
        assert_eq!(one["entities"][0], *first);
    }
}

#[test]
fn what_is_included_is_bounded_by_the_length_of_an_answer() {
    let store = Store::with(|settings| settings.answer_bytes_max = 20_000);
    for n in 0..4 {
        let id = store.create("A", &format!(r#"{{"n":{n}}}"#));
        for _ in 0..3 + 10 * (n % 2) {
            store.create("Note", &format!(r#"{{"of":"{id}","text":"{}"}}"#, "x".repeat(2000)));
        }
    }
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let answer =
            store.query(&format!(r#"{{"entity":"A","after":{after},"include":{{"entity":"Note","field":"of"}}}}"#));
        for entity in answer["entities"].as_array().unwrap() {
            seen.push((entity["included"]["Note"].as_array().unwrap().len(), entity.get("more").is_some()));
        }
        after = answer["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(seen, [(3, false), (8, true), (3, false), (8, true)]);
}

#[test]
fn a_search_finds_words_and_no_text_is_a_fault_of_syntax() {
    let store = Store::with(|settings| settings.searches = vec![searched("A", &["title", "tags"])]);
    for (n, text) in [
        r#""title":"Graph theory for Bulkheads","tags":["math","Café"]"#,
        r#""title":"theory of graphs","tags":["draft"]"#,
        r#""title":"nothing","body":"graph theory""#,
        r#""title":7,"tags":"graph \u0000 nul""#,
    ]
    .iter()
    .enumerate()
    {
        store.create("A", &format!(r#"{{"n":{n},{text}}}"#));
    }
    let with = |search: &str| names(&store, &format!(r#"{{"entity":"A","search":{}}}"#, value!(search)));
    assert_eq!(with("graph theory"), [0].map(Value::from));
    assert_eq!(with("graph*"), [0, 1, 3].map(Value::from));
    assert_eq!(with("\"graph theory\""), [0].map(Value::from));
    assert_eq!(with("\"theory graph\""), Vec::<Value>::new());
    assert_eq!(with("theory -draft"), [0].map(Value::from));
    assert_eq!(with("CAFE"), [0].map(Value::from));
    assert_eq!(with("bulkheads math"), [0].map(Value::from));
    assert_eq!(with("\"bulkheads math\""), Vec::<Value>::new());
    assert_eq!(with("graph nul"), [3].map(Value::from));
    for odd in [
        "a\"b",
        "title:graph",
        "NEAR(graph theory)",
        "graph OR",
        "(graph",
        "a AND",
        "^graph",
        "graph'",
        "{graph}",
        "a\0b",
        "+x",
        "graph + theory",
        "\"*\" a*",
        "x:*",
        "--a b",
    ] {
        store.query(&format!(r#"{{"entity":"A","search":{},"count":true}}"#, value!(odd)));
    }
    let refused = store.refused_query(r#"{"entity":"B","search":"x"}"#);
    assert_code(&refused, ErrorCode::BadRequest, "at search: no members of B are declared for search; declare them");
    let filtered = store.query(r#"{"entity":"A","search":"theory","filters":{"n":{"gt":0}},"count":true}"#);
    assert_eq!((column(&filtered, "n"), &filtered["count"]), (vec![Value::from(1)], &Value::from(1)));
}

#[test]
fn a_search_follows_updates_and_deletes_and_new_declarations() {
    let store = Store::with(|settings| settings.searches = vec![searched("A", &["title"])]);
    let id = store.create("A", r#"{"title":"old","n":1}"#);
    store.mutate(&format!(r#"{{"entity":"A","operation":"update","id":"{id}","data":{{"title":"new"}}}}"#));
    assert_eq!(names(&store, r#"{"entity":"A","search":"old"}"#).len(), 0);
    assert_eq!(names(&store, r#"{"entity":"A","search":"new"}"#).len(), 1);
    let store = store.reopened(|settings| {
        settings.searches = vec![searched("A", &["title", "body"])];
        settings.indexes = vec![index("A", "title"), index("A", "it's")];
    });
    assert_eq!(names(&store, r#"{"entity":"A","search":"new"}"#).len(), 1);
    assert_eq!(names(&store, r#"{"entity":"A","filters":{"title":"new"}}"#).len(), 1);
    store.mutate(&format!(r#"{{"entity":"A","operation":"delete","id":"{id}"}}"#));
    assert_eq!(names(&store, r#"{"entity":"A","search":"new"}"#).len(), 0);
    let store = store.reopened(|_| {});
    assert_eq!(store.refused_query(r#"{"entity":"A","search":"new"}"#).code, ErrorCode::BadRequest);
}

#[test]
fn a_count_alone_needs_no_entities() {
    let store = Store::new();
    for n in 0..5 {
        store.create("A", &format!(r#"{{"n":{n}}}"#));
    }
    let answer = store.query(r#"{"entity":"A","filters":{"n":{"gte":2}},"limit":0,"count":true}"#);
    assert_eq!(answer, value!({"entities": [], "next": null, "count": 3}));
}

#[test]
fn a_slow_query_ends_at_its_deadline_or_when_it_is_cancelled_and_the_thread_goes_on() {
    let store = Store::with(|settings| settings.readers = 1);
    let operations: Vec<String> = (0..1000)
        .map(|n| format!(r#"{{"entity":"A","operation":"create","data":{{"n":{n},"text":"{}"}}}}"#, "x".repeat(500)))
        .collect();
    for _ in 0..4 {
        store.mutate(&format!(r#"{{"operations":[{}]}}"#, operations.join(",")));
    }
    let slow = || {
        let filters: Vec<String> = (0..30).map(|n| format!(r#""text.{n}.b":{{"ne":"y"}}"#)).collect();
        let payload =
            format!(r#"{{"entity":"A","limit":0,"count":true,"filters":{{{},"n":{{"lt":0}}}}}}"#, filters.join(","));
        Job::Query { unit: None, query: Query::read(&json(&payload)).unwrap() }
    };
    store.layer1.submit(JobId(1000), slow(), Some(Instant::now() + Duration::from_millis(2))).unwrap();
    let (_, outcome) = store.layer1.wait();
    let Outcome::Failed(failure) = outcome else { panic!("it cannot be that fast: {outcome:?}") };
    assert_code(&failure, ErrorCode::DeadlineExceeded, "declare an index");
    for job_id in 2000..2020 {
        store.layer1.submit(JobId(job_id), slow(), None).unwrap();
    }
    for job_id in 2000..2020 {
        store.layer1.cancel(JobId(job_id));
    }
    let cancelled = (2000..2020)
        .filter(|_| matches!(store.layer1.wait().1, Outcome::Failed(failure) if failure.code == ErrorCode::Cancelled));
    assert!(cancelled.count() >= 19);
    assert_eq!(store.query(r#"{"entity":"A","limit":0,"count":true}"#)["count"], 4000);
}
