//! What a fact of few values may be, as bits: unknown, and two values.

pub const UNKNOWN: u8 = 1;
pub const FIRST: u8 = 2;
pub const SECOND: u8 = 4;
