//! Whether limits hold for jobs, and whether the unit of gitlab-runner leaves them to us.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use nix::unistd::AccessFlags;

use super::findings::Findings;
use super::runner::Runner;
use crate::launch::limits::JobLimits;
use crate::launch::settings::{Downscope, JobSettings};
use crate::sys::call::{Answer, Call};
use crate::sys::cgroup::{Groups, Resource, Version};
use crate::sys::process;

/// Asks systemd.
const SYSTEMCTL: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const PROPERTIES: &str = "--property=Delegate,OOMPolicy,KillMode,TasksMax";
/// Where the remedy is.
const DROP_IN: &str =
    "packaging/systemd/gitlab-runner.service.d/motmot.conf, explained in packaging/doc/operations.md, has it";

/// All of it.
pub(super) fn judge(jobs: &JobSettings, runner: &Runner, findings: &mut Findings) {
    if jobs.downscope == Downscope::None {
        return;
    }
    let running = process::find("gitlab-runner", runner.uid());
    let groups = running.map_or_else(Groups::of_this_process, Groups::of_process);
    for (resource, key, most) in jobs.limits.all() {
        let insists = jobs.limits.insists_on(resource);
        match (holds(&groups, resource, runner), running) {
            (Ok(place), Some(_)) => findings.ok(key, format!("{most} holds for each job ({place})")),
            (Ok(place), None) => {
                findings.ok(key, format!("{most}, by what this shell is in ({place}); gitlab-runner does not run now"));
            }
            (Err(why), None) => findings.warning(
                key,
                format!("{most} does not hold for what is started from this shell: {why}. Check again while gitlab-runner runs, which is in another control group"),
            ),
            (Err(why), Some(_)) if insists => {
                findings.problem(key, format!("{most} cannot be set, so no job runs: {why}"));
            }
            (Err(why), Some(_)) => findings.warning(key, format!("{most} does not hold, jobs run without it: {why}")),
        }
    }
    if let Some(unit) = running.and_then(process::service_of) {
        judge_unit(&unit, &jobs.limits, findings);
    }
}

/// Where a limit will hold, or why it will not.
fn holds(groups: &Groups, resource: Resource, runner: &Runner) -> Result<String, String> {
    let controller = resource.controller();
    let version = groups.outlook(controller).map_err(|obstacle| obstacle.to_string())?;
    let (number, dir) = match groups.of_controller(controller) {
        Some((Version::One, dir)) => (1, dir),
        Some((Version::Two, dir)) => (2, dir),
        None => return Err("there are no control groups here".to_owned()),
    };
    if version == Version::One && !runner.uid().is_root() {
        return Err(format!(
            "the {} controller is one of version 1, where only root puts other accounts' processes into a group; \
                boot with systemd.unified_cgroup_hierarchy=1, or run gitlab-runner as root",
            controller.name()
        ));
    }
    if !runner.may(dir, AccessFlags::W_OK) {
        return Err(format!(
            "{} may not make control groups in {}; the unit of gitlab-runner needs Delegate=yes",
            runner.name(),
            dir.display()
        ));
    }
    Ok(format!("control groups of version {number}, below {}", dir.display()))
}

/// What systemd does with the unit.
fn judge_unit(unit: &str, limits: &JobLimits, findings: &mut Findings) {
    let Some(program) = SYSTEMCTL.iter().map(Path::new).find(|path| path.exists()) else { return };
    let call = Call {
        program: program.to_owned(),
        args: vec!["show".to_owned(), PROPERTIES.to_owned(), "--".to_owned(), unit.to_owned()],
        environment: BTreeMap::new(),
        input: String::new(),
    };
    match call.run(LONGEST_WAIT) {
        Answer::Exited { status: 0, out, .. } => {
            let wrong = in_the_unit(&out, limits);
            for words in &wrong {
                findings.warning(unit, format!("{words}; {DROP_IN}"));
            }
            if wrong.is_empty() {
                findings.ok(unit, "leaves the control groups of jobs to motmot, and does not end with one of them");
            }
        }
        answer => findings.warning(unit, format!("systemctl does not say what is in it: {}", answer.words())),
    }
}

/// What is wrong with the properties of a unit (`systemctl show`). One that an old systemd does not have is not missed.
fn in_the_unit(properties: &str, limits: &JobLimits) -> Vec<String> {
    /// So many jobs with all their processes must not be the end of everything.
    const FEW: u64 = 4;
    let value = |name: &str| properties.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let mut wrong = Vec::new();
    if value("Delegate").is_some_and(|value| value != "yes") {
        wrong.push("Delegate=yes is missing: systemd may undo what is set for the control groups of jobs".to_owned());
    }
    if let Some(policy) = value("OOMPolicy").filter(|policy| *policy != "continue") {
        wrong.push(format!(
            "OOMPolicy={policy}, must be continue: a job that runs out of memory would end the runner with all jobs"
        ));
    }
    if let Some(mode) = value("KillMode").filter(|mode| *mode != "mixed") {
        wrong.push(format!(
            "KillMode={mode}, should be mixed: the runner is asked to end, and ends its jobs; what it leaves is killed"
        ));
    }
    let pids = limits.all().find(|(resource, ..)| *resource == Resource::Pids);
    let pids: Option<u64> = pids.and_then(|(_, _, most)| most.parse().ok());
    // Without a limit it is "infinity", or the largest number of all.
    if let (Some(tasks), Some(pids)) = (value("TasksMax").and_then(|value| value.parse::<u64>().ok()), pids)
        && tasks < pids.saturating_mul(FEW)
    {
        wrong.push(format!(
            "TasksMax={tasks} is for the runner and all jobs together, and each may have {pids}: a few can keep all \
                others from starting"
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::settings::limits::{JobsOf, read_limits};

    #[test]
    fn a_unit_is_judged_by_what_it_does_to_jobs() {
        let source = crate::config::Source::new("c.toml", "");
        let limits = crate::config::read(&source, |mut root| Some(read_limits(root.section("limits"), JobsOf::Others)))
            .expect("defaults");
        let wrong = |properties: &str| in_the_unit(properties, &limits);
        assert_eq!(
            wrong("Delegate=yes\nOOMPolicy=continue\nKillMode=mixed\nTasksMax=infinity\n"),
            Vec::<String>::new()
        );
        assert_eq!(wrong("Delegate=yes\nKillMode=mixed\nTasksMax=18446744073709551615\n"), Vec::<String>::new());
        let found = wrong("Delegate=no\nOOMPolicy=stop\nKillMode=control-group\nTasksMax=4915\n");
        for (words, expected) in
            found.iter().zip(["Delegate=yes", "OOMPolicy=stop", "KillMode=control", "TasksMax=4915"])
        {
            assert!(words.starts_with(expected), "{words}");
        }
        assert_eq!(found.len(), 4);
    }
}
