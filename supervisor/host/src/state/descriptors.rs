//! The descriptors of the host's process: how many it may have, how many are not for modules, and a few that
//! are kept open so that they can be closed where one is needed at once. The core decides which slots get what is
//! left.

use super::*;
use bulkhead_core::Descriptors;
use nix::sys::resource::{Resource, getrlimit};
use std::fs::File;

/// Descriptors that are kept open to be closed when needed: as many as the start of a guardian takes.
const RESERVE: usize = 6;

/// Clients that are possible beside any number of modules; where the limit is low, a part of that.
const CLIENTS_KEPT: u64 = 16;
const CLIENTS_KEPT_PART: u64 = 8;

/// What is left for what is open for a moment only: the pipes of a process on their way to it, files that are
/// written, files of the data store.
const PASSING: u64 = 24;

/// What the host knows of its descriptors.
#[derive(Debug)]
pub(super) struct Table {
    reserve: Vec<File>,
    /// Whether another thread uses the reserve.
    is_in_use: bool,
    /// What it had open when it started, the reserve included, and what is open for a moment only.
    own: u64,
    /// What was reported to the core last.
    reported: Option<Descriptors>,
    /// Pipes of modules that are in this table, for each process.
    beside: u64,
}

impl Table {
    /// Counts what is open. Modules come later.
    pub(super) fn new() -> Table {
        let mut table = Table { reserve: Vec::new(), is_in_use: false, own: 0, reported: None, beside: 0 };
        table.fill_reserve();
        // The folder that is read here is counted, and closed.
        #[expect(clippy::disallowed_methods, reason = "it is a table of the kernel's, which waits for nothing")]
        let open = std::fs::read_dir("/proc/self/fd").map_or(64, |entries| entries.count() as u64);
        table.own = open + PASSING;
        table
    }

    /// Closes what is kept, for something that another thread does and that needs descriptors.
    pub(super) fn release_reserve(&mut self) {
        self.reserve.clear();
        self.is_in_use = true;
    }

    /// Keeps descriptors again, also those that another thread used.
    #[expect(clippy::disallowed_methods, reason = "it is a device of the kernel's that waits for nothing")]
    pub(super) fn fill_reserve(&mut self) {
        self.is_in_use = false;
        while self.reserve.len() < RESERVE
            && let Ok(file) = File::open("/dev/null")
        {
            self.reserve.push(file);
        }
    }

    /// Does something that needs descriptors at once, with those that are kept for that.
    fn with_reserve<T>(&mut self, what: impl FnOnce() -> T) -> T {
        self.reserve.clear();
        let result = what();
        if !self.is_in_use {
            self.fill_reserve();
        }
        result
    }
}

fn limit() -> u64 {
    // The call cannot fail for the own process.
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

impl HostState {
    /// The limit may have been changed from outside.
    pub(super) fn read_descriptor_limit(&mut self) {
        self.report_descriptors(limit());
    }

    /// Clients have come or gone.
    pub(super) fn count_clients(&mut self) {
        if let Some(reported) = self.table.reported {
            self.report_descriptors(reported.limit);
        }
    }

    /// The threads that read logs share the table, which they do only on a very old or closed system.
    pub(super) fn logs_share_table(&mut self) {
        self.table.beside = 2;
        self.count_clients();
    }

    fn report_descriptors(&mut self, limit: u64) {
        let reserved = |kept| self.table.own + self.clients.descriptors().max(kept);
        let descriptors = Descriptors {
            limit,
            reserved: reserved(CLIENTS_KEPT.min(limit / CLIENTS_KEPT_PART)),
            reserved_then: reserved(CLIENTS_KEPT),
            beside: self.table.beside,
        };
        if self.table.reported.replace(descriptors) != Some(descriptors) {
            self.core.handle_descriptors(self.now, descriptors);
        }
    }

    /// Whether one more client is within the limit, and leaves modules their descriptors.
    pub(super) fn has_room_for_client(&mut self) -> bool {
        if self.clients.by_id.len() >= self.config.clients_max {
            return false;
        }
        let reserved = self.table.own + self.clients.descriptors();
        if self.core.has_descriptor(reserved) {
            return true;
        }
        self.read_descriptor_limit();
        self.core.has_descriptor(reserved)
    }

    /// A client could not be accepted because there is no descriptor. With one of the reserve it is, so that it gets
    /// the reason and does not wait for nothing.
    pub(super) fn refuse_with_reserve(&mut self) {
        let Some(socket) = &self.socket else { return };
        let listener = socket.listener.clone();
        let refused = self.table.with_reserve(|| {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match listener.poll_accept(&mut context) {
                std::task::Poll::Ready(Ok((stream, _))) => Some(stream),
                std::task::Poll::Ready(Err(_)) | std::task::Poll::Pending => None,
            }
        });
        if let Some(stream) = refused {
            let reason = "the host has no file descriptor left for another client; raise the limit of open files";
            self.refuse_client(&stream, Failure::new(ErrorCode::Overloaded, reason));
        }
    }
}
