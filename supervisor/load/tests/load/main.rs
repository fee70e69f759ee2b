//! The programs as their users have them, with a real daemon and real modules.

mod bench;
mod chaos;
mod support;
