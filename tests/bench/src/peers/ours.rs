//! The host, and the bare relays and the bare module that it is compared with: the frames, the caller and the module
//! are the same in all of them.

use super::{Route, Setting};
use crate::caller::Caller;
use crate::figures::Latencies;
use crate::kinds::Started;
use crate::parts::{self, ECHO, RELAY_BLOCKING, RELAY_EPOLL};
use crate::world::{Relay, World};
use crate::{Failed, frames};
use std::time::Duration;

/// Our frames over any owner of a caller.
struct Frames<Holder> {
    holder: Holder,
    caller: fn(&mut Holder) -> &mut Caller,
    request: Vec<u8>,
}

impl<Holder> Route for Frames<Holder> {
    fn alone(&mut self, calls: usize) -> Result<Latencies, Failed> {
        (self.caller)(&mut self.holder).latencies(&self.request, calls)
    }

    fn ahead(&mut self, calls: usize, window: usize) -> Result<Duration, Failed> {
        (self.caller)(&mut self.holder).calls(&self.request, calls, window)
    }
}

fn over<Holder: 'static>(holder: Holder, caller: fn(&mut Holder) -> &mut Caller) -> Box<dyn Route> {
    Box::new(Frames { holder, caller, request: frames::command("echo", "echo") })
}

/// The relay that waits for both sides.
pub(super) fn relay_epoll(_: &Setting) -> Result<Box<dyn Route>, Failed> {
    Ok(over(Relay::start(RELAY_EPOLL, parts::part(ECHO)?)?, |relay| &mut relay.caller))
}

/// The relay that expects request and answer alternately. With more in flight it waits for the wrong side.
pub(super) fn relay_blocking(_: &Setting) -> Result<Box<dyn Route>, Failed> {
    Ok(over(Relay::start(RELAY_BLOCKING, parts::part(ECHO)?)?, |relay| &mut relay.caller))
}

/// The caller talks to the bare module itself, as the callers of most peers do.
pub(super) fn no_relay(_: &Setting) -> Result<Box<dyn Route>, Failed> {
    Ok(over(Started::start(&words(parts::part(ECHO)?))?.0, |started| &mut started.caller))
}

/// The host, with the bare module under its supervision.
pub(super) fn host(setting: &Setting) -> Result<Box<dyn Route>, Failed> {
    let world = World::start(&setting.programs)?;
    let caller = world.caller()?;
    Ok(over((world, caller), |(_, caller)| caller))
}

fn words(command: std::process::Command) -> Vec<String> {
    [command.get_program()].into_iter().chain(command.get_args()).map(|word| word.display().to_string()).collect()
}
