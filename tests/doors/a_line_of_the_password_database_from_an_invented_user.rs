//! A `User` of nix has public fields.

use nix::unistd::User;

use crate::sys::accounts::PasswdEntry;

fn invented(user: User) -> PasswdEntry {
    user.into() //~ E0277
}
