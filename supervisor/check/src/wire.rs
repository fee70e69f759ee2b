//! The rules that are checked on the wire: each in a session with a process of its own, so that one that hangs or dies
//! fails its own rules only.

mod endings;
mod greeting;
mod talk;

use crate::rules::Rule;
use crate::session::{Missing, Session};
use crate::subject::Subject;
use crate::verdicts::Verdicts;
use anyhow::Result;
use bulkhead_protocol::{PROTOCOL_VERSION, Ready};
use std::time::Duration;

/// What the checks on the wire share.
pub(crate) struct Wire<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) verdicts: &'a mut Verdicts,
    /// How long an answer may take where the manifest has no time for it.
    pub(crate) timeout: Duration,
    /// How long a process may take to end by itself with its channel, or after it has refused to start.
    pub(crate) end_timeout: Duration,
}

impl Wire<'_> {
    /// Checks all of them; returns what the module says of itself, and how long it took to be ready, if it became so.
    ///
    /// # Errors
    /// When the check itself cannot go on.
    pub(crate) fn check(&mut self) -> Result<Option<(Ready, Duration)>> {
        let Some((session, ready, took)) = self.greet()? else { return Ok(None) };
        self.talk(session, &ready)?;
        self.stop_in_order()?;
        self.end_of_the_channel()?;
        self.end_inside_a_frame()?;
        self.length_above_the_limit()?;
        self.other_version()?;
        Ok(Some((ready, took)))
    }

    /// A process that is ready, or `None` after noting that this rule fails without one.
    fn ready(&mut self, rule: Rule) -> Result<Option<Session>> {
        match Session::ready(self.subject, self.timeout)? {
            Ok(session) => Ok(Some(session)),
            Err(missing) => {
                self.verdicts.fail(rule, "a start and init", "a process that is ready", &missing.to_string());
                Ok(None)
            }
        }
    }

    /// Notes what a session had that no request explains.
    fn close_account(&mut self, session: &mut Session) {
        let sent = "the requests of a session";
        match &session.broken {
            Some(reason) => self.verdicts.fail(Rule::Frames, sent, "frames, each with one message", reason),
            None => self.verdicts.keep(Rule::Frames),
        }
        for strange in &session.strange {
            self.verdicts.fail(Rule::OneAnswer, sent, "one answer to each of them, and no others", strange);
        }
        match session.broken.as_ref().filter(|_| session.has_text) {
            Some(reason) => {
                self.verdicts.fail(Rule::Output, "nothing", "what it prints stays out of its channel", reason);
            }
            None => self.verdicts.keep(Rule::Output),
        }
    }
}

/// The version that every session but one speaks.
const VERSION: u32 = PROTOCOL_VERSION;

/// The outcome of a wait, as a report shows it.
fn shown(answer: &Result<bulkhead_protocol::Status, Missing>) -> String {
    match answer {
        Ok(status) => crate::session::shown(status),
        Err(missing) => missing.to_string(),
    }
}
