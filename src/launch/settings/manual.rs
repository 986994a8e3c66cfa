//! What the manual says of `[jobs]`.

use super::{Downscope, Executor, default_state_dir};
use crate::config::manual::Program::{Check, Cleanup, Config, Prepare, Reap, Run, Simulate};
use crate::config::manual::{Bounds, Case, Header, Key, Part, Program, Takes, Unset};
use crate::scheduler::SchedulerKind;
use crate::scheduler::known::kinds;

/// Whoever starts something of a job.
const LIMITED_BY: &[Program] = &[Prepare, Run, Check];

/// `[jobs]`
pub const JOBS: Part = Part {
    section: "jobs",
    header: Header::Table,
    says: "How jobs run.",
    keys: &[
        Key {
            name: "downscope",
            takes: Takes::Word(&["setuid", "none"]),
            unset: Unset::Is("\"setuid\""),
            example: "",
            says: "setuid: jobs run as the accounts that [[map]] says; gitlab-runner runs as root, or the stage programs have \
                capabilities. none: one user's own runner; jobs run as that user, and as nobody else.",
            used_by: &[Config, Prepare, Run, Cleanup, Reap, Check, Simulate],
        },
        Key {
            name: "executor",
            takes: Takes::MadeWord(executors),
            unset: Unset::Is("\"shell\""),
            example: "",
            says: "What runs the script: a shell on this machine, or jobs of a batch scheduler, which has a section of its own.",
            used_by: &[Prepare, Run, Cleanup, Reap, Check],
        },
        Key {
            name: "data_dir",
            takes: Takes::Text("an absolute path, in which {home}, {user} and {uid} are those of the job's account"),
            unset: Unset::Is("\"{home}/.motmot\""),
            example: "\"/scratch/{user}/ci\"",
            says: "Root of everything that a job writes. Every directory above it must be root's or the account's own, and nobody \
                else may write to it unless it is sticky. It cannot be the home directory itself. \
                A job makes what is its account's own: from the first name with {user} or {uid} on, and below its home. What is above \
                that the site makes, with mode 1777, or for a project's group with that group and mode 3770.",
            used_by: &[Config, Prepare, Run, Check],
        },
        Key {
            name: "data_dir_group_writable",
            takes: Takes::Texts("absolute paths, real ones, without links"),
            unset: Unset::Is("[]"),
            example: "[\"/project\"]",
            says: "For sites with project directories whose groups write to them: what is at or below these may be writable by \
                its group, and belong to anybody. The price: each member of such a group, and each owner of such a directory, \
                can put files of his own in place of a job's at any time, and so run his code as every account whose jobs \
                work below it.",
            used_by: &[Prepare, Run, Cleanup, Reap, Check],
        },
        Key {
            name: "kill_timeout",
            takes: Takes::Time(Bounds::up_to("3m")),
            unset: Unset::Is("\"1m\""),
            example: "\"30s\"",
            says: "Between SIGTERM and SIGKILL when a job is cancelled or times out.",
            used_by: &[Prepare, Run, Cleanup, Reap],
        },
        Key {
            name: "image",
            takes: Takes::Word(&["warn", "refuse"]),
            unset: Unset::Is("\"warn\""),
            example: "",
            says: "What becomes of jobs with image:, of which nothing is started here. warn: they run all the same, and their log \
                says so. refuse: they do not run.",
            used_by: &[Prepare],
        },
        Key {
            name: "services",
            takes: Takes::Word(&["warn", "refuse"]),
            unset: Unset::Is("\"warn\""),
            example: "",
            says: "The same for jobs with services:.",
            used_by: &[Prepare],
        },
        Key {
            name: "message",
            takes: Takes::Text("any text"),
            unset: Unset::Means("nothing is shown."),
            example: "\"Maintenance on Friday; see https://hpc.example/status\"",
            says: "Shown at the start of every job.",
            used_by: &[Prepare],
        },
        Key {
            name: "login_shell",
            takes: Takes::Boolean,
            unset: Unset::Is("true"),
            example: "",
            says: "Whether jobs find what a person finds after logging in (/etc/profile, ~/.bash_profile): variables, functions such as \
                module, aliases, options of the shell. Not traps, nor the options -e, -u, -v and -x.",
            used_by: &[Prepare, Run],
        },
        Key {
            name: "shell_path",
            takes: Takes::Text("the absolute path of a bash"),
            unset: Unset::Is("\"/bin/bash\""),
            example: "\"/usr/local/bin/bash\"",
            says: "What runs the scripts of jobs, which are written for bash.",
            used_by: &[Prepare, Run, Check],
        },
        Key {
            name: "state_dir",
            takes: Takes::Text("an absolute path, in which {home}, {user} and {uid} are those of the runner's account"),
            unset: Unset::Depends(state_dirs),
            example: "\"/srv/motmot/state\"",
            says: "Where the driver remembers running jobs. It must belong to the driver's account, mode 0700, on a local disk, and \
                nobody but root and that account may be able to exchange things in a directory above it. Jobs of \
                a batch scheduler survive a reboot of this machine, and what is needed to cancel them has to survive it, too.",
            used_by: &[Config, Prepare, Run, Cleanup, Reap, Check],
        },
        Key {
            name: "environment",
            takes: Takes::TextTable("variables"),
            unset: Unset::Is("{}"),
            example: "{ https_proxy = \"http://proxy.hpc.example:3128\" }",
            says: "Variables that every job gets, before its login profile runs. Not those that motmot itself sets: HOME, USER, LOGNAME, SHELL, \
                TMPDIR and MOTMOT_..., nor with effect those that the token or the pipeline sets (CI_...).",
            used_by: &[Prepare, Run],
        },
        Key {
            name: "path_prepend",
            takes: Takes::Texts("absolute paths of directories, without colons"),
            unset: Unset::Is("[]"),
            example: "[\"/opt/gitlab-runner/bin\"]",
            says: "Directories of commands that come first on the PATH of every job, on this machine and on nodes, whatever a login \
                profile makes of it. Whoever can write to one of them has his programs run by every account: nobody but root may.",
            used_by: &[Prepare, Run, Check],
        },
        Key {
            name: "no_new_privs",
            takes: Takes::Boolean,
            unset: Unset::Is("false"),
            example: "",
            says: "true: the set-user-id bit of programs (sudo, apptainer) has no effect in jobs.",
            used_by: &[Prepare, Run],
        },
    ],
    file: file!(),
};

/// `[jobs.limits]`
pub const LIMITS: Part = Part {
    section: "jobs.limits",
    header: Header::Table,
    says: "What the processes of one job on this machine may use together, by control groups. A limit that is written here and \
        cannot be set refuses the job; motmot check says which hold, and what the unit of gitlab-runner needs for it. Not with \
        downscope = \"none\". Jobs in a batch scheduler have its limits, and sessions that pam_systemd puts into a slice of their \
        own that slice's number of processes.",
    keys: &[
        Key {
            name: "pids",
            takes: Takes::Number("processes and threads", Bounds::from("16")),
            unset: Unset::Means("4096 where that can be set; where it cannot, the log of the job says so."),
            example: "1024",
            says: "Most processes and threads.",
            used_by: LIMITED_BY,
        },
        Key {
            name: "memory",
            takes: Takes::Text("an amount of memory: a number with K, M, G or T behind it"),
            unset: Unset::Means("there is no bound."),
            example: "\"16G\"",
            says: "Most memory; 32M at the least. Whatever needs more is ended, and the log of the job says so.",
            used_by: LIMITED_BY,
        },
        Key {
            name: "swap",
            takes: Takes::Text("an amount of memory, or \"0\""),
            unset: Unset::Means("0 with a bound for memory, where that can be set; else there is no bound."),
            example: "\"1G\"",
            says: "Most swap on top of memory, without which it cannot be.",
            used_by: LIMITED_BY,
        },
        Key {
            name: "cpu",
            takes: Takes::Number("processors", Bounds::from("1")),
            unset: Unset::Means("there is no bound."),
            example: "8",
            says: "Most processors, counted by their time.",
            used_by: LIMITED_BY,
        },
    ],
    file: file!(),
};

fn executors() -> Vec<&'static str> {
    ["shell"].into_iter().chain(kinds().map(SchedulerKind::word)).collect()
}

fn state_dirs() -> Vec<Case> {
    let one = |lines: Vec<String>, downscope, executor| {
        (lines, format!("{:?}", default_state_dir(downscope, executor).as_str()))
    };
    let batch = kinds().map(|kind| {
        let line = format!("jobs.executor = {:?}", kind.word());
        one(vec![line], Downscope::Setuid, Executor::Batch(kind))
    });
    let first = one(Vec::new(), Downscope::Setuid, Executor::Shell);
    let last = one(vec!["jobs.downscope = \"none\"".to_owned()], Downscope::None, Executor::Shell);
    [first].into_iter().chain(batch).chain([last]).collect()
}
