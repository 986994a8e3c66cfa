//! Slurm's command lines: sbatch(1), scontrol(1), squeue(1), scancel(1), sacct(1).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::scheduler::{JobId, JobName, Requeue, Signal, Submission};
use crate::sys::call::{Call, quoted};
use crate::sys::spawn::NewPrivileges;

/// The file of the job that Slurm itself opens: its own words, and those of a wrapper that cannot write elsewhere.
pub(super) const OWN_OUTPUT: &str = "slurm.out";

/// One Slurm: whoever is asked.
#[derive(Clone, Debug)]
pub struct Slurm {
    bin_dir: PathBuf,
    conf: Option<PathBuf>,
}

impl Slurm {
    /// Slurm whose programs are in `bin_dir`; `conf` is `SLURM_CONF`.
    pub fn new(bin_dir: &Path, conf: Option<&Path>) -> Self {
        Self { bin_dir: bin_dir.to_owned(), conf: conf.map(Path::to_owned) }
    }

    /// One of its programs, in an environment in which nothing changes what it does.
    pub(super) fn call<const N: usize>(&self, program: &str, args: [&str; N]) -> Call {
        let mut environment =
            BTreeMap::from([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C.UTF-8")].map(|(k, v)| (k.into(), v.into())));
        self.name_the_configuration(&mut environment);
        Call {
            program: self.bin_dir.join(program),
            args: args.map(str::to_owned).into(),
            environment,
            input: String::new(),
        }
    }

    fn name_the_configuration(&self, environment: &mut BTreeMap<String, String>) {
        if let Some(conf) = &self.conf {
            environment.insert("SLURM_CONF".into(), conf.to_string_lossy().into_owned());
        }
    }

    pub(super) fn sbatch(&self, submission: &Submission) -> Call {
        let dir = submission.dir.to_string_lossy();
        let requeue = match submission.requeue {
            Requeue::Never => "--no-requeue",
            Requeue::Allowed => "--requeue",
        };
        // The limits of the runner's service are not those of a person who has logged in: with its locked memory MPI
        // does not start. First, so that a site or a job can say otherwise.
        let mut args = vec!["--propagate=NONE".to_owned()];
        args.extend(submission.options.clone());
        // Behind the options, so that these hold whatever those say.
        args.extend([
            "--parsable".to_owned(),
            // Of the environment below, which holds nothing secret. With NONE, or with names, Slurm would run the
            // account's login profile on the node first, and hold the job for good if that takes too long.
            "--export=ALL".to_owned(),
            format!("--job-name={}", submission.name),
            format!("--comment={}", submission.comment),
            // A plain path: Slurm would replace % in it.
            format!("--output={}", dir.replace('%', "%%") + "/" + OWN_OUTPUT),
            "--open-mode=append".to_owned(),
            "--input=/dev/null".to_owned(),
            "--chdir=/".to_owned(),
            requeue.to_owned(),
        ]);
        let mut call = self.call("sbatch", []);
        call.args = args;
        call.environment = submission.environment.clone();
        self.name_the_configuration(&mut call.environment);
        let interpreter = match submission.new_privileges {
            NewPrivileges::Allowed => "/bin/bash",
            // The kernel passes one argument only. Where it is missing, nothing runs.
            NewPrivileges::Denied => "/usr/bin/env -S setpriv --no-new-privs /bin/bash",
        };
        call.input = format!(
            "#!{interpreter}\nmotmot_dir={}\nmotmot_job=$SLURM_JOB_ID\nmotmot_restarts=${{SLURM_RESTART_COUNT:-0}}\nmotmot_node=${{SLURMD_NODENAME:-$HOSTNAME}}\n{}",
            quoted(&dir),
            submission.wrapper
        );
        call
    }

    pub(super) fn show_job(&self, id: &JobId) -> Call {
        // --local: without it every question asks for the federation, too.
        self.call("scontrol", ["--local", "--oneliner", "show", "job", id.as_str()])
    }

    pub(super) fn jobs_of_name(&self, name: &JobName) -> Call {
        // All states: it may have come and gone before anybody looks for it.
        self.call("squeue", ["--local", "--noheader", "--states=all", "--name", name.as_str(), "--format=%A %U %j"])
    }

    pub(super) fn scancel(&self, id: &JobId) -> Call {
        self.call("scancel", [id.as_str()])
    }

    pub(super) fn scancel_name(&self, name: &JobName, owner: &str) -> Call {
        self.call("scancel", ["--name", name.as_str(), "--user", owner])
    }

    pub(super) fn signal_wrapper(&self, id: &JobId, signal: Signal) -> Call {
        // Signals that the wrapper knows, and that nobody else sends.
        let signal = match signal {
            Signal::Terminate => "--signal=URG",
            Signal::Kill => "--signal=TTIN",
        };
        self.call("scancel", ["--batch", signal, id.as_str()])
    }

    pub(super) fn accounted_state(&self, id: &JobId) -> Call {
        self.call("sacct", ["--noheader", "--parsable2", "--allocations", "--format=State", "--jobs", id.as_str()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_add_a_line_or_a_command_to_the_wrapper() {
        let submission = Submission {
            name: JobName::new("101-ab", 1),
            comment: "c".into(),
            wrapper: "exit 0\n",
            dir: "/home/it's $(x) %j/d".into(),
            environment: BTreeMap::new(),
            options: vec!["--time=5".into()],
            requeue: Requeue::Never,
            new_privileges: NewPrivileges::Allowed,
        };
        let call = Slurm::new(Path::new("/usr/bin"), None).sbatch(&submission);
        assert!(call.input.contains("\nmotmot_dir='/home/it'\\''s $(x) %j/d'\n"), "{}", call.input);
        assert!(call.args.contains(&"--output=/home/it's $(x) %%j/d/slurm.out".to_owned()), "{:?}", call.args);
        assert!(call.args.contains(&"--no-requeue".to_owned()));
    }
}
