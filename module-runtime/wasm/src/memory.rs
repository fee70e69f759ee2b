//! Pointers that come from a module, and the strings and buffers that they point to. No pointer is trusted: only
//! addresses within the memory are read, and of a string at most the length of a frame.

use std::fmt;
use std::ops::Range;

/// Why there is no string at a pointer, or no buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A null pointer where a string must be.
    Null,
    /// The address is not within the memory.
    OutOfBounds { pointer: u32, length: u32, memory: usize },
    /// The memory ends before the string does.
    NoEnd { pointer: u32, memory: usize },
    /// The string is longer than a frame.
    TooLong { most: usize },
    /// The string is no UTF-8.
    NotText { at: usize },
}

impl Fault {
    /// Whether the module passed something that is no string at all. A string that is too long or not UTF-8 is an error
    /// like others; a wild pointer shows that the module's memory is in doubt.
    pub(crate) fn is_wild(&self) -> bool {
        matches!(self, Fault::Null | Fault::OutOfBounds { .. } | Fault::NoEnd { .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Null => write!(f, "a null pointer"),
            Fault::OutOfBounds { pointer, length: 0, memory } => {
                write!(f, "the pointer {pointer:#x}, which is outside of its memory of {memory} bytes")
            }
            Fault::OutOfBounds { pointer, length, memory } => {
                write!(f, "{length} bytes at {pointer:#x}, which are not all within its memory of {memory} bytes")
            }
            Fault::NoEnd { pointer, memory } => {
                write!(f, "a string at {pointer:#x} without a NUL before the end of its memory of {memory} bytes")
            }
            Fault::TooLong { most } => write!(f, "a string that is longer than a frame of {most} bytes"),
            Fault::NotText { at } => write!(f, "a string that is no UTF-8 at byte {at}"),
        }
    }
}

/// The bytes of the string at `pointer`, without its NUL.
pub(crate) fn string(memory: &[u8], pointer: u32, most: usize) -> Result<&[u8], Fault> {
    if pointer == 0 {
        return Err(Fault::Null);
    }
    let rest = memory.get(pointer as usize..).filter(|rest| !rest.is_empty()).ok_or(Fault::OutOfBounds {
        pointer,
        length: 0,
        memory: memory.len(),
    })?;
    let looked_at = &rest[..rest.len().min(most.saturating_add(1))];
    match looked_at.iter().position(|byte| *byte == 0) {
        Some(end) => Ok(&looked_at[..end]),
        None if looked_at.len() < rest.len() => Err(Fault::TooLong { most }),
        None => Err(Fault::NoEnd { pointer, memory: memory.len() }),
    }
}

/// The string at `pointer`.
pub(crate) fn text(memory: &[u8], pointer: u32, most: usize) -> Result<&str, Fault> {
    let bytes = string(memory, pointer, most)?;
    std::str::from_utf8(bytes).map_err(|error| Fault::NotText { at: error.valid_up_to() })
}

/// Where `length` bytes at `pointer` are.
pub(crate) fn range(memory: &[u8], pointer: u32, length: u32) -> Result<Range<usize>, Fault> {
    let start = pointer as usize;
    let end = start + length as usize;
    if end > memory.len() {
        return Err(Fault::OutOfBounds { pointer, length, memory: memory.len() });
    }
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_at_its_nul() {
        assert_eq!(text(b"_hello\0more\0", 1, 100), Ok("hello"));
        assert_eq!(text(b"_\0", 1, 100), Ok(""));
    }

    #[test]
    fn every_wild_pointer_is_distinguished_from_the_others() {
        let memory = b"_abc";
        assert_eq!(string(memory, 0, 9), Err(Fault::Null));
        assert_eq!(string(memory, 1, 9), Err(Fault::NoEnd { pointer: 1, memory: 4 }));
        assert_eq!(string(memory, 4, 9), Err(Fault::OutOfBounds { pointer: 4, length: 0, memory: 4 }));
        assert_eq!(string(memory, u32::MAX, 9), Err(Fault::OutOfBounds { pointer: u32::MAX, length: 0, memory: 4 }));
    }

    #[test]
    fn no_string_is_looked_at_beyond_a_frame() {
        assert_eq!(string(b"_abc\0", 1, 3), Ok(&b"abc"[..]));
        assert_eq!(string(b"_abcd\0", 1, 3), Err(Fault::TooLong { most: 3 }));
    }

    #[test]
    fn text_says_where_it_is_none() {
        assert_eq!(text(b"_ab\xff\0", 1, 9), Err(Fault::NotText { at: 2 }));
    }

    #[test]
    fn a_buffer_is_within_the_memory_or_refused() {
        let memory = [0; 8];
        assert_eq!(range(&memory, 2, 6), Ok(2..8));
        assert_eq!(range(&memory, 8, 0), Ok(8..8));
        assert!(range(&memory, 2, 7).is_err());
        assert!(range(&memory, u32::MAX, u32::MAX).is_err());
    }
}
