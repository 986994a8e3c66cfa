//! The issuer: whose keys sign, and what the world gets to see of them.

pub mod jwks;
pub mod keys;
mod pem;

pub use keys::{KeyError, KeyState};
