//! `motmot`: the program of administrators.

pub mod approve;
pub mod audit;
pub mod check;
pub mod command_line;
pub mod completions;
pub mod demo;
pub mod jwks;
pub mod keys;
pub mod man;
pub mod reap;
pub mod simulate;
mod terminal;
pub mod verify;
mod wrong_usage;
