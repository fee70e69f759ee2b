//! Power cuts, kills, disks that fail a flush and disks that are full, at any moment of what the store does: whatever
//! it has reported is there at the next start, and nothing is half there.
//!
//! The store writes to real files, which are followed (`disk.rs`, `calls.rs`), and after each operation it is known
//! what a cut may leave of them (`files.rs`). `BULKHEAD_PROPTEST_CASES=1000000` tries a million cuts;
//! `BULKHEAD_CUTS_SEED=N` begins with the seed N, which a failure names.

#![allow(unreachable_pub, reason = "a test program has no public interface")]

mod calls;
mod chain;
mod check;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod driver;
mod files;
mod rewriting;
mod units;

use chain::{Chain, Tried};
use check::Running;
use disk::{Disk, Faults};
use driver::Reports;
use files::Files;
use std::panic::{AssertUnwindSafe, catch_unwind};

const USUAL: Chain = Chain { is_concurrent: false, reports: None, lies_about_database: false, has_failures: true };

fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, found {text:?}")))
}

/// One chain; a panic is a failure of it.
fn run(chain: Chain, seed: u64, tried: &mut Tried) -> Result<(), String> {
    let done = catch_unwind(AssertUnwindSafe(|| chain.run(seed, tried)));
    done.unwrap_or_else(|_| Err("it panicked, as above".into()))
}

/// Tries as many cuts as the environment says, or this many.
fn try_cuts(chain: Chain, usual: usize) -> Tried {
    let cuts = number("BULKHEAD_PROPTEST_CASES").unwrap_or(usual);
    let first = number("BULKHEAD_CUTS_SEED").unwrap_or(1) as u64;
    let mut tried = Tried::default();
    for seed in first.. {
        if tried.cuts >= cuts {
            break;
        }
        if let Err(what) = run(chain, seed, &mut tried) {
            panic!("BULKHEAD_CUTS_SEED={seed}, {chain:?}: {what}");
        }
    }
    println!("{tried:?}");
    tried
}

/// A control: something is found to be wrong before there are so many cuts, and gives what that is.
fn found_within(chain: Chain, cuts: usize) -> String {
    let mut tried = Tried::default();
    for seed in 1.. {
        if let Err(what) = run(chain, seed, &mut tried) {
            println!("found after {} cuts: {what}", tried.cuts);
            return what;
        }
        assert!(tried.cuts < cuts, "{chain:?} went well over {} cuts: the check is too weak", tried.cuts);
    }
    unreachable!("there is always another seed")
}

#[test]
fn what_was_reported_is_there_after_any_cut_and_nothing_is_half_there() {
    let tried = try_cuts(USUAL, 1000);
    let Tried { kills, cut_starts, failed_flushes, refused_writes, logs_begun_anew, units, .. } = tried;
    let all = [kills, cut_starts, failed_flushes, refused_writes, logs_begun_anew, units];
    assert!(all.iter().all(|times| *times > 0), "a part of it was never tried: {tried:?}");
}

#[test]
fn it_is_so_with_many_units_at_once_too() {
    try_cuts(Chain { is_concurrent: true, ..USUAL }, 400);
}

#[test]
fn a_store_whose_log_cannot_be_begun_is_not_opened() {
    /// In the header of a database with a write-ahead log: the versions of its format, to write and to read it.
    const WITH_LOG: [u8; 2] = [2, 2];
    let mut refused = 0;
    for flushes in 0.. {
        let faults = Faults { flush_fails_after: Some(flushes), ..Faults::default() };
        match Running::begin(Disk::mount(Files::new(4096), faults), false) {
            Err((error, disk)) => {
                assert_eq!(disk.counted().0, 1, "{error}");
                refused += 1;
            }
            Ok(running) => {
                let database = std::fs::read(running.disk.folder.join("layer1.db")).unwrap();
                assert_eq!(database[18..20], WITH_LOG, "after {flushes} flushes");
                if running.disk.counted().0 == 0 {
                    break;
                }
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_host_that_reports_at_the_commit_is_found_to_lose_what_it_reported() {
    let found = found_within(Chain { reports: Some(Reports::AtCommit), has_failures: false, ..USUAL }, 500);
    assert!(found.contains("were reported and are lost"), "{found}");
}

#[test]
fn a_disk_that_does_not_flush_the_database_is_found_to_lose_what_was_reported() {
    found_within(Chain { lies_about_database: true, has_failures: false, ..USUAL }, 500);
}
