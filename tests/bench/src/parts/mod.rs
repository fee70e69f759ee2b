//! The processes of a measurement that are not of the product. They are this same program, started with the name of its
//! part, so that nothing else must be built or found.
//!
//! Each of them ends when its other side is gone, after any end of the measurement.

mod channel;
mod deaf;
mod echo;
mod hub;
mod keeper;
mod relay;

use crate::Failed;
use crate::peers::nats;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::ffi::{OsStr, OsString};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The first argument of a program that runs as a part.
const PLAY: &str = "--play";

/// A bare module: it reads a request's number and name and nothing else, and writes all answers of one read at once.
/// Where it gets a socket, it first reports its process id there.
pub const ECHO: &str = "echo";

/// The relay that waits for both sides.
pub const RELAY_EPOLL: &str = "relay-epoll";

/// The relay that expects request and answer alternately, and makes four system calls for both.
pub const RELAY_BLOCKING: &str = "relay-blocking";

/// The relay of whole frames between many callers and one module that answers in order.
pub const RELAY_OF_MANY: &str = "relay-of-many";

/// The relay that passes bytes on as they come and knows no frames.
pub const COPY: &str = "copy";

/// A module that becomes ready and reads nothing after that.
pub const DEAF: &str = "deaf";

/// A module of the Rust SDK that keeps each event in the data store.
pub const KEEPER: &str = "keeper";

/// A program that ends with a failure as soon as it runs.
pub const FAIL: &str = "fail";

/// A program that reports its process id to the socket that it gets, and then waits to be killed.
pub const MARK: &str = "mark";

/// Runs another program that is killed as soon as this one's parent ends.
pub const RUN: &str = "run";

/// Runs the part that this program was started for, and ends; returns if it was started for none.
pub fn play_if_asked() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|word| word != PLAY) {
        return;
    }
    let part = args.next().and_then(|word| word.into_string().ok()).unwrap_or_default();
    let result = match part.as_str() {
        ECHO => echo::run(args.next()),
        RELAY_EPOLL => relay::epoll(),
        RELAY_BLOCKING => relay::blocking(),
        RELAY_OF_MANY => hub::run(),
        COPY => relay::copy(),
        DEAF => deaf::run(),
        KEEPER => keeper::run(),
        FAIL => Err("this is what it is for".into()),
        MARK => mark(args.next()),
        RUN => run(args.collect()),
        nats::PART => nats::reply(args.next()),
        other => Err(format!("expected the name of a part, found {other:?}").into()),
    };
    if let Err(error) = result {
        eprintln!("{part}: {error}");
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// The command that starts this program in a part.
///
/// # Errors
/// When the program cannot be found any more.
pub fn part(name: &str) -> Result<Command, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([PLAY, name]);
    Ok(command)
}

/// The command line that starts this program in a part.
///
/// # Errors
/// When the program cannot be found any more.
pub fn words(name: &str) -> Result<Vec<String>, Failed> {
    let part = part(name)?;
    Ok([part.get_program()].into_iter().chain(part.get_args()).map(|word| word.display().to_string()).collect())
}

fn run(words: Vec<OsString>) -> Result<(), Failed> {
    set_pdeathsig(Signal::SIGKILL)?;
    let (program, args) = words.split_first().ok_or("expected a program to run")?;
    Err(Command::new(program).args(args).exec().into())
}

/// The least service: it shows that a supervisor has started it again, and ends with that supervisor.
fn mark(socket: Option<OsString>) -> Result<(), Failed> {
    set_pdeathsig(Signal::SIGKILL)?;
    say_started(&socket.ok_or("expected a socket")?)?;
    loop {
        std::thread::park();
    }
}

/// Reports the id of this process.
fn say_started(socket: &OsStr) -> Result<(), Failed> {
    UnixDatagram::unbound()?.send_to(std::process::id().to_string().as_bytes(), socket)?;
    Ok(())
}
