//! motmot: a custom executor for GitLab Runner on HPC sites.
//!
//! Every CI job runs as the right local account, and every stage of it has a short-lived token of its own. This library is
//! all of it; the programs in `src/bin` only call it.
//!
//! # Reading order
//!
//! 1. [`stage::run`]: the whole program in one page.
//! 2. [`evidence`], [`identity`], [`policy`], [`token`], [`launch`]: the stations that a job passes, in order. Each has a
//!    type that only the station before it can make, so that none can be skipped:
//!    `Payload` → `Identity` → `Account` → `Token` → `Order` → `Outcome`.
//! 3. [`session`]: what one stage leaves for the next. [`runner`]: what GitLab Runner expects of all of them.
//! 4. [`sys`]: the operating system, and the only unsafe code.
//!
//! # Two processes
//!
//! The *stage binary* is privileged. It reads evidence, decides, mints and supervises, and touches no path that a user
//! controls. The *worker* ([`launch::worker`]) is a program of its own that has become the job's account for good before
//! its first instruction, and does everything that such paths need.
//!
//! Imports point down: [`sys`] ← [`report`] ← [`config`] ← ([`runner`] ← [`evidence`] ← [`identity`] ← [`policy`] ←
//! [`token`] ← [`launch`]) ← [`session`], [`issuer`] ← [`stage`], [`admin`] ← the programs.

pub mod admin;
#[doc(hidden)]
pub mod bench;
pub mod config;
pub mod evidence;
pub mod identity;
pub mod issuer;
pub mod launch;
pub mod order;
pub mod policy;
pub mod report;
pub mod runner;
pub mod scheduler;
pub mod session;
pub mod settings;
pub mod stage;
pub mod sys;
pub mod token;
pub mod worker;
