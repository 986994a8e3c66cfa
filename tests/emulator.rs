//! The emulator against the runner's contract, driven with small recording drivers.
//!
//! The drivers are shell scripts: each call is recorded, then `on.<name>` is run if a test has
//! written one, then the stage's script itself.
#![allow(clippy::unwrap_used, missing_docs)] // a test may panic

#[path = "emulator/environment.rs"]
mod environment;
#[path = "emulator/gitlab.rs"]
mod gitlab;
#[path = "emulator/results.rs"]
mod results;
#[path = "emulator/scripts.rs"]
mod scripts;
#[path = "emulator/stops.rs"]
mod stops;
#[path = "emulator/world.rs"]
mod world;
