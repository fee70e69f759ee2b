//! What one look at a link costs the host, counted on the way. Plain messages have a price, since reading the
//! clock would cost a part of what they do; what may take long is measured. When a portion has cost enough,
//! the link's next one has to wait to be served.

use bulkhead_core::{PORTION_NANOS_MAX, is_for_store};
use bulkhead_protocol::{Request, RequestType};
use std::time::Duration;

/// The price of any message: reading it, passing it on, and its part of what is written.
const MESSAGE_NANOS: u64 = 2500;

/// The price of a thousand bytes that are passed on, and of those that the host reads itself.
const PASSED_ON_NANOS_PER_KB: u64 = 60;
const READ_NANOS_PER_KB: u64 = 16_000;

/// The price of a thousand bytes of a long message on its way, which is checked as it comes, and of those of a
/// short message that is none, which is read again to say why.
const ARRIVING_NANOS_PER_KB: u64 = 1000;
const REFUSED_NANOS_PER_KB: u64 = 8000;

/// What it costs to check so many bytes of a long message.
pub(crate) fn arriving_nanos(bytes: usize) -> u64 {
    bytes as u64 * ARRIVING_NANOS_PER_KB / 1000
}

/// What it costs to say why so many bytes are no message.
pub(crate) fn refused_nanos(bytes: usize) -> u64 {
    bytes as u64 * REFUSED_NANOS_PER_KB / 1000
}

/// What the portion in progress has cost so far, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Portion(u64);

impl Portion {
    /// What was read has been decoded.
    pub(crate) fn add_decoding(&mut self, nanos: u64) {
        self.0 += nanos;
    }

    /// A request is handled.
    pub(crate) fn add_request(&mut self, request: &Request) {
        let bytes = request.payload.as_str().len() as u64;
        let is_read = matches!(request.kind, RequestType::Query | RequestType::Mutation) && is_for_store(request);
        let price = if is_read { READ_NANOS_PER_KB } else { PASSED_ON_NANOS_PER_KB };
        self.0 += MESSAGE_NANOS + bytes * price / 1000;
    }

    /// Anything else is handled.
    pub(crate) fn add_message(&mut self) {
        self.0 += MESSAGE_NANOS;
    }

    /// Something took so long, measured.
    pub(crate) fn add(&mut self, took: Duration) {
        self.0 += u64::try_from(took.as_nanos()).unwrap_or(u64::MAX / 2);
    }

    pub(crate) fn is_over(self) -> bool {
        self.0 >= PORTION_NANOS_MAX
    }

    pub(crate) fn nanos(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::Json;

    fn handled(request: &Request) -> usize {
        let mut portion = Portion::default();
        let add = || {
            portion.add_request(request);
            portion.is_over()
        };
        std::iter::repeat_with(add).take_while(|is_over| !is_over).count()
    }

    #[test]
    fn plain_calls_fill_a_read_and_queries_fewer_the_longer_they_are() {
        let call = Request::new(1, RequestType::Command, Json::of(&"x".repeat(400))).to("module");
        assert!(handled(&call) >= 32, "{}", handled(&call));
        let query = |length: usize| Request::new(1, RequestType::Query, Json::of(&"x".repeat(length)));
        assert!(handled(&query(100)) >= 16);
        assert!((1..4).contains(&handled(&query(4000))), "{}", handled(&query(4000)));
        assert!(handled(&query(4000).to("module")) >= 32, "the module reads it");
    }

    #[test]
    fn what_took_long_ends_the_portion() {
        let mut portion = Portion::default();
        portion.add(Duration::from_micros(10));
        assert!(!portion.is_over());
        portion.add(Duration::from_secs(1_000_000_000_000));
        assert!(portion.is_over());
    }
}
