//! The one timer that wakes the host's loop. What is due when it fires is not known here.
//!
//! It is a timerfd(2): the wait for descriptors then needs no limit of its own, which the kernel would
//! set up and remove with each message, and no reading of the clock for it.

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use std::{
    io,
    os::fd::AsFd,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::net::unix::pipe::Receiver;

/// What is waited for until the alarm fires: the timer's descriptor once more. The type is used for its
/// readiness, and reads of it as of a pipe.
#[derive(Debug)]
pub(crate) struct AlarmReceiver(Receiver);

/// An alarm that is set for one moment, or for none.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: TimerFd,
    receiver: Rc<AlarmReceiver>,
    at: Option<Instant>,
}

impl Alarm {
    /// # Errors
    /// When there are no descriptors left.
    pub(crate) fn new() -> io::Result<Alarm> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let receiver = Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Alarm { timer, receiver: Rc::new(AlarmReceiver(receiver)), at: None })
    }

    pub(crate) fn receiver(&self) -> Rc<AlarmReceiver> {
        self.receiver.clone()
    }

    /// Ensures that the alarm fires at `due`, or before. One that is set for an earlier moment stays as
    /// it is: what is due moves on with each message, and a loop that is woken too early sets it again.
    pub(crate) fn set(&mut self, due: Instant) {
        if self.at.is_some_and(|at| at <= due) {
            return;
        }
        // Zero would switch it off.
        let left = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let once = Expiration::OneShot(TimeSpec::from_duration(left));
        self.timer.set(once, TimerSetTimeFlags::empty()).expect("a timer can be set for any time from now");
        self.at = Some(due);
    }

    /// It has fired: it is set for no moment now.
    pub(crate) fn has_rung(&mut self) {
        self.at = None;
    }
}

impl AlarmReceiver {
    /// Waits until the alarm fires.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            // An error would be the end of the runtime, with which everything ends.
            let _ = ready!(self.0.poll_read_ready(context));
            match self.0.try_read(&mut [0; 8]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn with_alarm<T>(what: impl AsyncFnOnce(Alarm) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async { what(Alarm::new().unwrap()).await })
    }

    #[test]
    fn it_rings_at_the_earliest_moment_that_it_was_set_for_and_never_before() {
        with_alarm(async |mut alarm| {
            let began = Instant::now();
            let (early, late) = (began + Duration::from_millis(20), began + Duration::from_secs(3600));
            for due in [late, early, late] {
                alarm.set(due);
            }
            poll_fn(|context| alarm.receiver.poll(context)).await;
            assert!(Instant::now() >= early);
        });
    }

    #[test]
    fn a_moment_that_has_passed_rings_at_once_and_once() {
        with_alarm(async |mut alarm| {
            for _ in 0..3 {
                alarm.set(Instant::now());
                poll_fn(|context| alarm.receiver.poll(context)).await;
                alarm.has_rung();
                let again = poll_fn(|context| Poll::Ready(alarm.receiver.poll(context).is_ready())).await;
                assert!(!again);
            }
        });
    }
}
