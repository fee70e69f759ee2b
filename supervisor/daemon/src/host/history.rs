//! What people ask of logs and crashes, and has to be read from files: who waits for it, what is answered when it was
//! read, and what is when it was not read in time.

use super::*;
use crate::{
    builtin::{ANSWER_FRAME_BYTES, bad},
    clients::Counted,
    crashes::Wanted,
    files::{Done, Lane},
    followers::FOLLOWER_BYTES,
    history::{HISTORY_TIME_MAX, LogHistory, Old, OldCrashes, OldLog, json_of, remark, too_fast},
    module_log::Behind,
};

/// Records that `crashes` tells when nothing is said, and at most.
const CRASHES_DEFAULT: usize = 200;
const CRASHES_MAX: usize = 1000;

/// Lines that `logs` tells when it is not told how many, and at most.
const LINES_DEFAULT: usize = 100;
const LINES_MAX: usize = 10_000;

/// Lines that are told at once, so that others have their turn in between.
const TOLD_PER_TURN: usize = 256;

/// Why files are not told of.
const NOT_READ: &str =
    "the files could not be read in time: a file system does not answer, or too much is asked at once";

/// What is asked.
#[derive(Debug)]
pub(crate) enum Question {
    Crashes(Wanted),
    Log(AskedLog),
}

/// Whose lines, and how many of the last ones.
#[derive(Clone, Debug)]
pub(crate) struct AskedLog {
    pub(crate) module: ModuleName,
    pub(crate) lines: usize,
    pub(crate) follow: bool,
}

/// Lines that were read and are being told.
#[derive(Debug)]
pub(super) struct Telling {
    who: Recipient,
    asked: AskedLog,
    lines: std::vec::IntoIter<Json>,
    is_empty: bool,
    newest: u64,
}

impl Host {
    /// The last crashes of a module, or of all.
    pub(crate) fn ask_crashes(
        &mut self,
        who: Recipient,
        module: Option<String>,
        limit: Option<usize>,
        patience: Duration,
    ) -> Result<Option<Json>, Failure> {
        let most = limit.unwrap_or(CRASHES_DEFAULT);
        if !(1..=CRASHES_MAX).contains(&most) {
            let found = format!("expected a limit from 1 to {CRASHES_MAX}, found {most}");
            return Err(bad(format!(
                "the arguments of crashes: {found}; all records are in the folder crashes of the state directory"
            )));
        }
        if let Some(name) = &module {
            valid_name(name)?;
        }
        self.ask_history(who, Question::Crashes(Wanted { module, most }), patience);
        Ok(None)
    }

    /// The last lines of a module, and those that come from then on if they are followed.
    pub(crate) fn ask_log(
        &mut self,
        who: Recipient,
        name: &str,
        lines: Option<usize>,
        follow: bool,
        patience: Duration,
    ) -> Result<Option<Json>, Failure> {
        let lines = lines.unwrap_or(LINES_DEFAULT);
        if lines > LINES_MAX {
            let found = format!("expected at most {LINES_MAX} lines, found {lines}");
            return Err(bad(format!(
                "the arguments of logs: {found}; all lines are in the folder logs of the state directory"
            )));
        }
        let asked = AskedLog { module: valid_name(name)?, lines, follow };
        if follow {
            self.check_follower(who)?;
        }
        if self.core.knows(name) && self.logs.module(name).has(lines) {
            self.answer_from_memory(who, Question::Log(asked), None);
        } else {
            self.ask_history(who, Question::Log(asked), patience);
        }
        Ok(None)
    }

    fn ask_history(&mut self, who: Recipient, question: Question, patience: Duration) {
        let until = self.now + patience.min(HISTORY_TIME_MAX);
        match self.histories.ask(who, until, question) {
            Some(question) => self.answer_from_memory(who, question, Some(NOT_READ)),
            None => self.begin_history(),
        }
    }

    fn begin_history(&mut self) {
        if self.telling.is_some() {
            return;
        }
        let Some((number, question)) = self.histories.begin() else { return };
        let bytes_max = self.config.frame_bytes_max - ANSWER_FRAME_BYTES;
        let ordered = match question {
            Question::Crashes(wanted) => {
                let files = self.crashes.files(wanted, bytes_max);
                self.files.order(Lane::History, "reading records of crashes", move || {
                    Done::HistoryRead(number, Old::Crashes(files.read()))
                })
            }
            Question::Log(AskedLog { module, lines, .. }) => {
                let log = self.logs.existing(module.as_str()).cloned();
                let queue = self.log_files.queue();
                let history = LogHistory::of(module.as_str(), log, &queue, self.state_dir.logs(), *lines);
                self.files.order(Lane::History, "reading log files", move || {
                    Done::HistoryRead(number, Old::Log(history.read()))
                })
            }
        };
        if let Err(error) = ordered {
            tracing::warn!("cannot read log files or records of crashes: {error}");
            if let Some((who, question)) = self.histories.end(number) {
                self.answer_from_memory(who, question, Some(&error.to_string()));
            }
            self.begin_history();
        }
    }

    /// Files were read. Who asked may not wait any more.
    pub(super) fn history_read(&mut self, number: u64, old: Old) {
        match (self.histories.end(number), old) {
            (None, _) => {}
            (Some((who, Question::Crashes(wanted))), Old::Crashes(old)) => self.answer_crashes(who, &wanted, old),
            (Some((who, Question::Log(asked))), Old::Log(OldLog { lines, newest })) => {
                let is_empty = lines.is_empty();
                self.telling = Some(Telling { who, asked, lines: lines.into_iter(), is_empty, newest });
                return self.tell_history();
            }
            (Some((_, asked)), read) => unreachable!("{asked:?} was asked, and this was read: {read:?}"),
        }
        self.begin_history();
    }

    /// Tells the next lines of what was read.
    pub(super) fn tell_history(&mut self) {
        let Some(mut telling) = self.telling.take() else { return self.begin_history() };
        for line in telling.lines.by_ref().take(TOLD_PER_TURN) {
            self.reply(telling.who, Status::Progress(line));
        }
        if telling.lines.len() > 0 {
            self.telling = Some(telling);
            return self.watch(Source::History);
        }
        self.begin_history();
        self.log_told(telling);
    }

    /// All that was read was told: the answer, or what comes from now on.
    fn log_told(&mut self, telling: Telling) {
        let Telling { who, asked: AskedLog { module, follow, .. }, newest, is_empty, .. } = telling;
        let is_known = self.core.knows(module.as_str());
        if !is_known && (follow || is_empty) {
            let reason = match is_empty {
                true => no_module(module.as_str()),
                false => format!("{module} was removed: it has no log any more"),
            };
            return self.reply(who, Failure::new(ErrorCode::UnknownModule, reason).into());
        }
        if !follow {
            return self.reply(who, Status::Success(Json::null()));
        }
        if let Err(failure) = self.check_follower(who) {
            return self.reply(who, failure.into());
        }
        let (Behind { missed, lines }, newest) = self.logs.module(module.as_str()).follow_behind(newest);
        let missed = (missed > 0).then(|| remark(&too_fast(missed)));
        for line in missed.into_iter().chain(lines.iter().map(json_of)) {
            self.reply(who, Status::Progress(line));
        }
        self.add_log_follower(who, &module, newest);
    }

    fn add_log_follower(&mut self, who: Recipient, module: &ModuleName, newest: u64) {
        if !self.is_listening(who.caller) {
            return;
        }
        let held = Counted::new(&self.followers_bytes, FOLLOWER_BYTES);
        let module = self.logs.module(module.as_str()).name.clone();
        let what = Followed::Log { module, after: newest, left_out: 0 };
        self.followers.add(Follower { recipient: who, what, held });
        self.note_follower(who.caller);
    }

    /// Answers without what is in files; why, if there was to be more.
    fn answer_from_memory(&mut self, who: Recipient, question: Question, why: Option<&str>) {
        let asked = match question {
            Question::Crashes(wanted) => {
                let old = OldCrashes { remark: why.map(str::to_owned), ..OldCrashes::default() };
                return self.answer_crashes(who, &wanted, old);
            }
            Question::Log(asked) => asked,
        };
        if !self.core.knows(asked.module.as_str()) {
            let reason = no_module(asked.module.as_str());
            let why = why.map(|why| format!("; what one of that name has left is not known: {why}"));
            let failure = Failure::new(ErrorCode::UnknownModule, reason + &why.unwrap_or_default());
            return self.reply(who, failure.into());
        }
        if let Some(why) = why {
            self.reply(who, Status::Progress(remark(&format!("[older lines are not shown: {why}]"))));
        }
        let log = self.logs.module(asked.module.as_str());
        let (lines, newest) = if asked.follow { log.follow(asked.lines) } else { (log.last(asked.lines), 0) };
        for line in &lines {
            self.reply(who, Status::Progress(json_of(line)));
        }
        match asked.follow {
            true => self.add_log_follower(who, &asked.module, newest),
            false => self.reply(who, Status::Success(Json::null())),
        }
    }

    fn answer_crashes(&mut self, who: Recipient, wanted: &Wanted, old: OldCrashes) {
        let told = self.crashes.tell(wanted, old, self.config.frame_bytes_max - ANSWER_FRAME_BYTES);
        match wanted.module.as_ref().filter(|name| told.crashes.is_empty() && !self.core.knows(name)) {
            Some(name) => self.reply(who, Failure::new(ErrorCode::UnknownModule, no_module(name)).into()),
            None => self.reply(who, Status::Success(Json::of(&told))),
        }
    }

    /// Those whose time is over are answered without the files.
    pub(super) fn histories_overdue(&mut self) {
        for (who, question) in self.histories.expire(self.now) {
            self.answer_from_memory(who, question, Some(NOT_READ));
        }
    }

    /// Ends a question that its caller cancelled; `false` if there is none of that number.
    pub(super) fn cancel_history(&mut self, who: Recipient) -> bool {
        let is_told = self.telling.take_if(|telling| telling.who == who).is_some();
        if !is_told && !self.histories.forget(who) {
            return false;
        }
        let failure = Failure::new(ErrorCode::Cancelled, "cancelled while files were being read");
        self.reply(who, failure.delivery(Delivery::NotStarted).into());
        true
    }

    /// A caller has gone.
    pub(super) fn forget_histories(&mut self, caller: Caller) {
        self.telling.take_if(|telling| telling.who.caller == caller);
        self.histories.forget_caller(caller);
    }

    /// Whether a caller's number is that of a question that is not answered.
    pub(super) fn has_history(&self, who: Recipient) -> bool {
        self.telling.as_ref().is_some_and(|telling| telling.who == who) || self.histories.has(who)
    }

    /// Whether a caller waits for an answer.
    pub(super) fn has_history_of(&self, caller: Caller) -> bool {
        self.telling.as_ref().is_some_and(|telling| telling.who.caller == caller) || self.histories.has_of(caller)
    }
}

fn no_module(name: &str) -> String {
    format!("there is no module {name:?}")
}

/// A name that a file can have: no other is looked for.
fn valid_name(name: &str) -> Result<ModuleName, Failure> {
    ModuleName::new(name).map_err(|_| Failure::new(ErrorCode::UnknownModule, no_module(name)))
}
