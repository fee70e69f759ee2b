//! The answer rules, to come.
