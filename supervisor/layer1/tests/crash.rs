//! Kills a process that writes, at random moments, and looks at what is left: everything that it had
//! acknowledged is there, nothing is half there, and the stream of events goes on without a gap, whatever the
//! wall clock shows.
//!
//! The process is this test program, run again. `LAYER1_CRASHES` sets how often it is killed (30).

mod common;

use bulkhead_layer1::{
    Job, JobId, Layer1, Outcome, UnitId,
    job::{Also, Cursor},
    outcome::KeyState,
};
use bulkhead_protocol::{Pattern, layer1::Mutation};
use common::*;
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PART: &str = "BULKHEAD_LAYER1_CRASH_FOLDER";
const FIRST: &str = "BULKHEAD_LAYER1_CRASH_FIRST";

/// Writes units without end, 16 at once, and prints the number of each that was acknowledged. A unit makes
/// two entities of different types with its number, raises a counter, emits an event and keeps a key.
#[test]
fn a_process_that_writes() {
    let Some(folder) = std::env::var_os(PART) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let layer1 = Layer1::open(settings(&Path::new(&folder).join("layer1.db")), || {}).unwrap();
    let unit = |number: u64| {
        let operation =
            |entity: &str| format!(r#"{{"entity":"{entity}","operation":"create","data":{{"n":{number}}}}}"#);
        let payload = format!(r#"{{"operations":[{},{}]}}"#, operation("Left"), operation("Right"));
        let id = Some(UnitId(number));
        let mutation = Mutation::read(&json(&payload)).unwrap();
        let submit = |part: u64, job: Job| layer1.submit(JobId(4 * number + part), job, None).unwrap();
        submit(0, Job::Mutate { unit: id, owner: "m".into(), mutation, key: None });
        submit(
            1,
            Job::Emit { unit: id, source: "m".into(), event: "unit.done".into(), data: json(&number.to_string()) },
        );
        let key = Some((keyed(&format!("k{number}"), "x"), json(&number.to_string())));
        let also = vec![Also::Advance { module: "m".into(), cursor: Cursor(number), after: Cursor(0) }];
        submit(2, Job::Commit { unit: UnitId(number), key, events: vec![], also });
    };
    let mut next = first;
    for _ in 0..16 {
        unit(next);
        next += 1;
    }
    let mut out = std::io::stdout();
    // Bounded, in case the process that is to kill it is gone.
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        match layer1.wait() {
            (JobId(job_id), Outcome::Committed { .. }) => {
                writeln!(out, "acknowledged {}", job_id / 4).and_then(|()| out.flush()).unwrap();
                unit(next);
                next += 1;
            }
            (_, Outcome::Mutated { .. } | Outcome::Emitted) => {}
            (_, other) => panic!("{other:?}"),
        }
    }
}

/// Kills the process when the value is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lets the process write from the number `first` until it is killed, and gives what it acknowledged.
fn write_until_killed(folder: &Folder, first: u64, moment: Duration) -> Vec<u64> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["a_process_that_writes", "--exact", "--nocapture"])
        .env(PART, &folder.0)
        .env(FIRST, first.to_string());
    let mut process = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let lines = BufReader::new(process.0.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    let mut kill_at = None;
    for line in lines.lines() {
        // The last line may be cut by the kill, and then was not acknowledged.
        let Ok(line) = line else { break };
        let Some(number) = line.split("acknowledged ").nth(1).and_then(|number| number.parse().ok()) else { continue };
        acknowledged.push(number);
        // The moment is counted from the first acknowledgement, since starting takes its time.
        let at = *kill_at.get_or_insert_with(|| Instant::now() + moment);
        if Instant::now() >= at {
            let _ = process.0.kill();
        }
    }
    acknowledged
}

#[test]
fn what_was_acknowledged_is_there_and_nothing_is_half_there() {
    let crashes: u64 = std::env::var("LAYER1_CRASHES").ok().and_then(|crashes| crashes.parse().ok()).unwrap_or(30);
    let mut folder = Folder::new();
    let mut random = u64::from(std::process::id());
    let mut known: Vec<u64> = Vec::new();
    let mut cursor = 0;
    for crash in 0..crashes {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_micros((random >> 33) % 60_000);
        known.extend(write_until_killed(&folder, 1_000_000 * (crash + 1), moment));
        let store = Store::in_folder(folder, |_| {});
        cursor = look(&store, &known, cursor);
        store.close();
        let Store { layer1, folder: kept, .. } = store;
        drop(layer1);
        folder = kept;
    }
    println!("{crashes} kills, {} units acknowledged and found", known.len());
    assert!(known.len() as u64 >= crashes);
}

/// Looks at everything that should hold after a crash, and gives the cursor of the newest event.
fn look(store: &Store, known: &[u64], cursor: u64) -> u64 {
    let numbers = |entity: &str| {
        let mut numbers = Vec::new();
        let mut after = serde_json::Value::Null;
        loop {
            let page = store.query(&format!(r#"{{"entity":"{entity}","limit":1000,"after":{after}}}"#));
            numbers.extend(column(&page, "n").iter().map(|n| n.as_u64().unwrap()));
            after = page["next"].clone();
            if after.is_null() {
                numbers.sort_unstable();
                return numbers;
            }
        }
    };
    let (left, right) = (numbers("Left"), numbers("Right"));
    assert_eq!(left, right, "a unit is half there");
    for number in known {
        assert!(left.binary_search(number).is_ok(), "unit {number} was acknowledged and is lost");
    }
    let patterns = vec![Pattern::new("unit.done").unwrap()];
    let (mut after, mut events) = (Cursor(0), Vec::new());
    loop {
        let job = Job::ReadEvents { after, patterns: patterns.clone(), limit: 100_000, bytes_max: 1 << 24 };
        let Outcome::Events(page) = store.run(job) else { panic!("they can be read") };
        assert_eq!(page.lost, 0);
        events.extend(page.events.iter().map(|event| event.data.read::<u64>().unwrap()));
        after = page.cursor;
        if page.more == bulkhead_layer1::outcome::More::No {
            break;
        }
    }
    assert!(after.0 >= cursor, "the stream went back from {cursor} to {after}");
    events.sort_unstable();
    assert_eq!(events, left, "events and entities of a unit belong together");
    // The keys of the last few, and of one that was never committed.
    for number in left.iter().rev().take(20) {
        let state = store.run(Job::LookUpKey(keyed(&format!("k{number}"), "x")));
        assert!(
            matches!(&state, Outcome::Key(KeyState::Stored(reply)) if reply.as_str() == number.to_string()),
            "{state:?}"
        );
    }
    let problems = store.layer1.tools().check(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(problems, Vec::<String>::new());
    after.0
}
