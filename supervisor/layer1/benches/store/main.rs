//! What the store costs compared with bare SQLite with the same durability, in the same run: commits of one
//! caller and of 64 at once, queries by id and by an indexed filter. Rounds alternate, and a figure is
//! the median of them, so that a disk that is busy for a while distorts no comparison.
//!
//! `cargo bench -p bulkhead-layer1` looks at 100,000 entities; `-- --million` at a million, which takes
//! about a minute more. `--commits` and `--queries` measure one half alone, `--space` what entities take on the
//! disk; `--counted` has 64 callers make 20,000 mutations and nothing else, for `valgrind --tool=callgrind`, and
//! `--counted-updates` the same of entities that are there. The files lie in a folder of their own in `$TMPDIR`: on
//! a memory disk, what is left is the processor's part.

mod bare;
mod figure;
mod processor;
mod space;

use bare::Bare;
use bulkhead_layer1::{Index, Job, JobId, Layer1, Outcome, Settings};
use bulkhead_protocol::{
    Json,
    layer1::{EntityName, Mutation, Path, Query},
};
use figure::{Figure, Random, Rows};
use processor::Processor;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How often each figure is measured, and for how long each time.
const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(1);

/// How many different values the indexed member has.
const TOPICS: u64 = 1000;

fn main() {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    let entities: u64 = if asked("--million") { 1_000_000 } else { 100_000 };
    let folder = std::env::temp_dir().join(format!("bulkhead-layer1-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    let bare = Bare::new(&folder.join("bare.db"));
    let mut settings = Settings::new(folder.join("layer1.db"));
    let name = EntityName::new("Log").expect("it is a name");
    settings.indexes = vec![Index { entity: name, path: Path::new("topic").expect("it is a path") }];
    let store = Layer1::open(settings, || {}).expect("the store opens in an empty folder");
    if asked("--counted") {
        callers(&store, 64, create, |done, _| done < 20_000);
    } else if asked("--counted-updates") {
        changed(&store);
        callers(&store, 64, update, |done, _| done < 20_000);
    } else if asked("--space") {
        space(&folder);
    } else {
        if !asked("--queries") {
            commits(&store, &bare);
        }
        if !asked("--commits") {
            queries(&store, &bare, entities);
        }
        if !asked("--commits") && !asked("--queries") {
            space(&folder);
        }
    }
    store.close().expect("the store closes");
    let _ = std::fs::remove_dir_all(folder);
}

fn space(folder: &std::path::Path) {
    println!("space on the disk of 50,000 entities, each with an event of its module and a kept answer");
    for json_bytes in [290, 1024] {
        space::measure(&folder.join(json_bytes.to_string()), 50_000, json_bytes);
    }
}

fn commits(store: &Layer1, bare: &Bare) {
    changed(store);
    let mut rows = Rows::default();
    for _ in 0..ROUNDS {
        rows.add("bare SQLite, one caller, one row", bare.write("single", 1, TIME));
        rows.add("layer1, one caller", callers(store, 1, create, a_while));
        rows.add("bare SQLite, batches of 64 rows", bare.write("batch", 64, TIME));
        rows.add("layer1, 64 callers", callers(store, 64, create, a_while));
        rows.add("layer1, 64 callers, updates", callers(store, 64, update, a_while));
    }
    println!("commits, each flushed to the disk before it is answered");
    rows.print();
    rows.compare("layer1, 64 callers", "layer1, one caller");
    rows.compare("layer1, one caller", "bare SQLite, one caller, one row");
    rows.compare("layer1, 64 callers", "bare SQLite, batches of 64 rows");
}

fn queries(store: &Layer1, bare: &Bare, entities: u64) {
    let begun = Instant::now();
    let ids = fill(store, entities);
    let loaded = begun.elapsed();
    bare.fill(&ids);
    println!(
        "queries among {entities} entities, {} with each topic; put in in {:.1} s, in bare SQLite in {:.1} s",
        entities / TOPICS,
        loaded.as_secs_f64(),
        (begun.elapsed() - loaded).as_secs_f64()
    );
    let mut random = Random(7);
    let mut rows = Rows::default();
    let by_id =
        |random: &mut Random| format!(r#"{{"entity":"Log","id":"{}"}}"#, ids[random.below(ids.len() as u64) as usize]);
    let by_topic = |random: &mut Random| {
        format!(r#"{{"entity":"Log","filters":{{"topic":"t{}"}},"limit":10}}"#, random.below(TOPICS))
    };
    let range = |random: &mut Random| {
        let end = random.below(TOPICS);
        format!(r#"{{"entity":"Log","order":"-topic","filters":{{"topic":{{"lt":"t{end}"}}}},"limit":10}}"#)
    };
    for _ in 0..ROUNDS {
        rows.add("bare SQLite, by id", bare.by_id(&ids, &mut random, TIME));
        rows.add("layer1, by id", ask(store, &mut random, by_id));
        rows.add("bare SQLite, by an indexed column, ten of them", bare.by_topic(TOPICS, &mut random, TIME));
        rows.add("layer1, by an indexed filter, ten of them", ask(store, &mut random, by_topic));
        rows.add("layer1, a range in order, ten of them", ask(store, &mut random, range));
    }
    rows.print();
    rows.compare("layer1, by id", "bare SQLite, by id");
    rows.compare("layer1, by an indexed filter, ten of them", "bare SQLite, by an indexed column, ten of them");
}

/// What an entity holds.
fn data(number: u64) -> String {
    let topic = number % TOPICS;
    format!(r#"{{"n":{number},"topic":"t{topic}","title":"what was learnt on day {number}","done":false}}"#)
}

fn mutate(owner: &str, payload: &str) -> Job {
    let mutation = Mutation::read(&Json::parse(payload).expect("it is JSON")).expect("it is a mutation");
    Job::Mutate { unit: None, owner: owner.into(), mutation, key: None }
}

fn create(number: u64) -> Job {
    // Of a type without an index, as bare SQLite has none here beside the one by id.
    mutate("bench", &format!(r#"{{"entity":"Commit","operation":"create","data":{}}}"#, data(number)))
}

/// How many entities are updated, again and again.
const CHANGED: u64 = 1000;

fn changed_id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{:012x}", number % CHANGED)
}

/// Creates the entities that are updated.
fn changed(store: &Layer1) {
    for number in 0..CHANGED {
        let (id, data) = (changed_id(number), data(number));
        let payload = format!(r#"{{"entity":"Changed","operation":"create","id":"{id}","data":{data}}}"#);
        store.submit(JobId(number), mutate("bench", &payload), None).expect("there is room");
    }
    for _ in 0..CHANGED {
        assert!(matches!(store.wait().1, Outcome::Mutated { .. }));
    }
}

fn update(number: u64) -> Job {
    let (id, data) = (changed_id(number), data(number));
    mutate("bench", &format!(r#"{{"entity":"Changed","operation":"update","id":"{id}","data":{data}}}"#))
}

/// Goes on until the time of one round is over.
fn a_while(_: usize, time: Duration) -> bool {
    time < TIME
}

/// Callers that each wait for the answer before they send the next mutation, as long as `resume` wants more
/// after so many and so long.
fn callers(store: &Layer1, count: u64, job: fn(u64) -> Job, resume: fn(usize, Duration) -> bool) -> Figure {
    let mut sent = HashMap::new();
    let mut times = Vec::new();
    let mut next = 0;
    let before = Processor::now();
    let begun = Instant::now();
    let mut send = |sent: &mut HashMap<JobId, Instant>| {
        store.submit(JobId(next), job(next), None).expect("there is room");
        sent.insert(JobId(next), Instant::now());
        next += 1;
    };
    for _ in 0..count {
        send(&mut sent);
    }
    while !sent.is_empty() {
        let (job_id, outcome) = store.wait();
        assert!(matches!(outcome, Outcome::Mutated { .. }), "{outcome:?}");
        times.push(sent.remove(&job_id).expect("it was sent").elapsed());
        if resume(times.len(), begun.elapsed()) {
            send(&mut sent);
        }
    }
    let done = times.len();
    Figure::of(times, done, begun.elapsed()).with(before.until_now())
}

/// One caller that asks one thing after the other.
fn ask(store: &Layer1, random: &mut Random, query: impl Fn(&mut Random) -> String) -> Figure {
    let mut times = Vec::new();
    let before = Processor::now();
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        let query = Query::read(&Json::parse(&query(random)).expect("it is JSON")).expect("it is a query");
        let sent = Instant::now();
        store.submit(JobId(0), Job::Query { unit: None, query }, None).expect("there is room");
        let (_, outcome) = store.wait();
        assert!(matches!(outcome, Outcome::Rows(_)), "{outcome:?}");
        times.push(sent.elapsed());
    }
    let done = times.len();
    Figure::of(times, done, begun.elapsed()).with(before.until_now())
}

/// Puts the entities into the store, and gives their ids.
fn fill(store: &Layer1, entities: u64) -> Vec<String> {
    let mut ids = Vec::new();
    let mut open = 0;
    let mut next = 0;
    while next < entities || open > 0 {
        while next < entities && open < 16 {
            let operations: Vec<String> = (next..(next + 500).min(entities))
                .map(|number| format!(r#"{{"entity":"Log","operation":"create","data":{}}}"#, data(number)))
                .collect();
            next += operations.len() as u64;
            let job = mutate("fill", &format!(r#"{{"operations":[{}]}}"#, operations.join(",")));
            store.submit(JobId(next), job, None).expect("there is room");
            open += 1;
        }
        let Outcome::Mutated { reply, .. } = store.wait().1 else { panic!("it is new") };
        let reply: serde_json::Value = reply.read().expect("it is JSON");
        let results = reply["results"].as_array().expect("a list");
        ids.extend(results.iter().map(|done| done["id"].as_str().expect("an id").to_owned()));
        open -= 1;
    }
    ids
}
