use std::path::Path;

use super::*;
use crate::policy::Account;

use crate::launch::batch::course::{Hopeless, Until};
use crate::launch::batch::result::AskedBy;
use crate::scheduler::slurm::Slurm;
use crate::scheduler::{Expected, JobId, JobName, Requeue};
use crate::sys::alone::alone;
use crate::sys::installed::Prize;

struct Forgetful;

impl Ledger for Forgetful {
    fn submitting(&self, _: &JobName) -> Result<(), String> {
        Ok(())
    }
    fn submitted(&self, _: &JobName, _: &JobId) -> Result<(), String> {
        Ok(())
    }
    fn not_submitted(&self, _: &JobName) {}
    fn ended(&self, _: &JobName, _: &JobId) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn a_worker_that_its_account_has_stopped_makes_no_cleanup_longer() {
    let test = "a_worker_that_its_account_has_stopped_makes_no_cleanup_longer";
    // The end of a run ends every child of the process.
    alone(module_path!(), test, || {
        // tail(1) takes in what it is told and says nothing until its input ends.
        let program = WorkerProgram::open(Path::new("/usr/bin/tail"), Prize::of_this_process()).expect("tail");
        let dir = tempfile::tempdir().expect("dir");
        let name = JobName::new("1-a", 1);
        let start = Instant::now();
        let outcome = follow(
            Follow {
                plan: Plan {
                    scheduler: Arc::new(Slurm::new(Path::new("/nonexistent"), None)),
                    job: Job::Left(JobId::parse("17")),
                    asked_by: AskedBy::Site,
                    expected: Expected { name, uid: 1001 },
                    owner: "ada".into(),
                    until: Until::Gone,
                    requeue: Requeue::Never,
                    kill_timeout: Duration::from_mins(1),
                    patience: Duration::from_millis(100),
                    unknown_timeout: Duration::from_hours(1),
                    start_by: None,
                    hopeless: Hopeless::Wait,
                },
                program,
                start: Start::Directly(Account::for_test("ada").to_become()),
                order: BatchOrder::default(),
                script: None,
                feed: None,
                secrets: Secrets::default(),
                ledger: &Forgetful,
                pace: Pace::in_directory(dir.path()),
                group: None,
                roster: None,
            },
            &Termination::watch(2).expect("watched"),
        );
        assert!(matches!(outcome, Ok(BatchOutcome::NotGone(_))), "{outcome:?}");
        assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
    });
}

/// A directory with an sacct that answers its first calls with the first script, and all later ones with the second.
fn accounting(first: &str, calls: u32, then: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("dir");
    let (sacct, count) = (dir.path().join("sacct"), dir.path().join("count"));
    let script = format!(
        "#!/bin/sh\necho >>{0}\nif [ \"$(grep -c '' {0})\" -le {calls} ]; then {first}; else {then}; fi\n",
        count.display()
    );
    // Written by a child: another thread that starts a program would hold a descriptor of ours open for a moment.
    let mut written = std::process::Command::new("sh");
    written.args(["-c", "printf %s \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", &script]).arg(&sacct);
    assert!(written.status().expect("sh").success());
    dir
}

fn calls(dir: &Path) -> usize {
    std::fs::read_to_string(dir.join("count")).expect("count").lines().count()
}

#[test]
fn accounting_that_has_not_heard_of_the_end_is_asked_again() {
    let id = JobId::parse("17").expect("an id");
    let dir = accounting("echo RUNNING", 2, "echo CANCELLED by 1001");
    assert_eq!(who_cancelled(&Slurm::new(dir.path(), None), &id), Some(1001));
    assert_eq!(calls(dir.path()), 3);
}

#[test]
fn where_there_is_no_accounting_it_is_asked_once() {
    let id = JobId::parse("17").expect("an id");
    let dir = accounting("echo Slurm accounting storage is disabled >&2; exit 1", 1, "echo CANCELLED by 1001");
    assert_eq!(who_cancelled(&Slurm::new(dir.path(), None), &id), None);
    assert_eq!(calls(dir.path()), 1);
}
