//! The host's end of the store: opens it, passes it what the core and the host ask, and takes the outcomes
//! back into the loop. The store works on threads of its own; only the opening and the closing wait for
//! them here.

mod translate;

pub(crate) use translate::JobOwner;

use crate::{files, status::StoreStatus};
use bulkhead_config::{Declared, HostConfig, ModuleConfig};
use bulkhead_core::{Caller, CommitNumber, Cursor, Epoch, Epochs, RequestId, StoreOp, StoreOutcome};
use bulkhead_layer1::{
    Index, Job, JobId, Layer1, OpenError, Outcome, Overloaded, SCHEMA_VERSION, Searched, Sender, Settings, Visible,
    limits::JOBS_MAX,
};
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure, ModuleName,
    layer1::{EntityName, MemberPath},
};
use futures_util::task::AtomicWaker;
use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Duration,
};
use translate::Order;

/// The database in the store's folder.
const FILE: &str = "layer1.db";

/// Bytes of an answer that are not the store's: the frame around it.
const AROUND_AN_ANSWER_BYTES: usize = 64 * 1024;

/// Why the store was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot open the data store: {0}")]
    Open(#[from] OpenError),
    #[error("cannot read the data store: {0}")]
    Read(String),
}

/// Wakes the loop when the store has outcomes.
#[derive(Default)]
struct OutcomeSignal {
    is_set: AtomicBool,
    waker: AtomicWaker,
}

impl OutcomeSignal {
    fn set(&self) {
        self.is_set.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// What the store has to say.
pub(crate) enum News {
    /// All commits up to this one are on the disk.
    Flushed(CommitNumber),
    /// No further one ever will be for certain.
    FlushFailed(Failure),
    /// What came of something that the core asked, with the newest commit that it can have seen.
    Visible(RequestId, CommitNumber, StoreOutcome),
    /// What came of a job of the host's own: it is on the disk.
    Durable(u64, Outcome),
    /// Its files are not what it has open any more: nothing is read from it.
    Gone,
}

/// The open store.
pub(crate) struct Store {
    layer1: Layer1,
    outcome_signal: Arc<OutcomeSignal>,
    /// Whether there may be outcomes that were announced and not taken.
    has_outcomes: bool,
    /// The quota of each module that the store got last.
    quotas: HashMap<ModuleName, Option<u64>>,
    /// The newest event of all that is known here to be on the disk.
    newest: Cursor,
    /// The newest event of each commit that is not, with the number of the commit.
    visible: VecDeque<(CommitNumber, Cursor)>,
    /// Outcomes for the host that wait for the disk, with the newest commit that each can have seen.
    held: VecDeque<(CommitNumber, u64, Outcome)>,
    /// All commits up to this one are on the disk.
    flushed: CommitNumber,
    /// Whether the core was informed that nothing is read any more.
    is_gone: bool,
    /// Why no further one ever will be, if so.
    flush_failure: Option<Failure>,
    /// Which histories its cursors may belong to.
    epochs: Epochs,
    last_admin_job: u64,
    /// How many set-aside events had been dropped at the last report of it.
    dropped_reported: u64,
    /// Whether it was reported that nothing more is written.
    broken_reported: bool,
    /// How many bytes what it has in progress may hold.
    queue_bytes_max: usize,
    file: PathBuf,
    /// The lengths of the database and of its log when they were looked at last.
    bytes: (u64, u64),
    /// The indexes and searches of its entities.
    declared: Declared,
}

fn settings(file: &Path, config: &HostConfig, declared: &Declared) -> Settings {
    let (layer1, frame) = (&config.layer1, config.frame_bytes_max);
    let mut settings = Settings::new(file);
    for (entity, paths) in &declared.index {
        let index = |path: &bulkhead_protocol::layer1::Path| Index { entity: entity.clone(), path: path.clone() };
        settings.indexes.extend(paths.iter().map(index));
    }
    let search =
        |(entity, paths): (&EntityName, &Vec<MemberPath>)| Searched { entity: entity.clone(), paths: paths.clone() };
    settings.searches.extend(declared.search.iter().map(search));
    settings.key_ttl = layer1.key_ttl;
    settings.event_ttl = layer1.event_ttl;
    settings.events_max = layer1.events_max as u64;
    settings.events_bytes_max = layer1.events_bytes_max as u64;
    settings.set_aside_max = layer1.set_aside_max as u64;
    settings.set_aside_bytes_max = layer1.set_aside_bytes_max as u64;
    settings.readers = layer1.readers;
    settings.query_time_max = layer1.query_time_max;
    settings.queue_bytes_max = layer1.queue_bytes_max;
    settings.answer_bytes_max = frame - AROUND_AN_ANSWER_BYTES.min(frame / 4);
    settings
}

impl Store {
    /// Opens the store in its folder, and makes it if it is not there.
    pub(crate) fn open(folder: &Path, config: &HostConfig, declared: Declared) -> Result<Store, StoreError> {
        let file = folder.join(FILE);
        let settings = settings(&file, config, &declared);
        let outcome_signal = Arc::<OutcomeSignal>::default();
        let ringing = outcome_signal.clone();
        let layer1 = Layer1::open(settings, move || ringing.set())?;
        if let Some(version) = layer1.migrated() {
            tracing::info!(
                "data store: the tables of {} were changed from version {version} to {SCHEMA_VERSION}; the file is as \
                 long as before until you stop the host and run `bulkhead layer1 compact`",
                file.display()
            );
        }
        let epoch = |epoch: &bulkhead_layer1::Epoch| Epoch { name: (*epoch.name).into(), since: Cursor(epoch.since) };
        let epochs = Epochs::new(layer1.epochs().iter().map(epoch).collect());
        let mut store = Store {
            layer1,
            epochs,
            outcome_signal,
            has_outcomes: false,
            quotas: HashMap::new(),
            newest: Cursor(0),
            visible: VecDeque::new(),
            held: VecDeque::new(),
            flushed: CommitNumber(0),
            is_gone: false,
            flush_failure: None,
            last_admin_job: 0,
            dropped_reported: 0,
            broken_reported: false,
            queue_bytes_max: config.layer1.queue_bytes_max,
            file,
            bytes: (0, 0),
            declared,
        };
        // All clients together are one owner.
        store.layer1.set_events_quota("", config.layer1.clients_events_quota);
        store.layer1.set_keys_quota("", config.layer1.clients_keys_quota);
        store.newest = store.read_newest()?;
        Ok(store)
    }

    /// A module's configuration comes into force: what of its events and keys may be stored follows.
    pub(crate) fn follow(&self, module: &ModuleConfig) {
        let resources = &module.resources;
        self.layer1.set_events_quota(module.name.as_str(), resources.events_quota);
        self.layer1.set_keys_quota(module.name.as_str(), resources.keys_quota);
    }

    /// The newest event. It waits, which is allowed only at the start.
    fn read_newest(&mut self) -> Result<Cursor, StoreError> {
        let unread = |found: &dyn std::fmt::Debug| StoreError::Read(format!("its events cannot be read: {found:?}"));
        self.layer1.submit(JobOwner::Host(0).job_id(), Job::EventEnds, None).map_err(|job| unread(&job))?;
        match self.layer1.wait().1 {
            Outcome::Ends { newest, .. } => Ok(newest),
            Outcome::Failed(failure) => Err(StoreError::Read(failure.error)),
            other => Err(unread(&other)),
        }
    }

    /// Lets the store wake the task of this waker from now on.
    pub(crate) fn register(&self, waker: &Waker) {
        self.outcome_signal.waker.register(waker);
    }

    /// What the files say now that comes into force only with the next start.
    pub(crate) fn changed(&self, declared: &Declared) -> Option<String> {
        let mut changed = Vec::new();
        if self.declared.index != declared.index {
            changed.push("indexes");
        }
        if self.declared.search != declared.search {
            changed.push("searches");
        }
        let what = changed.join(" and ");
        (!changed.is_empty())
            .then(|| format!("other {what} of the data store are declared now; they are made at the host's next start"))
    }

    /// The newest event of all that is known here to be on the disk.
    pub(crate) fn newest(&self) -> Cursor {
        self.newest
    }

    /// Which histories its cursors may belong to.
    pub(crate) fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Does what the core asks, for the caller that asked it. Returns the outcome where the store does not take the
    /// job.
    pub(crate) fn order(&mut self, request: RequestId, mut op: StoreOp, asker: Option<Caller>) -> Option<StoreOutcome> {
        let sender = sender(asker);
        if let StoreOp::Mutate { unit: Some(unit), shown, .. } = &mut op
            && !shown.is_empty()
        {
            self.layer1.note_seen(*unit, std::mem::take(shown));
        }
        match translate::order(request, op) {
            Order::Submit(job_id, job) => self.submit(sender, job_id, job),
            Order::SubmitWithin { owner, quota, job_id, job } => {
                if self.quotas.get(&owner) != Some(&quota) {
                    self.layer1.set_quota(owner.as_str(), quota);
                    self.quotas.insert(owner, quota);
                }
                self.submit(sender, job_id, job)
            }
            Order::Cancel(job_id) => {
                self.layer1.cancel(job_id);
                None
            }
        }
    }

    fn submit(&mut self, sender: Sender, job_id: JobId, job: Job) -> Option<StoreOutcome> {
        if let Some(outcome) = self.layer1.at_once(&job) {
            return Some(translate::outcome(JobOwner::from_id(job_id), outcome, None));
        }
        self.layer1
            .submit_for(sender, job_id, job, None)
            .err()
            .map(|_: Overloaded| StoreOutcome::Failed(self.overloaded()))
    }

    /// What can be said of the store without reading from it.
    pub(crate) fn status(&self, restart_needed: Option<String>) -> StoreStatus {
        StoreStatus {
            file: self.file.display().to_string(),
            bytes: self.bytes.0,
            log_bytes: self.bytes.1,
            cursor: self.newest.0,
            epoch: self.epochs.current().to_string(),
            broken: self.layer1.broken(),
            readable: self.layer1.is_readable(),
            restart_needed,
        }
    }

    /// Whether anything can be read from it.
    pub(crate) fn is_readable(&self) -> bool {
        self.layer1.is_readable()
    }

    /// Has the store check its files at once.
    pub(crate) fn look(&self) {
        self.layer1.look();
    }

    /// The database, and the log beside it.
    pub(crate) fn files(&self) -> (PathBuf, PathBuf) {
        (self.file.clone(), self.file.with_extension("db-wal"))
    }

    /// The lengths of both, as they are now.
    pub(crate) fn measured(&mut self, bytes: (u64, u64)) {
        self.bytes = bytes;
    }

    /// Submits a job of the host's own to the store, under the number that is returned.
    pub(crate) fn admin_job(&mut self, job: Job) -> Result<u64, Failure> {
        self.last_admin_job += 1;
        let job_id = JobOwner::Host(self.last_admin_job).job_id();
        self.layer1.submit(job_id, job, None).map_err(|_: Overloaded| self.overloaded())?;
        Ok(self.last_admin_job)
    }

    /// Why something was not taken.
    fn overloaded(&self) -> Failure {
        let ((jobs, bytes), most) = (self.layer1.holds(), self.queue_bytes_max);
        let reason = format!(
            "the data store has {jobs} jobs of {bytes} bytes in progress already, of {JOBS_MAX} and {most} \
             (layer1.queue_bytes_max) at most; try again in a moment"
        );
        Failure::new(ErrorCode::Overloaded, reason).delivery(Delivery::NotStarted)
    }

    /// What has come of what was asked, one after the other: to the core as soon as it is visible, to the host once
    /// what it says is on the disk.
    pub(crate) fn poll(&mut self) -> Option<News> {
        if !self.has_outcomes && !self.outcome_signal.is_set.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.report_dropped();
        self.report_broken();
        if !self.is_gone && !self.layer1.is_readable() {
            self.is_gone = true;
            self.has_outcomes = true;
            return Some(News::Gone);
        }
        let news = self.poll_flushed().or_else(|| self.poll_durable()).or_else(|| self.poll_visible());
        self.has_outcomes = news.is_some();
        news
    }

    fn poll_flushed(&mut self) -> Option<News> {
        let upto = self.layer1.flushed();
        if upto > self.flushed {
            self.flushed = upto;
            while let Some((_, cursor)) = self.visible.pop_front_if(|(seen, _)| *seen <= upto) {
                self.newest = cursor;
            }
            return Some(News::Flushed(upto));
        }
        if self.flush_failure.is_some() {
            return None;
        }
        self.flush_failure = self.layer1.flush_failure();
        self.flush_failure.clone().map(News::FlushFailed)
    }

    /// An outcome for the host that waits for the disk no longer.
    fn poll_durable(&mut self) -> Option<News> {
        let flushed = self.flushed;
        if let Some((_, admin_job, outcome)) = self.held.pop_front_if(|(seen, ..)| *seen <= flushed) {
            return Some(News::Durable(admin_job, outcome));
        }
        let failure = self.flush_failure.clone()?;
        let (_, admin_job, _) = self.held.pop_front()?;
        Some(News::Durable(admin_job, Outcome::Failed(failure)))
    }

    fn poll_visible(&mut self) -> Option<News> {
        loop {
            let Visible { job_id, seen, entity, outcome } = self.layer1.poll_visible()?;
            let events = match &outcome {
                Outcome::Mutated { events, .. } | Outcome::Committed { events } => events.as_slice(),
                _ => &[],
            };
            if let Some(last) = events.last() {
                match seen <= self.flushed {
                    true => self.newest = self.newest.max(last.cursor),
                    false => self.visible.push_back((seen, last.cursor)),
                }
            }
            let owner = JobOwner::from_id(job_id);
            match owner {
                JobOwner::Core(request) | JobOwner::CoreEvent(request) => {
                    return Some(News::Visible(request, seen, translate::outcome(owner, outcome, entity)));
                }
                JobOwner::Host(admin_job) => self.held.push_back((seen, admin_job, outcome)),
            }
            if let Some(news) = self.poll_durable() {
                return Some(news);
            }
        }
    }

    /// Has what waits to be committed committed at once.
    pub(crate) fn hasten(&self) {
        self.layer1.hasten();
    }

    /// How many set-aside events were dropped since the start, since there were too many.
    pub(crate) fn set_aside_dropped(&self) -> u64 {
        self.layer1.set_aside_dropped()
    }

    fn report_broken(&mut self) {
        if !self.broken_reported
            && let Some(reason) = self.layer1.broken()
        {
            self.broken_reported = true;
            tracing::error!("data store: {reason}");
        }
    }

    fn report_dropped(&mut self) {
        let dropped = self.layer1.set_aside_dropped();
        if dropped > self.dropped_reported {
            let events = dropped - self.dropped_reported;
            self.dropped_reported = dropped;
            tracing::warn!(
                "more events were set aside than layer1.set_aside_max allows, and the oldest are gone: {events}; \
                 look at them with `bulkhead layer1 set-aside`, and replay or drop them"
            );
        }
    }

    /// Writes what waits to be written, and carries the log over into the database. Where that takes longer than
    /// `most`, it is left to the next start: what was acknowledged is on the disk already.
    pub(crate) fn close(self, most: Option<Duration>) {
        let Store { layer1, file, .. } = self;
        let closed = match most {
            None => Some(layer1.close()),
            Some(most) => files::within(most, move || layer1.close()),
        };
        match closed {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!("the log of the data store was not carried over, the next start does it: {error}");
            }
            None => tracing::warn!(
                "the data store {} could not be closed in time; the next start carries its log over",
                file.display()
            ),
        }
    }
}

/// The store's number for a caller: each connection and each process has its own, and the host another.
fn sender(asker: Option<Caller>) -> Sender {
    Sender(match asker {
        None => 0,
        Some(Caller::Client(client)) => 2 * client.0 + 1,
        Some(Caller::Run(run)) => 2 * run.0 + 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_core::{ClientId, RunId};

    #[test]
    fn no_two_callers_have_the_same_number() {
        let askers = (0..50).flat_map(|n| [Caller::Client(ClientId(n)), Caller::Run(RunId(n))]).map(Some);
        let numbers: std::collections::HashSet<Sender> = askers.chain([None]).map(sender).collect();
        assert_eq!(numbers.len(), 101);
    }

    #[test]
    fn the_defaults_are_those_of_the_store() {
        let expected = Settings::new("/s");
        let found = settings(Path::new("/s"), &HostConfig::new("/s", "/s"), &Declared::default());
        assert_eq!((found.key_ttl, found.event_ttl), (expected.key_ttl, expected.event_ttl));
        assert_eq!((found.events_max, found.readers), (expected.events_max, expected.readers));
        assert_eq!(found.set_aside_max, expected.set_aside_max);
        assert_eq!(found.query_time_max, expected.query_time_max);
        assert_eq!(found.queue_bytes_max, expected.queue_bytes_max);
        assert_eq!(found.answer_bytes_max, expected.answer_bytes_max);
    }
}
