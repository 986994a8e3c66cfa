//! The course without threads: tables of events, and a walk at random.

mod bench;
mod model;
mod table;
mod walk;
