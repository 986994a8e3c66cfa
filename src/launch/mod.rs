//! From a decision to running processes.
//!
//! A [`plan`] says as plain data what shall happen. [`supervise`] starts a worker as the job's account, hands it the plan
//! and the script through a socket, pumps and masks the output, and sees to it that everything ends. [`worker`] is the
//! other side: the code that runs as that account, and the only code that touches paths the account controls.

pub mod batch;
pub mod error;
pub mod masking;
pub mod orders;
pub mod pump;
pub mod settings;
pub mod supervise;
pub mod workplace;
