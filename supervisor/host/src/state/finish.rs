//! The end of a host: how long it waits for its clients, and what it closes in which order.

use super::*;
use crate::files;

/// How long a host that has ended waits for its clients to take their last answers.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// How long the end of a host waits for its guardian, which kills what is left for ten seconds at most, for the
/// file of its control socket to be removed, and for the log of the data store to be carried over. What has not
/// ended by then is left; the next start clears it.
pub(super) const GUARDIAN_END_MAX: Duration = Duration::from_secs(12);
const SOCKET_END_MAX: Duration = Duration::from_secs(2);
const STORE_END_MAX: Duration = Duration::from_secs(60);

/// How long a host that ends waits for its last note.
const NOTE_END_MAX: Duration = Duration::from_secs(2);

impl HostState {
    pub(super) fn is_ended(&self) -> bool {
        self.stopping.is_some() && self.core.is_idle()
    }

    /// Whether everything has stopped and every client has taken its last answer, or had the time to.
    pub(crate) fn is_finished(&mut self) -> bool {
        if !self.is_ended() {
            return false;
        }
        let ended = *self.ended_at.get_or_insert_with(Instant::now);
        let all_taken = self.clients.by_id.values().all(|client| client.link.pending_bytes() == 0);
        let all_answered = self.store_admin.is_empty()
            && self.looks.is_empty()
            && self.histories.is_empty()
            && self.log_answer.is_none()
            && self.several.is_empty();
        (all_taken && all_answered) || ended.elapsed() >= FAREWELL
    }

    /// The last thing that a host does.
    pub(crate) fn finish(mut self) {
        if let Some(guardian) = self.guardian.take() {
            let guardian = guardian.dismiss();
            if files::within(GUARDIAN_END_MAX, move || guardian.end(GUARDIAN_END_MAX)).is_none() {
                tracing::warn!("the guardian has not ended after {GUARDIAN_END_MAX:?} and is left");
            }
        }
        if let Some(ControlSocket { file, .. }) = self.socket.take() {
            let gate = self.files.gate();
            let remove = move || {
                gate("state");
                drop(file);
            };
            if files::within(SOCKET_END_MAX, remove).is_none() {
                tracing::warn!("the control socket {} cannot be removed in time", self.config.socket.display());
            }
        }
        self.store.close(match self.kind {
            Kind::Daemon => Some(STORE_END_MAX),
            // Its program goes on, and may open the store again.
            Kind::Embedded => None,
        });
        // Until here an end would leave something undone.
        note_end(&self.state_dir, &self.files);
        // What the modules have printed is taken in before that.
        drop(self.logs);
        // The log files are written to their end when they are dropped.
    }
}

/// Notes for the next host that this one has ended by itself.
fn note_end(state_dir: &StateDir, files: &files::Files) {
    let gate = files.gate();
    let written = state_dir.note_file().map(|file| {
        files::within(NOTE_END_MAX, move || {
            gate("state");
            file.write_end()
        })
    });
    match written {
        Ok(Some(Ok(()))) => {}
        Ok(Some(Err(error))) | Err(error) => tracing::warn!("cannot leave a note in the state directory: {error}"),
        Ok(None) => tracing::warn!("a note in the state directory cannot be written in time"),
    }
}
