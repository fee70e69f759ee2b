//! The ends of a program that stays: by itself, because the order is lost, because its host is gone.
//! Each decides which caller gets which error, and returns the exit code of the module.

use super::{Sent, Stream, answer, report_event_failure};
use bulkhead_child::{EXIT_FAILURE, End, Error, Wire, log};
use bulkhead_protocol::{Exit, Json};
use std::ops::ControlFlow::{self, Break};
use std::time::Instant;

/// How many reads may follow the program's end. They take more than a pipe can hold; a process that still writes by
/// then is no part of the program.
const LAST_READS_MAX: usize = 64;

/// What is known of the messages after one that is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// The program has some of their bytes.
    Given,
    /// There are none, or they have not left for the program.
    Untouched,
}

impl Stream {
    /// Answers everything that the program was given with an error, and ends it.
    pub(super) fn order_lost(&mut self, wire: &mut Wire, sentence: String) -> u8 {
        while let Some(sent) = self.sent.pop_front() {
            if self.answer_failed(wire, &sent, Error::failed(sentence.clone())) == Rest::Untouched {
                break;
            }
        }
        self.give_up(wire, &sentence)
    }

    /// Answers a message with an error before the module ends. Where the program has not been given a byte of any
    /// other, the answer says that it is the last one and that nothing else has begun.
    fn answer_failed(&self, wire: &mut Wire, sent: &Sent, error: Error) -> Rest {
        if self.sent.is_empty() || self.input.written() <= sent.end {
            report_event_failure(sent, &error);
            wire.answer_last(sent.id, Err(error));
            Rest::Untouched
        } else {
            answer(wire, sent, Err(error));
            Rest::Given
        }
    }

    pub(super) fn answer_too_long(&mut self, wire: &mut Wire) -> u8 {
        let sentence = format!("the filter's answer is longer than a frame may be, {} bytes", self.frame_bytes_max);
        if let Some(sent) = self.sent.pop_front() {
            self.answer_failed(wire, &sent, Error::frame_too_large(sentence.clone()));
        }
        self.give_up(wire, &sentence)
    }

    /// Lets the answers leave, then ends the program.
    pub(super) fn give_up(&mut self, wire: &mut Wire, sentence: &str) -> u8 {
        log!(error, "{sentence}; it is ended");
        wire.flush();
        self.program.end(&self.children);
        EXIT_FAILURE
    }

    pub(super) fn host_gone(&mut self, end: End) -> u8 {
        self.program.end(&self.children);
        match end {
            End::Closed => 0,
            End::Broken(reason) => {
                log!(error, "{reason}");
                EXIT_FAILURE
            }
        }
    }

    /// Reads the last answers, and reports the messages without one.
    pub(super) fn program_ended(&mut self, wire: &mut Wire, buffer: &mut [u8], exit: &Exit) -> ControlFlow<u8> {
        for _ in 0..LAST_READS_MAX {
            if !self.read_output(wire, buffer)? {
                break;
            }
        }
        let rest = self.output.take_rest();
        // Of a program that failed, a line without an end may be half an answer: `12` might have become `123`.
        if !rest.is_empty() && *exit == Exit::Code(0) {
            self.take_line(wire, &rest)?;
        }
        let how = match self.closing {
            Some((pipe, until)) if until <= Instant::now() => format!("closed its {pipe} and was ended"),
            _ => format!("ended with {exit}"),
        };
        let after = self.answers();
        let missing = format!("the filter {how} before it answered this message, after {after}");
        let code = match self.shutdown {
            Some(id) => {
                for sent in self.sent.drain(..) {
                    answer(wire, &sent, Err(Error::failed(missing.clone())));
                }
                if *exit != Exit::Code(0) {
                    log!(warn, "the filter {how} at the end of its input");
                }
                wire.answer(id, Ok(Json::null()));
                0
            }
            None => {
                if let Some(sent) = self.sent.pop_front() {
                    self.answer_failed(wire, &sent, Error::failed(missing));
                }
                log!(error, "the filter {how} without being asked to, after {after}");
                EXIT_FAILURE
            }
        };
        wire.flush();
        Break(code)
    }

    /// How many there were, in words.
    pub(super) fn answers(&self) -> String {
        match self.answered {
            1 => "1 answer".to_owned(),
            answered => format!("{answered} answers"),
        }
    }
}
