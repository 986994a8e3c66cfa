//! stub
use crate::config::{Settings, TokenSettings};
use crate::launch::masking::Secrets;
use crate::launch::supervise::{Fresh, TokenFeed};
use crate::policy::Account;
use crate::report::Failure;
use crate::runner::SubStage;
use crate::session::Session;
use std::time::Duration;
use zeroize::Zeroizing;
pub struct StageTokens;
impl StageTokens {
    pub fn new(
        _: &TokenSettings,
        _: &Settings,
        _: &Session,
        _: &Account,
        _: &SubStage,
        _: Secrets,
    ) -> Result<Self, Failure> {
        Ok(Self)
    }
    pub fn first(&mut self) -> Result<(Zeroizing<Vec<u8>>, Duration), Failure> {
        Ok((Zeroizing::new(b"x".to_vec()), Duration::from_secs(9)))
    }
}
impl TokenFeed for StageTokens {
    fn next(&mut self) -> Fresh {
        Fresh::Later(Duration::from_secs(9))
    }
}
