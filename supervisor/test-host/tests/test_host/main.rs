//! `bulkhead test-host`: what a test gets over the wire, and that nothing is left of it, however it ends.

mod ends;
mod example;
mod fakes;
mod faults;
mod modules;
mod support;
mod wire;
