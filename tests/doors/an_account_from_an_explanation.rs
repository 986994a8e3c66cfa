//! `motmot explain` passes an invented job through what decides. Nobody becomes anybody by it.

use crate::policy::{Account, Asking, Machine, Mode, Rules, explain};

fn anybody(rules: &Rules<'_>, mode: Mode, asking: Asking<'_>) -> Option<Account> {
    explain(rules, mode, asking, &[], Machine::THIS).verdict.ok() //~ E0308
}
