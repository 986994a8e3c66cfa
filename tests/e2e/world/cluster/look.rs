//! What a test can ask a cluster, and what it can find where nothing should be.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::Cluster;
use crate::world::{TestAccount, until};

/// A job in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    pub id: u32,
    pub state: String,
    pub name: String,
}

/// States that no job leaves by itself.
const ENDS: [&str; 7] = ["BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT"];

impl Cluster {
    /// Whether the controller answers. Known at once when it is dead, and after ten seconds when it is stopped.
    pub fn answers(&self) -> bool {
        let output = self.command("scontrol").arg("ping").output().expect("scontrol");
        String::from_utf8_lossy(&output.stdout).contains(" is UP")
    }

    /// What a command prints; nothing when the controller is away.
    fn ask(&self, program: &str, args: &[&str]) -> String {
        // By themselves they would try again for up to twenty seconds.
        if !self.answers() {
            return String::new();
        }
        let output = self.command(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        if output.status.success() { String::from_utf8_lossy(&output.stdout).into_owned() } else { String::new() }
    }

    /// The nodes and their states, with the `*` of those that do not answer.
    pub fn nodes(&self) -> BTreeMap<String, String> {
        let text = self.ask("sinfo", &["-h", "-N", "-o", "%N %T"]);
        text.lines().filter_map(|line| line.split_once(' ')).map(|(name, state)| (name.into(), state.into())).collect()
    }

    /// Submits a job as an account, and says its number.
    #[track_caller]
    pub fn submit(&self, account: &TestAccount, args: &[&str], script: &str) -> u32 {
        let mut command = self.command_as(account, "sbatch");
        command.args(["--parsable", "--export=NONE"]).args(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sbatch");
        let script = format!("#!/bin/sh\n{script}\n");
        child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("the script");
        let output = child.wait_with_output().expect("sbatch");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
    }

    /// The jobs of an account that wait, run, or come to their end.
    pub fn jobs_of(&self, user: &str) -> Vec<Queued> {
        let text = self.ask("squeue", &["-h", "-u", user, "-o", "%A|%T|%j"]);
        text.lines()
            .filter_map(|line| {
                let mut fields = line.splitn(3, '|');
                let (id, state, name) = (fields.next()?, fields.next()?, fields.next()?);
                Some(Queued { id: id.parse().ok()?, state: state.into(), name: name.into() })
            })
            .collect()
    }

    /// Waits until an account has a job there, and says which.
    #[track_caller]
    pub fn until_job_of(&self, user: &str) -> Queued {
        let mut found = None;
        until(&format!("{user} has a job"), || {
            found = self.jobs_of(user).pop();
            found.is_some()
        });
        found.expect("found")
    }

    /// All that the controller says about a job; nothing when it knows none or is away.
    pub fn job(&self, id: u32) -> BTreeMap<String, String> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for word in self.ask("scontrol", &["show", "job", "-o", &id.to_string()]).split_whitespace() {
            let is_key = |key: &str| key.starts_with(|c: char| c.is_ascii_uppercase());
            match (word.split_once('='), fields.last_mut()) {
                (Some((key, value)), _) if is_key(key) => fields.push((key.into(), value.into())),
                // A value with a space in it.
                (_, Some((_, value))) => {
                    value.push(' ');
                    value.push_str(word);
                }
                (_, None) => {}
            }
        }
        fields.into_iter().collect()
    }

    /// Waits until a job is in this state.
    #[track_caller]
    pub fn until_job(&self, id: u32, state: &str) {
        until(&format!("job {id} is {state}"), || {
            let job = self.job(id);
            let now = job.get("JobState").map_or("", String::as_str);
            assert!(now == state || !ENDS.contains(&now), "job {id} is {now}, not {state}: {job:?}");
            now == state
        });
    }

    /// Waits until the queue has no job of an account.
    #[track_caller]
    pub fn until_no_jobs_of(&self, user: &str) {
        until(&format!("{user} has no job"), || self.answers() && self.jobs_of(user).is_empty());
    }

    /// How often the controller was asked for what, since it started or since [`Cluster::reset_rpc_counts`]. That
    /// counts the questions of the test itself too.
    pub fn rpc_counts(&self) -> BTreeMap<String, u64> {
        self.rpc_table("message type")
    }

    /// How often who asked the controller. Those of the test itself are root's.
    pub fn rpc_counts_by_user(&self) -> BTreeMap<String, u64> {
        self.rpc_table("user")
    }

    fn rpc_table(&self, by: &str) -> BTreeMap<String, u64> {
        rpc_table(&self.ask("sdiag", &[]), by)
    }

    pub fn reset_rpc_counts(&self) {
        let output = self.command("sdiag").arg("-r").output().expect("sdiag");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The files of the cluster that contain this: what the controller saved, what the nodes spooled, and all logs.
    pub fn spool_contains(&self, needle: &[u8]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        search(self.dir(), &memchr::memmem::Finder::new(needle), &mut found);
        found
    }
}

/// A table of sdiag's: how often, by `message type` or by `user`.
pub fn rpc_table(text: &str, by: &str) -> BTreeMap<String, u64> {
    let title = format!("statistics by {by}");
    let table = text.lines().skip_while(|line| !line.contains(&title)).skip(1);
    table
        .take_while(|line| line.contains("count:"))
        .filter_map(|line| {
            let name = line.split_whitespace().next()?;
            let count = line.split_once("count:")?.1.split_whitespace().next()?;
            Some((name.to_owned(), count.parse().ok()?))
        })
        .collect()
}

fn search(dir: &Path, needle: &memchr::memmem::Finder<'_>, found: &mut Vec<PathBuf>) {
    // Files come and go meanwhile.
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            search(&path, needle, found);
        } else if kind.is_ok_and(|kind| kind.is_file())
            && fs::read(&path).is_ok_and(|bytes| needle.find(&bytes).is_some())
        {
            found.push(path);
        }
    }
}

/// The command lines of this machine that contain this.
pub fn cmdlines_contain(needle: &[u8]) -> Vec<String> {
    processes_contain("cmdline", needle)
}

/// The environments of this machine that contain this.
pub fn environments_contain(needle: &[u8]) -> Vec<String> {
    processes_contain("environ", needle)
}

fn processes_contain(file: &str, needle: &[u8]) -> Vec<String> {
    let needle = memchr::memmem::Finder::new(needle);
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())))
        .filter_map(|entry| fs::read(entry.path().join(file)).ok())
        .filter(|bytes| needle.find(bytes).is_some())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .collect()
}
