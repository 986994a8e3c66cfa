//! End-to-end tests: real accounts, the real stage binaries, a real worker, and the emulator of GitLab Runner around them.
//!
//! Tests that need root (to make accounts and to change user) are skipped by name when there is none.

#![allow(clippy::print_stderr)] // a test says what it skips and what it leaves

mod attacks;
mod capabilities;
mod check;
mod contract;
mod environment;
mod identity;
mod leftovers;
mod output;
mod pages;
mod panic;
mod tokens;
mod world;

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
}

/// A test that anybody can run.
pub const fn case(name: &'static str, body: fn()) -> Case {
    Case { name, needs: Needs::Nothing, body }
}

/// A test that needs root.
pub const fn root(name: &'static str, body: fn()) -> Case {
    Case { name, needs: Needs::Root, body }
}

fn main() -> std::process::ExitCode {
    if let Some(code) = panic::when_asked() {
        return code;
    }
    let arguments = Arguments::from_args();
    let is_root = world::is_root();
    let groups: [(&str, &[Case]); 11] = [
        ("contract", contract::CASES),
        ("identity", identity::CASES),
        ("environment", environment::CASES),
        ("attacks", attacks::CASES),
        ("tokens", tokens::CASES),
        ("output", output::CASES),
        ("leftovers", leftovers::CASES),
        ("capabilities", capabilities::CASES),
        ("check", check::CASES),
        ("panic", panic::CASES),
        ("pages", pages::CASES),
    ];
    let mut trials = Vec::new();
    let mut skipped = Vec::new();
    for (group, cases) in groups {
        for case in cases {
            let name = format!("{group}::{}", case.name);
            let skip = case.needs == Needs::Root && !is_root;
            if skip {
                skipped.push(name.clone());
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
    if !skipped.is_empty() && !arguments.list {
        eprintln!("{} tests need root and are skipped:", skipped.len());
        for name in &skipped {
            eprintln!("  {name}");
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    world::tear_down();
    conclusion.exit_code()
}
