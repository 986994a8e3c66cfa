//! motmot: a custom executor for GitLab Runner on HPC sites.
//!
//! Every CI job runs as the right local account, and every stage of it has a short-lived token of its own. This library is
//! all of it; the programs in `src/bin` only call it.
//!
//! # Reading order
//!
//! 1. `stage::config`, who a job is and as whom it runs, and `stage::run`, its token and its script: the whole program in two
//!    pages.
//! 2. `evidence`, `identity`, `policy`, `token`, `launch`: the stations that a job passes, in order. Up to the token each has a
//!    type that only the station before it can make, so that none can be skipped: `Payload` → `Identity` → `Account` → `Token`.
//!    What follows (`Order`, `Outcome`) is data, and grants nothing.
//! 3. `session`: what one stage leaves for the next. `runner`: what GitLab Runner expects of all of them.
//! 4. `sys`: the operating system, and the only unsafe code.
//!
//! # Two processes
//!
//! The *stage binary* is privileged. It reads evidence, decides, mints and supervises, and touches no path that a user
//! controls. The *worker* (`worker`) is a program of its own that has become the job's account for good before its first
//! instruction, and does everything that such paths need. With `accounts.pam_session` a third stands between them: the
//! stage's program once more, as root, which keeps the login session and starts the worker in it (`sys::keeper`).
//!
//! # Who imports whom
//!
//! Rooms from the ground up. Each imports those that its line names and no others, and so no arrow points up; a test
//! (`tests/house.rs`) holds this table and the code to each other. No two files import each other either.
//!
//! | room | what is in it | imports |
//! |---|---|---|
//! | `sys` | the operating system | nothing |
//! | `config` | reads TOML with places | nothing |
//! | `report` | who is told what: job log, admin, audit log, exit codes | sys, config |
//! | `runner` | GitLab Runner's contract | sys, report |
//! | `order` | what the two processes say to each other, as data | sys |
//! | `worker` | the account's side of a run | sys, report, runner, order |
//! | `scheduler` | what a batch scheduler is asked, and what its answers mean | sys, config, report, runner |
//! | `evidence` | payload, job API, id token | sys, config, report |
//! | `identity` | who a job is, and how we know | evidence |
//! | `approval` | who has approved a commit | sys, config, report |
//! | `policy` | which account, and which rule says so | sys, config, report, scheduler, evidence, identity, approval |
//! | `token` | claims, signed | config, scheduler, evidence, identity, policy |
//! | `launch` | the privileged side of a run | sys, config, report, runner, order, scheduler, policy, token |
//! | `session` | what earlier stages left for later ones | sys, report, order, scheduler, evidence, identity, policy, launch |
//! | `issuer` | the ring of keys | sys |
//! | `settings` | the driver's file, put together | sys, config, report, scheduler, evidence, approval, policy, token, launch |
//! | `stage` | the four stages, one page each | sys, report, runner, order, scheduler, evidence, identity, approval, policy, token, launch, session, issuer, settings |
//! | `admin` | one file a verb | sys, config, report, scheduler, evidence, approval, policy, token, launch, session, issuer, settings, stage |
//! | `probe` | what our own tests, benchmarks and fuzz targets need from the inside | sys, scheduler, evidence, identity, policy, token, issuer, settings, stage, admin |
//!
//! Two more rooms are crates of their own, since they know nothing of us: `jose` (keys and signatures as the world knows
//! them) and `emulator` (GitLab and its runner for one job).

#[doc(hidden)]
pub mod probe;

pub(crate) mod admin;
pub(crate) mod approval;
pub(crate) mod config;
pub(crate) mod evidence;
pub(crate) mod identity;
pub(crate) mod issuer;
pub(crate) mod launch;
pub(crate) mod order;
pub(crate) mod policy;
pub(crate) mod report;
pub(crate) mod runner;
pub(crate) mod scheduler;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod stage;
pub(crate) mod sys;
pub(crate) mod token;
pub(crate) mod worker;

pub use admin::command_line::man_pages;
pub use admin::man::{DATE as MAN_PAGES_OF, Page};

/// What the programs in `src/bin` call: all that this library is for.
pub mod programs {
    use std::process::ExitCode;

    use crate::{admin, stage, worker};

    /// `motmot`
    pub fn motmot() -> ExitCode {
        admin::command_line::main()
    }

    /// `motmot-config`
    pub fn config() -> ExitCode {
        stage::main("config", stage::config::main)
    }

    /// `motmot-prepare`
    pub fn prepare() -> ExitCode {
        stage::keeper::asked().unwrap_or_else(|| stage::main("prepare", stage::prepare::main))
    }

    /// `motmot-run`
    pub fn run() -> ExitCode {
        stage::keeper::asked().unwrap_or_else(|| stage::main("run", stage::run::main))
    }

    /// `motmot-cleanup`
    pub fn cleanup() -> ExitCode {
        stage::main("cleanup", stage::cleanup::main)
    }

    /// `motmot-worker`
    pub fn worker() -> ExitCode {
        worker::main()
    }
}
