//! What the parts of an embedding program share of a host: connections to it, a stop that needs no ownership,
//! and a sign that its thread has ended. The host itself belongs to its [`crate::Host`].

use crate::embedded::Inject;
use bulkhead_client::Client;
use std::{io, os::unix::net::UnixStream};
use tokio::sync::{mpsc::UnboundedSender, watch};

/// A host, as other parts of the program see it. Clones refer to the same host; none keeps it running.
#[derive(Clone, Debug)]
pub struct Handle {
    inject: UnboundedSender<Inject>,
    /// Its other end is dropped when the host's thread ends.
    ended: watch::Receiver<()>,
}

impl Handle {
    /// A handle, and what the host's thread has to drop last.
    pub(crate) fn new(inject: UnboundedSender<Inject>) -> (Handle, watch::Sender<()>) {
        let (lives, ended) = watch::channel(());
        (Handle { inject, ended }, lives)
    }

    /// A new connection to the host, as if over the control socket.
    ///
    /// # Errors
    /// When there are no descriptors left, or the host has ended.
    pub fn client(&self) -> io::Result<Client> {
        let inject = self.inject.clone();
        let reach = move || {
            let (ours, theirs) = UnixStream::pair()?;
            inject
                .send(Inject::Client(theirs))
                .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the host has ended"))?;
            Ok(ours)
        };
        Ok(Client::from_stream_or(reach()?, reach))
    }

    /// Asks the host to stop its modules and to end, and returns at once; [`Handle::ended`] waits for the end.
    /// Nothing happens where it is ending or has ended.
    pub fn stop(&self) {
        let _ = self.inject.send(Inject::Stop);
    }

    /// Whether the host's thread has ended, by a stop or by a fault: nothing of it and its modules is left.
    pub fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Waits until the host's thread has ended. It needs no runtime of a certain kind, and blocks no thread.
    pub async fn ended(&self) {
        // Nothing is ever sent: the only change is the end.
        let _ = self.ended.clone().changed().await;
    }
}
