//! Every limit of a payload to `layer1`, units last.

/// Longest name of an entity type, in bytes.
pub const ENTITY_NAME_BYTES_MAX: usize = 64;

/// Largest JSON object that an entity holds, in bytes, white space not counted: 1 MiB.
pub const ENTITY_BYTES_MAX: usize = 1024 * 1024;

/// How deep lists and objects may be nested in an entity.
pub const DEPTH_MAX: usize = 128;

/// Longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 256;

/// Most steps of a path.
pub const PATH_STEPS_MAX: usize = 32;

/// Longest payload of a query, in bytes: 1 MiB.
pub const QUERY_BYTES_MAX: usize = 1024 * 1024;

/// Most paths that one query filters on.
pub const FILTERS_MAX: usize = 32;

/// Most values in one `in`.
pub const IN_VALUES_MAX: usize = 1000;

/// Longest value that a filter compares with, in bytes: 64 KiB.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Most paths that one query orders by.
pub const ORDER_MAX: usize = 8;

/// Most entities in one answer.
pub const LIMIT_MAX: u32 = 1000;

/// Entities in one answer, unless the query says otherwise.
pub const LIMIT_DEFAULT: u32 = 100;

/// Most includes in one query.
pub const INCLUDES_MAX: usize = 8;

/// Longest text of a search, in bytes.
pub const SEARCH_BYTES_MAX: usize = 1024;

/// Most terms of a search.
pub const SEARCH_TERMS_MAX: usize = 32;

/// Longest cursor, in bytes: it holds the values of the paths that the query orders by.
pub const CURSOR_BYTES_MAX: usize = 128 * 1024;

/// Most operations in one mutation.
pub const OPERATIONS_MAX: usize = 1000;
