//! Reads TOML with places: key by key, every problem with its line, all of them at once. No word here about what is
//! configured: each room asks for the keys of its own section, in its `settings.rs`.
//!
//! To add a key, ask for it there: `section.parsed("key", check)`. What nobody asks for is an unknown key, and an error.

pub mod manual;
mod nearest;
mod outline;
mod place;
mod problems;
mod reader;
pub mod values;

pub use nearest::nearest;
pub use place::{Place, Placed, Source};
pub use problems::ConfigError;
pub use reader::{Section, read};

#[cfg(test)]
mod tests;
