//! The emulator against the runner's contract, driven with small recording drivers.
//!
//! The drivers are shell scripts: each call is recorded, then `on.<name>` is run if a test has
//! written one, then the stage's script itself.
#![allow(clippy::unwrap_used, missing_docs)] // a test may panic

mod environment;
mod gitlab;
mod results;
mod run_keyword;
mod scripts;
mod stops;
mod world;
