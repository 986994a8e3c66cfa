use nix::unistd::{Gid, Uid};

use crate::sys::accounts::PasswdEntry;

fn invented() -> PasswdEntry {
    PasswdEntry {
        name: "arthur".to_owned(), //~ E0451
        uid: Uid::from_raw(0), //~ E0451
        gid: Gid::from_raw(0), //~ E0451
        home: "/root".into(), //~ E0451
        shell: "/bin/sh".into(), //~ E0451
    }
}
