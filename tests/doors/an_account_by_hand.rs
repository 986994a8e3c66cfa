use crate::policy::Account;
use crate::sys::accounts::PasswdEntry;
use crate::sys::privilege::Become;

fn made(entry: PasswdEntry, target: Become) -> Account {
    Account { entry, target } //~ E0451
}
