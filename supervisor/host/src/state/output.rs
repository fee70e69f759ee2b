//! Writes what has come together in one iteration of the loop, and handles those that do not read.

use super::*;

/// Messages whose consequences are written together. Twice as many leave the other sides idle while the
/// host works, half as many cost more in system calls than they gain.
const MESSAGES_PER_WRITE: usize = 32;

impl HostState {
    pub(super) fn link(&mut self, id: LinkId) -> Option<&mut Link> {
        match id {
            LinkId::Client(client) => self.clients.by_id.get_mut(&client).map(|client| &mut client.link),
            LinkId::Run(run) => self.processes.get_mut(&run).map(|process| &mut process.link),
        }
    }

    /// As [`HostState::link`]; one that is cut off gets nothing more.
    pub(super) fn open_link(&mut self, id: LinkId) -> Option<&mut Link> {
        match id {
            LinkId::Client(client) => {
                self.clients.by_id.get_mut(&client).filter(|client| !client.is_cut_off).map(|client| &mut client.link)
            }
            LinkId::Run(run) => {
                self.processes.get_mut(&run).filter(|process| !process.is_cut_off).map(|process| &mut process.link)
            }
        }
    }

    pub(super) fn mark_dirty(&mut self, id: LinkId) {
        if self.link(id).is_some_and(Link::becomes_dirty) {
            self.dirty.push_back(id);
        }
    }

    /// Does what follows from a message, and writes it once enough has come together: one system call
    /// serves several messages, and the other sides work on them while the host goes on.
    pub(super) fn message_handled(&mut self) {
        self.perform();
        self.unwritten += 1;
        if self.unwritten >= MESSAGES_PER_WRITE {
            self.flush();
        }
    }

    /// Writes what has come together, and then the announcements about it.
    pub(crate) fn flush(&mut self) {
        self.unwritten = 0;
        self.write_dirty();
        while !self.deferred_notices.is_empty() {
            self.flush_notices();
            self.perform();
            self.write_dirty();
        }
        if !self.followers.is_empty() {
            self.pump_followers();
            self.write_dirty();
        }
        if let Some(started) = self.started.take() {
            // The starter of the host may be gone; then no signal is needed.
            let _ = started.send(());
            self.notify.send("READY=1");
        }
    }

    fn write_dirty(&mut self) {
        while let Some(id) = self.dirty.pop_front() {
            let Some(link) = self.link(id) else { continue };
            link.is_dirty = false;
            if link.awaits_room {
                self.check_output(id);
                continue;
            }
            match link.flush() {
                Ok(true) => {}
                Ok(false) => {
                    link.awaits_room = true;
                    let io = link.io.clone();
                    self.watch(Source::Write(id, io));
                }
                Err(_) => {
                    match id {
                        LinkId::Client(client) => self.remove_client(client),
                        // Its last answers may still be there to be read; it is sent nothing more.
                        LinkId::Run(run) => self.core.handle_channel_closed(self.now, run),
                    }
                    self.perform();
                    continue;
                }
            }
            self.check_output(id);
        }
    }

    /// Something more waits for a client or a module. One that leaves too much unread is cut off: it
    /// must not cost the host its memory.
    pub(super) fn more_waits(&mut self, id: LinkId) {
        match id {
            LinkId::Client(id) => {
                let pending = self.clients.weigh_output(id);
                if let Some((slow, reason)) =
                    self.clients.too_slow(id, pending, self.config.frame_bytes_max, self.config.clients_bytes_max)
                {
                    self.cut_off(slow, reason);
                }
            }
            LinkId::Run(run) => {
                let most = clients::OUTPUT_BYTES_MAX + self.config.frame_bytes_max;
                let Some(process) = self.processes.get_mut(&run) else { return };
                let pending = process.link.pending_bytes();
                if pending > most && !std::mem::replace(&mut process.is_cut_off, true) {
                    let what = format!("it leaves {pending} bytes of answers to its own requests unread");
                    self.core.handle_violation(self.now, run, what);
                }
            }
        }
    }

    /// Handles a client's output: reads again from one that has caught up, removes one that has
    /// sent and received everything.
    pub(super) fn check_output(&mut self, id: LinkId) {
        let LinkId::Client(id) = id else {
            self.pages.may_go_on |= self.pages.are_for_modules;
            return;
        };
        let pending = self.clients.weigh_output(id);
        let is_full = self.has_long_answers_to_come(Caller::Client(id));
        let Some(client) = self.clients.by_id.get_mut(&id) else { return };
        client.active_at = self.now;
        if client.follows && pending <= clients::OUTPUT_HIGH_WATER_BYTES / 2 {
            self.pages.may_go_on = true;
        }
        if client.is_cut_off {
            if pending == 0 {
                self.remove_client(id);
            }
            return;
        }
        if client.is_paused && pending <= clients::OUTPUT_HIGH_WATER_BYTES / 2 && !is_full {
            client.is_paused = false;
            self.watch(Source::Next(LinkId::Client(id)));
            return;
        }
        let caller = Caller::Client(id);
        if client.has_finished && pending == 0 && !self.is_asked_by(caller) && self.followers.count_of(caller) == 0 {
            self.remove_client(id);
        }
    }

    /// Whether so many answers, each of which may be long, wait for files that a caller may not ask for more.
    pub(super) fn has_long_answers_to_come(&self, caller: Caller) -> bool {
        self.looks.is_full_of(caller) || self.histories.is_full_of(caller)
    }

    /// Whether a caller waits for an answer. What it follows is checked separately.
    pub(super) fn is_asked_by(&self, caller: Caller) -> bool {
        self.core.open_count(caller) > 0
            || self.store_admin.has_of(caller)
            || self.looks.has_of(caller)
            || self.has_history_of(caller)
            || self.readings.has_of(caller)
            || self.several.has_of(caller)
    }
}
