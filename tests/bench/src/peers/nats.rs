//! nats-server over TCP on this machine, the only way it has: a request with 128 bytes and its reply, each through the
//! server, so that it is a relay as the host is. The caller and the replier are clients of our own, in two processes,
//! that do no more than our other bare parts do. A request has its own reply subject, as nats' clients do it. Nagle's
//! algorithm is off on both sides.
//!
//! The server does not supervise the replier: a request without a replier, or to one that crashes, is lost.

use super::exchange::{Exchange, TIMEOUT, Wire};
use super::{Process, Route, Setting, bounded_installed};
use crate::frames::PAYLOAD_BYTES;
use crate::{Failed, parts};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The part that replies: its argument is the server's address.
pub const PART: &str = "nats-reply";

/// The greeting of a client, and its request to confirm that.
const HELLO: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\"version\":\"0\",\
    \"protocol\":1}\r\n";

/// A message of the server.
#[derive(Debug, PartialEq, Eq)]
enum Message<'a> {
    /// A client published this.
    Published { reply: &'a str, payload: &'a [u8] },
    /// The server asks whether the client is still there.
    Ping,
    /// The server understood all messages before.
    Pong,
    /// The server's description of itself.
    Info,
}

/// The first message in `bytes` and how many bytes it took, if it is whole.
fn first(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, Failed> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let line = std::str::from_utf8(&bytes[..end])?.trim_end();
    let body = end + 1;
    let mut words = line.split(' ');
    let message = match words.next() {
        Some("MSG") => {
            let (_subject, _number) = (words.next(), words.next());
            let (reply, length) = match (words.next(), words.next()) {
                (Some(reply), Some(length)) => (reply, length),
                (Some(length), None) => ("", length),
                (None, _) => return Err(format!("expected a message, found {line}").into()),
            };
            let length: usize = length.parse()?;
            let Some(payload) = bytes.get(body..body + length + 2) else {
                return Ok(None);
            };
            let message = Message::Published { reply, payload: &payload[..length] };
            return Ok(Some((message, body + length + 2)));
        }
        Some("PING") => Message::Ping,
        Some("PONG") => Message::Pong,
        Some("INFO") => Message::Info,
        _ => return Err(format!("expected a message, found {line}").into()),
    };
    Ok(Some((message, body)))
}

/// A connection with its greeting done, which gets what is published under `subject`.
fn connect(address: &str, subject: &str) -> Result<Wire<TcpStream>, Failed> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut wire = Wire::new(stream);
    wire.out.extend_from_slice(format!("{HELLO}SUB {subject} 1\r\nPING\r\n").as_bytes());
    wire.send()?;
    loop {
        match first(wire.held())? {
            None => wire.fill()?,
            Some((message, used)) => {
                let understood = message == Message::Pong;
                wire.take(used);
                if understood {
                    return Ok(wire);
                }
            }
        }
    }
}

/// Appends a message that is published under `subject`.
fn publish(out: &mut Vec<u8>, subject: &str, reply: &str, payload: &[u8]) {
    let length = payload.len().to_string();
    for piece in ["PUB ", subject, " ", reply, if reply.is_empty() { "" } else { " " }, &length, "\r\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// A server, the replier, and the caller's connection.
#[derive(Debug)]
struct Nats {
    wire: Wire<TcpStream>,
    payload: [u8; PAYLOAD_BYTES],
    next_id: u64,
    _processes: [Process; 2],
}

/// Starts a server on a free port, and the replier.
pub(super) fn start(setting: &Setting) -> Result<Box<dyn Route>, Failed> {
    let folder = setting.path("nats");
    fs::create_dir_all(&folder)?;
    let server = bounded_installed("nats-server")?
        .args(["--addr", "127.0.0.1", "--port", "-1", "--log", "log", "--ports_file_dir"])
        .arg(&folder)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .spawn()?;
    let server = Process(server);
    let address = address(&folder)?;
    let mut replies = parts::part(PART)?.arg(&address).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let said = replies.stdout.take().ok_or("expected a pipe")?;
    let replies = Process(replies);
    if BufReader::new(said).read_line(&mut String::new())? == 0 {
        return Err("who replies did not start".into());
    }
    let wire = connect(&address, "_INBOX.bench.*")?;
    Ok(Box::new(Nats { wire, payload: [b'x'; PAYLOAD_BYTES], next_id: 0, _processes: [replies, server] }))
}

/// The address that a server reports, once it listens.
fn address(folder: &Path) -> Result<String, Failed> {
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "ports") {
                let ports: serde_json::Value = serde_json::from_slice(&fs::read(path)?).unwrap_or_default();
                if let Some(address) = ports["nats"][0].as_str() {
                    return Ok(address.trim_start_matches("nats://").to_owned());
                }
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err("nats-server did not say in time what it listens on".into())
}

impl Exchange for Nats {
    fn push(&mut self) {
        let reply = format!("_INBOX.bench.{}", self.next_id);
        self.next_id += 1;
        publish(&mut self.wire.out, "echo", &reply, &self.payload);
    }

    fn send(&mut self) -> Result<(), Failed> {
        self.wire.send()
    }

    fn answers(&mut self) -> Result<usize, Failed> {
        let mut count = 0;
        loop {
            let Some((message, used)) = first(self.wire.held())? else {
                if count > 0 {
                    return Ok(count);
                }
                self.wire.fill()?;
                continue;
            };
            match message {
                Message::Published { payload, .. } if payload.len() == PAYLOAD_BYTES => count += 1,
                Message::Ping => self.wire.out.extend_from_slice(b"PONG\r\n"),
                Message::Info | Message::Pong => {}
                other @ Message::Published { .. } => return Err(format!("expected a reply, found {other:?}").into()),
            }
            self.wire.take(used);
        }
    }
}

/// Replies to everything until the connection ends, to all that came in one read at once.
pub(crate) fn reply(address: Option<OsString>) -> Result<(), Failed> {
    let address = address.and_then(|word| word.into_string().ok()).ok_or("expected the server's address")?;
    let mut wire = connect(&address, "echo")?;
    writeln!(std::io::stdout(), "ready")?;
    let mut out = Vec::new();
    loop {
        while let Some((message, used)) = first(wire.held())? {
            match message {
                Message::Published { reply, payload } => publish(&mut out, reply, "", payload),
                Message::Ping => out.extend_from_slice(b"PONG\r\n"),
                Message::Info | Message::Pong => {}
            }
            wire.take(used);
        }
        wire.out.append(&mut out);
        wire.send()?;
        wire.fill()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_when_it_is_whole_and_not_before() {
        let whole = b"MSG echo 1 _INBOX.bench.7 5\r\nhello\r\nPING\r\n";
        for cut in 0..whole.len() - 6 {
            assert!(first(&whole[..cut]).unwrap().is_none(), "{cut} bytes");
        }
        let message = Message::Published { reply: "_INBOX.bench.7", payload: b"hello" };
        assert_eq!(first(whole).unwrap(), Some((message, whole.len() - 6)));
        assert_eq!(first(b"PING\r\n").unwrap(), Some((Message::Ping, 6)));
        assert!(first(b"-ERR 'Unknown Protocol Operation'\r\n").is_err());
    }

    #[test]
    fn what_is_published_is_what_the_server_expects() {
        let mut out = Vec::new();
        publish(&mut out, "echo", "_INBOX.bench.7", b"hello");
        publish(&mut out, "_INBOX.bench.7", "", b"hi");
        assert_eq!(out, b"PUB echo _INBOX.bench.7 5\r\nhello\r\nPUB _INBOX.bench.7 2\r\nhi\r\n");
    }
}
