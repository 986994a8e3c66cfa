//! Signing keys and what is published of them.
