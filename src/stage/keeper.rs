//! The login session around a worker (`accounts.pam_session`): this program once more, as the process that keeps it open.
//!
//! `motmot-run keep-login CONFIG NAMED SESSION`, started by a prepare or a run stage; see [`crate::sys::keeper`]. It is told neither
//! an account nor a number: it reads both from the session, as a stage does, and has the account admitted once more.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use super::account::{mode, sessions_under};
use super::edge::Arguments;
use crate::launch::workplace::Start;
use crate::policy::{self, Account};
use crate::report::{Failure, tell};
use crate::session::Session;
use crate::settings::Settings;
use crate::sys::accounts::Nss;
use crate::sys::cgroup::JobGroup;
use crate::sys::keeper::Post;
use crate::sys::spawn::WorkerProgram;

/// The word that tells a keeper from a stage. The runner's last arguments are a path and a stage's name.
const WORD: &str = "keep-login";

/// How a worker of this session will start.
pub(super) fn way_in(
    arguments: &Arguments,
    settings: &Settings,
    session: &Session,
    account: &Account,
) -> Result<Start, Failure> {
    if mode(settings)?.login_session(&settings.accounts)?.is_none() {
        return Ok(Start::Directly(account.to_become()));
    }
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| Failure::site(format!("cannot tell where {} is: {error}", path.display())))
    };
    let (config, named) = (absolute(&arguments.config)?, absolute(arguments.named())?);
    let args = vec![WORD.into(), config.into(), named.into(), session.name().into()];
    Ok(Start::InLoginSession { args, pipes_of: account.to_become() })
}

/// The whole of a keeper, if this process is to be one. To be called before there is any thread: modules of PAM run here.
pub fn asked() -> Option<ExitCode> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [word, config, named, session] = args.as_slice() else { return None };
    if word != OsStr::new(WORD) {
        return None;
    }
    let Ok(post) = Post::take() else {
        tell("a login session is opened by motmot's stages; there is no use in that by hand");
        return Some(ExitCode::from(2));
    };
    match admit(Path::new(config), Path::new(named), &session.to_string_lossy()) {
        Ok(Admitted { service, account, program, group }) => {
            post.keep(&service, account.name(), &account.to_become(), &program, group.as_ref());
        }
        Err(failure) => post.give_up(failure.for_admin().to_owned()),
    }
    Some(ExitCode::SUCCESS)
}

/// What a keeper finds out.
struct Admitted {
    service: String,
    account: Account,
    program: WorkerProgram,
    /// As the stage has made it.
    group: Option<JobGroup>,
}

/// What a stage asks for in the same way, moments before.
fn admit(config: &Path, named: &Path, session: &str) -> Result<Admitted, Failure> {
    let settings = Settings::load(config)?;
    let mode = mode(&settings)?;
    let service = mode
        .login_session(&settings.accounts)?
        .ok_or_else(|| Failure::site("accounts.pam_session has been taken away meanwhile"))?;
    let session = sessions_under(&settings, named)?.find(session)?;
    let account = policy::readmit(session.decision(), &settings.accounts, mode, &Nss)?;
    let group = JobGroup::find(session.groups());
    Ok(Admitted { service, account, program: WorkerProgram::beside_this_program()?, group })
}
