//! The `motmot` program.
pub mod simulate;
