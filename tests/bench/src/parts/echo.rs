//! The bare module: the least that a module can be, so that what is measured is not the module.
//! It answers `init` and everything else by the rules, and knows where its host puts an id.

use super::channel;
use crate::Failed;
use crate::frames::{self, PAYLOAD_BYTES};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};

/// `echo` may be sent again after a crash, `hold` may not: its caller gets the error of a crash.
const READY: &str = r#"{"name":"echo","version":"0","protocol":1,"commands":[{"name":"echo","idempotent":true},"pid","hold","mirror"]}"#;

/// How far into a message the command is searched for.
const HEAD_BYTES: usize = 256;

/// `started` is the socket to which the process reports that it runs, if there is one.
pub(super) fn run(started: Option<OsString>) -> Result<(), Failed> {
    channel::end_by_faults()?;
    if let Some(started) = started {
        super::say_started(&started)?;
    }
    let (mut input, mut output) = channel::open()?;
    let data = format!("\"{}\"", "y".repeat(PAYLOAD_BYTES - 2));
    let mut buffer = vec![0; 64 * 1024];
    let mut held = 0;
    let mut out = Vec::new();
    loop {
        if held == buffer.len() {
            buffer.resize(2 * held, 0);
        }
        let count = input.read(&mut buffer[held..])?;
        if count == 0 {
            return Ok(());
        }
        held += count;
        let mut used = 0;
        while let Some((content, bytes)) = frames::first(&buffer[used..held]) {
            answer(&mut out, content, &data)?;
            used += bytes;
        }
        buffer.copy_within(used..held, 0);
        held -= used;
        flush(&mut output, &mut out)?;
    }
}

pub(super) fn answer(out: &mut Vec<u8>, content: &[u8], data: &str) -> Result<(), Failed> {
    // The command is at the beginning; long arguments are not read.
    let head = &content[..content.len().min(HEAD_BYTES)];
    let head = str::from_utf8(head).map_err(|error| format!("expected text, found {error}"))?;
    let (id, rest) = head
        .strip_prefix(r#"{"id":"#)
        .and_then(|rest| rest.split_once(r#","type":""#))
        .ok_or_else(|| format!("expected a request, found {head}"))?;
    let (kind, rest) = rest.split_once('"').ok_or("expected a type")?;
    // A relay passes the name of the module on as well, a host does not.
    let name = rest.split_once(r#""payload":{"name":""#).map_or("", |(_, name)| name);
    let mut say = |status: &str, data: &[u8]| {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        for piece in [r#"{"id":"#, id, r#","status":""#, status, r#"","data":"#] {
            out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(data);
        out.push(b'}');
        let length = u32::try_from(out.len() - at - 4).expect("an answer fits into a frame");
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    };
    match kind {
        "init" => say("success", READY.as_bytes()),
        "command" if name.starts_with("pid\"") => say("success", std::process::id().to_string().as_bytes()),
        "command" if name.starts_with("hold\"") => say("progress", b"null"),
        "command" if name.starts_with("mirror\"") => say("success", arguments(content, head)?),
        "command" => say("success", data.as_bytes()),
        _ => say("success", b"null"),
    }
    Ok(())
}

/// The arguments of a command, from where they begin to the end of the payload. A host may write a member after the
/// payload, which is a number and so has no brace.
fn arguments<'a>(content: &'a [u8], head: &str) -> Result<&'a [u8], Failed> {
    const ARGUMENTS: &str = r#","args":"#;
    let begin = head.find(ARGUMENTS).ok_or("expected arguments")? + ARGUMENTS.len();
    // The brace of the message, and the one of the payload.
    let message = content.iter().rposition(|byte| *byte == b'}').ok_or("expected an object")?;
    let payload = content[..message].iter().rposition(|byte| *byte == b'}').ok_or("expected a payload")?;
    Ok(&content[begin..payload])
}

fn flush(output: &mut File, out: &mut Vec<u8>) -> Result<(), Failed> {
    output.write_all(out)?;
    out.clear();
    Ok(())
}
