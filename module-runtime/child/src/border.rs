//! What passes a C border as a number, and what cannot pass it: the same for a shared library and for
//! WebAssembly, and written down in `module.h`. Pointers and strings are the border's own business.

use crate::{Error, Host};
use std::time::Duration;

/// What `wait` of the host does and answers: 0 still wanted, 1 cancelled or the host is gone, 2 the deadline passed. A
/// negative time only asks.
pub fn wait(host: &mut dyn Host, milliseconds: i64) -> i32 {
    let wanted = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
    let duration = host.deadline().map_or(wanted, |left| left.min(wanted));
    if host.wait(duration) {
        1
    } else if host.deadline() == Some(Duration::ZERO) {
        2
    } else {
        0
    }
}

/// What `deadline_ms` of the host answers: what is left, or -1 for no deadline.
pub fn deadline_ms(host: &dyn Host) -> i64 {
    host.deadline().map_or(-1, |left| i64::try_from(left.as_millis()).unwrap_or(i64::MAX))
}

/// What `request_id` of the host answers: the number, or -1 for none.
pub fn request_id(host: &dyn Host) -> i64 {
    host.id().and_then(|id| i64::try_from(id).ok()).unwrap_or(-1)
}

/// The time that an argument `timeout_ms` stands for; a negative one is none.
pub fn timeout(milliseconds: i64) -> Option<Duration> {
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}

/// Refuses a request before the module begins with it, if its key cannot pass: cut short, two keys
/// could become one.
///
/// # Errors
/// `bad_request` when the key has a NUL in it.
pub fn check_key(host: &dyn Host) -> Result<(), Error> {
    if host.key().is_some_and(|key| key.contains('\0')) {
        return Err(Error::bad_request("the key has a NUL in it, which no string of C can hold"));
    }
    Ok(())
}
