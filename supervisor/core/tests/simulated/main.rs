//! The core under simulated time: scripts, the matrix of endings, random play.

mod conflicts;
mod costs;
mod declared;
mod durable;
mod isolation;
mod line;
mod matrix;
mod moves;
mod play;
mod random;
mod scripts;
mod show;
mod spec;
mod store;
mod world;
