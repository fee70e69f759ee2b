//! A process that says with an answer that it ends on purpose (`last`): it is sent nothing more, has a moment
//! to exit, and what it had been sent beside the answered request has not begun. What happens to that is
//! decided when it has ended, in [`crate::delivery`], and what follows in its slot in [`crate::on_exit`].

use crate::{
    action::{Control, LostRequest},
    core::Core,
    ids::{ModuleId, RequestId, RunId},
    limits::SENTENCE_LINES_MAX,
    request::{RequestEntry, RequestState},
    run::{Role, Run},
    time::Time,
};
use bulkhead_protocol::{Delivery, Json, Response, Status};

/// The last answer of a process.
#[derive(Debug)]
pub(crate) struct LastAnswer {
    /// What was answered, if it was no request of the host's own: it is the cause of what follows.
    pub(crate) request: Option<LostRequest>,
    /// The message, if the answer was an error.
    pub(crate) sentence: Option<String>,
    /// What a process that answers in order had been sent before that request, and so had begun with.
    begun: Vec<RequestId>,
}

impl Run {
    /// Whether the process has said that it has not begun with this request and will not.
    pub(crate) fn has_disclaimed(&self, id: RequestId) -> bool {
        self.last.as_ref().is_some_and(|last| !last.begun.contains(&id))
    }

    /// Whether it is known which request this process ends for, so that no other one is the cause.
    pub(crate) fn has_culprit(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.request.is_some())
    }
}

impl Core {
    /// An answer with which a process says that it ends.
    pub(crate) fn last_response(&mut self, now: Time, run_id: RunId, response: Response) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        let Response { id, status, .. } = response;
        let number = id.map(RequestId);
        let request = number.filter(|id| !run.has_disclaimed(*id));
        let position = request.and_then(|id| run.in_flight.position(id)).zip(request);
        let control = run.controls.iter().find(|(id, _)| Some(*id) == number).map(|(_, control)| *control);
        if let (Some(Control::Init), Status::Success(_)) = (control, &status) {
            let what = "the answer to init is a success and \"last\" at once: a process that ends is not ready";
            self.handle_violation(now, run_id, what.into());
            return;
        }
        let is_answer = position.is_some() || control.is_some();
        let last = (is_answer && run.last.is_none()).then(|| {
            let sentence = match &status {
                Status::Error(failure) => Some(failure.error.clone()),
                Status::Success(_) | Status::Progress(_) => None,
            };
            let request = position.map(|(_, id)| LostRequest {
                answered: Some(sentence.clone().unwrap_or_else(|| "success".into())),
                ..self.requests[id].lost(Delivery::Started)
            });
            let before = if run.in_flight.is_concurrent() { 0 } else { position.map_or(0, |(at, _)| at) };
            let begun = run.in_flight.iter().take(before).collect();
            // Before the answer is looked at, since that may make room for what waits.
            run.channel_open = false;
            Box::new(LastAnswer { request, sentence, begun })
        });
        self.handle_response(now, run_id, Response { id, status, last: false });
        if let (Some(last), Some(run)) = (last, self.runs.get_mut(&run_id)) {
            run.last = Some(last);
            let timeout = run.spec.rules.last_grace;
            self.await_its_end(now, run_id, timeout);
        }
    }

    /// Whether a process that ended has left something undone that it had begun with.
    pub(crate) fn has_unfinished(&self, run: &Run) -> bool {
        match &run.last {
            None => !run.in_flight.is_empty(),
            Some(_) => run.in_flight.iter().any(|id| has_begun(run, id, &self.requests[id])),
        }
    }

    /// Whether what a process has left unanswered is still wanted, or something else waits for its module.
    pub(crate) fn is_awaited(&self, module_id: ModuleId, run: &Run) -> bool {
        let module = &self.modules[module_id];
        module.slots.role(run.slot) == Role::Active
            && (run.in_flight.iter().any(|id| self.requests[id].wanted)
                || !module.queue.is_empty()
                || module.queue.keyed() > 0
                || self.layer1.streams.get(&module_id).is_some_and(crate::layer1::Stream::may_have_next))
    }
}

/// Whether a process that has given its last answer had begun with this request all the same: because it was
/// earlier in order, or because the process has reported progress or asked the store for it.
pub(crate) fn has_begun(run: &Run, id: RequestId, entry: &RequestEntry) -> bool {
    !run.has_disclaimed(id)
        || matches!(entry.state, RequestState::InFlight { progressed: true, .. })
        || !matches!(entry.unit, crate::layer1::Unit::Empty)
}

/// What the record of a crash has of standard error when the process had said in an answer why it ends: that
/// message, and what was printed after it, which shows where it came from. What was printed before is dropped
/// where something follows, as a long backtrace would otherwise push the beginning out.
pub(crate) fn led_by(sentence: &str, mut stderr: Vec<String>) -> Vec<String> {
    let said: Vec<String> = sentence.lines().take(SENTENCE_LINES_MAX).map(str::to_owned).collect();
    let Some(first) = said.first().filter(|first| !first.trim().is_empty()) else { return stderr };
    // A line of the log has the message as JSON.
    let quoted = Json::of(sentence);
    let found = stderr.iter().rposition(|line| line == first || line.contains(quoted.as_str()));
    if let Some(at) = found {
        let is_plain = stderr[at] == *first;
        let lines = if is_plain { stderr[at..].iter().zip(&said).take_while(|(a, b)| a == b).count() } else { 1 };
        stderr.drain(at..at + lines);
        if at < stderr.len() {
            stderr.drain(..at);
        }
    }
    [said, stderr].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(sentence: &str, stderr: &[&str]) -> Vec<String> {
        led_by(sentence, stderr.iter().map(|line| (*line).to_owned()).collect())
    }

    #[test]
    fn the_message_leads_and_what_was_printed_after_it_follows() {
        let log = r#"{"level":"error","message":"it panicked at a.rs:1: \"no\" ink"}"#;
        let frames = ["  at a::b (a.rs:1)", "  at a::c (a.rs:9)"];
        let expected = ["it panicked at a.rs:1: \"no\" ink", frames[0], frames[1]];
        assert_eq!(led(expected[0], &["  17: std::rt", "noise", log, frames[0], frames[1]]), expected);
        assert_eq!(led(expected[0], &["noise", expected[0], frames[0], frames[1]]), expected);
    }

    #[test]
    fn a_message_of_several_lines_is_not_shown_twice() {
        let sentence = "left and right differ\n  left: 1\n right: 2";
        let expected = ["left and right differ", "  left: 1", " right: 2", "  at a::b"];
        assert_eq!(led(sentence, &["noise", expected[0], expected[1], expected[2], expected[3]]), expected);
        let log = r#"{"level":"error","message":"left and right differ\n  left: 1\n right: 2"}"#;
        assert_eq!(led(sentence, &["noise", log, expected[3]]), expected);
    }

    /// As in Python, whose traceback ends with the message.
    #[test]
    fn what_was_printed_before_stays_where_nothing_follows() {
        let traceback = ["Traceback (most recent call last):", "  File \"a.py\", line 3, in b"];
        let expected = ["OverflowError: no", traceback[0], traceback[1]];
        assert_eq!(led(expected[0], &[traceback[0], traceback[1], expected[0]]), expected);
        assert_eq!(led(expected[0], &traceback), expected);
        assert_eq!(led(expected[0], &[]), expected[..1]);
        assert_eq!(led("", &traceback), traceback);
    }
}
