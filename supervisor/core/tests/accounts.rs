//! What clients make the core hold is counted as it lies in memory, compared with what the allocator has given
//! out for each kind of request, and bounded.

#[path = "../../../protocol/tests/counting/mod.rs"]
mod counting;

use bulkhead_core::{
    Action, Caller, ClientId, Condition, Core, HostSettings, InitialState, ModuleSpec, Recipient, StoreOp, Time,
};
use bulkhead_protocol::{ErrorCode, Json, ModuleName, Request, RequestType, Status};
use counting::{Counting, counted};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1024 * 1024;

struct Host {
    core: Core,
    /// What the store was asked, which it holds until it has answered.
    at_store: Vec<StoreOp>,
    refused: Vec<String>,
}

impl Host {
    fn new(clients_bytes_max: usize) -> Host {
        let settings = HostSettings { clients_bytes_max, client_requests_max: 1_000_000, ..HostSettings::default() };
        let mut core = Core::new(settings, 1);
        let mut spec = ModuleSpec::new(ModuleName::new("slow").unwrap(), 1);
        (spec.rules.queue_max, spec.rules.queue_bytes_max) = (1_000_000, 1 << 40);
        core.add_module(Time::ZERO, spec, InitialState::Running).unwrap();
        let mut host = Host { core, at_store: Vec::new(), refused: Vec::new() };
        host.perform();
        host
    }

    fn perform(&mut self) {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Store { op, .. } => self.at_store.push(*op),
                Action::Reply { status: Status::Error(failure), .. } => {
                    assert_eq!(failure.code, ErrorCode::Overloaded, "{}", failure.error);
                    self.refused.push(failure.error);
                }
                _ => {}
            }
        }
    }

    fn ask(&mut self, client: u64, id: u64, kind: RequestType, to: Option<&str>, key: Option<String>, payload: &str) {
        let mut request = Request::new(id, kind, Json::parse(payload).unwrap());
        (request.to, request.key) = (to.map(str::to_owned), key);
        self.core.handle_request(Time::ZERO, Caller::Client(ClientId(client)), request);
        self.perform();
    }

    fn wait(&mut self, client: u64, id: u64) {
        let who = Recipient { caller: Caller::Client(ClientId(client)), id };
        self.core.handle_wait(Time::ZERO, who, "slow", Condition::Ready, Duration::from_secs(60));
        self.perform();
    }
}

/// The account grows by as much as the allocator has given out, or by at most so many bytes more for each.
#[track_caller]
fn grows_alike(what: &str, host: &mut Host, number: usize, each_more: usize, ask: impl Fn(&mut Host, u64)) {
    let before = host.core.client_bytes();
    let ((), held, _) = counted(|| (0..number as u64).for_each(|id| ask(host, id)));
    assert!(host.refused.is_empty(), "{what}: {:?}", host.refused[0]);
    let account = host.core.client_bytes() - before;
    assert!(account >= held, "{what}: {held} bytes are held, and only {account} are counted");
    let most = held + held / 4 + each_more * number;
    assert!(account <= most, "{what}: {held} bytes are held, and {account} are counted");
}

#[test]
fn each_kind_of_request_is_counted_with_what_the_core_and_the_store_hold_of_it() {
    let text = format!(r#"{{"name":"x","args":"{}"}}"#, ".".repeat(3_000));
    let numbers = vec!["1"; 100].join(",");
    let query = format!(r#"{{"entity":"A","filters":{{"a":{{"in":[{numbers}]}},"b":{{"in":[{numbers}]}}}}}}"#);
    let mutation = format!(r#"{{"entity":"A","operation":"create","data":{{"t":"{}"}}}}"#, ".".repeat(3_000));
    let event = format!(r#"{{"event":"a.b","data":"{}"}}"#, ".".repeat(3_000));
    let new = || Host::new(usize::MAX / 2);
    // As many as fill tables that have just been doubled, and a few more, which they have room for.
    for number in [225, 450] {
        grows_alike("waits", &mut new(), number, 512, |host, id| host.wait(1, id));
        grows_alike("short commands", &mut new(), number, 1024, |host, id| {
            host.ask(1, id, RequestType::Command, Some("slow"), None, r#"{"name":"x"}"#);
        });
        grows_alike("long commands", &mut new(), number, 1024, |host, id| {
            host.ask(1, id, RequestType::Command, Some("slow"), None, &text);
        });
        grows_alike("queries of many values", &mut new(), number, 1024, |host, id| {
            host.ask(1, id, RequestType::Query, None, None, &query);
        });
        grows_alike("mutations", &mut new(), number, 1024, |host, id| {
            host.ask(1, id, RequestType::Mutation, None, None, &mutation);
        });
        grows_alike("events", &mut new(), number, 1024, |host, id| {
            host.ask(1, id, RequestType::Event, None, None, &event);
        });
        grows_alike("commands that join a key", &mut new(), 200, 1024, |host, id| {
            host.ask(1, id, RequestType::Command, Some("slow"), Some("k".into()), &text);
        });
    }
}

#[test]
fn one_client_holds_a_quarter_of_what_all_may_and_gets_the_numbers() {
    let mut host = Host::new(16 * MIB);
    let payload = Json::of(&".".repeat(MIB)).as_str().to_owned();
    for client in 1..=4 {
        for id in 0..6 {
            host.ask(client, id, RequestType::Command, Some("slow"), None, &payload);
        }
        let refused = std::mem::take(&mut host.refused);
        assert_eq!(refused.len(), 3, "three of a megabyte and a little are below a quarter: {refused:?}");
        assert!(refused[0].contains("this client hold") && refused[0].contains("4194304"), "{}", refused[0]);
    }
    for client in 5..=7 {
        host.ask(client, 1, RequestType::Command, Some("slow"), None, &payload);
    }
    assert!(host.refused.is_empty(), "fifteen have room: {:?}", host.refused);
    host.ask(8, 1, RequestType::Command, Some("slow"), None, &payload);
    assert!(host.refused[0].contains("all clients") && host.refused[0].contains("16777216"), "{:?}", host.refused);
    assert!(host.core.client_bytes() <= 16 * MIB);
    for client in 1..=8 {
        host.core.handle_client_gone(Time::ZERO, ClientId(client));
    }
    assert_eq!(host.core.client_bytes(), 0, "who has gone holds nothing");
}

#[test]
fn waits_of_many_clients_are_bounded_together() {
    let mut host = Host::new(MIB / 2);
    for client in 1..=20 {
        (0..100).for_each(|id| host.wait(client, id));
    }
    assert!(!host.refused.is_empty() && host.core.client_bytes() <= MIB / 2);
}

#[test]
fn a_request_larger_than_the_bound_may_go_alone() {
    let mut host = Host::new(MIB);
    let payload = Json::of(&".".repeat(4 * MIB)).as_str().to_owned();
    host.ask(1, 1, RequestType::Command, Some("slow"), None, &payload);
    assert!(host.refused.is_empty(), "{:?}", host.refused);
    host.ask(2, 1, RequestType::Command, Some("slow"), None, "null");
    assert_eq!(host.refused.len(), 1);
}
