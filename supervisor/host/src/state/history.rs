//! Questions of people about logs and crashes that need files to be read: which of them wait, what is answered when
//! the files were read, and what when they were not read in time.

use super::*;
use crate::{
    builtin::{ANSWER_FRAME_BYTES, bad},
    clients::Counted,
    crashes::Wanted,
    files::{Done, Lane},
    followers::FOLLOWER_BYTES,
    history::{HISTORY_TIME_MAX, LogEnd, LogHistory, Old, OldCrashes, QuarantineAsk, json_of, notice},
    module_log::ModuleLog,
};

/// Records that `crashes` returns by default, and at most.
const CRASHES_DEFAULT: usize = 200;
const CRASHES_MAX: usize = 1000;

/// Lines that `logs` returns by default, and at most.
const LINES_DEFAULT: usize = 100;
const LINES_MAX: usize = 10_000;

/// Lines that are sent at once, so that others are served in between.
const SENT_PER_ITERATION: usize = 256;

/// Why files are left out of an answer.
const NOT_READ: &str =
    "the files could not be read in time: a file system does not answer, or too much is asked at once";

/// A question.
#[derive(Debug)]
pub(crate) enum Question {
    Crashes(Wanted),
    Log(AskedLog),
    Quarantined(QuarantineAsk),
}

/// The module, how many of its last lines, and up to where. One that follows is a follower from the question on.
#[derive(Debug)]
pub(crate) struct AskedLog {
    module: ModuleName,
    lines: usize,
    follow: bool,
    end: LogEnd,
}

/// Lines that were read and are being sent.
#[derive(Debug)]
pub(super) struct LogAnswer {
    who: Recipient,
    module: ModuleName,
    follow: bool,
    lines: std::vec::IntoIter<Json>,
    is_empty: bool,
}

impl HostState {
    /// The last crashes of a module, or of all.
    pub(crate) fn ask_crashes(
        &mut self,
        who: Recipient,
        module: Option<String>,
        limit: Option<usize>,
        timeout: Duration,
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
        self.ask_history(who, Question::Crashes(Wanted { module, most }), timeout);
        Ok(None)
    }

    /// The last lines of a module, and those that come from then on if they are followed.
    pub(crate) fn ask_log(
        &mut self,
        who: Recipient,
        name: &str,
        lines: Option<usize>,
        follow: bool,
        timeout: Duration,
    ) -> Result<Option<Json>, Failure> {
        let lines = lines.unwrap_or(LINES_DEFAULT);
        if lines > LINES_MAX {
            let found = format!("expected at most {LINES_MAX} lines, found {lines}");
            return Err(bad(format!(
                "the arguments of logs: {found}; all lines are in the folder logs of the state directory"
            )));
        }
        let module = valid_name(name)?;
        if follow {
            self.check_follower(who)?;
        }
        let queue = self.log_files.queue();
        if !self.core.knows(name) {
            let end = LogEnd { newest: 0, cut: queue.cut(&name.into()) };
            self.ask_history(who, Question::Log(AskedLog { module, lines, follow, end }), timeout);
            return Ok(None);
        }
        let log = self.logs.module(name);
        if log.has(lines) {
            self.send_from_memory(who, &log, lines, follow);
            return Ok(None);
        }
        let (newest, cut) = if follow { log.cut_and_follow(&queue) } else { log.cut(&queue) };
        if follow && !self.add_log_follower(who, &log, newest, Some(Vec::new())) {
            return Ok(None);
        }
        let end = LogEnd { newest, cut };
        self.ask_history(who, Question::Log(AskedLog { module, lines, follow, end }), timeout);
        Ok(None)
    }

    /// Sends the last lines, of which there are enough in memory.
    fn send_from_memory(&mut self, who: Recipient, log: &ModuleLog, lines: usize, follow: bool) {
        let (lines, newest) = if follow { log.follow(lines) } else { (log.last(lines), 0) };
        for line in &lines {
            self.reply(who, Status::Progress(json_of(line)));
        }
        if follow {
            self.add_log_follower(who, log, newest, None);
        } else {
            self.reply(who, Status::Success(Json::null()));
        }
    }

    /// Sends a caller the lines after this one, unless it no longer reads; those in `early` once the earlier ones
    /// were sent.
    fn add_log_follower(&mut self, who: Recipient, log: &ModuleLog, after: u64, early: Option<Vec<LogLine>>) -> bool {
        if !self.is_listening(who.caller) {
            return false;
        }
        let held = Counted::new(&self.followers_bytes, FOLLOWER_BYTES);
        let what = Followed::Log { module: log.name.clone(), after, left_out: 0, early };
        self.followers.add(Follower { recipient: who, what, held });
        self.note_follower(who.caller);
        true
    }

    pub(super) fn ask_history(&mut self, who: Recipient, question: Question, timeout: Duration) {
        let until = self.now + timeout.min(HISTORY_TIME_MAX);
        match self.histories.ask(who, until, question) {
            Some(question) => self.answer_from_memory(who, question, NOT_READ),
            None => self.begin_history(),
        }
    }

    fn begin_history(&mut self) {
        if self.log_answer.is_some() {
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
            Question::Quarantined(ask) => {
                let files = self.crashes.quarantined(ask.clone(), bytes_max, &self.log_files);
                self.files.order(Lane::History, "reading records of quarantined messages", move || {
                    Done::HistoryRead(number, Old::Quarantined(files.read()))
                })
            }
            Question::Log(AskedLog { module, lines, end, .. }) => {
                let history = LogHistory {
                    module: module.clone(),
                    log: self.logs.existing(module.as_str()).cloned(),
                    dir: self.state_dir.logs(),
                    lines: *lines,
                    end: LogEnd { newest: end.newest, cut: end.cut.take() },
                };
                self.files.order(Lane::History, "reading log files", move || {
                    Done::HistoryRead(number, Old::Log(history.read()))
                })
            }
        };
        if let Err(error) = ordered {
            tracing::warn!("cannot read log files or records of crashes: {error}");
            if let Some((who, question)) = self.histories.end(number) {
                self.answer_from_memory(who, question, &error.to_string());
            }
            self.begin_history();
        }
    }

    /// Files were read. The caller may no longer wait.
    pub(super) fn history_read(&mut self, number: u64, old: Old) {
        match (self.histories.end(number), old) {
            (None, _) => {}
            (Some((who, Question::Crashes(wanted))), Old::Crashes(old)) => self.answer_crashes(who, &wanted, old),
            (Some((who, Question::Quarantined(ask))), Old::Quarantined(read)) => {
                self.answer_quarantined(who, &ask, read);
            }
            (Some((who, Question::Log(AskedLog { module, follow, .. }))), Old::Log(lines)) => {
                let is_empty = lines.is_empty();
                self.log_answer = Some(LogAnswer { who, module, follow, lines: lines.into_iter(), is_empty });
                return self.send_history();
            }
            (Some((_, asked)), read) => unreachable!("{asked:?} was asked, and this was read: {read:?}"),
        }
        self.begin_history();
    }

    /// Sends the next lines of what was read.
    pub(super) fn send_history(&mut self) {
        let Some(mut log_answer) = self.log_answer.take() else { return self.begin_history() };
        for line in log_answer.lines.by_ref().take(SENT_PER_ITERATION) {
            self.reply(log_answer.who, Status::Progress(line));
        }
        if log_answer.lines.len() > 0 {
            self.log_answer = Some(log_answer);
            return self.watch(Source::History);
        }
        self.begin_history();
        self.log_sent(log_answer);
    }

    /// All that was read was sent: the answer follows, or what comes from now on.
    fn log_sent(&mut self, log_answer: LogAnswer) {
        let LogAnswer { who, module, follow, is_empty, .. } = log_answer;
        if self.begin_log(who) {
            return;
        }
        let is_known = self.core.knows(module.as_str());
        let answer = match (follow, is_empty) {
            (_, true) if !is_known => self.unknown(module.as_str()).into(),
            (false, _) => Status::Success(Json::null()),
            (true, _) => {
                let reason = format!("{module} was removed: it has no log any more");
                Failure::new(ErrorCode::UnknownModule, reason).into()
            }
        };
        self.reply(who, answer);
    }

    /// Sends a follower that got all earlier lines those that came since; `false` if it is none.
    fn begin_log(&mut self, who: Recipient) -> bool {
        let Some(id) = self.followers.id_of(who) else { return false };
        let Some(Follower { what: Followed::Log { early, left_out, .. }, held, .. }) = self.followers.get_mut(id)
        else {
            return false;
        };
        let (lines, waits) = (early.take().unwrap_or_default(), *left_out > 0);
        held.shrink_to(FOLLOWER_BYTES);
        self.followers.set_waiting(id, waits);
        self.pages.may_go_on |= waits;
        for line in &lines {
            self.reply(who, Status::Progress(json_of(line)));
        }
        true
    }

    /// Answers without what is in files, with the reason.
    fn answer_from_memory(&mut self, who: Recipient, question: Question, why: &str) {
        let AskedLog { module, lines, follow, end } = match question {
            Question::Crashes(wanted) => {
                let old = OldCrashes { notice: Some(why.to_owned()), ..OldCrashes::default() };
                return self.answer_crashes(who, &wanted, old);
            }
            Question::Quarantined(_) => {
                return self.reply(who, Failure::new(ErrorCode::Internal, why).into());
            }
            Question::Log(asked) => asked,
        };
        let Some(log) = self.logs.existing(module.as_str()).cloned() else {
            let mut failure = self.unknown(module.as_str());
            failure.error.push_str(&format!("; what one of that name has left is not known: {why}"));
            return self.reply(who, failure.into());
        };
        let held = log.up_to(end.newest);
        let mut shown = vec![notice(&format!("[older lines are not shown: {why}]"))];
        shown.extend(held[held.len().saturating_sub(lines)..].iter().map(json_of));
        for line in shown {
            self.reply(who, Status::Progress(line));
        }
        self.log_sent(LogAnswer { who, module, follow, lines: Vec::new().into_iter(), is_empty: false });
    }

    fn answer_crashes(&mut self, who: Recipient, wanted: &Wanted, old: OldCrashes) {
        let answer = self.crashes.list(wanted, old, self.config.frame_bytes_max - ANSWER_FRAME_BYTES);
        match wanted.module.as_ref().filter(|name| answer.crashes.is_empty() && !self.core.knows(name)) {
            Some(name) => self.reply(who, self.unknown(name).into()),
            None => self.reply(who, Status::Success(Json::of(&answer))),
        }
    }

    /// Questions whose timeout has passed are answered without the files.
    pub(super) fn histories_overdue(&mut self) {
        for (who, question) in self.histories.expire(self.now) {
            self.answer_from_memory(who, question, NOT_READ);
        }
    }

    /// Ends a question that its caller cancelled; `false` if there is none of that number.
    pub(super) fn cancel_history(&mut self, who: Recipient) -> bool {
        if !self.forget_history(who) {
            return false;
        }
        let failure = Failure::new(ErrorCode::Cancelled, "cancelled while files were being read");
        self.reply(who, failure.delivery(Delivery::NotStarted).into());
        true
    }

    /// A question is not to be answered any more; whether there was one of that number. A follower's is forgotten
    /// with the follower.
    pub(crate) fn forget_history(&mut self, who: Recipient) -> bool {
        self.log_answer.take_if(|log_answer| log_answer.who == who).is_some() || self.histories.forget(who)
    }

    /// A caller is gone.
    pub(super) fn forget_histories(&mut self, caller: Caller) {
        self.log_answer.take_if(|log_answer| log_answer.who.caller == caller);
        self.histories.forget_caller(caller);
    }

    /// Whether a caller's number is that of a question that is not answered.
    pub(super) fn has_history(&self, who: Recipient) -> bool {
        self.log_answer.as_ref().is_some_and(|log_answer| log_answer.who == who) || self.histories.has(who)
    }

    /// Whether a caller waits for an answer.
    pub(super) fn has_history_of(&self, caller: Caller) -> bool {
        self.log_answer.as_ref().is_some_and(|log_answer| log_answer.who.caller == caller)
            || self.histories.has_of(caller)
    }
}

fn no_module(name: &str) -> String {
    format!("there is no module {name:?}")
}

/// A name that a file can have: no other is looked for.
pub(super) fn valid_name(name: &str) -> Result<ModuleName, Failure> {
    ModuleName::new(name).map_err(|_| Failure::new(ErrorCode::UnknownModule, no_module(name)))
}
