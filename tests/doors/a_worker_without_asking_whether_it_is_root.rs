//! Whoever makes a `Become` of an entry has to say what happens if it is root's.

use crate::sys::accounts::PasswdEntry;
use crate::sys::privilege::Become;

fn whoever(entry: &PasswdEntry) -> Become {
    Become::account(entry, Vec::new()) //~ E0308
}
