//! The tokens of one run stage: the first, and those that replace it while the stage runs.

use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::issuer::keys::{KeyError, KeyRing};
use crate::launch::masking::{Secret, Secrets};
use crate::launch::supervise::{Fresh, TokenFeed};
use crate::policy::Account;
use crate::report::events::AuditEvent;
use crate::report::{Failure, FailureKind, Fault, tell};
use crate::runner::SubStage;
use crate::scheduler::Placement;
use crate::session::Session;
use crate::settings::Settings;
use crate::sys::files::Owner;
use crate::token::settings::TokenSettings;
use crate::token::{Issuance, Jitter, StageContext, Token, TokenError, back_off, mint, refresh_delay};

/// How long after its expiry a token is still masked: clocks differ, and so do readers.
const MASKED_AFTER_EXPIRY: i64 = 600;

/// Mints for one sub-stage.
pub struct StageTokens<'a> {
    keys: KeyRing,
    section: &'a TokenSettings,
    settings: Issuance,
    session: &'a Session,
    account: &'a Account,
    context: StageContext,
    secrets: Secrets,
    /// When the token that the job has ends.
    expires_at: Timestamp,
    failures: u32,
}

/// No token for a stage. A job never runs without one where its site asks for it.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    /// No key.
    #[error("no token can be signed: {0}")]
    Key(#[from] KeyError),
    /// Not minted.
    #[error("no token can be made for this stage: {0}")]
    Mint(#[from] TokenError),
}

impl Fault for NoToken {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }

    /// Not that a key lies open, and where: the author has an account on this machine.
    fn for_author(&self) -> String {
        match self {
            Self::Key(_) => "no token can be signed: the signing key of this site cannot be used; `motmot check` tells its administrators why, and so does the audit log, under this job's number".to_owned(),
            Self::Mint(_) => self.for_admin(),
        }
    }
}

impl<'a> StageTokens<'a> {
    /// Loads the key.
    pub fn new(
        section: &'a TokenSettings,
        settings: &Settings,
        session: &'a Session,
        account: &'a Account,
        sub_stage: &SubStage,
        secrets: Secrets,
    ) -> Result<Self, Failure> {
        let now = Timestamp::now().as_second();
        for (signature, until) in session.signatures(now) {
            secrets.add(Secret::signature(&signature), until, now);
        }
        Ok(Self {
            keys: KeyRing::load(&section.keys, Owner::RootOrSelf).map_err(NoToken::from)?,
            section,
            settings: Issuance {
                issuer: section.issuer.as_str().to_owned(),
                audience: section.audience.clone(),
                ttl: section.ttl,
                upstream_iss: settings.gitlab.url.as_str().to_owned(),
            },
            session,
            account,
            context: StageContext {
                executor_stage: sub_stage.as_str().to_owned(),
                site: section.site.clone(),
                cluster: section.cluster.clone(),
                placement: Placement::Shell,
            },
            secrets,
            expires_at: Timestamp::UNIX_EPOCH,
            failures: 0,
        })
    }

    /// The token that the stage starts with, and how long it is until the next.
    pub fn first(&mut self) -> Result<(Zeroizing<Vec<u8>>, Duration), Failure> {
        Ok(self.mint(Timestamp::now()).map_err(NoToken::from)?)
    }

    /// A token, known to the masker before anybody else has it, and in the audit log.
    fn mint(&mut self, now: Timestamp) -> Result<(Zeroizing<Vec<u8>>, Duration), TokenError> {
        let token =
            mint(self.keys.active(), &self.settings, self.session.identity(), self.account, &self.context, now)?;
        let masked_until = token.expires_at().as_second() + MASKED_AFTER_EXPIRY;
        self.secrets.add(Secret::token(token.as_str()), masked_until, now.as_second());
        if let Err(error) = self.session.remember_signature(token.signature(), masked_until) {
            tell(format_args!("warning: a later stage of this job may show a token of this one: {error}"));
        }
        self.expires_at = token.expires_at();
        self.audit(&token);
        let delay = refresh_delay(token.issued_at(), Timestamp::now(), self.settings.ttl, Jitter::random());
        Ok((Zeroizing::new(token.as_str().as_bytes().to_vec()), delay))
    }

    fn audit(&self, token: &Token) {
        let event = AuditEvent::Minted {
            job_id: self.session.facts().job_id(),
            sub_stage: &self.context.executor_stage,
            account: self.account.name(),
            jti: token.jti(),
            kid: token.kid().as_str(),
            sub: token.subject(),
            aud: &self.section.audience,
            exp: token.expires_at().as_second(),
        };
        event.log();
    }
}

impl TokenFeed for StageTokens<'_> {
    fn place(&mut self, placement: Placement) {
        self.context.placement = placement;
    }

    fn hold(&self) -> Fresh {
        let delay = back_off(u32::MAX);
        if Timestamp::now() < self.expires_at { Fresh::Later(delay) } else { Fresh::Expired(delay) }
    }

    /// The key is read anew: it may have been replaced since the stage began.
    fn next(&mut self) -> Fresh {
        let now = Timestamp::now();
        let minted = KeyRing::load(&self.section.keys, Owner::RootOrSelf).map_err(NoToken::from).and_then(|keys| {
            self.keys = keys;
            self.mint(now).map_err(NoToken::from)
        });
        match minted {
            Ok((token, delay)) => {
                self.failures = 0;
                Fresh::Token(token, delay)
            }
            Err(error) => {
                self.failures += 1;
                if self.failures == 1 {
                    tell(format_args!("warning: the token of this stage cannot be renewed now, trying again: {error}"));
                }
                let delay = back_off(self.failures);
                if now < self.expires_at { Fresh::Later(delay) } else { Fresh::Expired(delay) }
            }
        }
    }
}
