//! What the stages ask first: how this process may choose accounts, where its sessions are, and as whom a job goes on.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::geteuid;

use super::edge::Arguments;
use super::{recorded, whose};
use crate::launch::settings::Downscope;
use crate::policy::{self, Account, Mode};
use crate::report::Failure;
use crate::session::{Session, Sessions};
use crate::settings::Settings;
use crate::sys::accounts::{AccountDb, Nss};
use crate::sys::privilege::can_change_user;

/// How this process may choose accounts, by the configuration and by its own rights.
pub(super) fn mode(settings: &Settings) -> Result<Mode, Failure> {
    match settings.jobs.downscope {
        Downscope::None => Ok(Mode::OnlySelf(geteuid())),
        Downscope::Setuid if can_change_user() => {
            capable_programs_are_closed()?;
            Ok(Mode::ChangeUser { own: geteuid() })
        }
        Downscope::Setuid => Err(Failure::site(
            "this driver is to change user (jobs.downscope = \"setuid\"), but it runs without the right to; start gitlab-runner as root; or give the four stage binaries to root:<group of the runner>, mode 0750, with \
             cap_setuid,cap_setgid,cap_kill; or, for one user's own runner, set jobs.downscope = \"none\"",
        )),
    }
}

/// Whoever may execute a program with capabilities has them.
fn capable_programs_are_closed() -> Result<(), Failure> {
    let own = std::env::current_exe().and_then(|path| Ok((std::fs::metadata(&path)?, path)));
    match own {
        Ok((meta, path)) if !geteuid().is_root() && meta.permissions().mode() & 0o001 != 0 => {
            Err(Failure::site(format!(
                "{} has capabilities, and everybody may execute it; chmod 0750 it, and give it to the group of the runner's account",
                path.display()
            )))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::site(format!("cannot look at this program itself: {error}"))),
    }
}

/// The store of sessions.
pub(super) fn sessions(settings: &Settings, arguments: &Arguments) -> Result<Sessions, Failure> {
    sessions_under(settings, arguments.named())
}

/// The same, of the configuration that people know by this file.
pub(super) fn sessions_under(settings: &Settings, named: &Path) -> Result<Sessions, Failure> {
    let own = Nss.by_uid(geteuid()).map_err(|error| Failure::site(error.to_string()))?;
    let (home, name) = own.map_or_else(
        || ("/nonexistent".into(), "unknown".to_owned()),
        |own| (own.home().to_owned(), own.name().to_owned()),
    );
    let by = whose::configuration(named, settings);
    Ok(Sessions::open(&settings.jobs.state_dir.expand(&home, &name, geteuid().as_raw()), by)?)
}

/// The session of a stage after config, the account that policy still admits for it, and what holds for jobs of its rule.
pub(super) fn resume(settings: Settings, arguments: &Arguments) -> Result<(Settings, Session, Account), Failure> {
    let payload = arguments.payload()?;
    let session = sessions(&settings, arguments)?.resume(arguments.contract.session()?, payload.job_id)?;
    recorded::of_session(&session);
    // It may have been killed before this stage could watch it.
    if session.runner_is_gone() {
        return Err(Failure::noted("the runner of this job is gone; nothing is started for nobody"));
    }
    // Once more: the account may have been closed meanwhile, and a record is no permission.
    let account = policy::readmit(session.decision(), &settings.accounts, mode(&settings)?, &Nss)?;
    let settings = under_its_terms(settings, &session)?;
    Ok((settings, session, account))
}

/// What holds for jobs of the rule that has decided about this one.
pub(super) fn under_its_terms(settings: Settings, session: &Session) -> Result<Settings, Failure> {
    settings.under(session.decision().terms()).map_err(Failure::site)
}
