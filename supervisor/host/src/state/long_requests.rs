//! Requests whose payloads are read elsewhere, and texts that are no messages: from their arrival until they go
//! on. What has come after one on the same link waits for it.

use super::*;
use crate::link::{Reading, Unread};

impl HostState {
    /// Has the payload of a request read on another thread; `false` if it is to be read here and now, as of a
    /// process that has ended, whose end is decided upon next.
    pub(super) fn read_elsewhere(&mut self, caller: Caller, request: &Request) -> bool {
        self.submit(link_of(caller), &Unread::Payload(request.clone()))
    }

    /// After the messages of a link there may be a text that is none: has the reason found elsewhere, or here and now.
    /// Returns whether there was one.
    pub(super) fn explain_refusal(&mut self, id: LinkId) -> bool {
        let Some(text) = self.link(id).and_then(Link::take_refused) else { return false };
        if !self.submit(id, &Unread::Refused(Arc::clone(&text))) {
            self.refused(id, MessageError::of_refused(&text));
        }
        true
    }

    fn submit(&mut self, id: LinkId, what: &Unread) -> bool {
        if self.is_draining || self.link(id).is_none() {
            return false;
        }
        let Some(number) = self.long_reader.submit(id, what) else { return false };
        let since = self.now;
        let link = self.link(id).expect("it was there two lines ago");
        link.reading = Some(Reading { number, what: what.clone(), since });
        true
    }

    /// The reason why a text of a link is no message is known.
    fn refused(&mut self, id: LinkId, error: MessageError) {
        match id {
            LinkId::Client(client) => self.client_message(client, Err(error)),
            LinkId::Run(run) => {
                if let Some(process) = self.processes.get_mut(&run) {
                    process.is_cut_off = true;
                }
                self.core.handle_violation(self.now, run, error.reason);
            }
        }
    }

    /// Takes one payload that was read elsewhere, if there is one, and goes on with its link.
    pub(crate) fn take_read(&mut self) -> bool {
        let Some((number, id, payload)) = self.long_reader.take() else { return false };
        if let LinkId::Run(run) = id
            && self.processes.get(&run).is_none_or(|process| process.has_exited || process.is_cut_off)
        {
            return true;
        }
        // Otherwise its link is gone, or the process has ended and what it had sent was read at once.
        if let Some(link) = self.link(id)
            && let Some(reading) = link.reading.take_if(|reading| reading.number == number)
        {
            self.go_on_with(caller_of(id), reading, payload);
            self.perform();
            self.watch_in(Source::Next(id), Line::Second);
        }
        true
    }

    /// What a process had sent before its end is read at once, in its order.
    pub(super) fn read_now(&mut self, run: RunId) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        let Some(reading) = process.link.reading.take() else { return };
        self.long_reader.forget(reading.number);
        let payload = Payload::read(&reading.what);
        self.go_on_with(Caller::Run(run), reading, payload);
        self.perform();
    }

    fn go_on_with(&mut self, caller: Caller, reading: Reading, payload: Payload) {
        let Reading { what, since, .. } = reading;
        let mut request = match what {
            Unread::Payload(request) => request,
            Unread::Refused(_) => {
                let error = match payload {
                    Payload::Refused(error) => error,
                    // What fails on the other thread by a fault of the host is reported as such.
                    Payload::Store(Err(failure)) | Payload::Import(Err(failure)) => {
                        MessageError { id: None, reason: failure.error }
                    }
                    Payload::Store(Ok(_)) | Payload::Import(Ok(_)) => unreachable!("a text was handed in"),
                };
                return self.refused(link_of(caller), error);
            }
        };
        let who = Recipient { caller, id: request.id.expect("what is read elsewhere has a number") };
        if let Some(deadline) = &mut request.deadline_ms {
            let waited = u64::try_from(self.now.since(since).as_millis()).unwrap_or(u64::MAX);
            if *deadline > 0 && *deadline <= waited {
                let reason = "the deadline passed before the request had been read: others had sent long ones";
                let failure = Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(Delivery::NotStarted);
                return self.reply(who, failure.into());
            }
            *deadline = deadline.saturating_sub(waited);
        }
        match payload {
            Payload::Store(read) => self.core.handle_read_request(self.now, caller, request, read),
            Payload::Refused(_) => unreachable!("a request was handed in"),
            Payload::Import(args) => {
                if let Caller::Run(run) = caller
                    && let Err(failure) = self.core.check_call(run, "supervisor")
                {
                    return self.reply(who, failure.into());
                }
                self.builtin_import(who, args);
            }
        }
    }
}

fn link_of(caller: Caller) -> LinkId {
    match caller {
        Caller::Client(client) => LinkId::Client(client),
        Caller::Run(run) => LinkId::Run(run),
    }
}

fn caller_of(link: LinkId) -> Caller {
    match link {
        LinkId::Client(client) => Caller::Client(client),
        LinkId::Run(run) => Caller::Run(run),
    }
}
