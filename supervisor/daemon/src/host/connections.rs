//! The clients' side of the host: who is let in, what they may make it hold, when they are let go.

use super::*;

impl Host {
    pub(super) fn accept_next(&mut self) {
        if let Some(socket) = &self.socket {
            let listener = socket.listener.clone();
            self.watch(Source::Accept(listener));
        }
    }

    pub(super) fn accepted(&mut self, stream: UnixStream) {
        let refusal = if let Err(reason) = control_socket::check_peer(&stream) {
            Some(Failure::new(ErrorCode::PermissionDenied, reason))
        } else if self.clients.by_id.len() >= self.config.clients_max {
            let reason =
                format!("there are {} clients already, which is the limit (host.clients_max)", self.config.clients_max);
            Some(Failure::new(ErrorCode::Overloaded, reason))
        } else {
            None
        };
        match refusal {
            None => self.add_client(stream),
            Some(failure) => {
                let mut bytes = Vec::new();
                let response = Response::new(None, failure.delivery(Delivery::NotStarted));
                response.encode(&mut bytes, self.config.frame_bytes_max).expect("a refusal is short");
                // It has just been accepted, so its buffer is empty; if it is gone, so be it.
                let _ = stream.try_write(&bytes);
            }
        }
    }

    pub(super) fn add_client(&mut self, stream: UnixStream) {
        let link = Link::new(Io::Socket(stream), self.config.frame_bytes_max);
        let io = link.io.clone();
        let id = self.clients.add(Client::new(link));
        self.watch(Source::Read(LinkId::Client(id), io));
    }

    pub(super) fn client_readable(&mut self, id: ClientId) {
        let Some(client) = self.clients.by_id.get_mut(&id) else { return };
        if client.link.pending_bytes() > clients::OUTPUT_HIGH_WATER_BYTES || self.looks.is_full_of(Caller::Client(id)) {
            client.is_paused = true;
            return;
        }
        client.link.read(&mut self.buffer);
        loop {
            let Some(client) = self.clients.by_id.get_mut(&id) else { return };
            // One short request can have a long answer, so this is looked at before each.
            if client.link.pending_bytes() > clients::OUTPUT_HIGH_WATER_BYTES
                || self.looks.is_full_of(Caller::Client(id))
            {
                break;
            }
            let Some(message) = client.link.take() else { break };
            self.client_message(id, message);
            self.message_handled();
        }
        self.clients.weigh(id);
        let Some(client) = self.clients.by_id.get_mut(&id) else { return };
        let held = client.link.held_bytes();
        if self.clients.held_bytes > clients::HELD_BYTES_MAX && held > READ_BYTES {
            let reason = "all clients together have more unfinished messages than the host will hold";
            self.expel(id, Failure::new(ErrorCode::Overloaded, reason));
            return;
        }
        match client.link.rest() {
            Input::More => self.watch(Source::Next(LinkId::Client(id))),
            Input::Open => {
                let io = client.link.io.clone();
                self.watch(Source::Read(LinkId::Client(id), io));
            }
            Input::Closed => {
                client.has_finished = true;
                match clients::HangUp::of(&client.link.io) {
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
                let reason = "a client sends requests; the host asks it nothing that it could answer";
                let failure = Failure::new(ErrorCode::BadRequest, reason).delivery(Delivery::NotStarted);
                self.respond(LinkId::Client(id), &Response::new(response.id, failure));
            }
            Err(error) => {
                let status = self.core.refuse_message(&error);
                self.respond(LinkId::Client(id), &Response::new(error.id, status));
            }
        }
    }

    pub(super) fn request(&mut self, caller: Caller, request: Request) {
        if let Caller::Run(run) = caller {
            self.core.handle_heard(self.now, run);
        }
        let to_us = request.to.as_deref() == Some("supervisor");
        let who = request.id.map(|id| Recipient { caller, id });
        match (&request.kind, who) {
            (RequestType::Cancel, Some(who)) => {
                if let Ok(target) = bulkhead_protocol::event::cancel_target(&request.payload)
                    && (self.cancel_follower(Recipient { caller, id: target })
                        || self.cancel_several(Recipient { caller, id: target })
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
                self.builtin(who, &request);
            }
            _ => self.core.handle_request(self.now, caller, request),
        }
    }

    /// One line for the first and for every power of two: a flood of them must not become a flood of
    /// lines, which nothing else would bound.
    pub(super) fn event_refused(&mut self, run: RunId, reason: &str) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        process.events_refused += 1;
        let count = process.events_refused;
        if count.is_power_of_two() {
            self.remark(run, format!("[an event was refused, {count} so far: {reason}]"));
        }
    }

    /// Tells a client why it is cut off, as far as it still listens, and cuts it off.
    pub(super) fn expel(&mut self, id: ClientId, failure: Failure) {
        let response = Response::new(None, failure.delivery(Delivery::NotStarted));
        self.respond(LinkId::Client(id), &response);
        if let Some(client) = self.clients.by_id.get_mut(&id) {
            let _ = client.link.flush();
        }
        self.remove_client(id);
    }

    pub(super) fn remove_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(id) else { return };
        client.link.io.release();
        let caller = Caller::Client(id);
        self.followers.retain(|follower| follower.recipient.caller != caller);
        self.readings.forget(caller);
        self.several.forget(caller);
        self.core.handle_client_gone(self.now, id);
    }
}
