//! Carries out what the core decides, one action at a time.

use super::*;
use bulkhead_core::{Severity, SpawnFailure};

/// What is reported once the frames to those concerned are written.
pub(crate) enum DeferredNotice {
    Announcement(Box<Announcement>),
    Crash(Box<CrashRecord>),
}

/// Why a start could not even be ordered.
pub(super) enum NotStarted {
    /// The host lacks something, which is not the module's fault.
    Lacking(Need, String),
    /// Another attempt would fail as well.
    InVain(String),
}

impl HostState {
    /// Carries out what the core has decided. Announcements for people and for followers of events
    /// wait until the frames to those concerned are written.
    pub(crate) fn perform(&mut self) {
        while let Some(action) = self.core.poll_action() {
            if matches!(action, Action::Release(_) | Action::Removed(_)) {
                self.flush_notices();
            }
            match action {
                Action::Spawn { run, module: _, generation, instance } => self.spawn(run, generation, instance),
                Action::Send { run, request } => self.send(run, request),
                Action::SendControl { run, id, control } => self.send_control(run, id, control),
                Action::Terminate(run) => {
                    for signal in [UnixSignal::SIGTERM, UnixSignal::SIGCONT] {
                        self.order(&Order::Signal { run: run.0, signal: signal as i32 });
                    }
                }
                Action::Kill(run) => self.order(&Order::Kill { run: run.0 }),
                Action::Release(run) => self.release(run),
                Action::Sample(run) => {
                    let used = self.processes.get(&run).and_then(|process| process.pid).and_then(sys::cpu_time);
                    self.core.handle_sample(self.now, run, used);
                }
                Action::LookForTracer(run) => self.look_for_tracer(run),
                Action::Reply { to, status } => self.reply(to, status),
                Action::Announce(announcement) => {
                    self.deferred_notices.push(DeferredNotice::Announcement(announcement))
                }
                Action::RecordCrash(record) => self.deferred_notices.push(DeferredNotice::Crash(record)),
                Action::Quarantine { module, request } => {
                    let file = self.crashes.quarantine(&module, *request, &self.log_files);
                    tracing::warn!(module = module.as_str(), "a message is quarantined in {}", file.display());
                }
                Action::Store { job, op } => {
                    let asker = self.core.asker(job);
                    if let Some(outcome) = self.store.order(job, *op, asker) {
                        self.core.handle_stored(self.now, job, outcome, CommitNumber::default());
                    }
                }
                Action::HastenCommits => self.store.hasten(),
                Action::NotifyFollowers(event) => self.notify_followers(&event),
                Action::LogLine { run, text } => self.notice(run, format!("[{text}]")),
                Action::Warn(reason) => tracing::warn!("{reason}"),
                Action::EventRefused { run, reason } => self.event_refused(run, &reason),
                Action::Removed(module) => {
                    match self.returning.remove(&module) {
                        // The followers of its log continue with what it prints next.
                        Some(config) => self.add_module(config),
                        None => {
                            // What it has printed comes first, and that may be on its way.
                            self.ending_logs.push_back((self.logs.lines_said(), self.followers.last(), module.clone()));
                            self.logs.forget(module.as_str());
                            self.end_followed_logs();
                        }
                    }
                }
            }
        }
    }

    /// Announces and records what waited for that.
    pub(super) fn flush_notices(&mut self) {
        for what in std::mem::take(&mut self.deferred_notices) {
            match what {
                DeferredNotice::Announcement(announcement) => self.announced(*announcement),
                DeferredNotice::Crash(record) => {
                    let run = record.run;
                    self.notice(run, format!("[{} crashed: {}]", record.instance, record.reason));
                    self.crashes.record(*record, &self.log_files);
                }
            }
        }
    }

    pub(super) fn spawn(&mut self, run: RunId, generation: u64, instance: String) {
        match self.try_spawn(run, generation, instance) {
            Ok(()) => {}
            Err(NotStarted::Lacking(need, reason)) => self.start_refused(run, need, &reason),
            Err(NotStarted::InVain(reason)) => {
                self.core.handle_spawn_failed(self.now, run, SpawnFailure::Permanent, &reason)
            }
        }
    }

    pub(super) fn try_spawn(&mut self, run: RunId, generation: u64, instance: String) -> Result<(), NotStarted> {
        let config = self.configs.get(&generation).expect("a generation is kept while it is used").clone();
        let order = launch::order(&config, &self.runtimes, run.0, &self.state_dir);
        let lacking = |error| NotStarted::Lacking(Need::Resources, format!("cannot make its descriptors: {error}"));
        let log_reader = self.log_reader_for(launch::log_pipes(&config)).map_err(lacking)?;
        let launch::Prepared { process, theirs, log_pipes } =
            launch::prepare(config, generation, instance, self.config.frame_bytes_max, log_reader).map_err(lacking)?;
        let Some(guardian) = &mut self.guardian else {
            return Err(NotStarted::Lacking(Need::Guardian, "the guardian is not running".into()));
        };
        guardian.push(&order, theirs).map_err(NotStarted::InVain)?;
        self.logs.open(log_reader, process.config.name.as_str(), run.0, log_pipes);
        let io = process.link.io.clone();
        self.processes.insert(run, process);
        self.watch(Source::Read(LinkId::Run(run), io));
        self.flush_logs(log_reader);
        self.flush_guardian();
        Ok(())
    }

    pub(super) fn release(&mut self, run: RunId) {
        let caller = Caller::Run(run);
        self.followers.remove_caller(caller);
        self.readings.forget(caller);
        self.forget_histories(caller);
        self.several.forget(caller);
        let Some(process) = self.processes.remove(&run) else { return };
        process.link.io.release();
        if let Some(tap) = &mut self.tap {
            tap.forget(run);
        }
        self.logs.reader(process.log_reader).close(run.0);
        self.flush_logs(process.log_reader);
        let (name, generation) = (process.config.name.clone(), process.generation);
        self.forget_generation(name.as_str(), generation);
    }

    pub(super) fn send(&mut self, run: RunId, request: RequestId) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        let Some((outgoing, payload)) = self.core.outgoing(request) else { return };
        let most = self.config.frame_bytes_max + REWRITE_BYTES_MAX;
        match process.link.push(|out| out.push_request(&outgoing, payload, most)) {
            Ok(()) => {
                process.link.note_request(request);
                if process.link.becomes_dirty() {
                    self.dirty.push_back(LinkId::Run(run));
                }
                if self.tap.is_some() {
                    self.tap_sent(run, request);
                }
            }
            Err(error) => {
                let failure = Failure::new(ErrorCode::FrameTooLarge, error.to_string());
                self.core.handle_response(self.now, run, Response::new(request.0, failure));
            }
        }
    }

    pub(super) fn send_control(&mut self, run: RunId, id: RequestId, control: Control) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        let (kind, payload) = match control {
            Control::Init => {
                let data_dir = self.state_dir.data_path(process.config.name.as_str());
                (RequestType::Init, launch::init(process, self.config.frame_bytes_max, &data_dir))
            }
            Control::Ping => (RequestType::Ping, Json::null()),
            Control::Shutdown => (RequestType::Shutdown, Json::null()),
            Control::Cancel(request) => (RequestType::Cancel, Json::of(&serde_json::json!({ "id": request.0 }))),
        };
        let wire = WireRequest {
            id: Some(id.0),
            kind: &kind,
            to: None,
            payload: payload.as_str(),
            deadline_ms: None,
            key: None,
            of: None,
        };
        match process.link.push(|out| out.push_request(&wire, &payload, self.config.frame_bytes_max)) {
            Ok(()) => {
                self.mark_dirty(LinkId::Run(run));
                if self.tap.is_some() {
                    self.tap_control(run, id.0, &kind, &payload);
                }
            }
            Err(error) => {
                let what = format!("its {} does not fit into a frame: {error}", kind.name());
                self.core.handle_violation(self.now, run, what);
            }
        }
    }

    /// Writes a response to its recipient.
    pub(crate) fn reply(&mut self, to: Recipient, status: Status) {
        if to.caller == Caller::Client(clients::HOST) {
            return self.replayed(to.id, status);
        }
        if to.caller == Caller::Client(ClientId::ON_BEHALF) {
            return self.one_of_several_done(to.id, status);
        }
        let link = match to.caller {
            Caller::Client(client) => LinkId::Client(client),
            Caller::Run(run) => LinkId::Run(run),
        };
        let status = if self.stopping.is_some() { with_reason(status) } else { status };
        self.respond(link, &Response::new(to.id, status));
    }

    pub(super) fn respond(&mut self, to: LinkId, response: &Response) {
        let most = self.config.frame_bytes_max + REWRITE_BYTES_MAX;
        let Some(link) = self.open_link(to) else { return };
        if let Err(error) = link.push(|out| out.push_response(response, most)) {
            let Some(shorter) = shorter(response, &error) else {
                tracing::warn!("something that is followed does not fit into a frame and is left out: {error}");
                return;
            };
            link.push(|out| out.push_response(&shorter, most)).expect("an error with a short sentence fits");
        }
        if link.becomes_dirty() {
            self.dirty.push_back(to);
        }
        if self.tap.is_some()
            && let LinkId::Run(run) = to
        {
            self.tap_response(run, Way::ToModule, response);
        }
        self.more_waits(to);
    }

    pub(super) fn announced(&mut self, announcement: Announcement) {
        let Announcement { event, module, instance, detail } = announcement;
        let (event, severity) = (event.name(), event.severity());
        let text = bulkhead_protocol::escape(detail.as_deref().unwrap_or_default());
        let who = instance.as_deref().unwrap_or(module.as_str());
        match severity {
            Severity::Warning => tracing::warn!("{event} {who} {text}"),
            Severity::Info => tracing::info!("{event} {who} {text}"),
        }
        let data = serde_json::json!({ "module": module.as_str(), "instance": instance, "detail": detail });
        self.announce_to_followers(event, &Json::of(&data));
        let payload = Json::of(&serde_json::json!({ "event": event, "data": data }));
        if let Err(failure) = self.core.publish(self.now, payload) {
            tracing::error!("the event {event} cannot be published: {}", failure.error);
        }
    }
}

/// What is sent instead of a response that does not fit into a frame. An error stays what it is,
/// without what only illustrates it; progress has no replacement.
fn shorter(response: &Response, error: &FrameError) -> Option<Response> {
    let failure = match &response.status {
        Status::Progress(_) => return None,
        Status::Success(_) => Failure::new(ErrorCode::FrameTooLarge, format!("the answer is too long: {error}")),
        Status::Error(failure) => {
            let mut text = failure.error.clone();
            text.truncate(text.floor_char_boundary(SHORT_TEXT_BYTES_MAX));
            text.push('…');
            Failure { error: text, stderr: Vec::new(), data: None, module_code: None, ..(**failure).clone() }
        }
    };
    Some(Response::new(response.id, failure))
}

/// Adds for programs that no module is available since the host is stopping: the next host may do what was asked.
fn with_reason(mut status: Status) -> Status {
    if let Status::Error(failure) = &mut status
        && failure.code == ErrorCode::ModuleUnavailable
    {
        failure.data.get_or_insert_with(|| Json::of(&serde_json::json!({ "reason": "host_stopping" })));
    }
    status
}
