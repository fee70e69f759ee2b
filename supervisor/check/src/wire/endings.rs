//! How a process ends: by `shutdown`, with its channel, and in the middle of a frame.

use super::{Wire, shown};
use crate::rules::Rule;
use crate::verdicts::Holds;
use anyhow::Result;
use bulkhead_protocol::{Exit, Json, RequestType, Status};
use std::time::Duration;

/// How long the guardian may take to clear what is left.
const CLEARING: Duration = Duration::from_secs(10);

/// A length above every limit.
const LENGTH_ABOVE_ALL: u32 = 0x7fff_ffff;

impl Wire<'_> {
    /// Requests, and a shutdown after them.
    pub(super) fn stop_in_order(&mut self) -> Result<()> {
        let Some(mut session) = self.ready(Rule::Shutdown)? else { return Ok(()) };
        let sent = "three commands and shutdown";
        let ids: Vec<u64> = (0..3).map_while(|_| session.send_unknown_command().ok()).collect();
        let shutdown = session.send(RequestType::Shutdown, Json::null());
        for id in &ids {
            let answer = session.answer(*id);
            let expected = "an answer to each of the commands";
            self.verdicts.judge(Rule::ShutdownOrder, Holds::from(answer.is_ok()), sent, expected, &shown(&answer));
        }
        let timeout = self.subject.config.limits.stop_timeout;
        let answer = shutdown.and_then(|id| session.answer(id));
        let is_success = matches!(answer, Ok(Status::Success(_)));
        self.verdicts.judge(Rule::Shutdown, is_success.into(), sent, "a success for shutdown", &shown(&answer));
        if let (Ok(_), [.., last]) = (&answer, &*ids) {
            let at = |wanted: u64| session.answered.iter().position(|id| *id == wanted);
            let is_after = at(*last).is_some() && at(*last) < session.answered.iter().position(|id| *id == last + 1);
            let expected = "the answer to shutdown as the last one";
            let found = format!("the answers to {:?}", session.answered);
            self.verdicts.judge(Rule::ShutdownOrder, is_after.into(), sent, expected, &found);
        }
        let exit = session.process.exit(timeout)?;
        let expected = format!("an exit with 0 within {} s (stop_timeout)", timeout.as_secs_f64());
        let holds = Holds::from(exit == Some(Exit::Code(0)));
        self.verdicts.judge(Rule::Shutdown, holds, sent, &expected, &ended(exit.as_ref()));
        session.listen(Duration::ZERO);
        self.close_account(&mut session);
        if exit.is_some() {
            self.nothing_left(session.process.left(CLEARING)?, "shutdown");
        }
        Ok(())
    }

    /// The host is gone.
    pub(super) fn end_of_the_channel(&mut self) -> Result<()> {
        let Some(mut session) = self.ready(Rule::ChannelEnd)? else { return Ok(()) };
        session.process.close();
        let exit = session.process.exit(self.end_timeout)?;
        let expected = format!("an exit with 0, at once (within {} s)", self.end_timeout.as_secs_f64());
        let holds = Holds::from(exit == Some(Exit::Code(0)));
        self.verdicts.judge(Rule::ChannelEnd, holds, "the end of the channel", &expected, &ended(exit.as_ref()));
        if exit.is_some() {
            self.nothing_left(session.process.left(CLEARING)?, "the end of the channel");
        }
        Ok(())
    }

    /// Half a frame, and then the end.
    pub(super) fn end_inside_a_frame(&mut self) -> Result<()> {
        let Some(mut session) = self.ready(Rule::TornFrame)? else { return Ok(()) };
        let sent = "half a frame, and the end of the channel";
        if session.write(&[0, 0, 0, 40, b'{', b'"', b'i', b'd', b'"']).is_ok() {
            session.process.close_input();
        }
        self.ends_by_itself(&mut session, Rule::TornFrame, sent)
    }

    /// A length that no memory should be taken for.
    pub(super) fn length_above_the_limit(&mut self) -> Result<()> {
        let Some(mut session) = self.ready(Rule::OversizedFrame)? else { return Ok(()) };
        let sent = format!("a frame's length of {LENGTH_ABOVE_ALL}, a few bytes, and the end of the channel");
        let mut bytes = LENGTH_ABOVE_ALL.to_be_bytes().to_vec();
        bytes.extend(br#"{"id":7,"type":"ping"}"#);
        if session.write(&bytes).is_ok() {
            session.process.close_input();
        }
        self.ends_by_itself(&mut session, Rule::OversizedFrame, &sent)
    }

    /// With whatever code, and by no signal.
    fn ends_by_itself(&mut self, session: &mut crate::session::Session, rule: Rule, sent: &str) -> Result<()> {
        let exit = session.process.exit(self.end_timeout)?;
        let expected = format!("an exit within {} s, with any code", self.end_timeout.as_secs_f64());
        let holds = Holds::from(matches!(exit, Some(Exit::Code(_))));
        self.verdicts.judge(rule, holds, sent, &expected, &ended(exit.as_ref()));
        Ok(())
    }

    fn nothing_left(&mut self, left: Option<u32>, after: &str) {
        let found = match left {
            None => "some are left, and cannot be killed".to_owned(),
            Some(count) => format!("{count} processes outlived it and were killed"),
        };
        self.verdicts.judge(
            Rule::NothingLeft,
            Holds::from(left == Some(0)),
            after,
            "no process beside its own",
            &found,
        );
    }
}

fn ended(exit: Option<&Exit>) -> String {
    exit.map_or_else(|| "it lives on".to_owned(), |exit| format!("it ended with {exit}"))
}
