use jiff::Timestamp;

use crate::evidence::JobFacts;
use crate::policy::Account;
use crate::token::{SigningKey, StageContext, Token, TokenError, TokenSettings, mint};

fn minted(
    key: &SigningKey,
    settings: &TokenSettings,
    facts: &JobFacts,
    account: &Account,
    stage: &StageContext,
) -> Result<Token, TokenError> {
    mint(key, settings, facts, account, stage, Timestamp::now()) //~ E0308
}
