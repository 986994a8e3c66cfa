//! End-to-end tests: real accounts, the real stage binaries, a real worker, and the emulator of GitLab Runner around them.
//!
//! Tests that need root (to make accounts and to change user) or Slurm are skipped by name when there is none. How to add
//! one: `tests/README.md`.

#![allow(clippy::print_stderr)] // a test says what it skips and what it leaves

mod approvals;
mod assertions;
mod attacks;
mod audit;
mod audit_verb;
mod capabilities;
mod check;
mod cluster;
mod conditions;
mod contract;
mod data_dir;
mod environment;
mod examples;
mod explain;
mod harness;
mod hook;
mod id_token;
mod identity;
mod leftovers;
mod limits;
mod lines;
mod linked;
mod login;
mod login_session;
mod output;
mod pages;
mod panic;
mod policy;
mod policy_diff;
mod profile;
mod programs;
mod reap;
mod several_gitlabs;
mod slurm;
mod slurm_attacks;
mod slurm_faults;
mod slurm_modes;
mod stalls;
mod streams;
mod survivors;
mod tokens;
mod two_configurations;
mod undeletable;
mod words;
mod world;
mod wrapper;

fn main() -> std::process::ExitCode {
    panic::when_asked().unwrap_or_else(world::main)
}
