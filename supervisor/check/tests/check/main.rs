//! The program as its users have it: with modules that behave, with one that does not, and what it prints.

mod misbehave;
mod output;
mod samples;
mod support;
