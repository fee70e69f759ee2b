//! A module that the attribute makes: what it describes, what its methods get, and what its answers are. The sentences
//! of refusals are in `refusals.rs`, faults in the source in `module-runtime/macros/tests/compile_errors.rs`.

use bulkhead_module::testing::{Harness, RequestType};
use bulkhead_module::{Barrier, Context, Error, Init, Json, JsonSchema, Module, json, module};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

struct Stock {
    counts: BTreeMap<String, u64>,
    seen: Vec<String>,
    low: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Config {
    #[serde(default)]
    low: u64,
}

/// What to look for.
#[derive(Deserialize, JsonSchema)]
struct Filter {
    /// The beginning of the item.
    zone: Option<String>,
    least: u64,
    #[serde(default)]
    below: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
struct Count<'a> {
    item: &'a str,
    count: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Delivered {
    item: String,
    count: u64,
}

type Answer<T> = Result<T, Error>;
type FallsShort<T> = std::result::Result<T, Lacking>;

struct Lacking(u64);

impl From<Lacking> for Error {
    fn from(Lacking(count): Lacking) -> Error {
        Error::custom("too_few", format!("there are only {count}"))
    }
}

mod result {
    pub(crate) type Result<T> = super::FallsShort<T>;
}

static BARRIERS: AtomicU64 = AtomicU64::new(0);

/// Counts what is
/// on its shelves.
///
/// And nothing else.
#[module(name = "stock", version = "1.2.3", keys, batch_answers)]
impl Stock {
    #[init]
    fn start(init: &Init, config: Config) -> Answer<Stock> {
        assert_eq!(init.module, "stock");
        Ok(Stock { counts: BTreeMap::new(), seen: Vec::new(), low: config.low })
    }

    /// Puts pieces
    /// on a shelf.
    ///
    /// This is for the readers of the source.
    #[command]
    #[example(args = {"item": "bolt", "count": 5}, returns = 5, description = "five bolts")]
    #[example(args = {"item": "bolt"})]
    fn add(
        &mut self,
        ctx: &mut Context<'_>,
        /// What it is.
        item: String,
        /// How many
        /// pieces.
        #[default(1)]
        count: u64,
        #[name("type")] kind: Option<String>,
    ) -> Result<u64, Error> {
        ctx.emit("stock.added", json!({ "item": item, "kind": kind }))?;
        let shelf = self.counts.entry(item).or_default();
        *shelf += count;
        Ok(*shelf)
    }

    /// How many there are.
    #[command(idempotent, name = "count")]
    fn count_of(&self, item: &str) -> Option<u64> {
        self.counts.get(item).copied()
    }

    #[command]
    fn take(&mut self, item: &str, count: u64) -> result::Result<u64> {
        let shelf = self.counts.get_mut(item).ok_or(Lacking(0))?;
        *shelf = shelf.checked_sub(count).ok_or(Lacking(*shelf))?;
        Ok(*shelf)
    }

    #[command(idempotent, read_only)]
    fn find(&self, #[arguments] Filter { zone, least, below }: Filter) -> Vec<String> {
        let is_it = |(item, count): &(&String, &u64)| {
            zone.as_ref().is_none_or(|zone| item.starts_with(zone))
                && **count >= least
                && below.is_none_or(|below| **count < below)
        };
        self.counts.iter().filter(is_it).map(|(item, _)| item.clone()).collect()
    }

    #[command]
    fn whole(&self, r#type: Json, rest: Option<Json>, list: &[u64], #[default("none")] note: &str) -> Json {
        let count = list.iter().fold(0u64, |sum, one| sum.wrapping_add(*one));
        let rest = rest.map(|rest| rest.as_str().to_owned());
        json!({ "type": r#type.as_str(), "rest": rest, "count": count, "note": note })
    }

    #[command]
    fn clear(&mut self) {
        self.counts.clear();
    }

    #[command]
    fn borrowed(&self) -> Count<'_> {
        Count { item: "low", count: self.low }
    }

    #[command]
    fn maximum() -> u64 {
        u64::MAX
    }

    #[query]
    fn question(&mut self, ctx: &mut Context<'_>, payload: Delivered) -> Result<Json, Error> {
        ctx.call("other", "count", json!({ "item": payload.item }))
    }

    #[mutation]
    fn change(&mut self, payload: &Json) -> Json {
        payload.clone()
    }

    #[event("stock.delivered")]
    fn delivered(&mut self, _ctx: &mut Context<'_>, delivered: Delivered) {
        *self.counts.entry(delivered.item).or_default() += delivered.count;
    }

    #[event("stock.*")]
    fn any(&mut self, event: &str, data: Json) -> Result<(), Lacking> {
        self.seen.push(format!("{event} {}", data.as_str()));
        if event == "stock.bad" { Err(Lacking(7)) } else { Ok(()) }
    }

    #[shutdown]
    fn stop(&mut self, ctx: &mut Context<'_>) -> Result<(), Error> {
        ctx.emit("stock.stopped", json!(null))?;
        if self.seen.is_empty() { Ok(()) } else { Err(Error::failed(self.seen_so_far())) }
    }

    #[barrier]
    fn flush(&self) -> Option<Barrier> {
        Some(Box::new(|| {
            BARRIERS.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }))
    }

    fn seen_so_far(&self) -> String {
        self.seen.join(", ")
    }
}

fn stock() -> Harness<Stock> {
    Harness::start(json!({ "low": 3 })).unwrap()
}

/// Sends a command as a text, so that it arrives as it is.
fn send(stock: &mut Harness<Stock>, name: &str, args: &str) -> Result<String, String> {
    let payload = Json::parse(&format!("{{\"name\":\"{name}\",\"args\":{args}}}")).unwrap();
    let answer = stock.send(RequestType::Command, &payload);
    answer.map(|data| data.as_str().to_owned()).map_err(|error| error.to_string())
}

#[test]
fn a_module_describes_itself_with_what_stands_at_its_methods() {
    let described = stock().described();
    let ready: Value = described.read().unwrap();
    assert_eq!((&ready["name"], &ready["version"]), (&"stock".into(), &"1.2.3".into()));
    assert_eq!(ready["description"], "Counts what is on its shelves.");
    assert_eq!(ready["features"], serde_json::json!(["keys"]));
    let names: Vec<&str> =
        ready["commands"].as_array().unwrap().iter().map(|command| command["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["add", "count", "take", "find", "whole", "clear", "borrowed", "maximum"]);
    let add = r#"{"name":"add","idempotent":false,"description":"Puts pieces on a shelf.","args":{"type":"object","properties":{"item":{"description":"What it is.","type":"string"},"count":{"default":1,"description":"How many pieces.","format":"uint64","maximum":18446744073709551615,"minimum":0,"type":"integer"},"type":{"type":["string","null"]}},"required":["item"],"additionalProperties":false},"returns":{"format":"uint64","maximum":18446744073709551615,"minimum":0,"type":"integer"},"examples":[{"args":{"count":5,"item":"bolt"},"returns":5,"description":"five bolts"},{"args":{"item":"bolt"}}]}"#;
    assert!(described.as_str().contains(add), "{}", described.as_str());
    assert_eq!(
        (&ready["commands"][1]["idempotent"], &ready["commands"][3]["idempotent"]),
        (&true.into(), &true.into())
    );
    assert_eq!((ready["commands"][1].get("read_only"), &ready["commands"][3]["read_only"]), (None, &true.into()));
}

#[test]
fn a_struct_of_all_arguments_takes_no_others() {
    let ready: Value = stock().described().read().unwrap();
    let find = &ready["commands"][3]["args"];
    assert_eq!(find["additionalProperties"], false);
    assert_eq!(find["properties"]["zone"]["description"], "The beginning of the item.");
    assert_eq!(find["required"], serde_json::json!(["least"]));
    let mut stock = stock();
    let found = send(&mut stock, "find", r#"{"zoen":"a","least":1}"#);
    assert_eq!(found.unwrap_err(), "unknown argument `zoen`; did you mean `zone`?");
    let found = send(&mut stock, "find", r#"{"quite_different":1}"#);
    assert_eq!(found.unwrap_err(), "unknown argument `quite_different`; known are `zone`, `least`, `below`");
    assert_eq!(send(&mut stock, "find", "null").unwrap_err(), "missing argument `least`; expected an integer");
}

#[test]
fn what_is_json_as_it_was_sent_is_not_described() {
    let ready: Value = stock().described().read().unwrap();
    let whole = &ready["commands"][4];
    assert_eq!((&whole["args"]["properties"]["type"], whole.get("returns")), (&serde_json::json!({}), None));
    assert_eq!(ready["commands"][5]["returns"]["type"], "null");
    assert_eq!(ready["commands"][6]["returns"]["properties"]["item"]["type"], "string");
}

#[test]
fn a_method_gets_its_arguments_by_name_and_what_stands_in_for_those_left_out() {
    let mut stock = stock();
    assert_eq!(send(&mut stock, "add", r#"{"item":"bolt"}"#).unwrap(), "1");
    assert_eq!(send(&mut stock, "add", r#"{ "count" : 2.0 , "type" : null, "item" : "b\u006flt" }"#).unwrap(), "3");
    assert_eq!(stock.emitted()[1].1, serde_json::json!({ "item": "bolt", "kind": null }));
    assert_eq!(send(&mut stock, "count", r#"{"item":"bolt"}"#).unwrap(), "3");
    assert_eq!(send(&mut stock, "count", r#"{"item":"nut"}"#).unwrap(), "null");
    assert_eq!(send(&mut stock, "find", r#"{"least":1e0,"below":4}"#).unwrap(), r#"["bolt"]"#);
    assert_eq!(send(&mut stock, "clear", "{}").unwrap(), "null");
    assert_eq!(send(&mut stock, "borrowed", "{}").unwrap(), r#"{"item":"low","count":3}"#);
}

#[test]
fn no_digit_and_no_member_is_lost_on_the_way() {
    let mut stock = stock();
    let args = r#"{"type": {"a":1.50,"a":2},"rest":[ 1e400 ],"list":[18446744073709551614,1.0]}"#;
    let answer = r#"{"count":18446744073709551615,"note":"none","rest":"[ 1e400 ]","type":"{\"a\":1.50,\"a\":2}"}"#;
    assert_eq!(send(&mut stock, "whole", args).unwrap(), answer);
    assert_eq!(send(&mut stock, "maximum", "{}").unwrap(), "18446744073709551615");
    let payload = Json::parse(r#"{"a":1.50}"#).unwrap();
    assert_eq!(stock.send(RequestType::Mutation, &payload).unwrap().as_str(), r#"{"a":1.50}"#);
}

#[test]
fn an_error_of_a_handler_is_the_answer_whatever_its_type() {
    let mut stock = stock();
    stock.command("add", json!({ "item": "bolt" })).unwrap();
    let error = stock.command("take", json!({ "item": "bolt", "count": 2 })).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.module_code()), ("there are only 1", Some("too_few")));
}

#[test]
fn a_payload_is_read_as_the_type_of_its_parameter() {
    let mut stock = stock();
    stock.host_answers(Ok(json!({ "count": 4 })));
    assert_eq!(stock.query(json!({ "item": "bolt", "count": 1 })).unwrap()["count"], 4);
    assert_eq!(stock.asked()[0].payload["args"]["item"], "bolt");
    let error = stock.query(json!({ "item": 1, "count": 1 })).unwrap_err();
    assert_eq!(error.to_string(), "member `item`: expected a text, found 1");
}

#[test]
fn an_event_goes_to_the_first_handler_whose_pattern_it_matches() {
    let mut stock = stock();
    stock.event("stock.delivered", json!({ "item": "bolt", "count": 2, "more": true })).unwrap();
    stock.event("stock.other", json!([1])).unwrap();
    stock.event("elsewhere", json!(null)).unwrap();
    assert_eq!(stock.module().counts["bolt"], 2);
    assert_eq!(stock.module().seen, ["stock.other [1]"]);
    let error = stock.event("stock.delivered", json!({ "item": "bolt" })).unwrap_err();
    assert_eq!(error.to_string(), "missing member `count`; expected an integer");
    assert_eq!(stock.event("stock.bad", json!(null)).unwrap_err().module_code(), Some("too_few"));
}

#[test]
fn a_configuration_that_does_not_fit_fails_the_start_for_good() {
    let error = Harness::<Stock>::start(json!({ "lwo": 3 })).err().unwrap();
    assert_eq!(error.to_string(), "[config]: unknown key `lwo`; did you mean `low`?");
    assert!(error.is_permanent());
}

#[test]
fn the_end_and_the_barrier_are_those_of_the_methods() {
    let mut one = stock();
    let before = BARRIERS.load(Ordering::Relaxed);
    one.command("clear", json!({})).unwrap();
    assert!(BARRIERS.load(Ordering::Relaxed) > before);
    one.event("stock.other", json!(1)).unwrap();
    assert_eq!(one.shutdown().unwrap_err().to_string(), "stock.other 1");
    assert!(stock().shutdown().is_ok());
}

macro_rules! with_an_example {
    ($name:ident, $($example:tt)*) => {
        #[derive(Default)]
        struct $name;

        #[module(name = "examples")]
        impl $name {
            #[command]
            #[example($($example)*)]
            fn halve(count: u8) -> u8 {
                count / 2
            }
        }
    };
}

with_an_example!(RightExample, args = {"count": 4}, returns = 2);
with_an_example!(WrongArguments, args = {"count": -4});
with_an_example!(NoArguments, description = "nothing");
with_an_example!(WrongAnswer, args = {"count": 4}, returns = "two");
with_an_example!(LongExample, args = {"count": 4}, description = "a description of this length is far more than most need, and there are limits on that");

#[test]
fn an_example_that_its_command_would_refuse_fails_the_start_for_good() {
    fn fault<M: Module>() -> Option<String> {
        let error = Harness::<M>::start(json!({})).err()?;
        assert!(error.is_permanent());
        Some(error.to_string())
    }
    assert_eq!(fault::<RightExample>(), None);
    assert_eq!(fault::<LongExample>(), None);
    let wrong = "example 1 of the command `halve`: argument `count`: expected an integer from 0 to 255, found -4";
    assert_eq!(fault::<WrongArguments>().as_deref(), Some(wrong));
    let missing = "example 1 of the command `halve`: missing argument `count`; expected an integer";
    assert_eq!(fault::<NoArguments>().as_deref(), Some(missing));
    let answer = "example 1 of the command `halve`: what it returns: expected an integer, found \"two\"";
    assert_eq!(fault::<WrongAnswer>().as_deref(), Some(answer));
}

macro_rules! with_a_default {
    ($name:ident, $bytes:literal, $($command:ident)*) => {
        #[derive(Default)]
        struct $name;

        #[module]
        impl $name {
            $(
                #[command]
                fn $command(#[default("x".repeat($bytes))] text: String) {
                    drop(text);
                }
            )*
        }
    };
}

with_a_default!(Fits, 65_000, a b c d);
with_a_default!(TooLong, 65_536, a);
with_a_default!(TooMany, 65_000, a b c d e);

#[test]
fn a_description_that_the_host_would_drop_fails_the_start_for_good() {
    assert!(Harness::<Fits>::start(json!({})).is_ok());
    let error = Harness::<TooLong>::start(json!({})).err().unwrap();
    assert!(
        error.to_string().starts_with("args of the command `a`: expected at most 65536 bytes, found 65"),
        "{error}"
    );
    let error = Harness::<TooMany>::start(json!({})).err().unwrap();
    assert!(
        error.to_string().starts_with("args, returns and examples of all commands: expected at most 262144"),
        "{error}"
    );
    assert!(error.is_permanent());
}

#[test]
fn name_and_version_are_those_of_the_crate_unless_they_are_given() {
    let ready: Value = Harness::<Fits>::start(json!({})).unwrap().described().read().unwrap();
    assert_eq!((&ready["name"], &ready["version"]), (&"bulkhead-module".into(), &env!("CARGO_PKG_VERSION").into()));
}
