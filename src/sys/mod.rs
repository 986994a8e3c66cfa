//! The operating system: accounts, trusted files, privileges, processes.
//!
//! The only module with unsafe code. Everything above it speaks in its types and cannot forget a step: who spawns a
//! worker gets the drop of privileges, the proof, the closed descriptors and the empty environment in one piece.

pub mod accounts;
pub mod acting;
#[cfg(test)]
pub mod alone;
pub mod apart;
pub mod atomic;
pub mod call;
pub mod cgroup;
pub mod directory;
pub mod exchange;
pub mod file_capabilities;
pub mod file_system;
pub mod files;
pub mod forked;
pub mod installed;
pub mod keeper;
pub mod login;
pub mod looking;
pub mod offspring;
pub mod pam;
pub mod passage;
pub mod pidfd;
pub mod privilege;
pub mod process;
mod readiness;
mod scheduling;
pub mod sealed;
pub mod signals;
pub mod spawn;
pub mod subordinate;
pub mod threads;
