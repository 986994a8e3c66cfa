//! What goes wrong at a site: daemons that die, controllers that are away, nodes that are lost, people who cancel, disks
//! that are full, and stages that are killed. Each with the real thing.
//!
//! Two things must never happen whatever goes wrong: a success that was none, and a job that nobody looks after.

mod bench;
mod cancel;
mod controller;
mod disk;
mod ends;
mod nodes;

pub use cancel::CASES as CANCEL;
pub use controller::CASES as CONTROLLER;
pub use disk::CASES as DISK;
pub use ends::CASES as ENDS;
pub use nodes::CASES as NODES;
