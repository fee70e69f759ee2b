//! Bytes that wait for room in a pipe. What they mean is not known here.

use std::io::{self, Write};

/// Bytes that have not left yet.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: Vec<u8>,
    /// How many at the front of `bytes` have left.
    gone: usize,
    /// How many have left since the beginning.
    written: u64,
}

/// A buffer that one long line left is given back to the system above this many bytes.
const KEPT_BYTES_MAX: usize = 128 * 1024;

impl Backlog {
    /// Where the next bytes are appended.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.gone
    }

    /// How many bytes have left since the beginning.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// How many bytes were ever appended.
    pub(crate) fn appended(&self) -> u64 {
        self.written + self.len() as u64
    }

    /// Writes as much as the pipe takes without waiting.
    ///
    /// # Errors
    /// When the reading end is closed.
    pub(crate) fn write_to(&mut self, pipe: &mut impl Write) -> io::Result<()> {
        while !self.is_empty() {
            match pipe.write(&self.bytes[self.gone..]) {
                Ok(count) => {
                    self.gone += count;
                    self.written += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Moved to the front only when that copies little compared with what was written.
        if self.is_empty() || self.gone > self.len() {
            self.bytes.drain(..self.gone);
            self.gone = 0;
            self.bytes.shrink_to(KEPT_BYTES_MAX);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, then would block.
    struct Narrow {
        room: usize,
        taken: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room).min(3);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bytes_leave_in_order_however_little_the_pipe_takes_at_a_time() {
        let mut backlog = Backlog::default();
        let mut pipe = Narrow { room: 0, taken: Vec::new() };
        for step in 0..50u8 {
            backlog.end().extend_from_slice(&[step; 7]);
            pipe.room = usize::from(step % 13);
            backlog.write_to(&mut pipe).unwrap();
            assert_eq!(backlog.written(), pipe.taken.len() as u64);
        }
        pipe.room = usize::MAX;
        backlog.write_to(&mut pipe).unwrap();
        assert!(backlog.is_empty());
        assert_eq!(backlog.appended(), 350);
        assert_eq!(pipe.taken, (0..50u8).flat_map(|step| [step; 7]).collect::<Vec<_>>());
    }
}
