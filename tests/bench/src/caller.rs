//! The caller: it sends prepared frames and counts what comes back. It reads an answer only far enough to see that it
//! is a success, so that only what is between is measured.

use crate::Failed;
use crate::figures::Latencies;
use crate::frames::{self, FIRST_ID, ID_AT, ID_DIGITS};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long any answer may take before the measurement is abandoned.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What an answer has after its number.
const SUCCESS: &[u8] = br#","status":"success""#;
/// The same, as Python writes it.
const SUCCESS_SPACED: &[u8] = br#", "status": "success""#;

/// A connection to a host, a relay or a module.
#[derive(Debug)]
pub struct Caller {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// The part of `buffer` that has been read and not been used.
    start: usize,
    end: usize,
    next_id: u64,
    out: Vec<u8>,
}

impl Caller {
    /// A caller over this connection.
    ///
    /// # Errors
    /// When the kernel refuses the time limit.
    pub fn new(stream: UnixStream) -> Result<Caller, Failed> {
        Caller::with_buffer(stream, 64 * 1024)
    }

    /// A caller with little memory of its own, for many callers.
    ///
    /// # Errors
    /// As [`Caller::new`].
    pub fn small(stream: UnixStream) -> Result<Caller, Failed> {
        Caller::with_buffer(stream, 1024)
    }

    fn with_buffer(stream: UnixStream, bytes: usize) -> Result<Caller, Failed> {
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Caller { stream, buffer: vec![0; bytes], start: 0, end: 0, next_id: FIRST_ID, out: Vec::new() })
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// When the answer is none or no success.
    pub fn call(&mut self, request: &[u8]) -> Result<(), Failed> {
        self.push(request);
        self.send()?;
        success(self.answer()?)
    }

    /// Waits for one more answer.
    ///
    /// # Errors
    /// When there is none, or it is no success.
    pub fn success(&mut self) -> Result<(), Failed> {
        success(self.answer()?)
    }

    /// Sends `calls` requests, each after the answer to the one before.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub fn latencies(&mut self, request: &[u8], calls: usize) -> Result<Latencies, Failed> {
        let mut latencies = Latencies::default();
        for _ in 0..calls {
            let began = Instant::now();
            self.call(request)?;
            latencies.push(began.elapsed());
        }
        Ok(latencies)
    }

    /// Sends `calls` requests with `window` of them in flight at all times; returns how long it took.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub fn calls(&mut self, request: &[u8], calls: usize, window: usize) -> Result<Duration, Failed> {
        self.calls_to(&[request], calls, window)
    }

    /// The same with several requests in alternation.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub fn calls_to<T: AsRef<[u8]>>(
        &mut self,
        requests: &[T],
        calls: usize,
        window: usize,
    ) -> Result<Duration, Failed> {
        let began = Instant::now();
        let (mut sent, mut answered) = (0, 0);
        while answered < calls {
            while sent < calls && sent - answered < window {
                self.push(requests[sent % requests.len()].as_ref());
                sent += 1;
            }
            self.send()?;
            success(self.answer()?)?;
            answered += 1;
            while let Some((content, used)) = frames::first(&self.buffer[self.start..self.end]) {
                success(content)?;
                self.start += used;
                answered += 1;
            }
        }
        Ok(began.elapsed())
    }

    /// Sends a long request, numbered in place, and waits for its answer; returns the answer's length.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub fn call_in_place(&mut self, request: &mut [u8]) -> Result<usize, Failed> {
        number(&mut request[ID_AT..ID_AT + ID_DIGITS], self.next_id);
        self.next_id += 1;
        self.stream.write_all(request)?;
        let answer = self.answer()?;
        success(answer)?;
        Ok(answer.len())
    }

    /// Queues a request after those that wait, under the next number.
    pub fn push(&mut self, request: &[u8]) {
        let at = self.out.len() + ID_AT;
        self.out.extend_from_slice(request);
        number(&mut self.out[at..at + ID_DIGITS], self.next_id);
        self.next_id += 1;
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn send(&mut self) -> Result<(), Failed> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    /// The content of the next answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn answer(&mut self) -> Result<&[u8], Failed> {
        loop {
            let whole = frames::first(&self.buffer[self.start..self.end]).map(|(content, used)| (content.len(), used));
            if let Some((length, used)) = whole {
                let at = self.start + used - length;
                self.start += used;
                return Ok(&self.buffer[at..at + length]);
            }
            if self.start == self.end {
                (self.start, self.end) = (0, 0);
            } else if self.end == self.buffer.len() {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            if self.end == self.buffer.len() {
                self.buffer.resize(2 * self.end, 0);
            }
            match self.stream.read(&mut self.buffer[self.end..])? {
                0 => return Err("the connection ended before the answer".into()),
                count => self.end += count,
            }
        }
    }

    /// The text of the next answer that is not progress.
    ///
    /// # Errors
    /// When there is none.
    pub fn last_answer(&mut self) -> Result<String, Failed> {
        loop {
            let text = String::from_utf8_lossy(self.answer()?).into_owned();
            if !text.contains(r#""status":"progress""#) {
                return Ok(text);
            }
        }
    }
}

/// Writes a number into its digits.
fn number(digits: &mut [u8], mut rest: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Checks that an answer is a success.
fn success(answer: &[u8]) -> Result<(), Failed> {
    // After `{"id":` and the number; Python writes a space after each colon and comma.
    let has = |success: &[u8], from: usize| answer.get(from..from + success.len()) == Some(success);
    if has(SUCCESS, 6 + ID_DIGITS) || has(SUCCESS_SPACED, 7 + ID_DIGITS) {
        return Ok(());
    }
    Err(format!("expected a success, found {}", String::from_utf8_lossy(answer)).into())
}
