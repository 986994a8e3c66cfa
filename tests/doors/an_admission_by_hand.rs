use crate::policy::{Account, Admission, Decision};

fn made(account: Account, decision: Decision) -> Admission {
    Admission {
        account, //~ E0451
        decision, //~ E0451
    }
}
