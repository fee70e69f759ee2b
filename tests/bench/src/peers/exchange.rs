//! The caller's side of a protocol whose answers come in the order of the requests, or need not be distinguished: the
//! common part of redis and nats. It sends and counts the way [`Caller`] does.
//!
//! [`Caller`]: crate::caller::Caller

use super::Route;
use crate::Failed;
use crate::figures::Latencies;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// How long any answer may take before the measurement is abandoned.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection, and what has been read from it and not been used.
#[derive(Debug)]
pub(super) struct Wire<Stream> {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// What is to be sent.
    pub(super) out: Vec<u8>,
}

impl<Stream: Read + Write> Wire<Stream> {
    /// A wire over this connection.
    pub(super) fn new(stream: Stream) -> Wire<Stream> {
        Wire { stream, buffer: vec![0; 64 * 1024], start: 0, end: 0, out: Vec::new() }
    }

    /// Sends what waits.
    pub(super) fn send(&mut self) -> Result<(), Failed> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    /// What has come.
    pub(super) fn held(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Drops so much of what has come.
    pub(super) fn take(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Waits until more has come.
    pub(super) fn fill(&mut self) -> Result<(), Failed> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        }
        match self.stream.read(&mut self.buffer[self.end..])? {
            0 => Err("the connection ended before the answer".into()),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }
}

/// One such protocol.
pub(super) trait Exchange {
    /// Queues a request after those that wait to be sent.
    fn push(&mut self);

    /// Sends what waits.
    fn send(&mut self) -> Result<(), Failed>;

    /// Waits for an answer, and takes all that are there; returns how many.
    fn answers(&mut self) -> Result<usize, Failed>;
}

impl<Peer: Exchange> Route for Peer {
    fn alone(&mut self, calls: usize) -> Result<Latencies, Failed> {
        let mut latencies = Latencies::default();
        for _ in 0..calls {
            let began = Instant::now();
            self.push();
            self.send()?;
            let answers = self.answers()?;
            latencies.push(began.elapsed());
            if answers != 1 {
                return Err(format!("expected one answer, found {answers}").into());
            }
        }
        Ok(latencies)
    }

    fn ahead(&mut self, calls: usize, window: usize) -> Result<Duration, Failed> {
        let began = Instant::now();
        let (mut sent, mut answered) = (0, 0);
        while answered < calls {
            while sent < calls && sent - answered < window {
                self.push();
                sent += 1;
            }
            self.send()?;
            answered += self.answers()?;
        }
        Ok(began.elapsed())
    }
}
