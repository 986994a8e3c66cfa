//! What a site does with approvals: judges them, keeps them, takes them back.

use std::fmt::Write;
use std::path::Path;

use jiff::Timestamp;

use super::{NotDone, read, read_text};
use crate::approval::settings::ApprovalSettings;
use crate::approval::{Approval, Signers, Unapproved, judge, load_signers, namespace, signed_by, store};
use crate::config::values::BaseUrl;
use crate::report::printable;
use crate::settings::Settings;
use crate::sys::installed::who_decides;

/// Adds the approvals of a file to the site's, all or, if one of them does not count, none.
pub(super) fn install(file: &Path, config: &Path) -> Result<String, NotDone> {
    let (settings, here) = load(config)?;
    let dir = directory(&settings)?;
    let signers = load_signers(&settings, who_decides()).map_err(NotDone::failed)?;
    let (name, all) = read(file)?;
    let now = Timestamp::now();
    for approval in &all {
        is_of(approval, &here)
            .and_then(|()| counts(approval, &settings.issuer, &signers, now))
            .map_err(|why| NotDone::judged(&name, why))?;
    }
    let mut text = String::new();
    for approval in &all {
        let path = store::install(dir, approval, who_decides(), now).map_err(NotDone::failed)?;
        let subject = approval.statement().subject();
        let (sha, project, account) = (subject.sha(), subject.project_id(), subject.account());
        let _ = writeln!(text, "{}: commit {sha} of project {project} as {account}", path.display());
    }
    Ok(text)
}

/// Says what each is for, and whether it counts.
pub(super) fn verify(
    file: &Path,
    signers: Option<&Path>,
    issuer: Option<&str>,
    config: &Path,
) -> Result<String, NotDone> {
    let (signers, configured, here) = if let Some(path) = signers {
        let text = std::fs::File::open(path).and_then(read_text);
        let text = text.map_err(|error| NotDone::Input(format!("{}: {error}", path.display())))?;
        (Signers::parse(path, text.as_bytes()).map_err(NotDone::failed)?, None, None)
    } else {
        let (settings, here) = load(config)?;
        (load_signers(&settings, who_decides()).map_err(NotDone::failed)?, Some(settings.issuer), Some(here))
    };
    let issuer = issuer.map(str::to_owned).or(configured).unwrap_or_default();
    let (name, all) = read(file)?;
    let mut text = String::new();
    for approval in &all {
        let judged = here.as_ref().map_or(Ok(()), |here| is_of(approval, here));
        let judged = judged.and_then(|()| counts(approval, &issuer, &signers, Timestamp::now()));
        let by = judged.map_err(|why| NotDone::judged(&name, why))?;
        let _ = writeln!(text, "site     {issuer}\n{}\nby       {}", approval.statement(), printable(&by));
    }
    text.push_str("approval verified\n");
    Ok(text)
}

/// All that are kept, with what would be said of them now.
pub(super) fn list(config: &Path) -> Result<String, NotDone> {
    let (settings, _) = load(config)?;
    let signers = load_signers(&settings, who_decides()).map_err(NotDone::failed)?;
    let files = store::list(directory(&settings)?, who_decides()).map_err(NotDone::failed)?;
    let (now, mut text) = (Timestamp::now(), String::new());
    for (name, approvals) in files {
        let _ = writeln!(text, "{name}");
        if approvals.is_empty() {
            text.push_str("  not a file of approvals: it is ignored\n");
        }
        for approval in approvals {
            let subject = approval.statement().subject();
            let until = approval.statement().not_after();
            let by = match counts(&approval, &settings.issuer, &signers, now) {
                Ok(by) => format!("by {}", printable(&by)),
                Err(why) => format!("does not count: {why}"),
            };
            let (account, project, gitlab) = (subject.account(), subject.project_id(), subject.gitlab());
            let _ =
                writeln!(text, "  {} as {account}, project {project} of {gitlab}, until {until}, {by}", subject.sha());
        }
    }
    Ok(text)
}

pub(super) fn revoke(name: &str, config: &Path) -> Result<String, NotDone> {
    let (settings, _) = load(config)?;
    let path = store::revoke(directory(&settings)?, name, who_decides()).map_err(NotDone::failed)?;
    Ok(format!("removed {}; an approval that a job has in a variable counts until it expires\n", path.display()))
}

/// The section, and which GitLabs are the site's.
fn load(config: &Path) -> Result<(ApprovalSettings, Vec<BaseUrl>), NotDone> {
    let settings = Settings::load(config).map_err(|error| NotDone::Failed(error.render()))?;
    let approvals = settings.approvals.ok_or_else(|| {
        NotDone::Failed(format!("{} has no [approvals] section: see motmot-config.toml(5)", config.display()))
    })?;
    Ok((approvals, settings.gitlabs.into_iter().map(|gitlab| gitlab.url).collect()))
}

fn directory(settings: &ApprovalSettings) -> Result<&Path, NotDone> {
    settings
        .dir
        .as_deref()
        .ok_or_else(|| NotDone::Failed("the configuration names no directory of approvals: approvals.dir".to_owned()))
}

fn is_of(approval: &Approval, here: &[BaseUrl]) -> Result<(), Unapproved> {
    if here.iter().any(|url| approval.statement().subject().is_of(url)) { Ok(()) } else { Err(Unapproved::OtherGitLab) }
}

/// By whom an approval is, if it counts for rules that name him.
fn counts(approval: &Approval, issuer: &str, signers: &Signers, now: Timestamp) -> Result<String, Unapproved> {
    let namespace = namespace(issuer);
    let (_, names) = signed_by(approval, &namespace, signers)?;
    if names.is_empty() {
        return Err(Unapproved::UnknownKey);
    }
    let approver = judge(approval, approval.statement().subject(), &namespace, signers, &names, now)?;
    Ok(format!("{} with key {}", names.join(", "), approver.key()))
}
