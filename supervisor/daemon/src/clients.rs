//! The clients of the host: connections that send requests and read responses. What a request means
//! is decided by the core or by [`crate::builtin`].

use crate::{
    host::Following,
    link::{Io, Link, has_hung_up},
};
use bulkhead_core::{ClientId, IdMap, Recipient};
use std::{
    io,
    os::fd::AsFd,
    task::{Context, Poll},
};
use tokio::{io::Interest, net::UnixStream};

/// Bytes that may wait for a client before its next request is not read.
pub(crate) const OUTPUT_HIGH_WATER_BYTES: usize = 1024 * 1024;

/// Bytes that may wait for somebody who follows what is told only as it happens, before that is left out. It is
/// much more than what happens in one turn of the loop, and too little to be cut off for.
pub(crate) const LIVE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that may wait for a client, or of answers for a module, beside one frame of the greatest
/// length, before it is cut off: it does not read its answers.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that may wait for all clients together, beside one frame of the greatest
/// length, before the one that reads least is cut off.
pub(crate) const OUTPUT_BYTES_MAX_TOGETHER: usize = 256 * 1024 * 1024;

/// Bytes of unfinished frames that all clients together may make the host hold.
pub(crate) const HELD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The number under which the host asks its own core: no connection has it.
pub(crate) const HOST: ClientId = ClientId(0);

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) link: Link,
    /// It has said all that it will say; it may still be reading.
    pub(crate) has_finished: bool,
    /// It is not read from until it has taken what waits for it.
    pub(crate) is_paused: bool,
    /// What is accounted for it in the sums over all clients.
    held_bytes: usize,
    output_bytes: usize,
}

impl Client {
    pub(crate) fn new(link: Link) -> Client {
        Client { link, has_finished: false, is_paused: false, held_bytes: 0, output_bytes: 0 }
    }
}

/// The connections, by number.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) by_id: IdMap<ClientId, Client>,
    next: u64,
    /// Bytes that were read from all of them and not handled yet.
    pub(crate) held_bytes: usize,
    /// Bytes that wait for all of them.
    pub(crate) output_bytes: usize,
}

impl Clients {
    pub(crate) fn add(&mut self, client: Client) -> ClientId {
        self.next += 1;
        let id = ClientId(self.next);
        self.by_id.insert(id, client);
        id
    }

    pub(crate) fn remove(&mut self, id: ClientId) -> Option<Client> {
        let client = self.by_id.remove(&id)?;
        self.held_bytes -= client.held_bytes;
        self.output_bytes -= client.output_bytes;
        Some(client)
    }

    /// Brings the sums in line with what is held for this client now.
    pub(crate) fn weigh(&mut self, id: ClientId) {
        let Some(client) = self.by_id.get_mut(&id) else { return };
        let (held, output) = (client.link.held_bytes(), client.link.pending_bytes());
        self.held_bytes = self.held_bytes - client.held_bytes + held;
        self.output_bytes = self.output_bytes - client.output_bytes + output;
        (client.held_bytes, client.output_bytes) = (held, output);
    }

    /// Who must be cut off now that this client has got more to read: itself, if more waits for it than
    /// may, or whoever reads least, if that is so for all together.
    pub(crate) fn too_slow(&self, id: ClientId, frame_bytes_max: usize) -> Option<ClientId> {
        let bytes = |client: &Client| client.output_bytes;
        if self.by_id.get(&id).is_some_and(|client| bytes(client) > OUTPUT_BYTES_MAX + frame_bytes_max) {
            return Some(id);
        }
        if self.output_bytes <= OUTPUT_BYTES_MAX_TOGETHER + frame_bytes_max {
            return None;
        }
        self.by_id.iter().max_by_key(|(_, client)| bytes(client)).map(|(id, _)| *id)
    }
}

/// Waits until the other side of a socket has gone altogether, not only finished writing. It is a
/// copy with a registration of its own, so that what is forgotten here to wait for a change does not
/// hide from the link that there is room to write.
#[derive(Debug)]
pub(crate) struct HangUp(UnixStream);

impl HangUp {
    /// # Errors
    /// When there are no descriptors left.
    pub(crate) fn of(io: &Io) -> io::Result<HangUp> {
        UnixStream::from_std(io.output().try_clone_to_owned()?.into()).map(HangUp)
    }

    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        while self.0.poll_write_ready(context).is_ready() {
            if has_hung_up(self.0.as_fd()) {
                return Poll::Ready(());
            }
            let _ = self.0.try_io(Interest::WRITABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
        Poll::Pending
    }
}

/// Somebody who is told of things as they happen, until it cancels or goes.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) recipient: Recipient,
    pub(crate) what: Followed,
}

/// What a follower follows.
#[derive(Debug)]
pub(crate) enum Followed {
    Events(Following),
    Log {
        /// Whose.
        module: String,
        /// Lines that it was not told, since it did not read.
        left_out: u64,
    },
}
