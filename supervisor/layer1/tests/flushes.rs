//! What becomes of outcomes while the log is not flushed, and when a flush fails.

mod common;

use bulkhead_layer1::{Flush, Job, JobId, Layer1, Outcome};
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure,
    layer1::{CommitNumber, Mutation, Query},
};
use common::*;
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

const DEADLINE: Duration = Duration::from_secs(20);

/// A store whose flushes say that they begin, end as the test says, and are counted.
struct Held {
    store: Store,
    begins: Receiver<()>,
    end: Sender<io::Result<()>>,
    flushes: Arc<AtomicUsize>,
}

impl Held {
    fn new() -> Held {
        let (began, begins) = channel();
        let (end, ends) = channel::<io::Result<()>>();
        let both = Mutex::new((began, ends));
        let flushes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&flushes);
        let flush = Flush::by(move |log| {
            counted.fetch_add(1, Ordering::SeqCst);
            let both = both.lock().unwrap();
            let _ = both.0.send(());
            // The test is over when nothing can come any more.
            both.1.recv_timeout(DEADLINE).unwrap_or(Ok(())).and_then(|()| log.sync_data())
        });
        Held { store: Store::with(|settings| settings.flush = flush), begins, end, flushes }
    }

    fn create(&self, job: u64) {
        let mutation = Mutation::read(&json(r#"{"entity":"A","operation":"create","data":{}}"#)).unwrap();
        let job_of = Job::Mutate { unit: None, owner: String::new(), mutation, key: None };
        // Otherwise the flush would be made by the thread that writes, before the outcome.
        self.store.layer1.hasten();
        self.store.layer1.submit(JobId(job), job_of, None).unwrap();
    }

    fn count(&self, job: u64) {
        let query = Query::read(&json(r#"{"entity":"A","limit":0,"count":true}"#)).unwrap();
        self.store.layer1.submit(JobId(job), Job::Query { unit: None, query }, None).unwrap();
    }
}

fn visible(layer1: &Layer1) -> (JobId, CommitNumber, Outcome) {
    let end = Instant::now() + DEADLINE;
    loop {
        match layer1.poll_visible() {
            Some(found) => return (found.job_id, found.seen, found.outcome),
            None => assert!(Instant::now() < end, "nothing became visible"),
        }
        std::thread::yield_now();
    }
}

fn is_unknown(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(Failure { code: ErrorCode::Internal, delivery: Some(Delivery::Unknown), .. }))
}

#[test]
fn what_is_not_flushed_is_visible_with_its_number_and_reported_only_after_the_flush() {
    let held = Held::new();
    let layer1 = &held.store.layer1;
    held.create(1);
    held.begins.recv_timeout(DEADLINE).unwrap();
    let (job, made, outcome) = visible(layer1);
    assert!(job == JobId(1) && matches!(outcome, Outcome::Mutated { .. }) && made > layer1.flushed());
    held.count(2);
    let (job, seen, outcome) = visible(layer1);
    let Outcome::Rows(rows) = outcome else { panic!("{outcome:?}") };
    assert!(job == JobId(2) && rows.as_str().contains("\"count\":1"), "{rows:?}");
    assert!(seen >= made, "a reading that has seen commit {made:?} has the number {seen:?}");
    // Of these, nothing is reported before the flush.
    held.create(3);
    held.count(4);
    assert!(layer1.poll().is_none() && layer1.flushed() < made);
    held.end.send(Ok(())).unwrap();
    held.end.send(Ok(())).unwrap();
    let jobs = [layer1.wait().0, layer1.wait().0];
    assert!(jobs.contains(&JobId(3)) && jobs.contains(&JobId(4)) && layer1.flushed() >= seen);
    for _ in 0..2 {
        held.end.send(Ok(())).unwrap();
    }
    held.store.close();
}

#[test]
fn after_a_flush_that_failed_every_outcome_that_waits_or_comes_is_unknown_and_no_other_flush_is_tried() {
    let held = Held::new();
    let layer1 = &held.store.layer1;
    held.create(1);
    held.begins.recv_timeout(DEADLINE).unwrap();
    held.count(2);
    held.create(3);
    assert!(layer1.poll().is_none() && layer1.flush_failure().is_none());
    held.end.send(Err(io::Error::from_raw_os_error(nix::libc::EIO))).unwrap();
    for _ in 0..3 {
        let (job, outcome) = layer1.wait();
        assert!(is_unknown(&outcome), "{job:?}: {outcome:?}");
    }
    held.create(4);
    held.count(5);
    for _ in 0..2 {
        let (job, outcome) = layer1.wait();
        assert!(is_unknown(&outcome), "{job:?}: {outcome:?}");
    }
    assert_eq!(layer1.flush_failure().map(|failure| failure.delivery), Some(Some(Delivery::Unknown)));
    assert!(layer1.broken().is_some() && !layer1.is_readable());
    held.store.close();
    assert_eq!((held.flushes.load(Ordering::SeqCst), layer1.flushed()), (1, CommitNumber(0)));
    // It is in the log, which is left as it is. The next start finds it there.
    assert!(held.store.folder.0.join("layer1.db-wal").metadata().unwrap().len() > 0);
    let Store { layer1, folder, .. } = held.store;
    drop(layer1);
    let store = Store::in_folder(folder, |_| {});
    let found = store.query(r#"{"entity":"A","limit":0,"count":true}"#)["count"].as_u64().unwrap();
    assert!((1..=2).contains(&found), "{found}");
}

#[test]
fn only_what_was_written_is_flushed() {
    let held = Held::new();
    for job in 1..=3 {
        held.create(job);
        held.end.send(Ok(())).unwrap();
        held.count(10 + job);
        let jobs = [held.store.layer1.wait().0, held.store.layer1.wait().0];
        assert!(jobs.contains(&JobId(job)), "{jobs:?}");
    }
    // It has looked for what has expired by now, and found nothing.
    held.store.close();
    assert_eq!(held.flushes.load(Ordering::SeqCst), 3);
}
