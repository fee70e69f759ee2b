//! What the store costs beside bare SQLite with the same durability, in the same run: commits of one
//! caller and of 64 at once, queries by id and by an indexed filter.
//!
//! `cargo bench -p bulkhead-layer1` looks at 100,000 entities; `-- --million` at a million.

use bulkhead_layer1::{Index, Job, Layer1, Outcome, Settings, Ticket};
use bulkhead_protocol::{
    Json,
    layer1::{EntityName, Mutation, Path, Query},
};
use rusqlite::{Connection, params};
use std::{
    collections::HashMap,
    path::Path as FilePath,
    time::{Duration, Instant},
};

/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(3);

fn main() {
    let million = std::env::args().any(|argument| argument == "--million");
    let entities: u64 = if million { 1_000_000 } else { 100_000 };
    let folder = std::env::temp_dir().join(format!("bulkhead-layer1-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    let bare = Bare::new(&folder.join("bare.db"));
    let mut settings = Settings::new(folder.join("layer1.db"));
    let name = EntityName::new("Log").expect("it is a name");
    settings.indexes = vec![Index { entity: name, path: Path::new("topic").expect("it is a path") }];
    let store = Layer1::open(settings, || {}).expect("the store opens in an empty folder");

    println!("commits, each flushed to the disk before it is answered");
    let single = bare.commits();
    report("bare SQLite, one caller, one row", &single);
    let alone = callers(&store, 1);
    report("layer1, one caller", &alone);
    let together = callers(&store, 64);
    report("layer1, 64 callers", &together);
    report("bare SQLite, batches of 64 rows", &bare.batches());
    println!("  64 callers do {:.1} times as many as one", together.rate / alone.rate);

    let (ids, topics) = fill(&store, &bare, entities);
    println!("queries among {entities} entities, {} with each topic", entities / topics);
    let mut random = Random(7);
    report("bare SQLite, by id", &bare.by_id(&ids, &mut random));
    let by_id =
        |random: &mut Random| format!(r#"{{"entity":"Log","id":"{}"}}"#, ids[random.below(ids.len() as u64) as usize]);
    report("layer1, by id", &queries(&store, &mut random, by_id));
    let by_topic = |random: &mut Random| {
        format!(r#"{{"entity":"Log","filters":{{"topic":"t{}"}},"limit":10}}"#, random.below(topics))
    };
    report("layer1, by an indexed filter, ten of them", &queries(&store, &mut random, by_topic));
    let newest = |random: &mut Random| {
        format!(
            r#"{{"entity":"Log","order":"-topic","filters":{{"topic":{{"lt":"t{}"}}}},"limit":10}}"#,
            random.below(topics)
        )
    };
    report("layer1, a range in order, ten of them", &queries(&store, &mut random, newest));
    store.close().expect("the store closes");
    let _ = std::fs::remove_dir_all(folder);
}

/// How often something was done in a second, and how long the middle one and the hundredth slowest took.
struct Figure {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

impl Figure {
    fn of(mut times: Vec<Duration>, done: usize, all: Duration) -> Figure {
        times.sort();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        Figure { rate: done as f64 / all.as_secs_f64(), p50: at(0.5), p99: at(0.99) }
    }
}

fn report(name: &str, figure: &Figure) {
    println!("  {name:<46} {:>9.0} a second   p50 {:>9.1?}   p99 {:>9.1?}", figure.rate, figure.p50, figure.p99);
}

fn data(number: u64) -> String {
    format!(r#"{{"n":{number},"topic":"t{}","title":"what was learnt on day {number}","done":false}}"#, number % 1000)
}

fn create(number: u64) -> Job {
    // Of a type without an index, as bare SQLite's table has none beside the one by id.
    let payload = format!(r#"{{"entity":"Commit","operation":"create","data":{}}}"#, data(number));
    let mutation = Mutation::read(&Json::parse(&payload).expect("it is JSON")).expect("it is a mutation");
    Job::Mutate { unit: None, owner: "bench".into(), mutation, key: None }
}

/// Callers that each wait for the answer before they send the next mutation.
fn callers(store: &Layer1, count: u64) -> Figure {
    let mut sent = HashMap::new();
    let mut times = Vec::new();
    let mut next = 0;
    let begun = Instant::now();
    let mut send = |sent: &mut HashMap<Ticket, Instant>| {
        store.submit(Ticket(next), create(next), None).expect("there is room");
        sent.insert(Ticket(next), Instant::now());
        next += 1;
    };
    for _ in 0..count {
        send(&mut sent);
    }
    while !sent.is_empty() {
        let (ticket, outcome) = store.wait();
        assert!(matches!(outcome, Outcome::Mutated { .. }), "{outcome:?}");
        times.push(sent.remove(&ticket).expect("it was sent").elapsed());
        if begun.elapsed() < TIME {
            send(&mut sent);
        }
    }
    let done = times.len();
    Figure::of(times, done, begun.elapsed())
}

fn queries(store: &Layer1, random: &mut Random, query: impl Fn(&mut Random) -> String) -> Figure {
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        let query = Query::read(&Json::parse(&query(random)).expect("it is JSON")).expect("it is a query");
        let sent = Instant::now();
        store.submit(Ticket(0), Job::Query { unit: None, query }, None).expect("there is room");
        let (_, outcome) = store.wait();
        assert!(matches!(outcome, Outcome::Rows(_)), "{outcome:?}");
        times.push(sent.elapsed());
    }
    let done = times.len();
    Figure::of(times, done, begun.elapsed())
}

/// Fills both with the same entities, and gives their ids and the number of topics.
fn fill(store: &Layer1, bare: &Bare, entities: u64) -> (Vec<String>, u64) {
    let mut ids = Vec::new();
    let mut open = 0;
    let mut next = 0;
    while next < entities || open > 0 {
        while next < entities && open < 16 {
            let operations: Vec<String> = (next..(next + 500).min(entities))
                .map(|number| format!(r#"{{"entity":"Log","operation":"create","data":{}}}"#, data(number)))
                .collect();
            next += operations.len() as u64;
            let payload = Json::parse(&format!(r#"{{"operations":[{}]}}"#, operations.join(","))).expect("it is JSON");
            let mutation = Mutation::read(&payload).expect("it is a mutation");
            store
                .submit(Ticket(next), Job::Mutate { unit: None, owner: "fill".into(), mutation, key: None }, None)
                .expect("there is room");
            open += 1;
        }
        let Outcome::Mutated { reply, .. } = store.wait().1 else { panic!("it is new") };
        let reply: serde_json::Value = reply.read().expect("it is JSON");
        ids.extend(
            reply["results"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|done| done["id"].as_str().expect("an id").to_owned()),
        );
        open -= 1;
    }
    bare.fill(&ids);
    (ids, 1000)
}

/// The same table without anything around it.
struct Bare(Connection);

impl Bare {
    fn new(path: &FilePath) -> Bare {
        let connection = Connection::open(path).expect("the file can be made");
        connection
            .execute_batch(
                "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA cache_size = -32768;
                 CREATE TABLE entities (rowid INTEGER PRIMARY KEY, entity TEXT, id TEXT, version INTEGER, created_at INTEGER,
                     updated_at INTEGER, owner TEXT, data TEXT, UNIQUE (entity, id))",
            )
            .expect("the table can be made");
        Bare(connection)
    }

    fn insert(&self, id: &str, number: u64) {
        self.0
            .prepare_cached("INSERT INTO entities (entity, id, version, created_at, updated_at, owner, data) VALUES ('Log', ?1, 1, ?2, ?2, 'bench', ?3)")
            .and_then(|mut statement| statement.execute(params![id, 1, data(number)]))
            .expect("the row is new");
    }

    fn commits(&self) -> Figure {
        self.measure("single", 1)
    }

    fn batches(&self) -> Figure {
        self.measure("batch", 64)
    }

    fn measure(&self, name: &str, rows: u64) -> Figure {
        let mut times = Vec::new();
        let begun = Instant::now();
        let mut number = 0;
        while begun.elapsed() < TIME {
            let one = Instant::now();
            self.0.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
            for _ in 0..rows {
                self.insert(&format!("{name}-{number:030}"), number);
                number += 1;
            }
            self.0.execute_batch("COMMIT").expect("there is room");
            times.push(one.elapsed());
        }
        Figure::of(times, number as usize, begun.elapsed())
    }

    fn fill(&self, ids: &[String]) {
        self.0.execute_batch("BEGIN").expect("nobody else writes");
        for (id, number) in ids.iter().zip(0..) {
            self.insert(id, number);
        }
        self.0.execute_batch("COMMIT").expect("there is room");
    }

    fn by_id(&self, ids: &[String], random: &mut Random) -> Figure {
        let mut times = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < TIME {
            let id = &ids[random.below(ids.len() as u64) as usize];
            let one = Instant::now();
            let data: String = self
                .0
                .prepare_cached("SELECT data FROM entities WHERE entity = 'Log' AND id = ?1")
                .and_then(|mut statement| statement.query_row([id], |row| row.get(0)))
                .expect("it is there");
            times.push(one.elapsed());
            assert!(!data.is_empty());
        }
        let done = times.len();
        Figure::of(times, done, begun.elapsed())
    }
}

/// A generator that gives the same numbers in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
