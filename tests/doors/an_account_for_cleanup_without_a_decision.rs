use nix::unistd::Uid;

use crate::policy::{Account, Mode};
use crate::sys::accounts::Nss;

fn anybody(mode: Mode) {
    let _ = Account::admit_for_cleanup("anybody", Uid::from_raw(1000), mode, &Nss); //~ E0624
}
