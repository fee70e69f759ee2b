//! The guardian with real processes: the tests play the host over the pair.
//!
//! Every process that a test starts carries a mark in its environment, by which `/proc` is searched
//! for survivors. Tests of trees run in every setting that this machine allows: in both ways of
//! containment, as the user who runs the tests and, if that is root, as an ordinary user too.

mod command_line;
mod crowds;
mod hosts;
mod starts;
mod support;
mod trees;
