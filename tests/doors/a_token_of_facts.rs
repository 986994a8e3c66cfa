use jiff::Timestamp;

use crate::evidence::JobFacts;
use crate::policy::Account;
use crate::token::{SigningKey, StageContext, Token, TokenError, Issuance, mint};

fn minted(
    key: &SigningKey,
    settings: &Issuance,
    facts: &JobFacts,
    account: &Account,
    stage: &StageContext,
) -> Result<Token, TokenError> {
    mint(key, settings, facts, account, stage, Timestamp::now()) //~ E0308
}
