//! Reports the host's state to a service manager: the `sd_notify` protocol, one datagram a message.
//!
//! The crate `sd-notify` (0.5) is not used for it: its sends wait while the manager's socket is full, which the host's
//! thread must not, and it takes the abstract name of a socket (`@name`) for a file.

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, sendto, socket};
use nix::time::{ClockId, clock_gettime};
use std::{
    env,
    ffi::OsString,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// Least time between two signs of life, however short the manager's timeout is.
const WATCHDOG_LEAST: Duration = Duration::from_millis(10);

/// How often the manager learns that a long start goes on, and how long from then on it is to wait: if
/// this machine is so busy that a message is late, the next one comes in time.
const START_REPORT_INTERVAL: Duration = Duration::from_secs(10);
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A service manager that expects messages from this process.
#[derive(Debug)]
pub(crate) struct Notify {
    address: Option<OsString>,
    /// How often it gets a sign of life: half of its timeout.
    pub(crate) watchdog: Option<Duration>,
}

impl Notify {
    /// The one that `$NOTIFY_SOCKET` and `$WATCHDOG_USEC` name, if any.
    pub(crate) fn of_process() -> Notify {
        let address = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let mine = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC")
            .filter(|micros| *micros > 0 && mine && address.is_some())
            .map(|micros| (Duration::from_micros(micros) / 2).max(WATCHDOG_LEAST));
        Notify { address, watchdog }
    }

    /// No service manager.
    pub(crate) fn without_manager() -> Notify {
        Notify { address: None, watchdog: None }
    }

    /// Reports that a reload begins; the manager pairs it with the `READY=1` that follows by its time.
    pub(crate) fn send_reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// Does work of the start that may take long, such as making an index, and reports to the manager meanwhile
    /// that it is not stuck, so that the manager does not give up.
    pub(crate) fn while_starting<T>(&self, work: impl FnOnce() -> T) -> T {
        self.while_starting_every(START_REPORT_INTERVAL, work)
    }

    fn while_starting_every<T>(&self, every: Duration, work: impl FnOnce() -> T) -> T {
        if self.address.is_none() {
            return work();
        }
        let extend = format!("EXTEND_TIMEOUT_USEC={}", START_TIMEOUT.as_micros());
        let (done, waiting) = channel::<()>();
        thread::scope(|scope| {
            scope.spawn(|| {
                // The other end is dropped when the work is done, also by a panic.
                let waiting = waiting;
                self.send(&extend);
                while waiting.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                    self.send(&extend);
                }
            });
            let _done = done;
            work()
        })
    }

    /// Sends one message, like `READY=1`.
    pub(crate) fn send(&self, message: &str) {
        let Some(address) = &self.address else { return };
        if let Err(error) = send(address.as_bytes(), message) {
            tracing::warn!("cannot notify the service manager at {address:?}: {error}");
        }
    }
}

fn send(address: &[u8], message: &str) -> nix::Result<()> {
    let target = match address.strip_prefix(b"@") {
        Some(name) => UnixAddr::new_abstract(name)?,
        None => UnixAddr::new(address)?,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    sendto(socket.as_raw_fd(), message.as_bytes(), &target, MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::net::UnixDatagram;

    /// A manager that receives messages, in a folder that is removed with the value.
    struct Manager {
        folder: Scratch,
        socket: UnixDatagram,
    }

    impl Manager {
        fn new(test: &str) -> Manager {
            let folder = Scratch::new(&format!("notify-{test}"));
            let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            Manager { folder, socket }
        }

        fn notify(&self) -> Notify {
            Notify { address: Some(self.folder.join("notify").into()), watchdog: None }
        }

        fn hears(&self) -> String {
            let mut buffer = [0; 256];
            let count = self.socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..count].to_vec()).unwrap()
        }
    }

    #[test]
    fn a_long_start_is_reported_again_and_again_until_it_is_done() {
        let manager = Manager::new("long");
        let notify = manager.notify();
        let heard = notify.while_starting_every(Duration::from_millis(1), || [(); 5].map(|()| manager.hears()));
        assert!(heard.iter().all(|message| message == "EXTEND_TIMEOUT_USEC=60000000"), "{heard:?}");
        notify.send("READY=1");
        // What was sent before may still be there; nothing comes after it.
        while manager.hears() != "READY=1" {}
        manager.socket.set_nonblocking(true).unwrap();
        assert!(manager.socket.recv(&mut [0; 256]).is_err());
    }

    #[test]
    fn a_start_whose_work_panics_ends_the_reports() {
        let manager = Manager::new("panic");
        let notify = manager.notify();
        let work = || notify.while_starting_every(Duration::from_secs(3600), || panic!("as asked"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
        assert_eq!(manager.hears(), "EXTEND_TIMEOUT_USEC=60000000");
    }

    #[test]
    fn without_a_manager_the_work_is_done_all_the_same() {
        assert_eq!(Notify::without_manager().while_starting(|| 7), 7);
    }
}
