//! The four stages of a job, one page each. Read [`run`] first.
//!
//! What they share: `edge` is where they begin and end, `account` says as whom a job runs, `tokens` mints for it, and
//! `scheduled` is a stage whose script runs at a batch scheduler.

mod account;
mod apart;
mod attempt;
pub mod cleanup;
pub mod config;
mod confine;
mod edge;
mod ends;
mod ignored;
pub mod prepare;
pub mod reap;
mod request;
pub mod run;
mod scheduled;
mod sweep;
mod tokens;

pub use edge::{command, main};
