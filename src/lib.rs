//! motmot.
pub mod admin;
pub mod evidence;
pub mod issuer;
pub mod sys;
pub mod token;
