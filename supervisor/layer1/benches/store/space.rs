//! What entities take on the disk: the length of all files of a state directory after its store was closed, for each
//! entity, beside the JSON that it holds. Each entity comes as `research-log` stores one: created in a unit of work,
//! with an event that the module emits, and with an answer that is kept under the caller's key.

use bulkhead_layer1::{
    Job, JobId, Layer1, Outcome, Settings, UnitId,
    job::{Fingerprint, Keyed},
};
use bulkhead_protocol::{Json, layer1::Mutation};
use rusqlite::Connection;
use std::path::Path;

/// How many units are under way at once.
const AT_ONCE: u64 = 64;

/// Fills a store with so many entities of as many bytes each, and prints what they take.
pub(crate) fn measure(folder: &Path, entities: u64, json_bytes: usize) {
    std::fs::create_dir(folder).expect("the folder is new");
    let database = folder.join("layer1.db");
    let store = Layer1::open(Settings::new(&database), || {}).expect("the store opens in an empty folder");
    let mut begun = 0;
    let mut done = 0;
    while done < entities {
        while begun < entities && begun - done < AT_ONCE {
            begin(&store, begun, json_bytes);
            begun += 1;
        }
        match store.wait().1 {
            Outcome::Mutated { .. } | Outcome::Emitted => {}
            Outcome::Committed { .. } => done += 1,
            other => panic!("{other:?}"),
        }
    }
    let while_open = length(folder) / entities;
    store.close().expect("the store closes");
    drop(store);
    let each = length(folder) / entities;
    println!(
        "  {json_bytes:>5} bytes of JSON: {each:>5} bytes each, {:.2} times the JSON; {while_open} before the store was closed",
        each as f64 / json_bytes as f64
    );
    for (name, bytes) in parts(&database) {
        println!("    {name:<28} {:>5}", bytes / entities);
    }
}

/// The three jobs of one request.
fn begin(store: &Layer1, number: u64, json_bytes: usize) {
    let unit = UnitId(number + 1);
    let submit = |place, job| store.submit(JobId(4 * number + place), job, None).expect("there is room");
    let time = format!("2026-11-30T17:{:02}:{:02}.{:06}Z", number / 60 % 60, number % 60, number * 7919 % 1_000_000);
    let log = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";
    let id = format!("{:08x}-2c1a-7e3b-9f00-{:012x}", 0x0198_1f6e + number / 64, number * 0x9e37_79b9 % (1 << 48));
    let head = format!(
        r#"{{"log":"{log}","type":"observation","time":"{time}","researcher":null,"tags":["a","b"],"references":[],"text":""#
    );
    let text = "as it was observed ".repeat(json_bytes / 19 + 1);
    let data = format!(r#"{head}{}"}}"#, &text[..json_bytes - head.len() - 2]);
    let payload = format!(r#"{{"entity":"ResearchEntry","operation":"create","id":"{id}","data":{data}}}"#);
    let mutation = Mutation::read(&json(&payload)).expect("it is a mutation");
    submit(0, Job::Mutate { unit: Some(unit), owner: "research-log".into(), mutation, key: None });
    let said = json(&format!(r#"{{"id":"{id}","log":"{log}","type":"observation","time":"{time}"}}"#));
    let (source, event) = ("research-log".into(), "research_log.entry_added".into());
    submit(1, Job::Emit { unit: Some(unit), source, event, data: said.clone() });
    let keyed = Keyed {
        caller: String::new(),
        target: "research-log".into(),
        key: format!("{:08x}-77c2-4b1e-8d00-{:012x}", number * 0x85eb_ca6b % (1 << 32), number),
        fingerprint: Fingerprint::of("research-log", "command", &json(&payload)),
    };
    submit(2, Job::Commit { unit, key: Some((keyed, said)), events: vec![], also: vec![] });
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("it is JSON")
}

fn length(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("the folder is there");
    files.map(|file| file.and_then(|file| file.metadata()).expect("the file is there").len()).sum()
}

/// What each table and index takes.
fn parts(database: &Path) -> Vec<(String, u64)> {
    let connection = Connection::open(database).expect("the database opens");
    let sql = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name HAVING sum(pgsize) > 1000000 ORDER BY 2 DESC";
    let mut statement = connection.prepare(sql).expect("SQLite is built with dbstat");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("it can be read");
    rows.collect::<Result<_, _>>().expect("it can be read")
}
