//! Slurm, as jobs with `jobs.executor = "slurm"` need it: programs, configuration, controller, names, file systems.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::AccessFlags;

use super::findings::{Findings, plain, without_number};
use super::jobs::is_executable;
use super::rules::target;
use super::runner::Runner;
use crate::launch::settings::{Downscope, Executor};
use crate::report::printable;
use crate::scheduler::slurm::Slurm;
use crate::scheduler::slurm::SlurmOptions;
use crate::settings::Settings;
use crate::sys::accounts::{AccountDb, Nss};
use crate::sys::call::{Answer, Call};
use crate::sys::files::{Owner, local_file_system, trusted_directory};

const PROGRAMS: [&str; 4] = ["sbatch", "scancel", "scontrol", "squeue"];
/// Says who cancelled a job, where there is accounting. Not needed, but executed.
const ACCOUNTING: &str = "sacct";
/// Before this one sbatch has other options.
const OLDEST: (u32, u32) = (20, 11);
/// Slurm's programs themselves wait longer for a controller that does not answer; somebody is waiting at a terminal.
const LIMIT: Duration = Duration::from_secs(5);
/// A network file system may show a change on another machine so late.
const LATE: i64 = 60;

/// Whether Slurm itself is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Yes,
    No,
}

/// All of it.
pub(super) fn judge(settings: &Settings, runner: &Runner, ask: Ask, findings: &mut Findings) {
    if settings.jobs.executor != Executor::Slurm {
        return;
    }
    state_directory(settings, runner, findings);
    data_directory(settings, runner, findings);
    token_life(settings, findings);
    if !settings.slurm.runs_scripts() {
        findings.warning(
            "slurm.stages",
            "has neither \"build_script\" nor \"step_*\", so the scripts of jobs run on this machine and not in Slurm",
        );
    }
    let good = programs(settings, runner, findings);
    // Not even their version is asked before both are safe: the programs run as whoever runs this check, and load what
    // slurm.conf names.
    if !configuration(settings, runner, findings) || !good {
        return;
    }
    if ask == Ask::No {
        return findings.ok("Slurm", "not asked: --offline");
    }
    let slurm = Slurm::new(&settings.slurm.bin_dir, settings.slurm.conf.as_deref());
    let call = |call: Call| runner.act(|| call.run(LIMIT)).unwrap_or_else(Answer::NotStarted);
    if !version(&call(slurm.call("sbatch", ["--version"])), findings) {
        return;
    }
    let controller = controller(&call(slurm.call("scontrol", ["ping"])));
    let answers = controller.is_ok();
    findings.judged("Slurm controller", controller);
    if answers {
        partitions(
            settings,
            &call(slurm.call("scontrol", ["--local", "--all", "--oneliner", "show", "partition"])),
            findings,
        );
        visibility(settings, runner, &call(slurm.call("scontrol", ["--local", "show", "config"])), findings);
    }
}

/// Sessions say which Slurm jobs there are. Those go on when this machine is booted.
fn state_directory(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let account = &runner.account;
    let dir = settings.jobs.state_dir.expand(&account.home, &account.name, account.uid.as_raw());
    // Where the directory of another account is, that account knows.
    let in_memory = runner.can_be_the_runner(settings) && file_system(&dir) == Some("tmpfs");
    let how = match in_memory {
        true => "is in memory and empty after a boot",
        false if settings.jobs.state_dir.as_str().starts_with("/run/") => "is empty after a boot, as all of /run",
        false => return,
    };
    findings.warning(
        "jobs.state_dir",
        format!(
            "{} {how}; Slurm jobs go on, and nobody would cancel them: remove jobs.state_dir from the configuration, or name a directory on a local disk",
            dir.display()
        ),
    );
}

/// Worker and node meet there.
fn data_directory(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let text = settings.jobs.data_dir.as_str();
    let place = if settings.jobs.downscope == Downscope::None {
        let account = &runner.account;
        settings.jobs.data_dir.expand(&account.home, &account.name, account.uid.as_raw())
    } else if text.starts_with("{home}") {
        // Of whoever a rule names; else where homes are as a rule.
        let named = settings.map.iter().filter_map(target).find_map(|name| Nss.by_name(name).ok().flatten());
        named.map_or_else(|| PathBuf::from("/home"), |account| account.home)
    } else {
        Path::new(text).iter().take_while(|part| !part.to_string_lossy().contains('{')).collect()
    };
    if let Some(kind) = file_system(&place) {
        findings.warning(
            "jobs.data_dir",
            format!(
                "{} seems to be on a disk of this machine ({kind}); with jobs.executor = \"slurm\" every node must see {text} under the same path: put it on a shared file system",
                place.display()
            ),
        );
    }
}

/// The file system of this machine on which a path is, or will be.
fn file_system(path: &Path) -> Option<&'static str> {
    local_file_system(path.ancestors().find(|path| path.exists())?)
}

fn token_life(settings: &Settings, findings: &mut Findings) {
    if let Some(token) = &settings.token
        && token.ttl.as_secs() < 5 * LATE
    {
        findings.warning(
            "token.ttl",
            format!(
                "is short for Slurm: a network file system may show a node its new token {LATE} s late; write 5m or more"
            ),
        );
    }
}

/// The driver executes two of them with all its rights, and jobs' accounts the others.
fn programs(settings: &Settings, runner: &Runner, findings: &mut Findings) -> bool {
    let dir = &settings.slurm.bin_dir;
    let mut good = true;
    let accounting = Some(ACCOUNTING).filter(|name| dir.join(name).exists());
    for name in PROGRAMS.into_iter().chain(accounting) {
        if let Err(words) = program(&dir.join(name), settings, runner) {
            good = false;
            findings.problem(name, words);
        }
    }
    if good {
        findings.ok("Slurm programs", format!("{} in {}", PROGRAMS.join(", "), dir.display()));
    }
    good
}

fn program(path: &Path, settings: &Settings, runner: &Runner) -> Result<(), String> {
    let shown = path.display();
    let meta = fs::metadata(path).map_err(|error| {
        format!("{shown} {}; install Slurm's commands here, or name their directory in slurm.bin_dir", plain(&error))
    })?;
    if !meta.is_file() {
        return Err(format!("{shown} is not a program; name the directory of Slurm's commands in slurm.bin_dir"));
    }
    belongs(path, &meta, settings, runner)?;
    let executable = match settings.jobs.downscope {
        Downscope::Setuid => is_executable(path),
        Downscope::None => runner.may(path, AccessFlags::X_OK),
    };
    if !executable {
        return Err(format!("{shown} is not executable for the accounts of jobs: chmod 0755 {shown}"));
    }
    // By its name and by what that leads to.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    for dir in [path.parent(), real.parent()].into_iter().flatten() {
        runner.act(|| trusted_directory(dir, Owner::RootOrSelf))?.map_err(|error| without_number(&error))?;
    }
    Ok(())
}

/// Nobody but root changes it, or in one user's own runner that user.
fn belongs(path: &Path, meta: &fs::Metadata, settings: &Settings, runner: &Runner) -> Result<(), String> {
    let shown = path.display();
    let own = settings.jobs.downscope == Downscope::None && meta.uid() == runner.uid().as_raw();
    if meta.uid() != 0 && !own {
        return Err(format!(
            "{shown} belongs to uid {}, who can change what the driver executes: chown root {shown}",
            meta.uid()
        ));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(format!("others than its owner can write {shown}: chmod go-w {shown}"));
    }
    Ok(())
}

/// `slurm.conf` names plugins, which Slurm's programs load.
fn configuration(settings: &Settings, runner: &Runner, findings: &mut Findings) -> bool {
    let what = "slurm.conf";
    // Slurm's own default, possibly fetched from the controller.
    let Some(path) = &settings.slurm.conf else { return true };
    let shown = path.display();
    let judged = (|| {
        let meta = fs::metadata(path).map_err(|error| {
            format!(
                "{shown} {}; name Slurm's configuration file, or remove slurm.conf from the configuration",
                plain(&error)
            )
        })?;
        if !meta.is_file() {
            return Err(format!("{shown} is not a file; name Slurm's configuration file"));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(format!(
                "others than its owner can write {shown}, and it names what the driver loads: chmod go-w {shown}"
            ));
        }
        let all = settings.jobs.downscope == Downscope::None || meta.mode() & 0o004 != 0;
        if !all || !runner.may(path, AccessFlags::R_OK) {
            return Err(format!("{shown} cannot be read by those who submit jobs: chmod 0644 {shown}"));
        }
        Ok(meta)
    })();
    match judged {
        Err(words) => {
            findings.problem(what, words);
            false
        }
        // SlurmUser's, at many sites: whoever is that account has root's rights on the nodes already.
        Ok(meta) if meta.uid() != 0 && meta.uid() != runner.uid().as_raw() => {
            findings.warning(
                what,
                format!(
                    "{shown} belongs to uid {}, who decides what the driver's calls of scontrol load: chown root {shown}",
                    meta.uid()
                ),
            );
            true
        }
        Ok(_) => {
            findings.ok(what, shown);
            true
        }
    }
}

/// `slurm 23.02.7`, `slurm-wlm 22.05.8`
fn version(answer: &Answer, findings: &mut Findings) -> bool {
    let what = "Slurm version";
    let Answer::Exited { status: 0, out, .. } = answer else {
        findings.problem(what, format!("sbatch --version does not work: {}", words(answer)));
        return false;
    };
    let text = printable(out.trim());
    let number = text.split_whitespace().last().unwrap_or_default();
    let mut parts = number.split('.').map_while(|part| part.parse().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => findings.ok(what, number),
        (Some(_), Some(_)) => findings.warning(
            what,
            format!("{number} is older than {}.{}, with which motmot is not tried; update Slurm", OLDEST.0, OLDEST.1),
        ),
        _ => findings.warning(what, format!("sbatch --version says {text:?}, which is no version that is known here")),
    }
    true
}

/// Whether a controller answers; if not, whether it is the controller that is at fault.
fn controller(answer: &Answer) -> Result<String, String> {
    let look = "look there with: systemctl status slurmctld";
    match answer {
        Answer::Exited { out, .. } if out.contains(" is UP") => {
            let states: Vec<&str> = out.lines().map(str::trim).filter(|line| line.starts_with("Slurmctld(")).collect();
            Ok(printable(&states.join(", ")))
        }
        Answer::Exited { err, .. } if err.to_ascii_lowercase().contains("munge") => {
            let line = err.lines().find(|line| line.contains("unge encode")).or(err.lines().last()).unwrap_or_default();
            let line = printable(line.trim_start_matches("scontrol: error: "));
            Err(format!("munge does not answer here ({line}): systemctl start munge, then try: munge -n | unmunge"))
        }
        Answer::Exited { out, .. } if out.contains(" is DOWN") => {
            let states: Vec<&str> = out.lines().map(str::trim).filter(|line| line.contains(" is DOWN")).collect();
            let states = printable(&states.join(", "));
            Err(format!(
                "does not answer ({states}); {look}. If it runs there: its port may be closed from here, or munge's key or the clock differs (munge -n | ssh CONTROLLER unmunge)"
            ))
        }
        Answer::Ended(_) => Err(format!("scontrol ping: {}; {look}", words(answer))),
        other => Err(format!("scontrol ping does not work: {}", words(other))),
    }
}

/// Names that nobody knows. A job with one is refused by sbatch, each time.
fn partitions(settings: &Settings, answer: &Answer, findings: &mut Findings) {
    let what = "Slurm partitions";
    let Answer::Exited { status: 0, out, .. } = answer else {
        return findings.warning(what, format!("scontrol show partition does not work: {}", words(answer)));
    };
    // An answer that is too long is cut, and then says nothing about what is missing in it.
    if !out.ends_with('\n') {
        return findings.warning(what, "there are too many to compare their names");
    }
    let known: Vec<&str> =
        out.lines().filter_map(|line| line.strip_prefix("PartitionName=")?.split_whitespace().next()).collect();
    let here = if known.is_empty() { "none".to_owned() } else { printable(&known.join(", ")) };
    let unknown = |options: &SlurmOptions| {
        let names = options.get("partition").unwrap_or_default().split(',').map(str::to_owned).collect::<Vec<_>>();
        names.into_iter().find(|name| !name.is_empty() && !known.contains(&name.as_str()))
    };
    let mut good = true;
    if let Some(name) = unknown(&settings.slurm.defaults) {
        good = false;
        findings.problem(
            "slurm.defaults",
            format!("Slurm has no partition {name:?}, so it refuses jobs that set no other; there are: {here}"),
        );
    }
    for rule in &settings.map {
        if let Some(name) = unknown(&rule.slurm) {
            good = false;
            findings.problem(
                &format!("rule at line {}", rule.line),
                format!("Slurm has no partition {name:?}, so it refuses every job under this rule; there are: {here}"),
            );
        }
    }
    for name in settings.slurm.limits.partitions.iter().flat_map(|limit| &limit.value) {
        if !known.contains(&name.as_str()) {
            good = false;
            findings.warning(
                "slurm.limits.partitions",
                format!("Slurm has no partition {name:?}: a typing error? There are: {here}"),
            );
        }
    }
    if good {
        findings.ok(what, here);
    }
}

/// Whether the driver is told about jobs of other accounts. Without that no job gets a token, and cleanup finds none.
fn visibility(settings: &Settings, runner: &Runner, answer: &Answer, findings: &mut Findings) {
    let Answer::Exited { status: 0, out, .. } = answer else { return };
    let value = |key: &str| {
        let mut pairs = out.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
    };
    let private = value("PrivateData").unwrap_or_default().split(',').any(|part| part == "jobs");
    let slurm_user = value("SlurmUser").and_then(|text| text.split_once('(')?.1.strip_suffix(')')?.parse().ok());
    let uid = runner.uid();
    if private && settings.jobs.downscope == Downscope::Setuid && !uid.is_root() && slurm_user != Some(uid.as_raw()) {
        let name = runner.name();
        findings.warning(
            "Slurm jobs",
            format!(
                "Slurm shows jobs to their owners only (PrivateData has jobs); {name} must be an operator there to see those of other accounts, or no job gets a token and cleanup finds none to cancel: sacctmgr modify user {name} set AdminLevel=Operator"
            ),
        );
    }
}

fn words(answer: &Answer) -> String {
    printable(&without_number(&answer.words()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(status: u8, out: &str, err: &str) -> Answer {
        Answer::Exited { status, out: out.into(), err: err.into() }
    }

    #[test]
    fn a_backup_that_is_down_is_no_problem_while_another_one_answers() {
        let out = "Slurmctld(primary) at a is DOWN\nSlurmctld(backup) at b is UP\n";
        assert_eq!(
            controller(&exited(0, out, "")).as_deref(),
            Ok("Slurmctld(primary) at a is DOWN, Slurmctld(backup) at b is UP")
        );
    }

    #[test]
    fn munge_that_does_not_answer_is_told_from_a_controller_that_does_not() {
        let down = "Slurmctld(primary) at a is DOWN\n*****\n";
        let munge = "scontrol: error: If munged is up, restart with --num-threads=10\nscontrol: error: Munge encode failed: Failed to access \"/run/munge/munge.socket.2\": No such file or directory (Did you start munged?)\nscontrol: error: slurm_send_node_msg: auth_g_create: REQUEST_PING has authentication error\n";
        let said = controller(&exited(1, down, munge)).expect_err("munge");
        assert!(said.starts_with("munge does not answer here (Munge encode failed: Failed to access"), "{said}");
        let said = controller(&exited(1, down, "")).expect_err("down");
        assert!(said.starts_with("does not answer (Slurmctld(primary) at a is DOWN)"), "{said}");
        let said = controller(&Answer::Ended("no answer within 5 s".into())).expect_err("nothing");
        assert!(said.contains("no answer within 5 s") && said.contains("slurmctld"), "{said}");
    }
}
