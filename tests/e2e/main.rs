//! End-to-end tests: real accounts, the real stage binaries, a real worker, and the emulator of GitLab Runner around them.
//!
//! Tests that need root (to make accounts and to change user) or Slurm are skipped by name when there is none.

#![allow(clippy::print_stderr)] // a test says what it skips and what it leaves

mod attacks;
mod capabilities;
mod check;
mod check_slurm;
mod cluster;
mod cluster_cases;
mod contract;
mod environment;
mod gitlab;
mod identity;
mod leftovers;
mod output;
mod pages;
mod panic;
mod reap;
mod slurm;
mod slurm_attacks;
mod slurm_faults;
mod slurm_modes;
mod tokens;
mod world;
mod wrapper;

use std::collections::BTreeMap;

use libtest_mimic::{Arguments, Trial};

/// One test.
pub struct Case {
    name: &'static str,
    needs: Needs,
    body: fn(),
}

/// What a test needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing special: one user's own runner.
    Nothing,
    /// Root, to make accounts and become them.
    Root,
    /// Root, and Slurm's daemons for a cluster of the test's own.
    Slurm,
    /// That, and a file system that can be told to lag behind.
    SlurmDelayed,
    /// A cluster with a database for its accounting.
    SlurmAccounting,
}

impl Needs {
    /// What of it is not there.
    fn missing(self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self != Self::Nothing && !world::is_root() {
            missing.push("root");
        }
        if matches!(self, Self::Slurm | Self::SlurmDelayed | Self::SlurmAccounting) {
            missing.extend(cluster::missing(&cluster::PROGRAMS));
        }
        if self == Self::SlurmDelayed {
            missing.extend(cluster::Delayed::impossible());
        }
        if self == Self::SlurmAccounting {
            missing.extend(cluster::missing(&cluster::ACCOUNTING_PROGRAMS));
        }
        missing
    }
}

/// A test that anybody can run.
pub const fn case(name: &'static str, body: fn()) -> Case {
    Case { name, needs: Needs::Nothing, body }
}

/// A test that needs root.
pub const fn root(name: &'static str, body: fn()) -> Case {
    Case { name, needs: Needs::Root, body }
}

/// A test that needs a cluster.
pub const fn slurm(name: &'static str, body: fn()) -> Case {
    Case { name, needs: Needs::Slurm, body }
}

/// A test that needs a cluster and a file system that lags behind.
pub const fn slurm_delayed(name: &'static str, body: fn()) -> Case {
    Case { name, needs: Needs::SlurmDelayed, body }
}

/// A test that needs a cluster with accounting.
pub const fn slurm_accounting(name: &'static str, body: fn()) -> Case {
    Case { name, needs: Needs::SlurmAccounting, body }
}

fn main() -> std::process::ExitCode {
    if let Some(code) = panic::when_asked() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Tests wait more than they compute: for a scheduler, for time-outs.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    arguments.test_threads.get_or_insert(3 * cores);
    let groups: &[(&str, &[Case])] = &[
        ("contract", contract::CASES),
        ("identity", identity::CASES),
        ("environment", environment::CASES),
        ("attacks", attacks::CASES),
        ("tokens", tokens::CASES),
        ("output", output::CASES),
        ("leftovers", leftovers::CASES),
        ("capabilities", capabilities::CASES),
        ("check", check::CASES),
        ("check", check_slurm::CASES),
        ("cluster", cluster_cases::CASES),
        ("slurm::stages", slurm::stages::CASES),
        ("slurm::options", slurm::options::CASES),
        ("slurm::ends", slurm::ends::CASES),
        ("slurm::output", slurm::output::CASES),
        ("slurm::secrets", slurm::secrets::CASES),
        ("slurm::tokens", slurm::tokens::CASES),
        ("slurm::queue", slurm::queue::CASES),
        ("slurm_faults", slurm_faults::CONTROLLER),
        ("slurm_faults", slurm_faults::NODES),
        ("slurm_faults", slurm_faults::ENDS),
        ("slurm_faults", slurm_faults::CANCEL),
        ("slurm_faults", slurm_faults::DISK),
        ("panic", panic::CASES),
        ("reap", reap::CASES),
        ("slurm_modes", slurm_modes::CASES),
        ("slurm_attacks", slurm_attacks::CASES),
        ("wrapper", wrapper::CASES),
        ("pages", pages::CASES),
    ];
    let mut trials = Vec::new();
    // Tests that lack the same thing are told together.
    let mut skipped: BTreeMap<(&str, Vec<&str>), Vec<String>> = BTreeMap::new();
    for &(group, cases) in groups {
        for case in cases {
            let name = format!("{group}::{}", case.name);
            let missing = case.needs.missing();
            let skip = !missing.is_empty();
            if skip {
                let what = if case.needs == Needs::Root { "root" } else { "Slurm" };
                skipped.entry((what, missing)).or_default().push(name.clone());
            }
            let body = case.body;
            trials.push(
                Trial::test(name, move || {
                    body();
                    Ok(())
                })
                .with_ignored_flag(skip),
            );
        }
    }
    for ((what, missing), names) in skipped.iter().filter(|_| !arguments.list) {
        eprintln!("{} tests need {what} and are skipped (missing: {}):", names.len(), missing.join(", "));
        for name in names {
            eprintln!("  {name}");
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    cluster::tear_down(conclusion.has_failed());
    world::tear_down();
    conclusion.exit_code()
}
