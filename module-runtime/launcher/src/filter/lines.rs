//! Cuts what a program prints into lines, in bounded memory. What a line says is `line.rs`'s business.

/// A stream of bytes as lines.
#[derive(Debug)]
pub(crate) struct Lines {
    line_bytes_max: usize,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    /// A line that was finished from `partial`; kept so that it can be borrowed.
    finished: Vec<u8>,
}

/// A line went on beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Lines {
    /// Lines of at most so many bytes, their ends not counted.
    pub(crate) fn new(line_bytes_max: usize) -> Lines {
        Lines { line_bytes_max, partial: Vec::new(), finished: Vec::new() }
    }

    /// The next whole line without its end; `None` at the end of `input`.
    ///
    /// # Errors
    /// When a line is too long, whether its end has come or not. What follows is not usable then.
    pub(crate) fn next<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Result<Option<&'a [u8]>, TooLong> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let (head, rest) = input.split_at(end.unwrap_or(input.len()));
        if self.partial.len() + head.len() > self.line_bytes_max {
            return Err(TooLong);
        }
        if end.is_none() {
            self.partial.extend_from_slice(head);
            *input = rest;
            return Ok(None);
        }
        *input = &rest[1..];
        if self.partial.is_empty() {
            return Ok(Some(head));
        }
        self.finished = std::mem::take(&mut self.partial);
        self.finished.extend_from_slice(head);
        Ok(Some(&self.finished))
    }

    /// What has come after the last line's end.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(lines: &mut Lines, mut input: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut found = Vec::new();
        while let Some(line) = lines.next(&mut input)? {
            found.push(String::from_utf8(line.to_vec()).unwrap());
        }
        Ok(found)
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_come() {
        let text = b"one\n\ntwo and more\nthree\nrest";
        for size in 1..text.len() {
            let mut lines = Lines::new(100);
            let found: Vec<String> = text.chunks(size).flat_map(|chunk| cut(&mut lines, chunk).unwrap()).collect();
            assert_eq!(found, ["one", "", "two and more", "three"], "{size}");
            assert_eq!(lines.take_rest(), b"rest");
        }
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_and_not_longer() {
        assert_eq!(cut(&mut Lines::new(4), b"1234\n5").unwrap(), ["1234"]);
        assert_eq!(cut(&mut Lines::new(4), b"12345"), Err(TooLong));
        let mut lines = Lines::new(4);
        assert_eq!(cut(&mut lines, b"123").unwrap(), [""; 0]);
        assert_eq!(cut(&mut lines, b"45\n"), Err(TooLong));
        assert!(lines.partial.len() <= 4);
    }
}
