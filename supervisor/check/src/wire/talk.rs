//! A conversation with an idle process, and then with one that has requests in a row.

use super::{Wire, shown};
use crate::rules::Rule;
use crate::session::{FRAME_BYTES_MAX, Missing, Session, UNKNOWN_COMMAND};
use crate::verdicts::Holds;
use anyhow::Result;
use bulkhead_client::command_payload;
use bulkhead_config::{Line, ModuleKind};
use bulkhead_protocol::init::FEATURE_CONCURRENT;
use bulkhead_protocol::limits::REWRITE_BYTES_MAX;
use bulkhead_protocol::{ErrorCode, Json, Ready, RequestType, Status};
use serde_json::json;
use std::time::Duration;

/// Requests that are sent in a row; an even number, so that a module that answers in pairs answers all. It is less than
/// the default window.
const IN_A_ROW: usize = 32;

/// How long is listened for what should not come.
const QUIET: Duration = Duration::from_millis(200);

impl Wire<'_> {
    /// All that can be said to one process. What it answers to no request is noted at the end.
    pub(super) fn talk(&mut self, mut session: Session, ready: &Ready) -> Result<()> {
        // After what could not be sent, nothing else can; what was not said is not judged.
        let _ = self.say_all(&mut session, ready);
        session.listen(QUIET);
        self.close_account(&mut session);
        // In order, so that the next process finds nothing that a kill left.
        session.process.close();
        session.process.exit(self.end_timeout)?;
        Ok(())
    }

    fn say_all(&mut self, session: &mut Session, ready: &Ready) -> Result<(), Missing> {
        self.pings(session)?;
        self.unknown_types(session)?;
        self.unknown_commands(session)?;
        self.unknown_members(session)?;
        self.events(session)?;
        self.cancel_of_nothing(session)?;
        self.a_row_of_requests(session, ready)?;
        self.a_cancelled_request(session)?;
        self.a_long_frame(session);
        Ok(())
    }

    /// Sends a request whose answer must be as `is_right` says. One that cannot be sent fails the rule and ends the
    /// session.
    fn expect(
        &mut self,
        session: &mut Session,
        rule: Rule,
        (kind, payload): (RequestType, Json),
        expected: &str,
        is_right: impl Fn(&Status) -> bool,
    ) -> Result<(), Missing> {
        let sent = format!("{} {}", kind.name(), payload.as_str());
        let answer = session.send(kind, payload).and_then(|id| session.answer(id));
        let holds = Holds::from(answer.as_ref().is_ok_and(&is_right));
        self.verdicts.judge(rule, holds, &sent, expected, &shown(&answer));
        match answer {
            Ok(_) | Err(Missing::Late(_)) => Ok(()),
            Err(missing) => Err(missing),
        }
    }

    fn pings(&mut self, session: &mut Session) -> Result<(), Missing> {
        (0..3).try_for_each(|_| {
            self.expect(session, Rule::PingIdle, (RequestType::Ping, Json::null()), "a success", is_success)
        })
    }

    fn unknown_types(&mut self, session: &mut Session) -> Result<(), Missing> {
        ["somersault", "Ping", ""].into_iter().try_for_each(|name| {
            let request = (RequestType::Unknown(name.to_owned()), json!({ "height": 2 }).into());
            self.expect(session, Rule::UnknownType, request, "the error unknown_type", |status| {
                is_error(status, ErrorCode::UnknownType)
            })
        })
    }

    fn unknown_commands(&mut self, session: &mut Session) -> Result<(), Missing> {
        if let Some(reason) = self.is_without_names() {
            self.verdicts.leave_out(Rule::UnknownCommand, reason);
            return Ok(());
        }
        // In the order in which the `bulkhead` command writes them.
        let payloads = [
            command_payload(UNKNOWN_COMMAND, "{}"),
            json!({ "name": UNKNOWN_COMMAND }).into(),
            command_payload("", "null"),
            command_payload("\u{e9}\u{1F30A} \"\\", "[1]"),
        ];
        payloads.into_iter().try_for_each(|payload| {
            let request = (RequestType::Command, payload);
            self.expect(session, Rule::UnknownCommand, request, "the error unknown_command", |status| {
                is_error(status, ErrorCode::UnknownCommand)
            })
        })
    }

    /// Why the module does not see the names of commands.
    fn is_without_names(&self) -> Option<&'static str> {
        match &self.subject.config.kind {
            ModuleKind::Filter { line: Line::Args, .. } => {
                Some("a filter is given the arguments, not the command's name")
            }
            _ => None,
        }
    }

    /// What a later version of the host may send beside what this one does.
    fn unknown_members(&mut self, session: &mut Session) -> Result<(), Missing> {
        let texts: [fn(u64) -> String; 3] = [
            |id| format!(r#"{{"meta":{{"id":9,"type":"init"}},"type":"ping","id":{id},"traceparent":"00-1-2-01"}}"#),
            |id| format!(r#"{{"payload":null,"deadline_ms":30000,"type":"ping","key":null,"id":{id}}}"#),
            |id| format!(" {{ \"id\" : {id} ,\n\t\"type\" : \"p\\u0069ng\" }} "),
        ];
        for text in texts {
            let id = session.number();
            let text = text(id);
            let answer = session.send_text(&text).and_then(|()| session.answer(id));
            let holds = Holds::from(answer.as_ref().is_ok_and(is_success));
            self.verdicts.judge(Rule::UnknownMembers, holds, &text, "a success, as for any ping", &shown(&answer));
            match answer {
                Ok(_) | Err(Missing::Late(_)) => {}
                Err(missing) => return Err(missing),
            }
        }
        Ok(())
    }

    fn events(&mut self, session: &mut Session) -> Result<(), Missing> {
        // A handler of events may do anything, so only what no handler can be for is sent, unless it takes all events.
        let event = "bulkhead-check.nothing";
        if self.subject.config.capabilities.event_subscribe.iter().any(|pattern| pattern.matches(event)) {
            for rule in [Rule::Event, Rule::SilentEvent] {
                self.verdicts.leave_out(rule, "it takes events of every name, and what it would do is not known");
            }
            return Ok(());
        }
        let payload = json!({ "event": event, "data": { "n": 1 }, "cursor": 1, "epoch": "check" });
        let request = (RequestType::Event, payload.clone().into());
        let expected = "a success, or an error as it takes no such events";
        self.expect(session, Rule::Event, request, expected, |status| !matches!(status, Status::Progress(_)))?;
        let before = session.strange.len();
        session.send_text(&json!({ "type": "event", "payload": payload }).to_string())?;
        let ping = session.send(RequestType::Ping, Json::null())?;
        let answer = session.answer(ping);
        session.listen(QUIET);
        let strange = session.strange.split_off(before.min(session.strange.len()));
        let found = if strange.is_empty() { shown(&answer) } else { strange.join(", ") };
        let holds = Holds::from(answer.as_ref().is_ok_and(is_success) && strange.is_empty());
        self.verdicts.judge(
            Rule::SilentEvent,
            holds,
            "event without an id, then ping",
            "the answer to the ping alone",
            &found,
        );
        Ok(())
    }

    fn cancel_of_nothing(&mut self, session: &mut Session) -> Result<(), Missing> {
        [1, 9_007_199_254_740_991].into_iter().try_for_each(|id: u64| {
            let request = (RequestType::Cancel, json!({ "id": id }).into());
            self.expect(session, Rule::CancelUnknown, request, "a success", is_success)
        })
    }

    /// Requests in a row, with pings among them.
    fn a_row_of_requests(&mut self, session: &mut Session, ready: &Ready) -> Result<(), Missing> {
        let sent = format!("{IN_A_ROW} commands in a row, with pings among them");
        let (mut requests, mut pings) = (Vec::new(), Vec::new());
        for n in 0..IN_A_ROW {
            requests.push(session.send_unknown_command()?);
            if n % 8 == 7 {
                pings.push(session.send(RequestType::Ping, Json::null())?);
            }
        }
        let before = session.answered.len();
        let mut ended = Ok(());
        for (number, id) in requests.iter().enumerate() {
            let answer = session.answer(*id);
            let expected = format!("an answer to each; to number {}", number + 1);
            self.verdicts.judge(Rule::OneAnswer, Holds::from(answer.is_ok()), &sent, &expected, &shown(&answer));
            if let Err(missing) = answer {
                ended = Err(missing);
                break;
            }
        }
        for id in pings {
            let answer = session.answer(id);
            let holds = Holds::from(answer.as_ref().is_ok_and(is_success));
            self.verdicts.judge(Rule::PingBusy, holds, &sent, "a success for each ping", &shown(&answer));
        }
        let order: Vec<u64> = session.answered[before.min(session.answered.len())..]
            .iter()
            .copied()
            .filter(|id| requests.contains(id))
            .collect();
        if ready.features.iter().any(|feature| feature == FEATURE_CONCURRENT) {
            self.verdicts.leave_out(Rule::Order, "it declares concurrent");
        } else {
            let holds = Holds::from(order.is_sorted());
            self.verdicts.judge(Rule::Order, holds, &sent, &format!("{requests:?}"), &format!("{order:?}"));
        }
        match ended {
            Ok(()) | Err(Missing::Late(_)) => Ok(()),
            ended => ended,
        }
    }

    /// One of several that wait: it is answered, and so is the cancel.
    fn a_cancelled_request(&mut self, session: &mut Session) -> Result<(), Missing> {
        let sent = "three commands, and a cancel of the last one";
        let ids = [session.send_unknown_command()?, session.send_unknown_command()?, session.send_unknown_command()?];
        let cancel = session.send(RequestType::Cancel, json!({ "id": ids[2] }).into())?;
        let answer = session.answer(cancel);
        let holds = Holds::from(answer.as_ref().is_ok_and(is_success));
        self.verdicts.judge(Rule::CancelQueued, holds, sent, "a success for the cancel", &shown(&answer));
        for id in ids {
            let answer = session.answer(id);
            let expected = "one answer to each of the commands";
            self.verdicts.judge(Rule::CancelQueued, Holds::from(answer.is_ok()), sent, expected, &shown(&answer));
        }
        Ok(())
    }

    /// As long as a frame may be that the host has lengthened.
    fn a_long_frame(&mut self, session: &mut Session) {
        let longest = FRAME_BYTES_MAX + REWRITE_BYTES_MAX;
        let id = session.number();
        let begin = format!(r#"{{"id":{id},"type":"command","payload":{{"name":"{UNKNOWN_COMMAND}","args":{{"text":""#);
        let end = "\"}}}";
        let text = format!("{begin}{}{end}", "x".repeat(longest - begin.len() - end.len()));
        let answer = session.send_text(&text).and_then(|()| session.answer(id));
        let sent = format!("a frame of {longest} bytes");
        self.verdicts.judge(Rule::LongFrame, Holds::from(answer.is_ok()), &sent, "an answer", &shown(&answer));
    }
}

fn is_success(status: &Status) -> bool {
    matches!(status, Status::Success(_))
}

fn is_error(status: &Status, code: ErrorCode) -> bool {
    matches!(status, Status::Error(failure) if failure.code == code)
}
