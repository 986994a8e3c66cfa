//! The `motmot` program.
