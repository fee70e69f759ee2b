//! The modules' side of the host: what comes over their channels.

use super::*;

impl HostState {
    pub(super) fn run_readable(&mut self, run: RunId) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        if process.has_exited || process.link.reading.is_some() {
            // What is being read elsewhere comes first; the link is looked at again after it.
            return;
        }
        process.link.read(&mut self.buffer);
        self.portion = Portion::default();
        self.portion.add_decoding(process.link.take_decoding_nanos());
        if !self.run_messages(run) {
            return;
        }
        let now = self.now;
        let Some(process) = self.processes.get_mut(&run) else { return };
        process.link.account.charge(now, self.portion.nanos());
        if process.link.reading.is_some() {
            return;
        }
        match process.link.rest() {
            Input::More => self.watch_in(Source::Next(LinkId::Run(run)), Line::Second),
            Input::Open => {
                let (io, account) = (process.link.io.clone(), process.link.account);
                let line = self.line_of(&account);
                self.watch_in(Source::Read(LinkId::Run(run), io), line);
            }
            Input::Closed => {
                self.core.handle_channel_closed(self.now, run);
                self.channel_ended(run);
            }
            Input::Broken(error @ FrameError::Truncated { .. }) => {
                self.core.handle_channel_truncated(self.now, run, error.to_string());
                self.channel_ended(run);
            }
            Input::Broken(error) => self.core.handle_violation(self.now, run, error.to_string()),
        }
    }

    /// Handles what was read from a module, as much as one portion is; `false` when nothing more is to be
    /// read from it.
    pub(super) fn run_messages(&mut self, run: RunId) -> bool {
        loop {
            let Some(process) = self.processes.get_mut(&run).filter(|process| !process.is_cut_off) else {
                return false;
            };
            if process.link.reading.is_some() || (self.portion.is_over() && !self.is_draining) {
                return true;
            }
            match process.link.take() {
                None if !process.link.has_refused() => return true,
                None => {
                    let is_refused = self.explain_refusal(LinkId::Run(run));
                    // Nothing after such a text counts.
                    return !is_refused || self.processes.get(&run).is_some_and(|it| it.link.reading.is_some());
                }
                Some(Ok(Message::Response(response))) => {
                    self.portion.add_message();
                    if self.tap.is_some() {
                        self.tap_response(run, Way::FromModule, &response);
                    }
                    self.core.handle_response(self.now, run, response);
                }
                Some(Ok(Message::Request(request))) => {
                    if self.tap.is_some() {
                        self.tap_request(run, &request);
                    }
                    self.request(Caller::Run(run), request);
                }
                Some(Err(error)) => {
                    self.core.handle_violation(self.now, run, error.reason);
                    return false;
                }
            }
            self.message_handled();
        }
    }
}
