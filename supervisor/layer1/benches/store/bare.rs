//! Bare SQLite: the same table with the same durability, and nothing around it.

use super::{
    data,
    figure::{Figure, Random},
    processor::Processor,
};
use rusqlite::{Connection, params};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// A database of its own.
pub(crate) struct Bare(Connection);

impl Bare {
    pub(crate) fn new(path: &Path) -> Bare {
        let connection = Connection::open(path).expect("the file can be made");
        connection
            .execute_batch(
                "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA cache_size = -32768;
                 CREATE TABLE entities (rowid INTEGER PRIMARY KEY, entity TEXT, id TEXT, version INTEGER,
                     created_at INTEGER, updated_at INTEGER, owner TEXT, data TEXT, UNIQUE (entity, id));
                 CREATE TABLE topics (rowid INTEGER PRIMARY KEY, topic TEXT, data TEXT);
                 CREATE INDEX by_topic ON topics (topic)",
            )
            .expect("the tables can be made");
        Bare(connection)
    }

    fn insert(&self, id: &str, number: u64) {
        self.0
            .prepare_cached("INSERT INTO entities (entity, id, version, created_at, updated_at, owner, data) VALUES ('Log', ?1, 1, ?2, ?2, 'bench', ?3)")
            .and_then(|mut statement| statement.execute(params![id, 1, data(number)]))
            .expect("the row is new");
    }

    /// Transactions of so many rows, one after the other.
    pub(crate) fn write(&self, name: &str, rows: u64, time: Duration) -> Figure {
        let found = self.0.query_row("SELECT count(*) FROM entities", [], |row| row.get(0));
        let mut number = found.expect("the table is there");
        let mut times = Vec::new();
        let before = Processor::now();
        let begun = Instant::now();
        let first = number;
        while begun.elapsed() < time {
            let one = Instant::now();
            self.0.execute_batch("BEGIN IMMEDIATE").expect("no other connection writes");
            for _ in 0..rows {
                self.insert(&format!("{name}-{number:030}"), number);
                number += 1;
            }
            self.0.execute_batch("COMMIT").expect("there is room");
            times.push(one.elapsed());
        }
        Figure::of(times, (number - first) as usize, begun.elapsed()).with(before.until_now())
    }

    /// Puts in the same entities as the store has.
    pub(crate) fn fill(&self, ids: &[String]) {
        self.0.execute_batch("BEGIN").expect("no other connection writes");
        let mut topics = self.0.prepare("INSERT INTO topics (topic, data) VALUES (?1, ?2)").expect("it is SQL");
        for (id, number) in ids.iter().zip(0..) {
            self.insert(id, number);
            let topic = format!("t{}", number % super::TOPICS);
            topics.execute(params![topic, data(number)]).expect("the row is new");
        }
        self.0.execute_batch("COMMIT").expect("there is room");
    }

    pub(crate) fn by_id(&self, ids: &[String], random: &mut Random, time: Duration) -> Figure {
        self.read(time, || {
            let id = &ids[random.below(ids.len() as u64) as usize];
            let mut statement = self.0.prepare_cached("SELECT data FROM entities WHERE entity = 'Log' AND id = ?1")?;
            statement.query_row([id], |row| Ok(row.get_ref(0)?.as_str()?.len()))
        })
    }

    pub(crate) fn by_topic(&self, topics: u64, random: &mut Random, time: Duration) -> Figure {
        self.read(time, || {
            let topic = format!("t{}", random.below(topics));
            let mut statement = self.0.prepare_cached("SELECT data FROM topics WHERE topic = ?1 LIMIT 10")?;
            let rows = statement.query_map([topic], |row| Ok(row.get_ref(0)?.as_str()?.len()))?;
            rows.sum::<rusqlite::Result<usize>>()
        })
    }

    fn read(&self, time: Duration, mut one: impl FnMut() -> rusqlite::Result<usize>) -> Figure {
        let mut times = Vec::new();
        let before = Processor::now();
        let begun = Instant::now();
        while begun.elapsed() < time {
            let asked = Instant::now();
            let bytes = one().expect("it is there");
            times.push(asked.elapsed());
            assert!(bytes > 0);
        }
        let done = times.len();
        Figure::of(times, done, begun.elapsed()).with(before.until_now())
    }
}
