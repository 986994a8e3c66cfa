//! What is thrown at us, as plain functions of bytes: cargo-fuzz calls them (`tests/fuzz`), and a test does, with what is kept in
//! `tests/fuzz/corpus` and what a few changes make of it. In no program that anybody builds.

pub use crate::admin::audit::fuzz::audit;
pub use crate::evidence::id_token::fuzz::id_token;
pub use crate::evidence::payload::fuzz::payload;
pub use crate::settings::fuzz::rules;

#[cfg(test)]
mod tests;
