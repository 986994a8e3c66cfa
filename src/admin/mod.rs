//! `motmot`: the program of administrators.

pub mod approve;
pub mod audit;
pub mod check;
pub mod command_line;
pub mod completions;
pub mod demo;
pub mod explain;
pub mod jwks;
pub mod keys;
pub mod man;
pub mod policy;
pub mod reap;
pub mod simulate;
mod terminal;
pub mod verify;
pub mod who_can;
mod wrong_usage;
