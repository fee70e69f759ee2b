//! Tells a service manager how the host is: the `sd_notify` protocol, one datagram a message.

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, sendto, socket};
use std::{
    env,
    ffi::OsString,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    time::Duration,
};

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
            .map(|micros| Duration::from_micros(micros) / 2);
        Notify { address, watchdog }
    }

    /// Nobody.
    pub(crate) fn nobody() -> Notify {
        Notify { address: None, watchdog: None }
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
