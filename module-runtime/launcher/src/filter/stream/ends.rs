//! The ends of a program that stays: by itself, because the order is lost, because its host is gone.
//! Each says who is told what, and comes to the exit code of the module.

use super::{Stream, answer};
use bulkhead_child::{End, Error, Wire, log};
use bulkhead_protocol::{Exit, Json};
use std::ops::ControlFlow::{self, Break};
use std::time::Instant;

/// How many reads may follow the program's end. They take more than a pipe can hold; whoever still
/// writes by then is no part of the program.
const LAST_READS_MAX: usize = 64;

/// The exit code where something ended that should not have.
const EXIT_FAILURE: u8 = 1;

impl Stream {
    /// Answers everything in flight with an error, and ends the program.
    pub(super) fn order_lost(&mut self, wire: &mut Wire, sentence: String) -> u8 {
        for sent in self.sent.drain(..) {
            answer(wire, &sent, Err(Error::failed(sentence.clone())));
        }
        self.give_up(wire, &sentence)
    }

    pub(super) fn answer_too_long(&mut self, wire: &mut Wire) -> u8 {
        let sentence = format!("the filter's answer is longer than a frame may be, {} bytes", self.frame_bytes_max);
        if let Some(sent) = self.sent.pop_front() {
            answer(wire, &sent, Err(Error::frame_too_large(sentence.clone())));
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

    /// Takes the last answers, and tells whose answer is missing.
    pub(super) fn program_ended(&mut self, wire: &mut Wire, buffer: &mut [u8], exit: &Exit) -> ControlFlow<u8> {
        for _ in 0..LAST_READS_MAX {
            if !self.read_output(wire, buffer)? {
                break;
            }
        }
        let rest = self.output.take_rest();
        // Of a program that failed, a line without an end may be half an answer: of `12` nobody
        // knows whether it would have been `123`.
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
                    answer(wire, &sent, Err(Error::failed(missing)));
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
