//! `motmot check`: what a job would stumble over, before one does.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use nix::unistd::geteuid;

use crate::config::{Downscope, Settings};
use crate::issuer::keys::KeyRing;
use crate::session::Sessions;
use crate::sys::accounts::{AccountDb, Nss};
use crate::sys::files::Owner;
use crate::sys::privilege::can_change_user;
use crate::sys::spawn::WorkerProgram;

/// Looks at everything with the very code that the stages use. Exit code 0 if all is well, else 1.
pub fn main(config: &Path) -> ExitCode {
    let mut good = true;
    let mut out = std::io::stdout().lock();
    let mut say = |what: &str, result: Result<String, String>| {
        good &= result.is_ok();
        // A closed terminal is no reason to stop looking.
        let _ = match result {
            Ok(words) => writeln!(out, "ok       {what}: {words}"),
            Err(words) => writeln!(out, "PROBLEM  {what}: {words}"),
        };
    };
    match Settings::load(config) {
        Err(error) => say("configuration", Err(format!("\n{}", error.render()))),
        Ok(settings) => {
            let rules = settings.map.len();
            if rules == 0 {
                say("configuration", Err(format!("{} has no [[map]] rule, so every job is refused", config.display())));
            } else {
                say("configuration", Ok(format!("{} ({rules} rules)", config.display())));
            }
            say("GitLab", Ok(settings.gitlab.url.as_str().to_owned()));
            say("accounts", account_words(&settings));
            say("state directory", state_words(&settings));
            say(
                "worker",
                WorkerProgram::beside_this_program()
                    .map(|_| "motmot-worker is beside this program".into())
                    .map_err(|error| error.to_string()),
            );
            say("shell", shell_words(&settings));
            match &settings.token {
                None => say("tokens", Ok("none: the configuration has no [token] section".into())),
                Some(token) => say(
                    "tokens",
                    KeyRing::load(&token.keys, Owner::RootOrSelf)
                        .map(|ring| format!("{} signs for {}", ring.active().kid().as_str(), token.issuer.as_str()))
                        .map_err(|error| error.to_string()),
                ),
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn account_words(settings: &Settings) -> Result<String, String> {
    let own = geteuid();
    let name = Nss.by_uid(own).map_err(|error| error.to_string())?.map_or_else(|| own.to_string(), |own| own.name);
    match settings.jobs.downscope {
        Downscope::None => Ok(format!("jobs run as {name} and as nobody else (jobs.downscope = \"none\")")),
        Downscope::Setuid if can_change_user() => {
            Ok(format!("{name} can become the accounts of jobs, from uid {} on", settings.accounts.min_uid))
        }
        Downscope::Setuid => Err(format!(
            "{name} cannot become other accounts (jobs.downscope = \"setuid\"); run this check as root, or as the runner's account if the stage binaries have capabilities"
        )),
    }
}

fn state_words(settings: &Settings) -> Result<String, String> {
    let own = Nss
        .by_uid(geteuid())
        .map_err(|error| error.to_string())?
        .ok_or("this account has no entry in the password database")?;
    let dir = settings.jobs.state_dir.expand(&own.home, &own.name, own.uid.as_raw());
    Sessions::open(&dir).map(|_| dir.display().to_string()).map_err(|error| error.to_string())
}

fn shell_words(settings: &Settings) -> Result<String, String> {
    let path = &settings.jobs.shell_path;
    match nix::unistd::access(path, nix::unistd::AccessFlags::X_OK) {
        Ok(()) => Ok(path.display().to_string()),
        Err(error) => Err(format!("{} (jobs.shell_path): {error}", path.display())),
    }
}
