//! Too much and too strange output. In the form over standard input and output, what is printed on
//! standard output goes to standard error, as in every module.

use crate::module::Misbehave;
use bulkhead_module::{Context, Error, Json, arguments, json};
use serde::Deserialize;
use std::io::Write;

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stream {
    Stdout,
    #[default]
    Stderr,
}

impl Stream {
    fn write(self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Stream::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()?;
            }
            Stream::Stderr => std::io::stderr().write_all(bytes)?,
        }
        Ok(())
    }
}

pub(crate) fn print(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        line: String,
        #[serde(default)]
        stream: Stream,
    }
    let Args { line, stream } = arguments(args)?;
    stream.write(format!("{line}\n").as_bytes())?;
    Ok(json!({ "printed": 1 }))
}

pub(crate) fn print_bytes(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        #[serde(default)]
        stream: Stream,
    }
    let Args { stream } = arguments(args)?;
    stream.write(b"no utf-8: \xff\xfe\xc3( and a \x1b[31mcolour\x1b[0m and a \0 byte\n")?;
    Ok(json!({ "printed": 1 }))
}

pub(crate) fn flood(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        #[serde(default)]
        stream: Stream,
        bytes: Option<u64>,
    }
    let Args { stream, bytes } = arguments(args)?;
    let bytes = bytes.unwrap_or(u64::MAX);
    let (mut printed, mut lines) = (0, 0u64);
    while printed < bytes {
        lines += 1;
        let line = format!("line {lines} of a flood that goes on and on and on and on and on and on\n");
        stream.write(line.as_bytes())?;
        printed += line.len() as u64;
    }
    Ok(json!({ "lines": lines, "bytes": printed }))
}

pub(crate) fn long_line(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        #[serde(default)]
        stream: Stream,
        bytes: Option<usize>,
    }
    let Args { stream, bytes } = arguments(args)?;
    let bytes = bytes.unwrap_or(100_000_000);
    let block = [b'x'; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(block.len());
        stream.write(&block[..now])?;
        left -= now;
    }
    Ok(json!({ "bytes": bytes }))
}
