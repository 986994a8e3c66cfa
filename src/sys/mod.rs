//! What the operating system is asked to do.

pub mod files;
