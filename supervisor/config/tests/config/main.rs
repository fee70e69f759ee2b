//! The configuration, from files to values: what is accepted, what is refused, and the messages.

mod bad_input;
mod embedding;
mod kinds;
mod loading;
mod modules_together;
mod never_panics;
mod programs;
mod sample;
mod showing;
mod support;
mod trust;
