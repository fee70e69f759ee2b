//! The bound on memory. The bound on time is [`crate::budget`].

use std::fmt;
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// What a table's element costs. References are pointers here; this is an upper bound.
const TABLE_ELEMENT_BYTES: usize = 8;

/// What a module may have where the manifest sets no limit: what one memory can be, and some tables. A module with
/// several memories is refused more, as by the system.
const NATURAL_BYTES_MAX: usize = (4 << 30) + (64 << 20);

/// A limit of the manifest that the module passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// It asked for `wanted` bytes in all and may have `limit`.
    Memory { wanted: usize, limit: usize },
    /// One message took more processor time than this.
    CpuTime { limit: Duration },
}

impl Limit {
    /// The name in the manifest, which is also the error's code.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Limit::Memory { .. } => "memory_limit",
            Limit::CpuTime { .. } => "cpu_time_limit",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Memory { wanted, limit } => {
                write!(f, "the module wanted {wanted} bytes of memory, and its memory_limit is {limit} bytes")
            }
            Limit::CpuTime { limit } => {
                write!(f, "the message took more processor time than its cpu_time_limit of {} ms", limit.as_millis())
            }
        }
    }
}

impl std::error::Error for Limit {}

/// Counts the bytes of all memories and tables together, and stops the module that wants too many.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    limit: Option<usize>,
    used: usize,
    /// What was granted last, in case that the system then refuses it.
    granted: usize,
}

impl MemoryLimit {
    pub(crate) fn new(limit: Option<usize>) -> MemoryLimit {
        MemoryLimit { limit, used: 0, granted: 0 }
    }

    /// A module that is refused memory by the system gets -1 for its growth. One that passes its limit is stopped: the
    /// manifest says what follows, and an error names it.
    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        self.granted = desired.saturating_sub(current);
        let wanted = self.used.saturating_add(self.granted);
        match self.limit {
            Some(limit) if wanted > limit => Err(Limit::Memory { wanted, limit }.into()),
            None if wanted > NATURAL_BYTES_MAX => Ok(false),
            _ => {
                self.used = wanted;
                Ok(true)
            }
        }
    }

    fn take_back(&mut self) {
        self.used -= std::mem::take(&mut self.granted);
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // A growth beyond the module's own maximum is no request for memory.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(current, desired)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(current.saturating_mul(TABLE_ELEMENT_BYTES), desired.saturating_mul(TABLE_ELEMENT_BYTES))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_count_together() {
        let mut limit = MemoryLimit::new(Some(1000));
        assert!(limit.memory_growing(0, 600, None).unwrap());
        assert!(limit.table_growing(0, 50, None).unwrap());
        let error = limit.memory_growing(600, 601, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Limit::Memory { wanted: 1001, limit: 1000 }));
    }

    #[test]
    fn what_the_system_refused_is_not_counted() {
        let mut limit = MemoryLimit::new(Some(1000));
        assert!(limit.memory_growing(0, 900, None).unwrap());
        limit.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(limit.memory_growing(0, 1000, None).unwrap());
    }

    #[test]
    fn what_the_module_itself_rules_out_is_refused_and_passes_no_limit() {
        let mut limit = MemoryLimit::new(Some(1000));
        assert!(!limit.memory_growing(0, 2000, Some(1500)).unwrap());
        assert!(!limit.table_growing(0, 2000, Some(1500)).unwrap());
    }

    #[test]
    fn without_a_limit_one_whole_memory_is_granted_and_a_second_is_not() {
        let mut limit = MemoryLimit::new(None);
        assert!(limit.table_growing(0, 1000, None).unwrap());
        assert!(limit.memory_growing(0, 4 << 30, None).unwrap());
        assert!(!limit.memory_growing(0, 4 << 30, None).unwrap());
        assert!(!limit.table_growing(0, usize::MAX, None).unwrap());
    }

    #[test]
    fn an_error_names_the_limit_and_its_value() {
        assert_eq!(
            Limit::Memory { wanted: 2000, limit: 1000 }.to_string(),
            "the module wanted 2000 bytes of memory, and its memory_limit is 1000 bytes"
        );
        assert_eq!(
            Limit::CpuTime { limit: Duration::from_millis(250) }.to_string(),
            "the message took more processor time than its cpu_time_limit of 250 ms"
        );
    }
}
