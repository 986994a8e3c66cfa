use jiff::Timestamp;

use crate::identity::Identity;
use crate::token::{SigningKey, StageContext, Token, TokenError, Issuance, mint};

fn minted(
    key: &SigningKey,
    settings: &Issuance,
    identity: &Identity,
    stage: &StageContext,
) -> Result<Token, TokenError> {
    mint(key, settings, identity, "anybody", stage, Timestamp::now()) //~ E0308
}
