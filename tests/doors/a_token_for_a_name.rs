use jiff::Timestamp;

use crate::identity::Identity;
use crate::token::{SigningKey, StageContext, Token, TokenError, TokenSettings, mint};

fn minted(
    key: &SigningKey,
    settings: &TokenSettings,
    identity: &Identity,
    stage: &StageContext,
) -> Result<Token, TokenError> {
    mint(key, settings, identity, "anybody", stage, Timestamp::now()) //~ E0308
}
