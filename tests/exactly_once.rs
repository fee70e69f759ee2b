//! A counter that is called with keys while its module, or the host, is killed at random moments, and while
//! the wall clock is set: the caller sees no error, and the counter equals the calls.
//!
//! `$BULKHEAD_COUNTER_CALLS` sets the number of calls (1000), `$BULKHEAD_COUNTER_SEED` the moments: the seed is
//! printed, and a test that failed is run again with it.

use bulkhead_client::ClientError;
use bulkhead_protocol::{Json, Request, RequestType, Response, Status};
use bulkhead_tests::{Caller, WallClock, World, kill, timeout};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// So many calls are in flight at all times.
const WINDOW: usize = 32;

/// A process is killed after at most so many answers.
const ANSWERS_BETWEEN_KILLS: u64 = 40;

/// A module that is killed all the time is started again at once, and none of that counts as a crash loop.
const MANIFEST: &str = r#"
[capabilities]
entity_read = ["Counter"]
entity_write = ["Counter"]
[restart]
at_once_after = "0s"
delay_initial = "1ms"
delay_max = "1ms"
reset_after = "0s"
breaker_failures = 1000
breaker_window = "1s"
"#;

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("expected a whole number in ${variable}, found {text:?}")))
}

fn calls() -> usize {
    number_of("BULKHEAD_COUNTER_CALLS").map_or(1000, |calls| usize::try_from(calls).unwrap())
}

/// Random numbers that a seed makes again (SplitMix64).
struct Random(u64);

impl Random {
    fn new(test: &str) -> Random {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 % 1_000_000;
        let seed = number_of("BULKHEAD_COUNTER_SEED").unwrap_or_else(clock);
        eprintln!("{test}: BULKHEAD_COUNTER_SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Where a wall clock is set to, in seconds from the true time: seconds to years off, ahead or back.
    fn clock(&mut self) -> i64 {
        const YEAR: u64 = 365 * 24 * 3600;
        let most = [60, 3600, 30 * 24 * 3600, YEAR, 40 * YEAR][self.below(5) as usize];
        let off = 1 + self.below(most) as i64;
        if self.below(2) == 0 { off } else { -off }
    }

    /// Lets up to a millisecond pass, so that the next action falls at a random moment of the work on a call.
    fn moment(&mut self) {
        let until = Instant::now() + Duration::from_micros(self.below(1000));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }
}

/// A host with counters at zero.
struct Counted {
    world: World,
    counters: Vec<String>,
}

impl Counted {
    fn start(instances: usize, counters: usize) -> Counted {
        Counted::start_in(World::new(), instances, counters)
    }

    fn start_in(mut world: World, instances: usize, counters: usize) -> Counted {
        world.host_file("[restarts]\nper_second = 1000\nburst = 10000\n");
        world.module("counter", "counter", &format!("instances = {instances}\n{MANIFEST}")).start();
        let create = json!({ "entity": "Counter", "operation": "create", "data": { "count": 0 } });
        let mut client = world.client();
        let mut made = || layer1(&mut client, RequestType::Mutation, &create)["id"].as_str().unwrap().to_owned();
        Counted { counters: (0..counters).map(|_| made()).collect(), world }
    }

    /// Which counter a call is for: any, but always the same one.
    fn counter_of(&self, call: usize) -> usize {
        Random(call as u64).below(self.counters.len() as u64) as usize
    }

    fn increment(&self, call: usize) -> Request {
        let args = json!({ "id": self.counters[self.counter_of(call)] });
        let mut request = Caller::command("counter", "increment", args);
        request.key = Some(format!("call-{call}"));
        request
    }

    fn count(&self, counter: usize) -> u64 {
        let query = json!({ "entity": "Counter", "id": self.counters[counter] });
        let found = layer1(&mut self.world.client(), RequestType::Query, &query);
        found["entities"][0]["data"]["count"].as_u64().unwrap()
    }
}

fn layer1(client: &mut Caller, kind: RequestType, payload: &Value) -> Value {
    client.ask(&Request::new(None, kind, Json::of(payload)).to("layer1")).unwrap()
}

/// The calls of one client: those in flight, and the answers of those that are done.
struct Tally {
    client: Caller,
    calls: usize,
    sent: usize,
    under_way: BTreeMap<u64, usize>,
    counts: BTreeMap<usize, u64>,
}

impl Tally {
    fn new(counted: &Counted) -> Tally {
        let client = counted.world.client();
        Tally { client, calls: calls(), sent: 0, under_way: BTreeMap::new(), counts: BTreeMap::new() }
    }

    fn answered(&self) -> usize {
        self.counts.len()
    }

    /// Continues until so many calls are answered, with a whole window of them in flight.
    fn call_until(&mut self, counted: &Counted, answered: usize) {
        while self.answered() < answered {
            while self.sent < self.calls && self.under_way.len() < WINDOW {
                self.send(counted, self.sent);
                self.sent += 1;
            }
            let response = self.client.receive(Some(timeout())).expect("every call is answered");
            self.note(response);
        }
    }

    fn send(&mut self, counted: &Counted, call: usize) {
        let id = self.client.send(&counted.increment(call)).expect("a call can be sent");
        self.under_way.insert(id, call);
    }

    fn note(&mut self, response: Response) {
        let call = self.under_way.remove(&response.id.unwrap()).expect("it was asked, and not answered yet");
        let Status::Success(data) = response.status else { panic!("call {call}: {response:?}") };
        let data: Value = data.read().unwrap();
        assert_eq!(self.counts.insert(call, data["count"].as_u64().unwrap()), None);
    }

    /// The host is dead: its earlier answers count.
    fn read_what_was_answered(&mut self) {
        loop {
            match self.client.receive(Some(timeout())) {
                Ok(response) => self.note(response),
                Err(ClientError::TimedOut) => panic!("expected the end of the connection"),
                Err(_) => return,
            }
        }
    }

    /// Connects to a new host and sends what is not answered again.
    fn send_again(&mut self, counted: &Counted) {
        self.client = counted.world.client();
        for call in std::mem::take(&mut self.under_way).into_values() {
            self.send(counted, call);
        }
    }

    /// Keys that were answered long ago are still the same work, with the same answers.
    fn ask_again(&mut self, counted: &Counted, mut before: impl FnMut()) {
        for call in (0..self.calls).step_by((self.calls / 6).max(1)) {
            before();
            assert_eq!(self.client.ask(&counted.increment(call)).unwrap()["count"], self.counts[&call]);
        }
        self.assert_once_each(counted);
    }

    /// Each call counted to a number of its own, and together these are all up to the count.
    fn assert_once_each(&self, counted: &Counted) {
        assert_eq!(self.answered(), self.calls);
        for counter in 0..counted.counters.len() {
            let of_it = self.counts.iter().filter(|(call, _)| counted.counter_of(**call) == counter);
            let mut counts: Vec<u64> = of_it.map(|(_, count)| *count).collect();
            counts.sort_unstable();
            assert!(counts.iter().copied().eq(1..=counts.len() as u64), "not each number once: {counts:?}");
            assert_eq!(counted.count(counter), counts.len() as u64);
        }
    }
}

/// Calls the counters while one process of their module after the other is killed.
fn count_while_the_module_is_killed(instances: usize, counters: usize) {
    let mut random = Random::new(&format!("{instances} processes"));
    count_while_its_module_is_killed(Counted::start(instances, counters), &mut random, |_| {});
}

/// The same, for a world that has started. `set_clock` is called between.
fn count_while_its_module_is_killed(mut counted: Counted, random: &mut Random, set_clock: impl Fn(&mut Random)) {
    let mut tally = Tally::new(&counted);
    let mut watcher = counted.world.client();
    let mut kills = 0;
    while tally.answered() < tally.calls {
        set_clock(random);
        let goal = tally.answered() + 1 + random.below(ANSWERS_BETWEEN_KILLS) as usize;
        tally.call_until(&counted, goal.min(tally.calls));
        let status = watcher.status("counter");
        let processes = status["instances"].as_array().unwrap().iter();
        let running: Vec<i64> = processes.filter_map(|process| process["pid"].as_i64()).collect();
        // While all of them are being started there is none to kill, and the next answers come.
        if !running.is_empty() {
            random.moment();
            kill(running[random.below(running.len() as u64) as usize], Signal::SIGKILL);
            kills += 1;
        }
    }
    eprintln!("{} calls, {kills} kills", tally.calls);
    assert!(kills * 2 * ANSWERS_BETWEEN_KILLS as usize >= tally.calls, "only {kills} kills");
    tally.assert_once_each(&counted);
    tally.ask_again(&counted, || set_clock(random));
    counted.world.stop();
}

#[test]
fn a_counter_whose_module_is_killed_at_random_equals_its_calls_and_no_caller_sees_an_error() {
    count_while_the_module_is_killed(1, 1);
}

#[test]
fn one_counter_that_two_processes_share_loses_nothing_and_its_conflicts_are_run_again_unseen() {
    count_while_the_module_is_killed(2, 1);
}

#[test]
fn one_counter_that_eight_processes_share_loses_nothing_and_no_caller_sees_a_conflict() {
    count_while_the_module_is_killed(8, 1);
}

/// Calls a counter while its host is killed again and again. `set_clock` is called between.
fn count_while_the_host_is_killed(world: World, random: &mut Random, set_clock: impl Fn(&mut Random)) {
    const KILLS: usize = 5;
    const PIECES: usize = 4;
    let mut counted = Counted::start_in(world, 1, 1);
    let mut tally = Tally::new(&counted);
    let part = tally.calls / (KILLS + 1);
    for kill in 0..KILLS {
        let answered = (part * kill + random.below(part as u64) as usize).max(tally.answered() + 1);
        for piece in 1..=PIECES {
            set_clock(random);
            let now = tally.answered();
            tally.call_until(&counted, now + answered.saturating_sub(now) * piece / PIECES);
        }
        random.moment();
        counted.world.end_host(Signal::SIGKILL);
        tally.read_what_was_answered();
        set_clock(random);
        counted.world.start();
        tally.send_again(&counted);
    }
    tally.call_until(&counted, tally.calls);
    tally.assert_once_each(&counted);
    tally.ask_again(&counted, || set_clock(random));
    counted.world.stop();
}

#[test]
fn a_counter_whose_host_is_killed_equals_the_keys_when_the_unanswered_ones_are_sent_again() {
    count_while_the_host_is_killed(World::new(), &mut Random::new("the host"), |_| {});
}

#[test]
fn a_counter_equals_its_keys_while_its_host_is_killed_and_the_wall_clock_is_set_by_seconds_to_years() {
    let (world, clock) = WallClock::of(World::new());
    let mut random = Random::new("the wall clock");
    count_while_the_host_is_killed(world, &mut random, |random| clock.set(random.clock()));
    clock.assert_was_seen();
}

#[test]
fn a_counter_equals_its_calls_while_its_module_is_killed_and_the_wall_clock_is_set_by_seconds_to_years() {
    let (world, clock) = WallClock::of(World::new());
    let mut random = Random::new("the wall clock, and the module");
    let counted = Counted::start_in(world, 1, 1);
    count_while_its_module_is_killed(counted, &mut random, |random| clock.set(random.clock()));
    clock.assert_was_seen();
}
