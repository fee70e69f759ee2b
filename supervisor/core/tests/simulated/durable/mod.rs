//! Random play with a store: modules, callers, the store and the host itself fail at any moment.
//! `BULKHEAD_PROPTEST_CASES=1000000` plays a million worlds.

mod contention;
mod store;
mod world;

use crate::random;
use bulkhead_core::{Caller, ClientId, Counts, RunId};
use bulkhead_protocol::{ErrorCode, Json, Request, RequestType};
use proptest::{collection::vec, prelude::*};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};
use store::Mood;
use world::{Checked, MODULES, Process, World};

type Move = (u8, u16, u16, u16);

/// How many kinds of moves there are.
const KINDS: u8 = 57;

#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    moves: Vec<Move>,
}

fn cases() -> impl Strategy<Value = Case> {
    let one = (0..KINDS, any::<u16>(), any::<u16>(), any::<u16>());
    (0..1000u64, vec(one, 0..200)).prop_map(|(seed, moves)| Case { seed, moves })
}

#[test]
fn whatever_fails_nothing_is_lost_half_done_or_done_twice() {
    random::run(1500, cases(), |case| {
        let mut story = Vec::new();
        let class = catch_unwind(AssertUnwindSafe(|| played(&case, &mut story)));
        let wrong = match class {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(wrong)) => wrong,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
            }
        };
        Err(TestCaseError::fail(format!("{wrong}\n{}", story.join("\n"))))
    });
}

fn played(case: &Case, story: &mut Vec<String>) -> Checked {
    let mut world = World::new(case.seed)?;
    let mut play = || {
        for step in &case.moves {
            make(&mut world, *step)?;
            world.judge_store()?;
        }
        calm(&mut world)?;
        end(&mut world)
    };
    let class = catch_unwind(AssertUnwindSafe(&mut play));
    *story = std::mem::take(&mut world.story);
    match class {
        Ok(class) => class,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn pick(world: &World, by: u16, wanted: impl Fn(&Process) -> bool) -> Option<RunId> {
    let fits: Vec<RunId> = world.processes.iter().filter(|(_, process)| wanted(process)).map(|(run, _)| *run).collect();
    fits.get(usize::from(by) % fits.len().max(1)).copied()
}

fn is_ready(process: &Process) -> bool {
    process.is_ready && !process.has_exited
}

fn make(world: &mut World, (kind, x, y, z): Move) -> Checked {
    let busy = |process: &Process| is_ready(process) && !process.attribute.is_empty();
    let client = ClientId(1 + u64::from(x % 3));
    match kind {
        0..=1 => world.advance(Duration::from_millis(u64::from(x % 300))),
        2 => world.advance(Duration::from_millis(u64::from(x % 7000))),
        3..=6 => match pick(world, x, |process| !process.is_ready && !process.has_exited) {
            Some(run) => world.ready(run, y.is_multiple_of(5)),
            None => Ok(()),
        },
        7..=14 => match pick(world, x, busy) {
            Some(run) => handle(world, run, y, z),
            None => Ok(()),
        },
        15..=19 => match pick(world, x, busy) {
            Some(run) => {
                let process = &world.processes[&run];
                let at = if process.concurrent { usize::from(y) % process.attribute.len() } else { 0 };
                let error = match z % 10 {
                    0 => Some(ErrorCode::ModuleError),
                    1 => Some(ErrorCode::Cancelled),
                    _ => None,
                };
                world.answer(run, at, error)
            }
            None => Ok(()),
        },
        20 => match pick(world, x, |process| !process.has_exited) {
            Some(run) => world.exit(run, !z.is_multiple_of(4)),
            None => Ok(()),
        },
        21..=27 => work(world, client, y, z),
        28 => {
            let mut request = of_store(world, z);
            if y.is_multiple_of(3) && request.kind == RequestType::Mutation {
                // The same work under the same key; now and then it is a key that modules' work has as well.
                let which = y / 3 % 3;
                let payload = format!(r#"{{"entity":"K900000{which}","operation":"create","data":{{}}}}"#);
                request.payload = Json::parse(&payload).unwrap();
                request.key = Some(format!("{}{which}", if z.is_multiple_of(4) { "k" } else { "m" }));
            }
            world.ask(Caller::Client(client), request, None)
        }
        29 => {
            let number = world.number();
            let id = y.is_multiple_of(2).then_some(number);
            let request = Request::new(id, RequestType::Event, event(number));
            world.ask(Caller::Client(client), request, None)
        }
        30 => cancel(world, Caller::Client(client), y),
        31 if y.is_multiple_of(4) => world.hang_up(client),
        31 => Ok(()),
        32..=37 => world.work(y.is_multiple_of(2), mood(z)),
        38..=43 => {
            world.work(y.is_multiple_of(2), mood(z))?;
            world.report(z.is_multiple_of(3))
        }
        44..=45 => world.report(z.is_multiple_of(3)),
        46 if y.is_multiple_of(8) => world.crash(),
        46 if y % 8 == 1 => world.cut(),
        46 if y % 16 == 2 => world.fail_flush(),
        46 => Ok(()),
        47 => order(world, x, y),
        48..=51 => match pick(world, x, busy) {
            Some(run) => increment(world, run, y),
            None => Ok(()),
        },
        52 => match pick(world, x, busy) {
            Some(run) => lose(world, run),
            None => Ok(()),
        },
        _ => world.flush(),
    }
}

fn mood(z: u16) -> Mood {
    match z % 16 {
        0 => Mood::Fails,
        1 => Mood::Unsure,
        2 | 3 => Mood::Conflicts,
        _ => Mood::Works,
    }
}

fn event(number: u64) -> Json {
    Json::parse(&format!(r#"{{"event":"x.{number}","data":{number}}}"#)).unwrap()
}

/// A query or a mutation for the store.
fn of_store(world: &mut World, z: u16) -> Request {
    const ID: &str = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";
    let number = world.number();
    let (kind, payload) = match z % 3 {
        0 => (RequestType::Query, format!(r#"{{"entity":"E{number}"}}"#)),
        1 => (RequestType::Mutation, format!(r#"{{"entity":"E{number}","operation":"create","data":{{}}}}"#)),
        _ => {
            let payload = format!(r#"{{"entity":"E{number}","operation":"update","id":"{ID}","data":{{}}}}"#);
            (RequestType::Mutation, payload)
        }
    };
    let mut request = Request::new(number, kind, Json::parse(&payload).unwrap());
    request.deadline_ms = z.is_multiple_of(7).then(|| u64::from(z / 7 % 1000));
    request
}

/// A process reads a counter, and the next time writes one more.
fn count(world: &mut World, attempt: u64) -> Request {
    const COUNTER: &str = "01981f6e-0000-7e3b-9f00-5d2c8a4b6e7f";
    let (number, read) = (world.number(), world.take_read(attempt));
    let (kind, payload) = match read {
        None => (RequestType::Query, format!(r#"{{"entity":"Counter","id":"{COUNTER}"}}"#)),
        Some(read) => {
            let data = format!(r#"{{"n":{},"of":{number}}}"#, read + 1);
            let payload = format!(r#"{{"entity":"Counter","operation":"update","id":"{COUNTER}","data":{data}}}"#);
            (RequestType::Mutation, payload)
        }
    };
    Request::new(number, kind, Json::parse(&payload).unwrap())
}

/// A process gets one step further with a counter, and the store with everything.
fn increment(world: &mut World, run: RunId, y: u16) -> Checked {
    let (request, attempt) = world.processes[&run].attribute[0];
    let has_read = world.has_read(attempt);
    let mut asks = count(world, attempt);
    asks.of = Some(request.0);
    world.ask(Caller::Run(run), asks, Some(attempt))?;
    settle(world, Mood::Works)?;
    let first = world.processes.get(&run).and_then(|process| process.attribute.first());
    match first {
        Some((_, first)) if has_read && *first == attempt && !y.is_multiple_of(4) => world.answer(run, 0, None),
        _ => Ok(()),
    }
}

/// A process with a request in progress changes something for it and succeeds, again and again, and is in
/// conflict each time: with the next attempt the request takes precedence.
fn lose(world: &mut World, run: RunId) -> Checked {
    let (request, _) = world.processes[&run].attribute[0];
    for _ in 0..3 {
        let works_on_it =
            |process: &Process| is_ready(process) && process.attribute.first().is_some_and(|it| it.0 == request);
        let Some(run) = pick(world, 0, works_on_it) else { return Ok(()) };
        let (_, attempt) = world.processes[&run].attribute[0];
        let mut asks = of_store(world, 1);
        asks.of = Some(request.0);
        world.ask(Caller::Run(run), asks, Some(attempt))?;
        settle(world, Mood::Works)?;
        if !world.processes.get(&run).is_some_and(works_on_it) {
            return Ok(());
        }
        world.answer(run, 0, None)?;
        settle(world, Mood::Conflicts)?;
    }
    Ok(())
}

/// The store does all that it was asked for, and the core gets the outcomes.
fn settle(world: &mut World, mood: Mood) -> Checked {
    while !world.store.is_idle() {
        world.work(true, Mood::Works)?;
        world.work(false, mood)?;
        world.report(true)?;
    }
    Ok(())
}

/// A process does something for its requests in progress.
fn handle(world: &mut World, run: RunId, y: u16, z: u16) -> Checked {
    let process = &world.processes[&run];
    let at = if process.concurrent { usize::from(y / 8) % process.attribute.len() } else { 0 };
    let (request, attempt) = process.attribute[at];
    let named = process.concurrent || z.is_multiple_of(2);
    let mut asks = match y % 8 {
        0..=2 => of_store(world, z),
        3 | 4 => count(world, attempt),
        5 | 6 => {
            let number = world.number();
            let id = z.is_multiple_of(3).then_some(number);
            Request::new(id, RequestType::Event, event(number))
        }
        _ => return cancel(world, Caller::Run(run), z),
    };
    asks.of = named.then_some(request.0);
    world.ask(Caller::Run(run), asks, Some(attempt))
}

/// Work for a module: with a key, the same work is asked for again and again.
fn work(world: &mut World, client: ClientId, y: u16, z: u16) -> Checked {
    let number = world.number();
    let module = MODULES[usize::from(y % 2)];
    let kind = [RequestType::Command, RequestType::Query, RequestType::Mutation][usize::from(y / 2 % 3)].clone();
    let key = (!z.is_multiple_of(3)).then(|| format!("k{}", z / 3 % 5));
    let payload = match &key {
        // Now and then the key comes with other work.
        Some(key) if !z.is_multiple_of(29) => format!(r#"{{"name":"do","args":"{key}"}}"#),
        Some(_) => format!(r#"{{"name":"do","args":"{number}"}}"#),
        None => format!(r#"{{"name":"do","args":"asked:{}:{number}"}}"#, client.0),
    };
    // The same key for another module is other work.
    let kind = if key.is_some() { RequestType::Command } else { kind };
    let mut request = Request::new(number, kind, Json::parse(&payload).unwrap()).to(module);
    request.key = key;
    request.deadline_ms = (z / 16).is_multiple_of(3).then(|| u64::from(z / 48 % 40) * 50);
    world.ask(Caller::Client(client), request, None)
}

fn cancel(world: &mut World, caller: Caller, y: u16) -> Checked {
    let open: Vec<u64> =
        world.asked.iter().filter(|(to, asked)| to.caller == caller && asked.open).map(|(to, _)| to.id).collect();
    let Some(target) = open.get(usize::from(y) % open.len().max(1)) else { return Ok(()) };
    let payload = Json::parse(&format!(r#"{{"id":{target}}}"#)).unwrap();
    let number = world.number();
    world.ask(caller, Request::new(number, RequestType::Cancel, payload), None)
}

fn order(world: &mut World, x: u16, y: u16) -> Checked {
    let module = MODULES[usize::from(x % 2)];
    match y % 6 {
        0 => world.order("stop", module),
        1 => world.order("restart", module),
        2 => world.order("reload", module),
        _ => world.order("start", module),
    }
}

/// From now on all parts do what is expected: everything that is wanted must be done.
fn calm(world: &mut World) -> Checked {
    world.may_leave = false;
    for module in MODULES {
        world.order("start", module)?;
    }
    for _ in 0..400 {
        while !world.store.is_idle() {
            world.work(false, Mood::Works)?;
            world.work(true, Mood::Works)?;
            world.report(true)?;
        }
        world.flush()?;
        while let Some(run) = pick(world, 0, |process| !process.is_ready && !process.has_exited) {
            world.ready(run, false)?;
        }
        while let Some(run) = pick(world, 0, |process| is_ready(process) && !process.attribute.is_empty()) {
            world.answer(run, 0, None)?;
        }
        world.note_handled("b");
        let is_served = MODULES
            .iter()
            .all(|module| world.processes.values().any(|process| process.module == *module && is_ready(process)));
        let is_quiet = world.store.is_idle() && world.next_event("b", None).is_none();
        if is_quiet && is_served && world.asked.values().all(|asked| !asked.open) {
            break;
        }
        if world.store.is_idle() {
            world.advance(Duration::from_millis(700))?;
            // A process that was asked to end, ends.
            let leaves = |core: &bulkhead_core::Core, run: RunId| {
                core.module_names().iter().filter_map(|name| core.view(Default::default(), name)).any(|view| {
                    view.runs
                        .iter()
                        .any(|it| it.run == Some(run) && matches!(it.state, bulkhead_core::ObservedState::Stopping))
                })
            };
            let leaving: Vec<RunId> =
                world.processes.keys().copied().filter(|run| leaves(world.core(), *run)).collect();
            for run in leaving {
                world.exit(run, false)?;
            }
        }
    }
    if let Some((to, asked)) = world.asked.iter().find(|(_, asked)| asked.open) {
        return Err(format!("{to:?} was never answered: {asked:?}"));
    }
    world.note_handled("b");
    match world.next_event("b", None) {
        Some(cursor) => Err(format!("event {cursor} was never handled")),
        None => world.judge_store(),
    }
}

/// Ends the host: nothing may be left.
fn end(world: &mut World) -> Checked {
    world.order("shutdown", "")?;
    while let Some(run) = pick(world, 0, |process| !process.has_exited) {
        world.exit(run, false)?;
    }
    while !world.store.is_idle() {
        world.work(false, Mood::Works)?;
        world.work(true, Mood::Works)?;
        world.report(true)?;
    }
    world.flush()?;
    world.advance(Duration::from_secs(100))?;
    if !world.store.is_clean() {
        return Err("a unit is left that is neither committed nor undone".into());
    }
    if !world.core().is_idle() || world.core().audit() != Counts::default() {
        return Err(format!("something is left: {:?}", world.core().audit()));
    }
    Ok(())
}
