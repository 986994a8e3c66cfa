//! The `motmot` program.
pub mod jwks;
pub mod keys;
mod terminal;
pub mod verify;
