//! The functions that `export!` defines, called as C would: by name and with pointers. One module,
//! linked into this program; `module-runtime native` loads real libraries in tests of its own.

use bulkhead_module::testing::init;
use bulkhead_module::{Barrier, Context, Description, Error, Init, Json, Module, json};
use proptest::prelude::*;
use serde_json::{Value, json as value};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::time::Duration;

unsafe extern "C" {
    fn create_module() -> *mut c_void;
    fn destroy_module(module: *mut c_void);
    fn handle_message(module: *mut c_void, kind: *const c_char, payload: *const c_char) -> *mut c_char;
    fn before_answers(module: *mut c_void) -> *mut c_char;
    fn get_module_metadata() -> *mut c_char;
    fn free_string(string: *mut c_char);
    fn set_host(host: *const bulkhead_module::border::HostTable);
}

thread_local! {
    /// How many modules of this thread were dropped.
    static DROPPED: Cell<u32> = const { Cell::new(0) };
    /// The requests to the host of this thread, and its answers.
    static ASKED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static ANSWERS: RefCell<VecDeque<String>> = const { RefCell::new(VecDeque::new()) };
    /// What `wait` answers.
    static WAIT: Cell<i32> = const { Cell::new(0) };
    /// The module of this thread, for a host that enters it while it waits.
    static WAITING: Cell<*mut c_void> = const { Cell::new(std::ptr::null_mut()) };
}

struct Probe {
    count: u64,
}

impl Drop for Probe {
    fn drop(&mut self) {
        DROPPED.set(DROPPED.get() + 1);
    }
}

impl Module for Probe {
    fn describe() -> Description {
        Description::new("probe", "1.2")
            .idempotent("count", "counts")
            .command("panic", "panics")
            .command("panic_oddly", "panics with what panics when it is dropped")
            .command("call", "calls another module")
            .command("call_within", "calls another module, for half a millisecond")
            .command("emit", "publishes an event")
            .command("progress", "tells how far it is")
            .command("wait", "waits")
            .command("request", "tells of the request")
            .command("log", "writes a line")
            .keys()
            .batch_answers()
    }

    fn init(init: &Init) -> Result<Self, Error> {
        let config: Value = init.config.read()?;
        match config["fail"].as_str() {
            Some("panic") => panic!("not even once"),
            Some(why) => Err(Error::failed(why).permanent()),
            None => Ok(Probe { count: 0 }),
        }
    }

    fn command(&mut self, ctx: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error> {
        struct Odd;
        impl Drop for Odd {
            fn drop(&mut self) {
                panic!("a second time");
            }
        }
        match name {
            "panic" => panic!("as asked, {}", args.as_str()),
            "panic_oddly" => std::panic::panic_any(Odd),
            "call" => ctx.call("other", "twice", args.clone()),
            "call_within" => ctx.call_within(Duration::from_micros(500), "other", "twice", args.clone()),
            "emit" => ctx.emit("probe.done", args.clone()).map(|()| Json::null()),
            "progress" => ctx.progress(args.clone()).map(|()| Json::null()),
            "wait" => ctx.wait(Duration::from_millis(1)).map(|()| Json::null()),
            "request" => {
                let left = ctx.deadline().map(|left| left.as_millis() as u64);
                Ok(json!({ "id": ctx.id(), "key": ctx.key(), "left": left }))
            }
            "log" => {
                bulkhead_module::log!(warn, "a line with a \0 in it");
                Ok(Json::null())
            }
            _ => {
                self.count += 1;
                Ok(json!({ "count": self.count }))
            }
        }
    }

    fn query(&mut self, ctx: &mut Context<'_>, payload: &Json) -> Result<Json, Error> {
        ctx.query(payload.clone())
    }

    fn event(&mut self, _: &mut Context<'_>, event: &str, _: &Json) -> Result<(), Error> {
        if event == "bad" { Err(Error::failed("no such event")) } else { Ok(()) }
    }

    fn barrier(&self) -> Option<Barrier> {
        let mut passed = 0;
        Some(Box::new(move || {
            passed += 1;
            match passed {
                3 => Err(Error::failed("the disk is full")),
                4 => panic!("the disk is gone"),
                _ => Ok(()),
            }
        }))
    }
}

bulkhead_module::export!(Probe);

/// Reads a string of the module's and frees it.
fn take(string: *mut c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    // SAFETY: it is the module's string, which is ours until it is freed, and it is freed once.
    unsafe {
        let text = CStr::from_ptr(string).to_str().unwrap().to_owned();
        free_string(string);
        Some(text)
    }
}

struct Loaded(*mut c_void);

impl Loaded {
    fn new() -> Loaded {
        // SAFETY: it takes nothing.
        let module = unsafe { create_module() };
        assert!(!module.is_null());
        Loaded(module)
    }

    fn ready() -> Loaded {
        let module = Loaded::new();
        let answer = module.send("init", &greeting(value!({})));
        assert_eq!((&answer["status"], &answer["data"]["name"]), (&value!("success"), &value!("probe")), "{answer}");
        module
    }

    fn send_raw(&self, kind: *const c_char, payload: *const c_char) -> Value {
        // SAFETY: the module lives, and each test gives strings or null.
        let answer = take(unsafe { handle_message(self.0, kind, payload) });
        serde_json::from_str(&answer.expect("an answer is never null")).expect("an answer is JSON")
    }

    fn send(&self, kind: &str, payload: &Value) -> Value {
        let (kind, payload) = (CString::new(kind).unwrap(), CString::new(payload.to_string()).unwrap());
        self.send_raw(kind.as_ptr(), payload.as_ptr())
    }

    fn command(&self, name: &str, args: Value) -> Value {
        self.send("command", &value!({ "name": name, "args": args }))
    }

    fn barrier(&self) -> Option<String> {
        // SAFETY: the module lives.
        take(unsafe { before_answers(self.0) })
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: it came from `create_module` and is destroyed once.
        unsafe { destroy_module(self.0) }
    }
}

fn greeting(config: Value) -> Value {
    serde_json::to_value(init("probe", config.into(), Path::new("/nowhere"))).unwrap()
}

#[test]
fn metadata_says_what_the_module_says_of_itself() {
    // SAFETY: it takes nothing.
    let metadata: Value = serde_json::from_str(&take(unsafe { get_module_metadata() }).unwrap()).unwrap();
    assert_eq!((&metadata["name"], &metadata["version"]), (&value!("probe"), &value!("1.2")));
    assert_eq!(metadata["commands"][0], value!({"name": "count", "idempotent": true, "description": "counts"}));
    assert_eq!((&metadata["features"], &metadata["batch_answers"]), (&value!(["keys"]), &value!(true)));
}

#[test]
fn each_module_is_a_value_of_its_own_and_is_dropped_once() {
    let (one, two) = (Loaded::ready(), Loaded::ready());
    assert_eq!(one.command("count", value!({}))["data"]["count"], 1);
    assert_eq!(one.command("count", value!({}))["data"]["count"], 2);
    assert_eq!(two.command("count", value!(null))["data"]["count"], 1);
    drop(one);
    assert_eq!(DROPPED.get(), 1);
    assert_eq!(two.command("count", value!({}))["data"]["count"], 2);
    assert_eq!(two.send("shutdown", &value!(null)), value!({"status": "success", "data": null}));
    drop(two);
    assert_eq!(DROPPED.get(), 2);
    drop(Loaded::new());
    assert_eq!(DROPPED.get(), 2, "a module that was never initialised has no value");
}

#[test]
fn init_comes_first_and_once_and_says_when_it_is_of_no_use_to_try_again() {
    let module = Loaded::new();
    let early = module.command("count", value!({}));
    assert_eq!(early["error"], "expected \"init\" first, found \"command\"");
    let failed = module.send("init", &greeting(value!({"fail": "no licence"})));
    assert_eq!((&failed["error"], &failed["permanent"]), (&value!("no licence"), &value!(true)));
    let other = module.send("init", &value!({"protocol": 2}));
    assert_eq!((&other["code"], &other["permanent"]), (&value!("bad_request"), &value!(true)));
    assert_eq!(module.send("init", &greeting(value!({})))["status"], "success");
    assert_eq!(module.send("init", &greeting(value!({})))["error"], "the module is initialised already");
    assert_eq!(module.command("count", value!({}))["data"]["count"], 1);
}

#[test]
fn null_pointers_and_what_is_no_text_are_answered() {
    let module = Loaded::ready();
    let (command, odd) = (c"command".as_ptr(), c"{\"name\":\"\xff\"}".as_ptr());
    let error = |kind, payload| module.send_raw(kind, payload)["error"].as_str().unwrap().to_owned();
    assert_eq!(error(std::ptr::null(), c"{}".as_ptr()), "a message came without a type");
    assert!(error(c"\xff".as_ptr(), c"{}".as_ptr()).starts_with("the type of a message cannot be read: "));
    assert!(error(command, odd).starts_with("the payload of a message cannot be read: invalid utf-8"));
    assert!(error(command, c"{oops".as_ptr()).starts_with("the payload of a message cannot be read: "));
    assert!(error(command, std::ptr::null()).starts_with("the payload of this command has another form"));
    assert_eq!(module.send_raw(c"shutdown".as_ptr(), std::ptr::null())["status"], "success");
    let missing = std::mem::ManuallyDrop::new(Loaded(std::ptr::null_mut()));
    assert_eq!(missing.command("count", value!({}))["error"], "handle_message was called without a module");
    assert_eq!(missing.barrier(), None);
    // SAFETY: null is allowed in both.
    unsafe {
        destroy_module(std::ptr::null_mut());
        free_string(std::ptr::null_mut());
    }
}

#[test]
fn every_type_means_what_it_means_in_a_program() {
    let module = Loaded::ready();
    let code = |kind: &str, payload: Value| module.send(kind, &payload)["code"].clone();
    assert_eq!(code("command", value!({"name": "conut"})), "unknown_command");
    assert_eq!(code("mutation", value!({})), "unknown_type");
    assert_eq!(code("dance", value!({})), "unknown_type");
    assert_eq!(code("ping", value!({})), "unknown_type");
    assert_eq!(code("event", value!({})), "bad_request");
    assert_eq!(module.send("event", &value!({"event": "good"}))["status"], "success");
    assert_eq!(module.send("event", &value!({"event": "bad"}))["error"], "no such event");
}

#[test]
fn a_panic_is_an_answer_with_its_place_and_the_value_is_never_dropped() {
    let module = Loaded::ready();
    let failure = module.command("panic", value!({"a": 1}));
    let sentence = failure["error"].as_str().unwrap();
    assert!(sentence.starts_with("the handler panicked at ") && sentence.contains("border.rs:"), "{sentence}");
    assert!(sentence.ends_with(r#": as asked, {"a":1}"#), "{sentence}");
    assert_eq!((&failure["panicked"], &failure["code"]), (&value!(true), &value!("module_error")));
    // The runtime decides whether it continues.
    assert_eq!(module.command("count", value!({}))["data"]["count"], 1);
    let odd = module.command("panic_oddly", value!({}));
    assert!(odd["error"].as_str().unwrap().ends_with("a value that is no text"), "{odd}");
    drop(module);
    assert_eq!(DROPPED.get(), 0);
}

#[test]
fn a_panic_in_init_is_an_answer_too() {
    let module = Loaded::new();
    let failure = module.send("init", &greeting(value!({"fail": "panic"})));
    assert!(failure["error"].as_str().unwrap().ends_with(": not even once"), "{failure}");
    assert_eq!(failure["panicked"], true);
}

#[test]
fn before_answers_says_why_they_cannot_leave() {
    let module = Loaded::new();
    assert_eq!(module.barrier(), None, "there is nothing to do before init");
    drop(module);
    let module = Loaded::ready();
    assert_eq!(module.barrier(), None);
    assert_eq!(module.barrier(), None);
    let failure: Value = serde_json::from_str(&module.barrier().unwrap()).unwrap();
    assert_eq!((&failure["status"], &failure["error"]), (&value!("error"), &value!("the disk is full")));
    assert!(module.barrier().unwrap().contains("the disk is gone"));
}

/// The bytes of memory that this process has in use and that are its own.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn ten_thousand_messages_leave_nothing_behind() {
    let module = Loaded::ready();
    let text = "é".repeat(10_000);
    let mut before = 0;
    for round in 0..10_000 {
        let answer = module.command("count", value!({ "text": text }));
        assert_eq!(answer["data"]["count"], round + 1);
        if round == 1000 {
            before = resident_bytes();
        }
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes more after 180 MB of messages");
}

fn kinds() -> impl Strategy<Value = String> {
    let known = ["init", "command", "query", "mutation", "event", "shutdown", "ping", "cancel"];
    prop_oneof![4 => proptest::sample::select(known.map(str::to_owned).to_vec()), 1 => "[^\0]{0,12}"]
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let names = proptest::sample::select(vec!["count", "request", "conut", ""]);
    let values =
        proptest::sample::select(vec!["null", "7", "\"x\"", "[[]]", "{}", "{\"a\":{\"b\":[1.5,\"\\ud800\"]}}"]);
    let members = proptest::sample::select(vec!["args", "event", "data", "protocol", "config", "limits"]);
    let object = (names, members, values).prop_map(|(name, member, value)| {
        format!("{{\"name\":\"{name}\",\"{member}\":{value},\"protocol\":1}}").into_bytes()
    });
    prop_oneof![
        object,
        proptest::collection::vec(1..=u8::MAX, 0..80),
        "[{}\\[\\]\",:a-z0-9\\\\ é]{0,40}".prop_map(String::into_bytes)
    ]
}

proptest! {
    #[test]
    fn whatever_comes_over_the_border_is_answered_in_json_and_never_with_a_panic(
        messages in proptest::collection::vec((kinds(), payloads()), 1..8),
        initialised in any::<bool>(),
    ) {
        let module = if initialised { Loaded::ready() } else { Loaded::new() };
        for (kind, payload) in messages {
            let (kind, payload) = (CString::new(kind).unwrap(), CString::new(payload).unwrap());
            let answer = module.send_raw(kind.as_ptr(), payload.as_ptr());
            prop_assert!(answer["status"] == "success" || answer["status"] == "error", "{}", answer);
            prop_assert!(answer["panicked"].is_null(), "{}", answer);
        }
    }
}

mod table {
    //! A host over the C border: its requests go into a list, and its answers come from another.

    use super::{ANSWERS, ASKED, WAIT, WAITING, before_answers, take};
    use bulkhead_module::border::HostTable;
    use std::ffi::{CStr, CString, c_char, c_void};

    fn read(text: *const c_char) -> String {
        if text.is_null() {
            return "null pointer".into();
        }
        // SAFETY: it is not null, and the module gives strings.
        unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
    }

    fn answer(asked: String) -> *mut c_char {
        ASKED.with_borrow_mut(|list| list.push(asked));
        let module = WAITING.take();
        if !module.is_null() {
            // SAFETY: the module lives, and waits in a function of the host.
            assert_eq!(take(unsafe { before_answers(module) }), None);
        }
        let answer = ANSWERS.with_borrow_mut(|answers| answers.pop_front());
        CString::new(answer.unwrap_or_else(|| r#"{"status":"success","data":null}"#.into())).unwrap().into_raw()
    }

    extern "C" fn query(to: *const c_char, payload: *const c_char, timeout_ms: i64) -> *mut c_char {
        answer(format!("query {} {} {timeout_ms}", read(to), read(payload)))
    }
    extern "C" fn mutation(to: *const c_char, payload: *const c_char, timeout_ms: i64) -> *mut c_char {
        answer(format!("mutation {} {} {timeout_ms}", read(to), read(payload)))
    }
    extern "C" fn command(to: *const c_char, name: *const c_char, args: *const c_char, timeout_ms: i64) -> *mut c_char {
        answer(format!("command {} {} {} {timeout_ms}", read(to), read(name), read(args)))
    }
    extern "C" fn event(name: *const c_char, data: *const c_char) -> *mut c_char {
        answer(format!("event {} {}", read(name), read(data)))
    }
    extern "C" fn progress(data: *const c_char) -> *mut c_char {
        answer(format!("progress {}", read(data)))
    }
    extern "C" fn wait(_: i64) -> i32 {
        WAIT.get()
    }
    extern "C" fn deadline_ms() -> i64 {
        1500
    }
    extern "C" fn request_id() -> i64 {
        7
    }
    extern "C" fn key() -> *mut c_char {
        c"order-17".to_owned().into_raw()
    }
    extern "C" fn log(level: *const c_char, message: *const c_char) {
        ASKED.with_borrow_mut(|list| list.push(format!("{}: {}", read(level), read(message))));
    }
    extern "C" fn time(_: i32) -> i64 {
        0
    }
    extern "C" fn random(_: *mut c_void, _: u32) -> i32 {
        -1
    }
    extern "C" fn free_string(string: *mut c_char) {
        // SAFETY: every string of this host came from `CString::into_raw`.
        drop(unsafe { CString::from_raw(string) });
    }

    pub(super) static TABLE: HostTable = HostTable {
        size: size_of::<HostTable>() as u32,
        version: 1,
        query,
        mutation,
        command,
        event,
        progress,
        wait,
        deadline_ms,
        request_id,
        key,
        log,
        time,
        random,
        free_string,
    };
}

#[test]
fn a_handler_reaches_the_host_through_the_table() {
    // SAFETY: the table is a static.
    unsafe { set_host(&table::TABLE) };
    let module = Loaded::ready();
    let asked = || ASKED.take();
    let host_answers = |answer: Value| ANSWERS.with_borrow_mut(|answers| answers.push_back(answer.to_string()));

    host_answers(value!({"status": "success", "data": 42}));
    WAITING.set(module.0);
    assert_eq!(module.command("call", value!({"a": 1}))["data"], 42);
    assert_eq!(asked(), [r#"command other twice {"a":1} -1"#]);
    host_answers(value!({"status": "error", "error": "it crashed", "code": "module_crashed", "delivery": "started"}));
    let crashed = module.command("call_within", value!({}));
    assert_eq!((&crashed["error"], &crashed["module_code"]), (&value!("it crashed"), &value!("module_crashed")));
    assert_eq!(asked(), ["command other twice {} 1"], "half a millisecond is rounded up");
    host_answers(value!({"odd": true}));
    assert!(
        module.command("call", value!({}))["error"].as_str().unwrap().starts_with("the host's answer cannot be read")
    );
    let _ = asked();

    assert_eq!(module.send("query", &value!({"entity": "é"}))["status"], "success");
    assert_eq!(module.command("emit", value!([1]))["status"], "success");
    assert_eq!(module.command("progress", value!({"done": 1}))["status"], "success");
    assert_eq!(asked(), [r#"query null pointer {"entity":"é"} -1"#, "event probe.done [1]", r#"progress {"done":1}"#]);
    assert_eq!(module.command("request", value!({}))["data"], value!({"id": 7, "key": "order-17", "left": 1500}));
    assert_eq!(module.command("log", value!({}))["status"], "success");
    assert_eq!(asked(), ["warn: a line with a \u{fffd} in it"]);

    for (word, code) in [(0, Value::Null), (1, value!("cancelled")), (2, value!("deadline_exceeded"))] {
        WAIT.set(word);
        assert_eq!(module.command("wait", value!({}))["code"], code, "{word}");
    }
}
