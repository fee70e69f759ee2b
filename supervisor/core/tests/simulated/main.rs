//! The core under simulated time: scripts, the matrix of endings, random play.

mod line;
mod play;
mod scripts;
mod show;
mod spec;
