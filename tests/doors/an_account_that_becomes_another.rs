use crate::policy::Account;

fn exchanged(mut account: Account, other: &Account) -> Account {
    account.target = other.to_become(); //~ E0616
    account
}
