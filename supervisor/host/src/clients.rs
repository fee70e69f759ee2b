//! The clients of the host: connections that send requests and read responses. What a request means
//! is decided by the core or by [`crate::builtin`].

use crate::link::{Io, Link, has_hung_up};
use bulkhead_core::{ClientId, IdMap, Owner, Time};
use std::{
    cell::Cell,
    io,
    os::fd::AsFd,
    rc::Rc,
    task::{Context, Poll},
};
use tokio::{io::Interest, net::UnixStream};

/// Bytes that may wait for a client before its next request is not read.
pub(crate) const OUTPUT_HIGH_WATER_BYTES: usize = 1024 * 1024;

/// Bytes that may wait for a client that follows what is only sent as it happens, before that is left out. It is
/// much more than what happens in one iteration of the loop, and too little to be cut off for.
pub(crate) const LIVE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that may wait for a client, or of answers for a module, beside one frame of the greatest
/// length, before it is cut off: it does not read its answers.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Of what all clients may make the host hold, a quarter may be messages that have not arrived completely or
/// wait to be handled, ...
pub(crate) const HELD_PART: usize = 4;

/// ... a quarter, beside one frame of the greatest length, answers that wait to be read, before the client
/// that reads least is cut off, ...
pub(crate) const OUTPUT_PART: usize = 4;

/// ... an eighth followers of events and logs, with what is kept for them, ...
pub(crate) const FOLLOWERS_PART: usize = 8;

/// ... and three eighths requests that are not answered, which the core counts.
pub(crate) const fn requests_bytes_max(clients_bytes_max: usize) -> usize {
    clients_bytes_max / 8 * 3
}

const _: () = assert!(8 / HELD_PART + 8 / OUTPUT_PART + 8 / FOLLOWERS_PART + requests_bytes_max(8) == 8);

/// The number under which the host asks its own core: no connection has it.
pub(crate) const HOST: ClientId = ClientId(0);

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) link: Link,
    /// It has sent all that it will send; it may still be reading.
    pub(crate) has_finished: bool,
    /// It gets the reason why it is cut off, as far as it still reads, and nothing else.
    pub(crate) is_cut_off: bool,
    /// It is not read from until it has taken what waits for it.
    pub(crate) is_paused: bool,
    /// Its owner; `None` for one that the program around the host has made.
    pub(crate) owner: Option<Owner>,
    /// When it last sent or took something.
    pub(crate) active_at: Time,
    /// Whether it has ever followed anything.
    pub(crate) follows: bool,
    /// What is accounted for it in the sums over all clients.
    held_bytes: usize,
    output_bytes: usize,
}

impl Client {
    pub(crate) fn new(link: Link, owner: Option<Owner>, now: Time) -> Client {
        Client {
            link,
            has_finished: false,
            is_cut_off: false,
            is_paused: false,
            owner,
            active_at: now,
            follows: false,
            held_bytes: 0,
            output_bytes: 0,
        }
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
    /// How many have finished sending, each of which takes a second descriptor ([`HangUp`]).
    finished: usize,
}

impl Clients {
    pub(crate) fn add(&mut self, client: Client) -> ClientId {
        self.next += 1;
        let id = ClientId(self.next);
        self.by_id.insert(id, client);
        id
    }

    /// A client has sent all that it will send.
    pub(crate) fn finish(&mut self, id: ClientId) {
        let Some(client) = self.by_id.get_mut(&id) else { return };
        self.finished += usize::from(!std::mem::replace(&mut client.has_finished, true));
    }

    /// Descriptors that all of them take.
    pub(crate) fn descriptors(&self) -> u64 {
        (self.by_id.len() + self.finished) as u64
    }

    pub(crate) fn remove(&mut self, id: ClientId) -> Option<Client> {
        let client = self.by_id.remove(&id)?;
        self.held_bytes -= client.held_bytes;
        self.output_bytes -= client.output_bytes;
        self.finished -= usize::from(client.has_finished);
        Some(client)
    }

    /// Brings the sums in line with what was read from this client and waits to be handled.
    pub(crate) fn weigh_input(&mut self, id: ClientId) {
        let Some(client) = self.by_id.get_mut(&id) else { return };
        let held = client.link.held_bytes();
        self.held_bytes = self.held_bytes - client.held_bytes + held;
        client.held_bytes = held;
    }

    /// Brings the sums in line with what waits for this client. Returns how many bytes that are.
    pub(crate) fn weigh_output(&mut self, id: ClientId) -> usize {
        let Some(client) = self.by_id.get_mut(&id) else { return 0 };
        let output = client.link.output_held_bytes();
        self.output_bytes = self.output_bytes - client.output_bytes + output;
        client.output_bytes = output;
        client.link.pending_bytes()
    }

    /// Which client must be cut off now that so much waits for this one, and why: itself, if that is more than may, or
    /// the one that reads least, if too much waits for all together.
    pub(crate) fn too_slow(
        &self,
        id: ClientId,
        pending: usize,
        frame_bytes_max: usize,
        all_max: usize,
    ) -> Option<(ClientId, String)> {
        let most = OUTPUT_BYTES_MAX + frame_bytes_max;
        if pending > most {
            let reason = format!(
                "it leaves {pending} bytes of answers unread, of {most} at most: read answers as they come, or ask for \
                 less at once"
            );
            return Some((id, reason));
        }
        let (all, most) = (self.output_bytes, all_max / OUTPUT_PART + frame_bytes_max);
        if all <= most {
            return None;
        }
        let (id, slowest) = self.by_id.iter().max_by_key(|(_, client)| client.output_bytes)?;
        let reason = format!(
            "all clients leave {all} bytes of answers unread, of {most} at most (a quarter of host.clients_bytes_max \
             and one frame), and it the most of them, {}: read answers as they come, or ask for less at once",
            slowest.output_bytes
        );
        Some((*id, reason))
    }
}

/// Waits until the other side of a socket is gone altogether, not only finished writing. It is a
/// copy with a registration of its own, so that what is forgotten here to wait for a change does not
/// hide from the link that it can write.
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

/// Bytes that are counted in a sum for as long as this lives.
#[derive(Debug)]
pub(crate) struct Counted {
    sum: Rc<Cell<usize>>,
    own: usize,
}

impl Counted {
    pub(crate) fn new(sum: &Rc<Cell<usize>>, bytes: usize) -> Counted {
        sum.set(sum.get() + bytes);
        Counted { sum: Rc::clone(sum), own: bytes }
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.sum.set(self.sum.get() + bytes);
        self.own += bytes;
    }

    /// Counts only so many of them from now on.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.sum.set(self.sum.get() - self.own.saturating_sub(bytes));
        self.own = self.own.min(bytes);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.sum.set(self.sum.get() - self.own);
    }
}
