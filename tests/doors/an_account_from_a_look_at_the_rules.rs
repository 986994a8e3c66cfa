//! `motmot check` may ask what would come of a name. There is no account in the answer.

use crate::policy::settings::AccountLimits;
use crate::policy::{Account, Mode, forecast};
use crate::sys::accounts::Nss;

fn anybody(limits: &AccountLimits, mode: Mode) -> Option<Account> {
    forecast("anybody", limits, mode, &Nss).ok()?.ok() //~ E0308
}
