//! The clients' side of the host: which may connect, what they may make it hold, when they are closed.

use super::*;
use bulkhead_core::{ClientState, Doing};

/// Longest frame with the reason why a client is cut off.
const LAST_FRAME_BYTES_MAX: usize = 4096;

/// How long after a client was closed its descriptor is free for another.
const ROOM_INTERVAL: Duration = Duration::from_millis(2);

impl HostState {
    pub(super) fn accept_next(&mut self) {
        if let Some(socket) = &self.socket {
            let listener = socket.listener.clone();
            self.watch(Source::Accept(listener));
        }
    }

    pub(super) fn accepted(&mut self, stream: UnixStream) {
        let admitted = match control_socket::check_peer(&stream) {
            Err(reason) => Err(Failure::new(ErrorCode::PermissionDenied, reason)),
            Ok(owner) if self.has_room_for_client() || self.make_room(owner) => Ok(owner),
            Ok(_) => {
                let reason = format!(
                    "there are {} clients already, none of them is idle, and more are not allowed by host.clients_max, \
                     which is {}, or by the limit of open files",
                    self.clients.by_id.len(),
                    self.config.clients_max
                );
                Err(Failure::new(ErrorCode::Overloaded, reason))
            }
        };
        match admitted {
            Ok(owner) => self.add_client(stream, Some(owner)),
            Err(failure) => self.refuse_client(&stream, failure),
        }
    }

    /// Sends a client that was not accepted the reason.
    pub(super) fn refuse_client(&self, stream: &UnixStream, failure: Failure) {
        let mut bytes = Vec::new();
        let response = Response::new(None, failure.delivery(Delivery::NotStarted));
        response.encode(&mut bytes, self.config.frame_bytes_max).expect("a refusal is short");
        // It has just been accepted, so its buffer is empty; if it is gone, no answer is needed.
        let _ = stream.try_write(&bytes);
    }

    /// The system has no descriptor for a client that connects.
    pub(super) fn accept_failed(&mut self, error: &io::Error) {
        self.accept_refused = true;
        let is_full = matches!(error.raw_os_error(), Some(nix::libc::EMFILE | nix::libc::ENFILE));
        // Where the whole machine has no descriptors, one that a client frees may go to another process.
        if error.raw_os_error() == Some(nix::libc::EMFILE) && self.make_room_among_idle() {
            // The descriptor is free once the loop has closed it.
            return self.retry_in(ROOM_INTERVAL);
        }
        if is_full {
            self.refuse_with_reserve();
        }
        tracing::warn!("cannot accept a client: {error}; trying again in {RETRY_INTERVAL:?}");
        self.retry_in(RETRY_INTERVAL);
    }

    /// Closes a client so that another may connect; `false` if none may be closed.
    fn make_room(&mut self, newcomer: Owner) -> bool {
        self.let_go(Some(newcomer))
    }

    /// The same where no newcomer is known: only of those that are idle.
    fn make_room_among_idle(&mut self) -> bool {
        self.let_go(None)
    }

    fn let_go(&mut self, newcomer: Option<Owner>) -> bool {
        let mut idle_clients = std::mem::take(&mut self.idle_clients);
        let goes = {
            let find = |id: ClientId| self.client_state(id, self.clients.by_id.get(&id)?);
            let all = || self.clients.by_id.iter().filter_map(|(id, client)| self.client_state(*id, client)).collect();
            idle_clients.make_room(self.now, newcomer, find, all)
        };
        self.idle_clients = idle_clients;
        let Some(id) = goes else { return false };
        let reason = format!(
            "this connection makes room for another: there is a limit of {} clients (host.clients_max) and of open \
             files; connect again",
            self.config.clients_max
        );
        self.expel(id, Failure::new(ErrorCode::Overloaded, reason));
        true
    }

    /// What a client's connection is doing; `None` for one of the program around the host, which is never closed for
    /// another.
    fn client_state(&self, id: ClientId, client: &Client) -> Option<ClientState> {
        let owner = client.owner?;
        let (caller, since) = (Caller::Client(id), client.active_at);
        let is_busy = client.link.has_messages()
            || client.link.reading.is_some()
            || client.link.pending_bytes() > 0
            || self.is_asked_by(caller)
            || self.followers.count_of(caller) > 0;
        let doing = match is_busy {
            true => Doing::Something,
            false if client.link.is_half_read() => Doing::HalfSent { since },
            false => Doing::Nothing { since },
        };
        Some(ClientState { client: id, owner, doing })
    }

    pub(super) fn add_client(&mut self, stream: UnixStream, owner: Option<Owner>) {
        let link = Link::new(Io::Socket(stream), self.config.frame_bytes_max);
        let io = link.io.clone();
        let id = self.clients.add(Client::new(link, owner, self.now));
        self.count_clients();
        self.watch(Source::Read(LinkId::Client(id), io));
    }

    pub(super) fn client_readable(&mut self, id: ClientId) {
        let now = self.now;
        let Some(client) = self.clients.by_id.get_mut(&id) else { return };
        if client.is_cut_off {
            return;
        }
        client.active_at = now;
        let is_full = self.has_long_answers_to_come(Caller::Client(id));
        let Some(client) = self.clients.by_id.get_mut(&id) else { return };
        if client.link.pending_bytes() > clients::OUTPUT_HIGH_WATER_BYTES || is_full {
            client.is_paused = true;
            return;
        }
        if client.link.reading.is_some() {
            // It is looked at again when that was read.
            return;
        }
        client.link.read(&mut self.buffer);
        self.portion = Portion::default();
        self.portion.add_decoding(client.link.take_decoding_nanos());
        loop {
            let is_full = self.has_long_answers_to_come(Caller::Client(id));
            let Some(client) = self.clients.by_id.get_mut(&id) else { return };
            // One short request can have a long answer, so this is looked at before each.
            if client.link.pending_bytes() > clients::OUTPUT_HIGH_WATER_BYTES
                || is_full
                || client.link.reading.is_some()
                || self.portion.is_over()
            {
                break;
            }
            let Some(message) = client.link.take() else {
                if client.link.has_refused() {
                    self.explain_refusal(LinkId::Client(id));
                }
                break;
            };
            self.client_message(id, message);
            self.message_handled();
        }
        self.clients.weigh_input(id);
        let Some(client) = self.clients.by_id.get_mut(&id) else { return };
        if self.clients.held_bytes > self.config.clients_bytes_max / clients::HELD_PART
            && client.link.held_bytes() > READ_BYTES
        {
            let all = self.clients.held_bytes;
            let most = self.config.clients_bytes_max / clients::HELD_PART;
            let reason = format!(
                "the unfinished messages of all clients hold {all} bytes, of {most} at most, a quarter of \
                 host.clients_bytes_max"
            );
            self.expel(id, Failure::new(ErrorCode::Overloaded, reason));
            return;
        }
        client.link.account.charge(now, self.portion.nanos());
        if client.link.reading.is_some() {
            return;
        }
        match client.link.rest() {
            Input::More => self.watch_in(Source::Next(LinkId::Client(id)), Line::Second),
            Input::Open => {
                let (io, account) = (client.link.io.clone(), client.link.account);
                let line = self.line_of(&account);
                self.watch_in(Source::Read(LinkId::Client(id), io), line);
            }
            Input::Closed => {
                let io = client.link.io.clone();
                self.clients.finish(id);
                match clients::HangUp::of(&io) {
                    Ok(hang_up) => self.watch(Source::HangUp(id, hang_up)),
                    Err(error) => tracing::warn!("it will not be noticed when a client hangs up: {error}"),
                }
                self.mark_dirty(LinkId::Client(id));
            }
            Input::Broken(error) => {
                let code = match error {
                    FrameError::TooLarge { .. } => ErrorCode::FrameTooLarge,
                    FrameError::Text { .. } | FrameError::Empty(_) | FrameError::Truncated { .. } => {
                        ErrorCode::ProtocolError
                    }
                };
                self.expel(id, Failure::new(code, error.to_string()));
            }
        }
    }

    pub(super) fn client_message(&mut self, id: ClientId, message: Result<Message, MessageError>) {
        let caller = Caller::Client(id);
        match message {
            Ok(Message::Request(request)) => self.request(caller, request),
            Ok(Message::Response(response)) => {
                self.portion.add_message();
                let reason = "a client sends requests; the host asks it nothing that it could answer";
                let failure = Failure::new(ErrorCode::BadRequest, reason).delivery(Delivery::NotStarted);
                self.respond(LinkId::Client(id), &Response::new(response.id, failure));
            }
            Err(error) => {
                self.portion.add_message();
                let status = self.core.refuse_message(&error);
                self.respond(LinkId::Client(id), &Response::new(error.id, status));
            }
        }
    }

    pub(super) fn request(&mut self, caller: Caller, request: Request) {
        if let Caller::Run(run) = caller {
            self.core.handle_heard(self.now, run);
        }
        self.portion.add_request(&request);
        if Payload::is_long(&request) && self.read_elsewhere(caller, &request) {
            return;
        }
        let to_us = request.to.as_deref() == Some("supervisor");
        let who = request.id.map(|id| Recipient { caller, id });
        match (&request.kind, who) {
            (RequestType::Cancel, Some(who)) => {
                if let Ok(target) = bulkhead_protocol::event::cancel_target(&request.payload)
                    && (self.cancel_follower(Recipient { caller, id: target })
                        || self.cancel_several(Recipient { caller, id: target })
                        || self.cancel_history(Recipient { caller, id: target })
                        || self.cancel_reading(Recipient { caller, id: target }))
                {
                    self.reply(who, Status::Success(Json::null()));
                    return;
                }
                self.core.handle_request(self.now, caller, request);
            }
            (kind, Some(who)) if to_us && !matches!(kind, RequestType::Event | RequestType::Ping) => {
                if let Caller::Run(run) = caller
                    && let Err(failure) = self.core.check_call(run, "supervisor")
                {
                    self.reply(who, failure.into());
                    return;
                }
                let began = Instant::now();
                self.builtin(who, &request);
                self.perform();
                self.portion.add(began.elapsed());
            }
            (_, Some(who)) if let Some(failure) = self.not_loaded(caller, request.to.as_deref()) => {
                self.reply(who, failure.delivery(Delivery::NotStarted).into());
            }
            _ => self.core.handle_request(self.now, caller, request),
        }
    }

    /// The failure for a client that asks a module that is there and not loaded. A module gets only what it may call.
    fn not_loaded(&self, caller: Caller, to: Option<&str>) -> Option<Failure> {
        let (Caller::Client(_), Some(to)) = (caller, to) else { return None };
        self.check_loaded(to).err()
    }

    /// One line for the first and for every power of two: a flood of them must not become a flood of
    /// lines, which would have no other bound.
    pub(super) fn event_refused(&mut self, run: RunId, reason: &str) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        process.events_refused += 1;
        let count = process.events_refused;
        if count.is_power_of_two() {
            self.notice(run, format!("[an event was refused, {count} so far: {reason}]"));
        }
    }

    /// Sends a client the reason, as far as it still reads, and cuts it off.
    pub(super) fn expel(&mut self, id: ClientId, failure: Failure) {
        let Some(client) = self.clients.by_id.get(&id) else { return };
        let has_open =
            client.link.has_messages() || client.link.reading.is_some() || self.is_asked_by(Caller::Client(id));
        // A module may have its requests: the client must not take them for undone.
        let delivery = if has_open { Delivery::Unknown } else { Delivery::NotStarted };
        let response = Response::new(None, failure.delivery(delivery));
        self.respond(LinkId::Client(id), &response);
        if let Some(client) = self.clients.by_id.get_mut(&id) {
            let _ = client.link.flush();
        }
        self.remove_client(id);
    }

    /// Cuts a client off that leaves too much unread. What has not begun to be written is dropped and replaced
    /// by the reason, which is kept for as long as the client stays connected and is not in the way.
    pub(super) fn cut_off(&mut self, id: ClientId, reason: String) {
        tracing::warn!("a client was cut off: {reason}");
        let Some(client) = self.clients.by_id.get_mut(&id) else { return };
        if client.is_cut_off {
            return self.remove_client(id);
        }
        client.link.drop_unbegun();
        // A module may have its requests: the client must not take them for undone.
        let failure = Failure::new(ErrorCode::Overloaded, reason).delivery(Delivery::Unknown);
        let pushed = client.link.push(|out| out.push_response(&Response::new(None, failure), LAST_FRAME_BYTES_MAX));
        pushed.expect("the reason is short");
        client.is_cut_off = true;
        client.link.drop_input();
        if let Some(reading) = client.link.reading.take() {
            self.long_reader.forget(reading.number);
        }
        let io = client.link.io.clone();
        self.clients.finish(id);
        self.clients.weigh_input(id);
        self.clients.weigh_output(id);
        self.forget_client(id);
        match clients::HangUp::of(&io) {
            Ok(hang_up) => self.watch(Source::HangUp(id, hang_up)),
            // A client that cannot be waited for is not kept.
            Err(_) => self.remove_client(id),
        }
        self.mark_dirty(LinkId::Client(id));
    }

    pub(super) fn remove_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(id) else { return };
        client.link.io.release();
        if let Some(reading) = client.link.reading {
            self.long_reader.forget(reading.number);
        }
        self.forget_client(id);
    }

    /// What a client has asked is no longer waited for.
    fn forget_client(&mut self, id: ClientId) {
        let caller = Caller::Client(id);
        self.followers.remove_caller(caller);
        self.readings.forget(caller);
        self.forget_histories(caller);
        self.several.forget(caller);
        self.core.handle_client_gone(self.now, id);
        self.count_clients();
    }
}
