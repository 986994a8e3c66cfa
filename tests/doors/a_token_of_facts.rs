use jiff::Timestamp;
use jose::SigningKey;

use crate::evidence::JobFacts;
use crate::policy::Account;
use crate::token::{StageContext, Token, TokenError, TokenSettings, mint};

fn minted(
    key: &SigningKey,
    settings: &TokenSettings,
    facts: &JobFacts,
    account: &Account,
    stage: &StageContext,
) -> Result<Token, TokenError> {
    mint(key, settings, facts, account, stage, Timestamp::now()) //~ E0308
}
