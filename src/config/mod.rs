//! Reads TOML with places: key by key, every problem with its line, all of them at once. No word here about what is
//! configured; each room reads its own section.

pub mod problems;
pub mod reader;
pub mod values;

pub use problems::{ConfigError, line_and_column};
