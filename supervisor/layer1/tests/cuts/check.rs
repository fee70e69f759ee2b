//! Opens what a cut has left with the real program, and looks at all of it: which units are there, and whether
//! everything agrees with these units alone.

use crate::{
    common::{json, keyed},
    disk::Mounted,
    units::{Entity, Expected, Unit, key},
};
use bulkhead_layer1::{
    Clock, Flush, Job, JobId, Layer1, Now, OpenError, Outcome, Settings,
    outcome::{KeyState, StoredEvent},
};
use bulkhead_protocol::{
    Pattern,
    layer1::{Cursor, Query},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

/// Far longer than anything here takes.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A store on a disk that is followed.
pub struct Running {
    pub layer1: Layer1,
    pub woken: Receiver<()>,
    pub disk: Mounted,
    time: Arc<AtomicI64>,
}

/// What was found out about the units before a cut.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Those that were committed, in order.
    pub committed: Vec<Unit>,
    /// Those of which it is unknown whether they were committed after these.
    pub maybe: Vec<Unit>,
    /// How many of the committed ones were reported.
    pub reported: usize,
}

/// Pages of the log after which it is carried over: it begins anew every few units.
const CHECKPOINT_PAGES: i64 = 40;

impl Running {
    /// With a flush of the log that the disk can hold up, or the store's own.
    pub fn begin(disk: Mounted, has_gate: bool) -> Result<Running, (OpenError, Mounted)> {
        let time = Arc::new(AtomicI64::new(1_000_000_000));
        let shown = Arc::clone(&time);
        let read = move || shown.load(Ordering::Relaxed);
        let clock = Clock::new(move || Now { wall: read(), since_boot: read() });
        let mut settings = Settings { clock, readers: 2, ..Settings::new(disk.folder.join("layer1.db")) };
        settings.checkpoint_pages = CHECKPOINT_PAGES;
        if has_gate {
            let disk = Arc::clone(&disk.0);
            settings.flush = Flush::by(move |log| disk.flush_log(log));
        }
        let (wake, woken) = channel();
        match Layer1::open(settings, move || {
            // The test may be over.
            let _ = wake.send(());
        }) {
            Ok(layer1) => Ok(Running { layer1, woken, disk, time }),
            Err(error) => Err((error, disk)),
        }
    }

    pub fn pass(&self, time: Duration) {
        self.time.fetch_add(time.as_micros() as i64, Ordering::Relaxed);
    }

    /// Closes the store, whatever it says to that, and keeps the disk.
    pub fn close(self) -> Mounted {
        let _ = self.layer1.close();
        drop(self.layer1);
        self.disk
    }

    /// Does a job while no other is open.
    fn run(&self, job: Job) -> Result<Outcome, String> {
        self.layer1.submit(JobId(1), job, None).map_err(|_| "the store takes no job")?;
        match self.layer1.wait().1 {
            Outcome::Failed(failure) => Err(format!("a look at the store failed: {failure:?}")),
            outcome => Ok(outcome),
        }
    }

    fn events(&self) -> Result<Vec<StoredEvent>, String> {
        let patterns = ["Left.created", "unit.done"].map(|name| Pattern::new(name).unwrap()).to_vec();
        let (mut after, mut all) = (Cursor(0), Vec::new());
        loop {
            let job = Job::ReadEvents { after, patterns: patterns.clone(), limit: 100_000, bytes_max: 1 << 24 };
            let Outcome::Events(page) = self.run(job)? else { return Err("no page of events".into()) };
            all.extend(page.events);
            after = page.cursor;
            if page.more == bulkhead_layer1::outcome::More::No {
                return Ok(all);
            }
        }
    }

    fn entities(&self, entity: &str, all: &mut BTreeMap<(String, String), Entity>) -> Result<(), String> {
        let mut after = Value::Null;
        loop {
            let payload = format!(r#"{{"entity":"{entity}","limit":1000,"after":{after}}}"#);
            let query = Query::read(&json(&payload)).map_err(|fault| fault.to_string())?;
            let Outcome::Rows(rows) = self.run(Job::Query { unit: None, query })? else { return Err("no rows".into()) };
            let page: Value = rows.read().map_err(|error| error.to_string())?;
            for found in page["entities"].as_array().unwrap() {
                let place = (entity.to_owned(), found["id"].as_str().unwrap().to_owned());
                let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
                let text = found["data"]["text"].as_str().map_or(usize::MAX, str::len);
                all.insert(place, (number(&found["version"]), number(&found["data"]["n"]), text));
            }
            after = page["next"].clone();
            if after.is_null() {
                return Ok(());
            }
        }
    }

    /// The units that are there, in order, if everything is as these have made it, and they are a beginning of what
    /// is known that has all that was reported.
    pub fn check(&self, known: &Known) -> Result<Vec<Unit>, String> {
        let mut cursors = Vec::new();
        let (mut numbers, mut emitted) = (Vec::new(), Vec::new());
        for event in self.events()? {
            cursors.push(event.cursor.0);
            let data: Value = event.data.read().map_err(|error| error.to_string())?;
            match event.event.as_str() {
                "unit.done" => emitted.push(data.as_u64().unwrap()),
                _ => numbers.push(data["data"]["n"].as_u64().unwrap()),
            }
        }
        let units = numbers.iter().enumerate().map(|(index, number)| {
            let is_it = |unit: &&Unit| unit.number == *number;
            match known.committed.get(index) {
                Some(unit) if is_it(&unit) => Ok(unit.clone()),
                Some(unit) => {
                    Err(format!("unit {number} is there, and {}, which was committed before it, is not", unit.number))
                }
                None => known
                    .maybe
                    .iter()
                    .find(is_it)
                    .cloned()
                    .ok_or(format!("unit {number} was never committed, and is there")),
            }
        });
        let units = units.collect::<Result<Vec<_>, _>>()?;
        if units.len() < known.reported {
            let lost: Vec<_> = known.committed[units.len()..known.reported].iter().map(|unit| unit.number).collect();
            return Err(format!("the units {lost:?} were reported and are lost"));
        }
        let expected = Expected::of(&units);
        let mut found = Expected { emitted, ..Expected::default() };
        for entity in ["Left", "Right", "Counter"] {
            self.entities(entity, &mut found.entities)?;
        }
        let Outcome::Ends { newest, .. } = self.run(Job::EventEnds)? else { return Err("no ends".into()) };
        found.cursor = newest.0;
        if found != expected {
            return Err(format!("after the units {numbers:?}\nexpected {expected:?}\nfound    {found:?}"));
        }
        self.check_keys(&units, known)?;
        match self.layer1.tools().check(&mut |_| ControlFlow::Continue(())) {
            Ok(problems) if problems.is_empty() => Ok(units),
            other => Err(format!("the check of the file found {other:?}")),
        }
    }

    /// The keys of the last few that are there, and of those that are not.
    fn check_keys(&self, units: &[Unit], known: &Known) -> Result<(), String> {
        const LOOKED_AT: usize = 6;
        let is_there = |number: u64| units.iter().rev().any(|unit| unit.number == number);
        let others = known.committed.iter().skip(units.len()).chain(&known.maybe);
        for unit in units.iter().rev().take(LOOKED_AT).chain(others.take(LOOKED_AT)) {
            let Outcome::Key(state) = self.run(Job::LookUpKey(keyed(&key(unit.number), "x")))? else {
                return Err("no state of a key".into());
            };
            if matches!(state, KeyState::Stored(_)) != is_there(unit.number) {
                return Err(format!("the key of unit {} does not agree with its entities: {state:?}", unit.number));
            }
        }
        Ok(())
    }
}
