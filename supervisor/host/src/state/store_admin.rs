//! What people ask of the data store through the supervisor, and has to be read from it or written to it:
//! its status, the events that modules kept failing on, and imports. Each of them is answered when the
//! store has answered.

use super::{
    overview::{self, Overview},
    *,
};
use crate::builtin::{ANSWER_FRAME_BYTES, bad};
use bulkhead_layer1::{
    Job,
    job::{Also, Existing},
    limits::SET_ASIDE_LISTED_BYTES_MAX,
    outcome::{Forgotten, SetAsideEvent},
};
use bulkhead_protocol::HeldBytes;
use bulkhead_protocol::time;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};
use std::{
    collections::{BTreeSet, HashSet},
    fmt,
};

/// Set-aside events that are listed by default.
const LISTED_DEFAULT: usize = 100;

/// The most that are listed at once.
const LISTED_MAX: usize = 1000;

/// The most lines that are imported at once.
const IMPORTED_LINES_MAX: usize = 10_000;

/// What is asked of the store, and what it is for.
#[derive(Debug)]
pub(super) struct AdminJob {
    who: Recipient,
    what: AdminRequest,
}

#[derive(Debug)]
enum AdminRequest {
    List { limit: usize },
    Find { id: i64, then: FollowUp },
    Remove(Named),
    Forget { module: String },
    Overview(Box<Overview>),
    Import,
}

/// What is done with a set-aside event.
#[derive(Clone, Copy, Debug)]
enum FollowUp {
    Replay,
    Drop,
}

/// A set-aside event, as it is answered.
#[derive(Clone, Debug, Serialize)]
struct Named {
    id: i64,
    module: String,
}

/// Everything that is asked and not answered.
#[derive(Debug, Default)]
pub(super) struct StoreAdmin {
    at_store: HashMap<u64, AdminJob>,
    /// Set-aside events that modules have been given again, by the host's number for that.
    replays: HashMap<u64, (Recipient, Named)>,
    /// The ids of these events.
    replayed: HashSet<i64>,
    last_replay: u64,
    /// Their recipients, in order, so that those of one caller are adjacent.
    open: BTreeSet<Recipient>,
}

impl StoreAdmin {
    pub(super) fn take(&mut self, number: u64) -> Option<AdminJob> {
        let admin_job = self.at_store.remove(&number)?;
        self.open.remove(&admin_job.who);
        Some(admin_job)
    }

    fn add(&mut self, number: u64, admin_job: AdminJob) {
        self.open.insert(admin_job.who);
        self.at_store.insert(number, admin_job);
    }

    fn add_replay(&mut self, number: u64, who: Recipient, named: Named) {
        self.open.insert(who);
        self.replayed.insert(named.id);
        self.replays.insert(number, (who, named));
    }

    fn take_replay(&mut self, number: u64) -> Option<(Recipient, Named)> {
        let (who, named) = self.replays.remove(&number)?;
        self.open.remove(&who);
        self.replayed.remove(&named.id);
        Some((who, named))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at_store.is_empty() && self.replays.is_empty()
    }

    /// Whether a caller waits for something.
    pub(super) fn has_of(&self, caller: Caller) -> bool {
        self.open.range(Recipient { caller, id: 0 }..=Recipient { caller, id: u64::MAX }).next().is_some()
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListArgs {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    after: Option<i64>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdArgs {
    id: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportArgs {
    #[serde(deserialize_with = "at_most_so_many")]
    lines: Vec<String>,
    first: u64,
    #[serde(default)]
    existing: ExistingArg,
}

impl HeldBytes for ImportArgs {
    fn held_bytes(&self) -> usize {
        self.lines.held_bytes()
    }
}

/// Reads lines, of which a frame has room for many more than may be imported at once: each takes twenty
/// times as much here as the shortest one takes there.
fn at_most_so_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Lines;
    impl<'de> Visitor<'de> for Lines {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {IMPORTED_LINES_MAX} lines")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<String>, A::Error> {
            let mut lines = Vec::new();
            while let Some(line) = sequence.next_element()? {
                if lines.len() == IMPORTED_LINES_MAX {
                    return Err(de::Error::invalid_length(lines.len() + 1, &self));
                }
                lines.push(line);
            }
            Ok(lines)
        }
    }
    deserializer.deserialize_seq(Lines)
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExistingArg {
    #[default]
    Refuse,
    Keep,
    Replace,
}

/// A set-aside event, as it is listed.
#[derive(Serialize)]
struct Listed {
    id: i64,
    module: String,
    cursor: u64,
    time: String,
    event: String,
    source: String,
    data: Json,
    attempts: u32,
    error: String,
    set_aside_at: String,
}

impl Listed {
    fn of(aside: SetAsideEvent) -> Listed {
        Listed {
            id: aside.id,
            module: aside.module,
            cursor: aside.event.cursor.0,
            time: time::format(aside.event.time),
            event: aside.event.event,
            source: aside.event.source,
            data: aside.event.data,
            attempts: aside.attempts,
            error: aside.error,
            set_aside_at: time::format(aside.set_aside_at),
        }
    }
}

impl HostState {
    /// Whether a caller's number is that of something that the store is asked.
    pub(crate) fn has_admin_job(&self, who: Recipient) -> bool {
        self.store_admin.open.contains(&who) || self.looks.has(who) || self.has_history(who) || self.readings.has(who)
    }

    fn run_admin_job(&mut self, who: Recipient, what: AdminRequest, job: Job) -> Result<Option<Json>, Failure> {
        let number = self.store.admin_job(job)?;
        self.store_admin.add(number, AdminJob { who, what });
        Ok(None)
    }

    /// The next step of an administrative request, or the refusal that ends it.
    fn resume(&mut self, who: Recipient, what: AdminRequest, job: Job) {
        if let Err(failure) = self.run_admin_job(who, what, job) {
            self.reply(who, failure.into());
        }
    }

    pub(crate) fn list_set_aside(&mut self, who: Recipient, args: ListArgs) -> Result<Option<Json>, Failure> {
        let limit = args.limit.unwrap_or(LISTED_DEFAULT);
        if !(1..=LISTED_MAX).contains(&limit) {
            return Err(bad(format!(
                "the arguments of set_aside: expected a limit from 1 to {LISTED_MAX}, found {limit}"
            )));
        }
        let job = Job::ListSetAside { module: args.name, after: args.after.unwrap_or(0), limit };
        self.run_admin_job(who, AdminRequest::List { limit }, job)
    }

    pub(crate) fn replay(&mut self, who: Recipient, IdArgs { id }: IdArgs) -> Result<Option<Json>, Failure> {
        self.find_set_aside(who, id, FollowUp::Replay)
    }

    pub(crate) fn drop_set_aside(&mut self, who: Recipient, IdArgs { id }: IdArgs) -> Result<Option<Json>, Failure> {
        self.find_set_aside(who, id, FollowUp::Drop)
    }

    fn find_set_aside(&mut self, who: Recipient, id: i64, then: FollowUp) -> Result<Option<Json>, Failure> {
        self.check_not_replayed(id)?;
        let job = Job::ListSetAside { module: None, after: id.saturating_sub(1), limit: 1 };
        self.run_admin_job(who, AdminRequest::Find { id, then }, job)
    }

    fn check_not_replayed(&self, id: i64) -> Result<(), Failure> {
        match self.store_admin.replayed.contains(&id) {
            true => Err(Failure::new(ErrorCode::Conflict, format!("the set-aside event {id} is being replayed"))),
            false => Ok(()),
        }
    }

    pub(crate) fn overview(&mut self, who: Recipient) -> Result<Option<Json>, Failure> {
        self.run_admin_job(who, AdminRequest::Overview(Box::default()), overview::FIRST)
    }

    /// Forgets a module that is gone for good.
    pub(crate) fn forget(&mut self, who: Recipient, module: String) -> Result<Option<Json>, Failure> {
        if self.core.knows(&module) {
            let reason = format!(
                "{module} is loaded, and would only begin anew: take its manifest away and let the host read its \
                 files again (SIGHUP), then forget it"
            );
            return Err(Failure::new(ErrorCode::Conflict, reason));
        }
        let job = Job::Forget { module: module.clone() };
        self.run_admin_job(who, AdminRequest::Forget { module }, job)
    }

    pub(crate) fn import(&mut self, who: Recipient, args: ImportArgs) -> Result<Option<Json>, Failure> {
        let existing = match args.existing {
            ExistingArg::Refuse => Existing::Refuse,
            ExistingArg::Keep => Existing::Keep,
            ExistingArg::Replace => Existing::Replace,
        };
        let job = Job::Import { lines: args.lines, first: args.first, existing };
        let begun = self.run_admin_job(who, AdminRequest::Import, job);
        if begun.is_ok() {
            self.core.handle_import_begun();
        }
        begun
    }

    /// The store has answered.
    pub(super) fn admin_done(&mut self, admin_job: AdminJob, outcome: Outcome) {
        let AdminJob { who, what } = admin_job;
        if matches!(what, AdminRequest::Import) {
            self.core.handle_import_ended();
        }
        let answer = match (what, outcome) {
            // What is known without reading is answered, with the reason.
            (AdminRequest::Overview(overview), Outcome::Failed(_)) if !self.store.is_readable() => {
                return self.ask_look(who, Asked::Overview(overview));
            }
            (_, Outcome::Failed(failure)) => Err(failure),
            (AdminRequest::List { limit }, Outcome::SetAside(list)) => Ok(self.listed(list, limit)),
            (AdminRequest::Find { id, then }, Outcome::SetAside(list)) => {
                match (list.into_iter().find(|aside| aside.id == id), then) {
                    (None, _) => {
                        Err(Failure::new(ErrorCode::NotFound, format!("there is no set-aside event with the id {id}")))
                    }
                    (Some(aside), FollowUp::Drop) => return self.remove(who, Named { id, module: aside.module }),
                    (Some(aside), FollowUp::Replay) => match self.give_again(who, aside) {
                        Ok(()) => return,
                        Err(failure) => Err(failure),
                    },
                }
            }
            (AdminRequest::Remove(named), Outcome::Done) => Ok(Json::of(&named)),
            (AdminRequest::Import, Outcome::Imported(imported)) => Ok(Json::of(&serde_json::json!({
                "created": imported.created, "replaced": imported.replaced, "kept": imported.kept
            }))),
            (AdminRequest::Forget { module }, Outcome::Forgotten(forgotten)) => forgotten_json(&module, &forgotten),
            (AdminRequest::Overview(mut overview), piece) => match overview.take(piece, self) {
                Some(job) => return self.resume(who, AdminRequest::Overview(overview), job),
                None => return self.ask_look(who, Asked::Overview(overview)),
            },
            (what, outcome) => unreachable!("the store was asked for {what:?} and answered {outcome:?}"),
        };
        match answer {
            Ok(data) => self.reply(who, Status::Success(data)),
            Err(failure) => self.reply(who, failure.into()),
        }
    }

    /// As many as fit into a frame, at least one; without its data, if that alone does not fit.
    fn listed(&self, list: Vec<SetAsideEvent>, limit: usize) -> Json {
        let most = self.config.frame_bytes_max - ANSWER_FRAME_BYTES;
        let held: usize = list.iter().map(|aside| aside.event.data.as_str().len()).sum();
        let is_full = list.len() >= limit || held >= SET_ASIDE_LISTED_BYTES_MAX;
        let (mut shown, found, mut bytes, mut last) = (Vec::new(), list.len(), 0, None);
        for mut aside in list {
            let id = aside.id;
            let data = std::mem::take(&mut aside.event.data);
            let bare = aside.clone();
            aside.event.data = data;
            let mut json = Json::of(&Listed::of(aside));
            if json.as_str().len() > most {
                // An operator has to see that it exists. Frames may have been longer when it came.
                json = Json::of(&Listed::of(bare));
            }
            bytes += json.as_str().len() + 1;
            if bytes > most && !shown.is_empty() {
                break;
            }
            shown.push(json);
            last = Some(id);
        }
        let next = if is_full || shown.len() < found { last } else { None };
        #[derive(Serialize)]
        struct Answer {
            set_aside: Vec<Json>,
            next: Option<i64>,
        }
        Json::of(&Answer { set_aside: shown, next })
    }

    fn remove(&mut self, who: Recipient, named: Named) {
        let job = Job::Also(vec![Also::RemoveSetAside { id: named.id }]);
        self.resume(who, AdminRequest::Remove(named), job);
    }

    /// Gives a set-aside event to its module once more.
    fn give_again(&mut self, who: Recipient, aside: SetAsideEvent) -> Result<(), Failure> {
        let id = aside.id;
        self.check_not_replayed(id)?;
        let unknown = || Failure::new(ErrorCode::UnknownModule, format!("there is no module {:?}", aside.module));
        let module = ModuleName::new(&aside.module).map_err(|_| unknown())?;
        self.store_admin.last_replay += 1;
        let number = self.store_admin.last_replay;
        let to = Recipient { caller: Caller::Client(clients::HOST), id: number };
        self.core.handle_replay(self.now, to, &module, &aside.event)?;
        self.store_admin.add_replay(number, who, Named { id, module: aside.module });
        Ok(())
    }

    /// A module has answered an event that it was given again.
    pub(super) fn replayed(&mut self, number: u64, status: Status) {
        if let Status::Progress(_) = status {
            return;
        }
        let Some((who, named)) = self.store_admin.take_replay(number) else { return };
        match status {
            Status::Error(failure) => self.reply(who, Status::Error(failure)),
            Status::Success(_) | Status::Progress(_) => self.remove(who, named),
        }
    }
}

/// The answer about a module that is forgotten.
fn forgotten_json(module: &str, forgotten: &Forgotten) -> Result<Json, Failure> {
    let Forgotten { subscription, set_aside } = forgotten;
    if subscription.is_none() && *set_aside == 0 {
        let reason = format!("there is nothing of a module {module:?}: no events wait for it, and none are set aside");
        return Err(Failure::new(ErrorCode::NotFound, reason));
    }
    let subscription = subscription.as_ref();
    Ok(Json::of(&serde_json::json!({
        "module": module,
        "cursor": subscription.map(|subscription| subscription.cursor.0),
        "missed": subscription.map(|subscription| subscription.missed),
        "set_aside": set_aside,
    })))
}
