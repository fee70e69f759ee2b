//! Tells a service manager how the host is: the `sd_notify` protocol, one datagram a message.

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, sendto, socket};
use nix::time::{ClockId, clock_gettime};
use std::{
    env,
    ffi::OsString,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    time::Duration,
};

/// However soon it gives up, the host has other things to do than to tell it not to.
const WATCHDOG_LEAST: Duration = Duration::from_millis(10);

/// A service manager that wants to hear from this process.
#[derive(Debug)]
pub(crate) struct Notify {
    address: Option<OsString>,
    /// How often it wants a sign of life: half of the time after which it gives up.
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

    /// Nobody.
    pub(crate) fn nobody() -> Notify {
        Notify { address: None, watchdog: None }
    }

    /// Tells that a reload begins; the manager pairs it with the `READY=1` that follows by its time.
    pub(crate) fn send_reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
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
