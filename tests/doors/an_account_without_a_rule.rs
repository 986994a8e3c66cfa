use crate::policy::settings::AccountLimits;
use crate::policy::{Account, Mode};
use crate::sys::accounts::Nss;

fn anybody(limits: &AccountLimits, mode: Mode) {
    let _ = Account::admit("anybody", limits, mode, &Nss); //~ E0624
}
