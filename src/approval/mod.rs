//! Approved commits: somebody whose key the site knows has signed that this commit may run as this account.
//!
//! GitLab says which commit a job runs. What it cannot do is sign for an approver: whoever has taken it over has no account
//! that only approved commits have, unless for a commit that was approved. The evidence comes by ways that need no trust (a
//! variable of the job), or by a directory of root's; both are judged alike.

mod document;
mod evidence;
pub mod settings;
mod signature;
mod signers;
mod statement;
pub mod store;
mod unapproved;
mod verdict;

pub use document::{Approval, NotApprovals};
pub use evidence::{Answer, ApprovalError, Approvals, Asked, Evidence, NoApprovals, load_signers};
pub use signers::Signers;
pub use statement::{LONGEST, Statement, Subject, namespace};
pub use unapproved::Unapproved;
pub use verdict::{Approver, judge, signed_by};

#[cfg(test)]
mod tests;
