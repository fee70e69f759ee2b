//! Requests whose payloads are read elsewhere: from when they come until they go on. What has come behind
//! one on the same link waits for it.

use super::*;
use crate::link::Reading;

impl Host {
    /// Has the payload of a request read on another thread; `false` if it is to be read here and now, as of a
    /// process that has ended, whose end is decided upon next.
    pub(super) fn read_elsewhere(&mut self, caller: Caller, request: &Request) -> bool {
        let id = link_of(caller);
        if self.is_draining || self.link(id).is_none() {
            return false;
        }
        if let Some(number) = self.long_reader.hand_in(id, request) {
            let since = self.now;
            let link = self.link(id).expect("it was there a line ago");
            link.reading = Some(Reading { number, request: request.clone(), since });
            return true;
        }
        false
    }

    /// Takes one payload that was read elsewhere, if there is one, and goes on with its link.
    pub(crate) fn take_read(&mut self) -> bool {
        let Some((number, id, payload)) = self.long_reader.take() else { return false };
        if let LinkId::Run(run) = id
            && self.processes.get(&run).is_none_or(|process| process.has_exited || process.is_cut_off)
        {
            return true;
        }
        // Otherwise its link has gone, or the process has ended and what it had sent was read at once.
        if let Some(link) = self.link(id)
            && let Some(reading) = link.reading.take_if(|reading| reading.number == number)
        {
            self.go_on_with(caller_of(id), reading, payload);
            self.perform();
            self.watch_in(Source::Next(id), Line::Behind);
        }
        true
    }

    /// What a process had sent before its end is read at once, in its order.
    pub(super) fn read_now(&mut self, run: RunId) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        let Some(reading) = process.link.reading.take() else { return };
        self.long_reader.forget(reading.number);
        let payload = Payload::read(&reading.request);
        self.go_on_with(Caller::Run(run), reading, payload);
        self.perform();
    }

    fn go_on_with(&mut self, caller: Caller, reading: Reading, payload: Payload) {
        let Reading { mut request, since, .. } = reading;
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
