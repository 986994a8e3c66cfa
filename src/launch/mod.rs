//! From a decision to running processes.
//!
//! An order (`crate::order`, made in [`orders`]) says as plain data what shall happen. [`supervise`] starts a worker as the
//! job's account, hands it the order and the script through a socket, pumps and masks the output, and sees to it that
//! everything ends. [`batch`] is the same for a script at a batch scheduler. The other side is `crate::worker`: the code that
//! runs as that account, and the only code that touches paths the account controls.

pub mod aftermath;
pub mod batch;
pub mod error;
pub mod limits;
pub mod masking;
pub mod orders;
pub mod pump;
pub mod settings;
pub mod supervise;
pub mod workplace;
