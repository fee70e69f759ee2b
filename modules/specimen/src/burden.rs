//! The commands that take something of the machine: time, memory, chance, the process itself. Each is bounded, so that
//! a test that went wrong cannot exhaust the machine.

use crate::Specimen;
use bulkhead_module::{Context, Error, Json, arguments, json};
use serde::Deserialize;
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

const RANDOM_BYTES_MAX: u64 = 65_536;
const SPIN_MS_MAX: u64 = 60_000;
const GROW_BYTES_MAX: u64 = 2 << 30;

pub(crate) fn crash(_: &mut Specimen, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    std::process::abort()
}

pub(crate) fn panic(_: &mut Specimen, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    panic!("the specimen panicked on request")
}

pub(crate) fn time(_: &mut Specimen, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.map_err(|_| Error::failed("the clock says that it is before 1970"))?;
    Ok(json!({ "unix_ms": since.as_millis() as u64 }))
}

/// A number of bytes.
#[derive(Deserialize)]
struct Bytes {
    bytes: u64,
}

impl Bytes {
    fn at_most(self, most: u64) -> Result<usize, Error> {
        match usize::try_from(self.bytes) {
            Ok(bytes) if self.bytes <= most => Ok(bytes),
            _ => Err(Error::bad_request(format!("expected at most {most} bytes, found {}", self.bytes))),
        }
    }
}

/// The keys of the standard library's hash tables come from the system's source of chance, in every
/// form of the module, without a dependency or a file.
pub(crate) fn random(_: &mut Specimen, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let bytes = arguments::<Bytes>(args)?.at_most(RANDOM_BYTES_MAX)?;
    let mut hex = String::with_capacity(bytes * 2 + 16);
    while hex.len() < bytes * 2 {
        write!(hex, "{:016x}", RandomState::new().hash_one(hex.len())).expect("a string takes all text");
    }
    hex.truncate(bytes * 2);
    Ok(json!({ "hex": hex }))
}

pub(crate) fn spin(_: &mut Specimen, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Spin {
        ms: u64,
    }
    let Spin { ms } = arguments(args)?;
    if ms > SPIN_MS_MAX {
        return Err(Error::bad_request(format!("expected at most {SPIN_MS_MAX} ms, found {ms}")));
    }
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end {
        black_box((0..10_000u32).fold(0, u32::wrapping_add));
    }
    Ok(json!({ "spun": ms }))
}

pub(crate) fn grow(_: &mut Specimen, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let bytes = arguments::<Bytes>(args)?.at_most(GROW_BYTES_MAX)?;
    // Ones and not zeros: the system gives pages of zeros without having any.
    let memory = black_box(vec![1u8; bytes]);
    Ok(json!({ "bytes": memory.len() }))
}
