//! Database files that are damaged or of another version: the host refuses them with a reason and a remedy and leaves
//! them as they are, and a backup replaces them.

use crate::support::{count, create, query};
use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Host, World};
use serde_json::json;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
};

/// Bytes of a page of the database.
const PAGE_BYTES: usize = 4096;

/// Where the header of a SQLite file has the version of its tables.
const VERSION_AT: u64 = 60;

/// The database of a world whose host has ended, and a backup of it.
struct Data {
    world: World,
    database: PathBuf,
    backup: PathBuf,
}

impl Data {
    /// Data with so many notes, each with a text so long.
    fn with(notes: usize, text_bytes: usize) -> Data {
        let mut world = World::new();
        world.start();
        let mut client = world.client();
        let text = "x".repeat(text_bytes);
        (0..notes).for_each(|n| drop(create(&mut client, "Note", json!({ "n": n, "text": text }))));
        create(&mut client, "Other", json!({ "n": 1 }));
        let backup = world.path("backup.db");
        assert!(world.bulkhead(&["layer1", "backup", backup.to_str().unwrap()]).status.success());
        world.stop();
        let database = world.state().join("layer1/layer1.db");
        Data { world, database, backup }
    }

    /// The host refuses the file, leaves it as it is, and starts again with the backup.
    fn refused(mut self, words: &[&str]) {
        let (damaged, saved) = (fs::read(&self.database).unwrap(), fs::read(&self.backup).unwrap());
        for _ in 0..2 {
            let ended = Host::start(self.world.run_command()).wait();
            assert_eq!(ended.code, Some(1), "{ended:?}");
            for word in words {
                assert!(ended.stderr.contains(word), "expected {word:?} in {}", ended.stderr);
            }
            assert!(self.world.processes().is_empty(), "nothing half done");
        }
        assert!(fs::read(&self.database).unwrap() == damaged, "the file has changed");
        assert!(fs::read(&self.backup).unwrap() == saved, "the backup has changed");
        fs::copy(&self.backup, &self.database).unwrap();
        self.world.start();
        assert_eq!(count(&mut self.world.client(), "Other"), 1);
        self.world.stop();
    }

    fn overwrite(&self, at: u64, bytes: &[u8]) {
        File::options().write(true).open(&self.database).unwrap().write_all_at(bytes, at).unwrap();
    }
}

#[test]
fn a_damaged_header_is_refused_and_a_backup_takes_its_place() {
    let data = Data::with(20, 500);
    data.overwrite(0, &[0x5a; 100]);
    data.refused(&["cannot open the data store", "is no database of Bulkhead", "move it away"]);
    let data = Data::with(20, 500);
    data.overwrite(16, &[0xff; 40]);
    data.refused(&["cannot open the data store", "layer1.db"]);
}

#[test]
fn a_damaged_page_is_refused_and_a_backup_takes_its_place() {
    let data = Data::with(200, 500);
    let pages = fs::metadata(&data.database).unwrap().len() as usize / PAGE_BYTES;
    data.overwrite((pages / 2 * PAGE_BYTES) as u64, &[0x5a; PAGE_BYTES]);
    data.refused(&["cannot open the data store", "is damaged", "put a backup in its place"]);
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_stays_for_the_newer_program() {
    let data = Data::with(1, 10);
    data.overwrite(VERSION_AT, &1000u32.to_be_bytes());
    data.refused(&["was made by a newer version", "of version 1000", "run the newer program"]);
}

/// Only a small file is checked page by page at the start.
#[test]
fn a_damaged_page_of_a_large_file_is_reported_to_a_caller_that_needs_it_and_to_a_check() {
    let notes = 70;
    let mut data = Data::with(notes, 500_000);
    let saved = fs::read(&data.backup).unwrap();
    let size = fs::metadata(&data.database).unwrap().len();
    assert!(size > 33 << 20, "{size} bytes");
    data.overwrite(size / 2 / PAGE_BYTES as u64 * PAGE_BYTES as u64, &[0x5a; PAGE_BYTES]);
    data.world.start();
    let mut client = data.world.client();
    let mut lost = 0;
    for n in 0..notes {
        match query(&mut client, json!({ "entity": "Note", "filters": { "n": n } })) {
            Ok(found) => assert_eq!(found["entities"][0]["data"]["n"], n),
            Err(failure) => {
                assert!(failure.code == ErrorCode::Internal && failure.error.contains("damaged"), "{failure:?}");
                assert!(failure.error.contains("put a backup in its place"), "{}", failure.error);
                lost += 1;
            }
        }
    }
    assert!(lost > 0, "some query needs the page");
    assert_eq!(query(&mut client, json!({ "entity": "Other" })).unwrap()["entities"][0]["data"]["n"], 1);
    let checked = data.world.bulkhead(&["layer1", "check"]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    data.world.stop();
    assert!(fs::read(&data.backup).unwrap() == saved, "the backup has changed");
    fs::copy(&data.backup, &data.database).unwrap();
    data.world.start();
    assert_eq!(count(&mut data.world.client(), "Note"), notes as u64);
    data.world.stop();
}
