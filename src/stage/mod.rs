//! The four stages of a job, one page each. Read [`run`] first.
//!
//! What they share: `edge` is where they begin and end, `account` says as whom a job runs, `tokens` mints for it, and
//! `scheduled` is a stage whose script runs at a batch scheduler, `whose` tells sessions of this configuration from those of
//! others, `lines` refuses a stage in the place of another.

mod account;
mod attempt;
pub mod caller;
pub mod cleanup;
pub mod config;
mod confine;
mod edge;
mod ends;
mod ignored;
pub mod keeper;
mod lines;
pub mod prepare;
pub mod reap;
mod request;
pub mod run;
mod scheduled;
mod still_runs;
mod survivors;
mod sweep;
mod sweeper;
mod tokens;
mod trial;
mod whose;

pub use edge::{command, main};
pub use whose::configuration;
