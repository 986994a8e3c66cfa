//! What goes wrong at a site: daemons that die, controllers that are away, nodes that are lost, people who cancel, disks
//! that are full, and stages that are killed. Each with the real thing.
//!
//! Two things must never happen whatever goes wrong: a success that was none, and a job that nobody looks after.

mod cancel;
mod controller;
mod disk;
mod ends;
mod nodes;
