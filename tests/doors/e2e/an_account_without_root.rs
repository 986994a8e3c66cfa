//! What makes an account wants to be shown that this can be done.

use crate::world::{TestAccount, cases};

cases!(
    fn an_account_is_made() {
        TestAccount::make((), std::path::Path::new("/"), "user", 1); //~ E0277
    }
);
