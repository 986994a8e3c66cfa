//! Whom gitlab-runner runs as, and looking at files as that account.

use std::path::Path;

use nix::fcntl::AtFlags;
use nix::unistd::{AccessFlags, Gid, Group, Uid, geteuid};

use super::findings::Findings;
use crate::launch::settings::Downscope;
use crate::policy::Mode;
use crate::settings::Settings;
use crate::sys::accounts::{AccountDb, Nss, PasswdEntry};
use crate::sys::acting::{Credentials, act_as};
use crate::sys::installed::Prize;
use crate::sys::privilege::can_change_user;

/// The account that the stages run as.
#[derive(Debug)]
pub(in crate::admin) struct Runner {
    pub(super) account: PasswdEntry,
    groups: Vec<Gid>,
    /// Named on the command line, and another one than ours.
    pub(super) named: bool,
}

impl Runner {
    /// The named account, or our own.
    pub(in crate::admin) fn find(name: Option<&str>) -> Result<Self, String> {
        let own = geteuid();
        let found = match name {
            None => Nss.by_uid(own),
            Some(name) => Nss.by_name(name),
        };
        let account = found.map_err(|error| error.to_string())?.ok_or_else(|| match name {
            None => format!("uid {own} has no entry in the password database"),
            Some(name) => format!("there is no local account {name:?}"),
        })?;
        let named = account.uid() != own;
        if named && !own.is_root() {
            return Err(format!(
                "only root can look as another account does: run this check as root, not as uid {own}"
            ));
        }
        let groups = Nss.groups(&account).map_err(|error| error.to_string())?;
        Ok(Self { account, groups, named })
    }

    pub(super) fn name(&self) -> &str {
        self.account.name()
    }

    pub(super) fn uid(&self) -> Uid {
        self.account.uid()
    }

    /// Whether the account is in a group.
    pub(super) fn is_in(&self, gid: u32) -> bool {
        self.groups.contains(&Gid::from_raw(gid))
    }

    /// Words about a group that is not the account's alone: its members can execute the capable programs.
    pub(super) fn shared_group(&self) -> Option<String> {
        let group = Group::from_gid(self.account.gid()).ok().flatten()?;
        let name = self.name();
        // Who has it as primary group is not in its list, and a directory service may refuse to list everybody.
        let shared = group.name != name || group.mem.iter().any(|member| member != name);
        shared.then(|| {
            format!(
                "the group {} of {name} may have other members, and whoever is in it can become other accounts; no account of a job may be in it, so give {name} a group of its own: groupadd {name} && usermod -g {name} {name}",
                group.name
            )
        })
    }

    /// Does something as this account, so that the stages' own code sees what it will see there.
    pub(super) fn act<T>(&self, body: impl FnOnce() -> T) -> Result<T, String> {
        if !self.named {
            return Ok(body());
        }
        let credentials = Credentials { uid: self.uid(), gid: self.account.gid(), groups: self.groups.clone() };
        act_as(&credentials, body).map_err(|error| format!("cannot look as {}: {}", self.name(), error.desc()))
    }

    /// Whether this account may.
    pub(super) fn may(&self, path: &Path, access: AccessFlags) -> bool {
        let asked = || nix::unistd::faccessat(nix::fcntl::AT_FDCWD, path, access, AtFlags::AT_EACCESS).is_ok();
        self.act(asked).unwrap_or(false)
    }

    /// By what policy judges accounts for this runner.
    pub(in crate::admin) fn mode(&self, settings: &Settings) -> Mode {
        match settings.jobs.downscope {
            Downscope::None => Mode::OnlySelf(self.uid()),
            Downscope::Setuid if self.can_be_the_runner(settings) => Mode::ChangeUser { own: self.uid() },
            // Somebody who only looks, and may well have jobs.
            Downscope::Setuid => Mode::ChangeUser { own: Uid::from_raw(0) },
        }
    }

    /// Whether what belongs to the runner can be judged from here.
    pub(super) fn can_be_the_runner(&self, settings: &Settings) -> bool {
        self.named || settings.jobs.downscope == Downscope::None || can_change_user()
    }

    /// What whoever can exchange its programs, or its state directory, gets by it.
    pub(super) fn prize(&self, settings: &Settings) -> Prize {
        let one_account = settings.jobs.downscope == Downscope::None && !self.uid().is_root();
        if one_account { Prize::OneAccount } else { Prize::OtherAccounts }
    }

    /// For a directory or file of another account than the one that looks: who, and what to do. Only for what motmot itself
    /// has made is that `chown`: `/home/arthur` in the configuration must not become a command that takes it from him.
    pub(super) fn not_ours(&self, path: &Path, owner: u32, remedy: Remedy<'_>) -> Option<String> {
        if owner == self.uid().as_raw() {
            return None;
        }
        let (path, me) = (path.display(), self.name());
        let name = Nss.by_uid(Uid::from_raw(owner)).ok().flatten();
        let name = name.map_or_else(|| format!("uid {owner}"), |account| account.name().to_owned());
        let remedy = match remedy {
            Remedy::Chown => format!("chown {me} {path}"),
            Remedy::ChownAll(top) => format!("chown -R {me} {}", top.display()),
            Remedy::Elsewhere(words) => words.to_owned(),
        };
        Some(if self.uid().is_root() {
            format!(
                "{path} belongs to {name}, and this check runs as root. If the runner runs as {name}: motmot check --runner-account {name}; if it runs as root: {remedy}"
            )
        } else {
            format!("{path} belongs to {name}, and the runner runs as {me}: {remedy}")
        })
    }
}

/// How what belongs to somebody else is mended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Remedy<'a> {
    /// Made by motmot.
    Chown,
    /// Made by motmot, this one with all that is in it.
    ChownAll(&'a Path),
    /// Anybody's: it stays as it is, and the configuration names something else.
    Elsewhere(&'static str),
}

/// Who becomes whom.
pub(super) fn judge(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let (what, name) = ("accounts", runner.name());
    match settings.jobs.downscope {
        Downscope::None if runner.uid().is_root() => findings.warning(
            what,
            "all jobs run as root (jobs.downscope = \"none\"); set jobs.downscope = \"setuid\", or run the runner as an ordinary account",
        ),
        Downscope::None => {
            findings.ok(what, format!("jobs run as {name} and as nobody else (jobs.downscope = \"none\")"));
        }
        Downscope::Setuid if runner.can_be_the_runner(settings) => {
            findings.ok(what, format!("{name} becomes the accounts of jobs, from uid {} on", settings.accounts.min_uid));
        }
        Downscope::Setuid => findings.problem(
            what,
            format!(
                "{name} cannot become other accounts (jobs.downscope = \"setuid\"), so state directory, log and keys are not looked at; run this check as root, with --runner-account ACCOUNT if the runner does not run as root"
            ),
        ),
    }
}
