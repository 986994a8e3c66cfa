//! Slurm, asked for an admin whether jobs can use it: version, controller, names, who is told about whose jobs.

use super::calls::Slurm;
use super::options::SlurmOptions;
use super::partitions;
use super::settings::SlurmSettings;
use crate::report::printable;
use crate::scheduler::batch::{ExaminedSite, Examiner};
use crate::sys::call::Answer;

/// Before this one sbatch has other options.
const OLDEST: (u32, u32) = (20, 11);

/// All of it; nothing more where the first answers say that nobody is there.
pub(super) fn examine(settings: &SlurmSettings, examiner: &mut dyn Examiner, site: &ExaminedSite<'_>) {
    let slurm = Slurm::new(&settings.bin_dir, settings.conf.as_deref());
    let answer = examiner.call(slurm.call("sbatch", ["--version"]));
    if !version(&answer, examiner) {
        return;
    }
    match controller(&examiner.call(slurm.call("scontrol", ["ping"]))) {
        Ok(words) => examiner.ok("Slurm controller", &words),
        Err(words) => return examiner.problem("Slurm controller", &words),
    }
    let answer = examiner.call(slurm.call("scontrol", partitions::QUESTION));
    names_of_partitions(settings, &answer, examiner, site);
    let answer = examiner.call(slurm.call("scontrol", ["--local", "show", "config"]));
    visibility(&answer, examiner, site);
}

/// `slurm 23.02.7`, `slurm-wlm 22.05.8`
fn version(answer: &Answer, examiner: &mut dyn Examiner) -> bool {
    let what = "Slurm version";
    let Answer::Exited { status: 0, out, .. } = answer else {
        examiner.problem(what, &format!("sbatch --version does not work: {}", words(answer)));
        return false;
    };
    let text = printable(out.trim());
    let number = text.split_whitespace().last().unwrap_or_default();
    let mut parts = number.split('.').map_while(|part| part.parse().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => examiner.ok(what, number),
        (Some(_), Some(_)) => examiner.warning(
            what,
            &format!("{number} is older than {}.{}, with which motmot is not tried; update Slurm", OLDEST.0, OLDEST.1),
        ),
        _ => examiner.warning(what, &format!("sbatch --version says {text:?}, which is no version that is known here")),
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
fn names_of_partitions(
    settings: &SlurmSettings,
    answer: &Answer,
    examiner: &mut dyn Examiner,
    site: &ExaminedSite<'_>,
) {
    let what = "Slurm partitions";
    let Answer::Exited { status: 0, out, .. } = answer else {
        return examiner.warning(what, &format!("scontrol show partition does not work: {}", words(answer)));
    };
    // An answer that is too long is cut, and then says nothing about what is missing in it.
    if !out.ends_with('\n') {
        return examiner.warning(what, "there are too many to compare their names");
    }
    let known: Vec<&str> =
        out.lines().filter_map(|line| line.strip_prefix("PartitionName=")?.split_whitespace().next()).collect();
    let here = if known.is_empty() { "none".to_owned() } else { printable(&known.join(", ")) };
    let unknown = |options: &SlurmOptions| {
        let names = options.get("partition").unwrap_or_default().split(',').map(str::to_owned).collect::<Vec<_>>();
        names.into_iter().find(|name| !name.is_empty() && !known.contains(&name.as_str()))
    };
    let mut good = true;
    if let Some(name) = unknown(&settings.defaults) {
        good = false;
        examiner.problem(
            "slurm.defaults",
            &format!("Slurm has no partition {name:?}, so it refuses jobs that set no other; there are: {here}"),
        );
    }
    for (rule, words) in site.rules {
        // Judged when they were read.
        let Ok(fixed) = SlurmOptions::parse_words(words) else { continue };
        if let Some(name) = unknown(&fixed) {
            good = false;
            examiner.problem(
                rule,
                &format!("Slurm has no partition {name:?}, so it refuses every job under this rule; there are: {here}"),
            );
        }
    }
    for name in settings.limits.partitions.iter().flat_map(|limit| &limit.value) {
        if !known.contains(&name.as_str()) {
            good = false;
            examiner.warning(
                "slurm.limits.partitions",
                &format!("Slurm has no partition {name:?}: a typing error? There are: {here}"),
            );
        }
    }
    if good {
        examiner.ok(what, &here);
    }
}

/// Whether the driver is told about jobs of other accounts. Without that no job gets a token, and cleanup finds none.
fn visibility(answer: &Answer, examiner: &mut dyn Examiner, site: &ExaminedSite<'_>) {
    let Answer::Exited { status: 0, out, .. } = answer else { return };
    let value = |key: &str| {
        let mut pairs = out.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
    };
    let private = value("PrivateData").unwrap_or_default().split(',').any(|part| part == "jobs");
    let slurm_user = value("SlurmUser").and_then(|text| text.split_once('(')?.1.strip_suffix(')')?.parse().ok());
    if private
        && let Some((name, uid)) = site.onlooker
        && slurm_user != Some(uid)
    {
        examiner.warning(
            "Slurm jobs",
            &format!(
                "Slurm shows jobs to their owners only (PrivateData has jobs); {name} must be an operator there to see those of other accounts, or no job gets a token and cleanup finds none to cancel: sacctmgr modify user {name} set AdminLevel=Operator"
            ),
        );
    }
}

fn words(answer: &Answer) -> String {
    printable(&answer.words())
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
