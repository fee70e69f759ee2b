//! Cuts while a store of an older version gets the tables of this one, at its start or by `compact`, and while one of
//! this version is written anew: afterwards everything is there as it was, and the next start finds it.

use crate::{
    check::Running,
    disk::{Disk, Faults, replayed},
    files::{Files, Op, Random},
};
use bulkhead_layer1::{Job, JobId, Layer1, Outcome, compact, job::Cursor};
use bulkhead_protocol::Pattern;
use serde_json::{Value, json};
use std::{ops::ControlFlow, path::Path};

/// Cuts that are tried of each way.
const CUTS: usize = 250;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// A disk that has this database, and nothing else.
fn with_database(data: Vec<u8>, sector: usize) -> Files {
    let mut files = Files::new(sector);
    files.apply(&Op::Create { name: "layer1.db".into(), file: 0 });
    files.apply(&Op::Write { file: 0, offset: 0, data });
    files.apply(&Op::Flush { file: 0, upto: files.next_position() });
    files.apply(&Op::FlushFolder { upto: files.next_position() });
    files
}

/// The entities and the events.
fn all_of(layer1: &Layer1) -> Value {
    let mut export = Vec::new();
    layer1.tools().export(None, &mut export, &mut |_| ControlFlow::Continue(())).unwrap();
    let patterns = vec![Pattern::new("*").unwrap()];
    let read = Job::ReadEvents { after: Cursor(0), patterns, limit: 10_000, bytes_max: 1 << 24 };
    layer1.submit(JobId(1), read, None).unwrap();
    let Outcome::Events(page) = layer1.wait().1 else { panic!("they can be read") };
    let events = page.events.iter().map(|it| json!([it.cursor.0, it.time, it.event, it.source, it.data.as_str()]));
    json!({
        "export": String::from_utf8(export).unwrap().lines().collect::<Vec<_>>(),
        "events": events.collect::<Vec<_>>(),
    })
}

fn open(files: Files) -> Result<Running, String> {
    Running::begin(Disk::mount(files, Faults::default()), false).map_err(|(error, _)| error.to_string())
}

/// Tries cuts while something is done to the database, and looks at what each has left.
fn cut(began: Files, expected: &Value, done: impl Fn(Files) -> Vec<Op>) {
    let ops = done(began.clone());
    let random = &mut Random(1);
    for number in 0..CUTS.max(ops.len()).min(4 * CUTS) {
        // Each moment, where there are not too many.
        let end = if ops.len() <= 4 * CUTS { number % (ops.len() + 1) } else { random.below(ops.len() + 1) };
        let left = replayed(&began, &ops[..end]).after_cut(random);
        let at = format!("cut {number}, at {end} of {}", ops.len());
        let running = open(left).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(all_of(&running.layer1) == *expected, "{at}: something else is there");
        let problems = running.layer1.tools().check(&mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(problems, Vec::<String>::new(), "{at}");
        let disk = running.close();
        let names: Vec<_> = std::fs::read_dir(&disk.folder).unwrap().map(|it| it.unwrap().file_name()).collect();
        let left = names.iter().find(|name| name.to_string_lossy().ends_with("ing"));
        assert!(left.is_none(), "{at}: {left:?} is left");
    }
}

fn compacted(files: Files) -> Vec<Op> {
    let disk = Disk::mount(files, Faults::default());
    compact(&disk.folder.join("layer1.db"), &mut |_| ControlFlow::Continue(())).unwrap();
    disk.recorded().1
}

fn expected() -> Value {
    let all: Value = serde_json::from_slice(&fixture("version-4.json")).unwrap();
    json!({"export": all["export"], "events": all["events"]})
}

#[test]
fn a_store_of_version_4_is_whole_after_any_cut_of_its_first_start() {
    cut(with_database(fixture("version-4.db"), 512), &expected(), |files| open(files).unwrap().close().recorded().1);
}

#[test]
fn a_store_of_version_4_is_whole_after_any_cut_while_it_is_written_anew() {
    cut(with_database(fixture("version-4.db"), 4096), &expected(), compacted);
}

#[test]
fn a_store_of_this_version_is_whole_after_any_cut_while_it_is_written_anew() {
    let disk = open(with_database(fixture("version-4.db"), 512)).unwrap().close();
    let (began, ops) = disk.recorded();
    cut(replayed(&began, &ops), &expected(), compacted);
}
