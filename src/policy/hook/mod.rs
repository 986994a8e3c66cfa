//! The validation hook: a program of the site that has a say in who runs as whom.
//!
//! It is asked last, about an account that has passed every limit, and what it can do is refuse, or name another account of the
//! same rule, which then passes them likewise. Whatever goes wrong with it is no permission, and no judgement of the job either.
//!
//! Root reads the program and has its bytes executed, never the path ([`crate::sys::sealed`]); it runs as an account of its own.

mod answer;
mod question;
pub mod settings;

pub use answer::{Answer, Verdict};

use sha2::{Digest as _, Sha256};

use super::account::{Account, HookAccountError, Mode};
use crate::identity::Identity;
use crate::policy::settings::MapRule;
use crate::report::{FailureKind, Fault};
use crate::sys::accounts::AccountDb;
use crate::sys::files::{Owner, Secrecy, Trust, TrustError, read_trusted};
use crate::sys::sealed::Sealed;
use settings::{Digest, Form, HookSettings};

/// No program for this purpose is larger.
const MAX_BYTES: usize = 32 << 20;

/// What a hook is asked.
#[derive(Clone, Copy, Debug)]
pub struct Proposal<'p> {
    /// Whose job it is.
    pub identity: &'p Identity,
    /// The account that the job asks for; then it would have that one.
    pub requested: Option<&'p str>,
    /// The rule that matches it.
    pub rule: &'p MapRule,
    /// The account that it would have.
    pub account: &'p Account,
}

/// Which GitLab the job is of.
#[derive(Clone, Copy, Debug)]
pub struct Site<'s> {
    /// Its name, where there are several.
    pub name: Option<&'s str>,
    /// Its address.
    pub url: &'s str,
}

/// Who is asked.
pub trait Hook {
    /// Answers.
    ///
    /// # Errors
    /// [`HookError`]: nothing follows from it for the job.
    fn ask(&self, proposal: &Proposal<'_>) -> Result<Answer, HookError>;
}

/// The site has none: rules alone decide.
#[derive(Clone, Copy, Debug)]
pub struct NoHook;

impl Hook for NoHook {
    fn ask(&self, _: &Proposal<'_>) -> Result<Answer, HookError> {
        Ok(Answer { verdict: Verdict::Accept, message: None, reason: None })
    }
}

/// Why a hook has not answered.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Somebody else could have written it.
    #[error("the hook cannot be believed: {0}")]
    Untrusted(#[from] TrustError),
    /// It is not the one that was pinned.
    #[error("the hook {path} has the SHA-256 digest {found}, and hook.sha256 is {pinned}; it is not executed")]
    OtherDigest {
        /// The program.
        path: String,
        /// What it has.
        found: Digest,
        /// What it should have.
        pinned: Digest,
    },
    /// It cannot run as its account.
    #[error(transparent)]
    Account(#[from] HookAccountError),
    /// It was not told of the job.
    #[error("the hook cannot be asked: {0}")]
    Untold(String),
    /// The form takes a login name, and of this user only the number is known.
    #[error("hook.form = \"argv\" is for users whose login name is known, and of this one only the number {0} is")]
    NoLogin(u64),
    /// It has crashed, hung, or said something that is no answer.
    #[error("the hook {path} has given no answer: {why}")]
    NoAnswer {
        /// The program.
        path: String,
        /// What it did instead.
        why: String,
    },
}

impl Fault for HookError {
    /// The job may be as good as any other.
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }

    fn for_author(&self) -> String {
        "what this runner's site judges jobs by is not usable; its administrators find the reason in their audit log"
            .to_owned()
    }
}

/// The hook of the configuration.
pub struct Pinned<'s> {
    /// `[hook]`
    pub settings: &'s HookSettings,
    /// Whose files are believed.
    pub owner: Owner,
    /// How this process may choose accounts.
    pub mode: Mode,
    /// Which accounts there are.
    pub accounts: &'s dyn AccountDb,
    /// Which GitLab its jobs are of.
    pub site: Site<'s>,
}

impl Hook for Pinned<'_> {
    fn ask(&self, proposal: &Proposal<'_>) -> Result<Answer, HookError> {
        let given = match self.settings.form {
            Form::Json => question::as_json(self.site, proposal)?,
            Form::Arguments => question::as_arguments(self.site, proposal)?,
        };
        let program = program(self.settings, self.owner)?;
        let target = self.mode.hook_account(&self.settings.account, self.accounts)?;
        let no_answer = |why| HookError::NoAnswer { path: self.settings.program.display().to_string(), why };
        let sealed = Sealed::of(&program)
            .map_err(|error| no_answer(format!("it cannot be put into memory to be executed: {error}")))?;
        let run = sealed.run(given, &target, self.settings.timeout);
        answer::understood(self.settings.form, run).map_err(no_answer)
    }
}

/// The bytes of the program, if they are those that were pinned.
///
/// # Errors
/// [`HookError::Untrusted`] and [`HookError::OtherDigest`].
pub fn program(settings: &HookSettings, owner: Owner) -> Result<Vec<u8>, HookError> {
    let trust = Trust { owner, secrecy: Secrecy::Public };
    let bytes = read_trusted(&settings.program, trust, MAX_BYTES)?;
    // Of what was read, and what was read is what will run.
    let found = Digest(Sha256::digest(&bytes).into());
    if found == settings.sha256 {
        Ok(bytes)
    } else {
        let path = settings.program.display().to_string();
        Err(HookError::OtherDigest { path, found, pinned: settings.sha256 })
    }
}

#[cfg(test)]
mod tests;
