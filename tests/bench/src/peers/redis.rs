//! redis-server over a Unix socket: `ECHO` with 128 bytes, which it answers itself in its only thread. The client is
//! our own and does no more than [`Caller`] does. Nothing is written to a disk. There is no relay and no second
//! process: this is a server, not a relay to one.
//!
//! [`Caller`]: crate::caller::Caller

use super::exchange::{Exchange, TIMEOUT, Wire};
use super::{Process, Route, Setting, bounded_installed};
use crate::Failed;
use crate::frames::PAYLOAD_BYTES;
use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A server and a connection to it.
#[derive(Debug)]
struct Redis {
    wire: Wire<UnixStream>,
    request: Vec<u8>,
    answer: Vec<u8>,
    _server: Process,
}

/// Starts a server that keeps nothing.
pub(super) fn start(setting: &Setting) -> Result<Box<dyn Route>, Failed> {
    let folder = setting.path("redis");
    fs::create_dir_all(&folder)?;
    let socket = folder.join("socket");
    let server = bounded_installed("redis-server")?
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"])
        .args(["--dir".as_ref(), folder.as_os_str(), "--unixsocket".as_ref(), socket.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let server = Process(server);
    let deadline = Instant::now() + TIMEOUT;
    let stream = loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    stream.set_read_timeout(Some(TIMEOUT))?;
    let bulk = format!("${PAYLOAD_BYTES}\r\n{}\r\n", "x".repeat(PAYLOAD_BYTES));
    let request = format!("*2\r\n$4\r\nECHO\r\n{bulk}").into_bytes();
    Ok(Box::new(Redis { wire: Wire::new(stream), request, answer: bulk.into_bytes(), _server: server }))
}

impl Exchange for Redis {
    fn push(&mut self) {
        self.wire.out.extend_from_slice(&self.request);
    }

    fn send(&mut self) -> Result<(), Failed> {
        self.wire.send()
    }

    fn answers(&mut self) -> Result<usize, Failed> {
        let mut count = 0;
        loop {
            let held = self.wire.held();
            if held.len() < self.answer.len() {
                if count > 0 {
                    return Ok(count);
                }
                if held.first().is_some_and(|first| *first != b'$') {
                    return Err(format!("expected an echo, found {}", String::from_utf8_lossy(held)).into());
                }
                self.wire.fill()?;
                continue;
            }
            if !held.starts_with(&self.answer) {
                return Err(format!("expected an echo, found {}", String::from_utf8_lossy(held)).into());
            }
            self.wire.take(self.answer.len());
            count += 1;
        }
    }
}
