//! What is built is what the host's own grammar reads, and answers become values.

use super::*;
use crate::{Description, Init, Module, json, testing::Harness};
use bulkhead_protocol::layer1 as grammar;
use serde_json::{Value, json as value};

const ID: &str = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Book {
    title: String,
    year: i32,
}

/// Runs what the test gives it, instead of a handler.
struct Reader;

impl Module for Reader {
    fn describe() -> Description {
        Description::new("reader", "1.0.0")
    }

    fn init(_: &Init) -> Result<Reader, Error> {
        Ok(Reader)
    }

    fn command(&mut self, ctx: &mut Context<'_>, name: &str, _: &Json) -> Result<Json, Error> {
        let query = Query::of("Book").limit(2);
        match name {
            "titles" => {
                let titles: Result<Vec<String>, Error> =
                    ctx.entities::<Book>(query).map(|book| Ok(book?.data.title)).collect();
                Ok(json!(titles?))
            }
            "after_an_error" => {
                let mut books = ctx.entities::<Book>(query);
                let _ = books.find(Result::is_err);
                Ok(json!(books.count()))
            }
            "find" => {
                let page = ctx.find::<Book>(&query.count())?;
                Ok(json!({ "found": page.entities.len(), "next": page.next, "count": page.count }))
            }
            "count" => Ok(json!(ctx.count(&Query::of("Book").eq("year", 1843))?)),
            "any" => Ok(json!(ctx.entity_if_any::<Book>("Book", ID)?.map(|book| book.data.year))),
            "one" => Ok(json!(ctx.entity::<Book>("Book", ID)?.included["Loan"][0].data.as_str())),
            "elsewhere" => {
                ctx.query_at("library", json!({ "q": 1 }))?;
                ctx.mutate_at("library", json!({ "m": 1 }))
            }
            "create" => Ok(json!(ctx.create("Book", &Book { title: "A".into(), year: 1 })?.id)),
            _ => {
                let changes = [Change::delete("Book", ID), Change::create("Book", &json!({}))];
                Ok(json!(ctx.change_all(changes)?.iter().map(|changed| changed.version).collect::<Vec<_>>()))
            }
        }
    }
}

fn row(data: Value) -> Value {
    value!({ "id": ID, "entity": "Book", "version": 1, "created_at": "t", "updated_at": "t", "data": data })
}

fn rows(titles: &[&str], next: Option<&str>) -> Result<Json, Error> {
    let rows: Vec<Value> = titles.iter().map(|title| row(value!({ "title": title, "year": 1, "new": null }))).collect();
    Ok(json!({ "entities": rows, "next": next }))
}

fn reader() -> Harness<Reader> {
    Harness::start(json!({})).unwrap()
}

#[test]
fn a_query_with_everything_is_what_the_grammar_reads() {
    let query = Query::of("Book")
        .eq("a", value!({"x": [1]}))
        .ne("b", Value::Null)
        .gt("c", 1)
        .lte("c", 2.5)
        .gte("d", "x")
        .lt("d", "y")
        .is_in("e", [1, 2])
        .contains("f", "g")
        .exists("h")
        .missing("i.0")
        .gt("$created_at", "2026-01-01T00:00:00Z")
        .search("two words")
        .order("a")
        .order("-$id")
        .limit(7)
        .after("cursor")
        .include("Loan", "book")
        .include_as("late", "Loan", "late", 3)
        .count();
    let read = grammar::Query::read(&query.payload()).unwrap_or_else(|fault| panic!("{fault}: {query:?}"));
    let grammar::Selection::Many(many) = &read.selection else { panic!("{read:?}") };
    let paths: Vec<String> = many.filters.iter().map(|filter| filter.path.to_string()).collect();
    assert_eq!(paths, ["a", "b", "c", "d", "e", "f", "h", "i.0", "$created_at"]);
    assert_eq!(many.filters.iter().map(|filter| filter.conditions.len()).sum::<usize>(), 11);
    assert_eq!((many.order.len(), many.limit, many.after.as_deref()), (2, 7, Some("cursor")));
    assert_eq!((many.count, many.search.is_some()), (grammar::Count::Yes, true));
    let includes: Vec<_> = read.include.iter().map(|include| (include.name.as_str(), include.limit)).collect();
    assert_eq!(includes, [("Loan", 100), ("late", 3)]);
    let one = grammar::Query::read(&Query::one("Book", ID).include("Loan", "book").payload()).unwrap();
    assert!(matches!(one.selection, grammar::Selection::One(_)));
}

#[test]
fn one_operator_twice_at_one_path_is_refused_and_not_forgotten() {
    let query = Query::of("Book").contains("tags", "a").contains("tags", "b");
    let fault = grammar::Query::read(&query.payload()).unwrap_err();
    assert_eq!(fault.path(), "filters.tags.contains");
}

#[test]
fn changes_are_what_the_grammar_reads() {
    let book = Book { title: "A".into(), year: 1 };
    let changes = [
        Change::create("Book", &book),
        Change::create("Book", &book).with_id(ID),
        Change::update("Book", ID, &value!({ "year": null })).expected_version(3),
        Change::delete("Book", ID).expected_version(4),
    ];
    for change in &changes {
        grammar::Mutation::read(&change.payload()).unwrap_or_else(|fault| panic!("{fault}: {change:?}"));
    }
    let all = grammar::Mutation::read(&change::payload_of(changes)).unwrap();
    let expected: Vec<_> = all
        .operations
        .iter()
        .map(|operation| match &operation.change {
            grammar::Change::Create { id, data } => (id.is_some(), data.as_str().len(), None),
            grammar::Change::Update { patch, expected, .. } => (true, patch.as_str().len(), *expected),
            grammar::Change::Delete { expected, .. } => (true, 0, *expected),
        })
        .collect();
    assert_eq!(expected, [(false, 22, None), (true, 22, None), (true, 13, Some(3)), (true, 0, Some(4))]);
}

#[test]
fn entities_are_read_page_by_page_and_only_as_far_as_they_are_used() {
    let mut reader = reader();
    reader
        .host_answers(rows(&["a", "b"], Some("1")))
        .host_answers(rows(&[], Some("2")))
        .host_answers(rows(&["c"], None));
    assert_eq!(reader.command("titles", json!({})).unwrap(), value!(["a", "b", "c"]));
    let asked: Vec<Value> = reader.asked().into_iter().map(|asked| asked.payload["after"].clone()).collect();
    assert_eq!(asked, [value!(null), value!("1"), value!("2")]);
}

#[test]
fn an_error_ends_the_entities() {
    let mut reader = reader();
    reader.host_answers(rows(&["a"], Some("1"))).host_answers(Err(Error::overloaded("later")));
    assert_eq!(reader.command("after_an_error", json!({})).unwrap(), 0);
    assert_eq!(reader.asked().len(), 2);
}

#[test]
fn data_of_another_form_is_named_with_its_entity_and_member() {
    let mut reader = reader();
    let bad = row(value!({ "title": "A", "year": "soon" }));
    reader.host_answers(Ok(json!({ "entities": [bad], "next": null })));
    assert_eq!(
        reader.command("titles", json!({})).unwrap_err().to_string(),
        format!("Book {ID} holds something else: member `year`: invalid type: string \"soon\", expected i32")
    );
    reader.host_answers(Ok(json!([1])));
    let error = reader.command("find", json!({})).unwrap_err().to_string();
    assert!(error.starts_with("the host's answer has another form"), "{error}");
}

#[test]
fn answers_become_values() {
    let mut reader = reader();
    reader.host_answers(Ok(json!({ "entities": [], "next": "x", "count": 9 })));
    assert_eq!(reader.command("find", json!({})).unwrap(), value!({"found": 0, "next": "x", "count": 9}));
    reader.host_answers(Ok(json!({ "entities": [], "next": null, "count": 4 })));
    assert_eq!(reader.command("count", json!({})).unwrap(), 4);
    assert_eq!(reader.asked()[1].payload["limit"], 0);
    reader.host_answers(Err(Error::not_found("there is none")));
    assert_eq!(reader.command("any", json!({})).unwrap(), value!(null));
    reader.host_answers(Err(Error::permission_denied("no")));
    assert_eq!(reader.command("any", json!({})).unwrap_err().code(), ErrorCode::PermissionDenied);
    let mut with_loan = row(value!({ "title": "A", "year": 1 }));
    with_loan["included"] = value!({ "Loan": [row(value!({"to":1.50}))] });
    reader.host_answers(Ok(json!({ "entities": [with_loan], "next": null })));
    assert_eq!(reader.command("one", json!({})).unwrap(), r#"{"to":1.5}"#);
    reader.host_answers(Ok(json!({ "id": ID, "version": 1 })));
    assert_eq!(reader.command("create", json!({})).unwrap(), ID);
    reader.host_answers(Ok(json!({ "results": [{ "id": ID, "version": 2 }, { "id": ID, "version": 1 }] })));
    assert_eq!(reader.command("several", json!({})).unwrap(), value!([2, 1]));
}

#[test]
fn a_query_and_a_mutation_may_be_for_another_module() {
    let mut reader = reader();
    reader.host_answers(Ok(json!({}))).host_answers(Ok(json!(7)));
    assert_eq!(reader.command("elsewhere", json!({})).unwrap(), 7);
    let asked: Vec<_> = reader.asked().into_iter().map(|asked| (asked.kind, asked.to, asked.payload)).collect();
    let to = || Some("library".to_owned());
    assert_eq!(asked, [("query".into(), to(), value!({"q": 1})), ("mutation".into(), to(), value!({"m": 1}))]);
}
