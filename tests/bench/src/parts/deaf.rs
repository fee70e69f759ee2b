//! The module that stops reading: it answers `init` and then reads nothing.

use super::{channel, echo};
use crate::{Failed, frames};
use std::io::{Read, Write};

pub(super) fn run() -> Result<(), Failed> {
    let (mut input, mut output) = channel::open()?;
    let (mut buffer, mut held) = (vec![0; 4096], 0);
    while frames::first(&buffer[..held]).is_none() {
        if held == buffer.len() {
            buffer.resize(2 * held, 0);
        }
        match input.read(&mut buffer[held..])? {
            0 => return Ok(()),
            count => held += count,
        }
    }
    let mut out = Vec::new();
    let (content, _) = frames::first(&buffer[..held]).ok_or("expected a frame")?;
    echo::answer(&mut out, content, "null")?;
    output.write_all(&out)?;
    loop {
        std::thread::park();
    }
}
