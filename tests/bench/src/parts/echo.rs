//! The bare module: the least that a module can be, so that what is measured is not the module.
//! It answers `init` and everything else by the rules, and knows where its host puts an id.

use super::channel;
use crate::Failed;
use crate::frames::{self, PAYLOAD_BYTES};
use std::fs::File;
use std::io::{Read, Write};

/// `echo` may be sent again after a crash, `hold` may not: it is what a crash is to be told to.
const READY: &str =
    r#"{"name":"echo","version":"0","protocol":1,"commands":[{"name":"echo","idempotent":true},"pid","hold"]}"#;

pub(super) fn run() -> Result<(), Failed> {
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

fn answer(out: &mut Vec<u8>, content: &[u8], data: &str) -> Result<(), Failed> {
    let content = std::str::from_utf8(content)?;
    let (id, rest) = content
        .strip_prefix(r#"{"id":"#)
        .and_then(|rest| rest.split_once(r#","type":""#))
        .ok_or_else(|| format!("expected a request, found {content}"))?;
    let (kind, rest) = rest.split_once('"').ok_or("expected a type")?;
    // A relay passes the name of the module on as well, a host does not.
    let name = rest.split_once(r#""payload":{"name":""#).map_or("", |(_, name)| name);
    let mut say = |status: &str, data: &str| {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        for piece in [r#"{"id":"#, id, r#","status":""#, status, r#"","data":"#, data, "}"] {
            out.extend_from_slice(piece.as_bytes());
        }
        let length = u32::try_from(out.len() - at - 4).expect("an answer is short");
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    };
    match kind {
        "init" => say("success", READY),
        "command" if name.starts_with("pid\"") => say("success", &std::process::id().to_string()),
        "command" if name.starts_with("hold\"") => say("progress", "null"),
        "command" => say("success", data),
        _ => say("success", "null"),
    }
    Ok(())
}

fn flush(output: &mut File, out: &mut Vec<u8>) -> Result<(), Failed> {
    output.write_all(out)?;
    out.clear();
    Ok(())
}
