//! One CI job, played by the emulator of GitLab Runner, and how it ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{World, next_number};

/// One run of the emulator.
pub struct Simulate<'w> {
    pub(super) world: &'w World,
    pub(super) args: Vec<String>,
    pub(super) envs: Vec<(String, String)>,
}

impl Simulate<'_> {
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn option(self, name: &str, value: impl Into<String>) -> Self {
        self.arg(name).arg(value)
    }

    pub fn script(self, line: impl Into<String>) -> Self {
        self.option("--script", line)
    }

    /// A variable of the runner's own environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.into(), value.into()));
        self
    }

    /// The command, its log files, and what is needed to read its end.
    pub fn command(&self) -> (Command, PathBuf, PathBuf) {
        let number = next_number();
        let temp = self.world.dir.join("tmp");
        let (log, runner_log) = (temp.join(format!("log-{number}")), temp.join(format!("runner-log-{number}")));
        let mut command = self.world.as_driver(&self.world.bins.join("motmot"));
        command.arg("--config").arg(self.world.config_file()).args(["simulate", "--json"]);
        command.arg("--bin-dir").arg(&self.world.bins).arg("--tmpdir").arg(&temp);
        command.arg("--log").arg(&log).arg("--runner-log").arg(&runner_log);
        if self.world.own_gitlab.is_some() {
            // The emulator's copy of the configuration would be the runner's own, and those are not believed here.
            command.args([
                "--gitlab-from-config",
                "--job-id",
                "101",
                "--user-id",
                "42",
                "--project-id",
                "7",
                "--pipeline-id",
                "55",
            ]);
        }
        if !self.args.iter().any(|arg| arg == "--user" || arg.starts_with("--user=")) {
            command.args(["--user", &self.world.user.name]);
        }
        command.args(&self.args).envs(self.envs.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (command, log, runner_log)
    }

    pub fn run(self) -> JobEnd {
        let (mut command, log, runner_log) = self.command();
        let output = command.output().expect("motmot simulate");
        JobEnd::read(&output, &log, &runner_log)
    }
}

/// How a simulated job ended.
pub struct JobEnd {
    pub log: String,
    pub runner_log: String,
    pub json: Value,
}

impl JobEnd {
    pub fn read(output: &Output, log: &Path, runner_log: &Path) -> Self {
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "no result ({error}): {}\n{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        });
        let bytes = fs::read(log).unwrap_or_default();
        let log = if bytes.len() < 8 << 20 { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() };
        Self { log, runner_log: fs::read_to_string(runner_log).unwrap_or_default(), json }
    }

    pub fn succeeded(&self) -> bool {
        self.json["status"] == "success"
    }

    #[track_caller]
    pub fn assert_success(&self) -> &Self {
        assert!(self.succeeded(), "{}\n{}\n{}", self.json, self.log, self.runner_log);
        self
    }

    /// The job failed, for this reason.
    #[track_caller]
    pub fn assert_failed(&self, reason: &str) -> &Self {
        assert_eq!(
            (self.json["status"].as_str(), self.json["failure_reason"].as_str()),
            (Some("failed"), Some(reason)),
            "{}\n{}\n{}",
            self.json,
            self.log,
            self.runner_log
        );
        self
    }

    #[track_caller]
    pub fn assert_log(&self, part: &str) -> &Self {
        assert!(self.log.contains(part), "{part:?} is not in the log:\n{}", self.log);
        self
    }

    /// No line of the log begins so; the runner's echo of the commands does not count.
    #[track_caller]
    pub fn assert_no_line(&self, start: &str) -> &Self {
        assert!(!self.log.lines().any(|line| line.starts_with(start)), "a line begins with {start:?}:\n{}", self.log);
        self
    }

    #[track_caller]
    pub fn assert_not_in_log(&self, part: &str) -> &Self {
        assert!(!self.log.contains(part), "{part:?} is in the log:\n{}", self.log);
        self
    }

    /// The value behind `name=` on a line of its own, as scripts of tests print it.
    #[track_caller]
    pub fn value(&self, name: &str) -> &str {
        let prefix = format!("{name}=");
        self.log
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .unwrap_or_else(|| panic!("no {prefix} in the log:\n{}", self.log))
    }

    /// All calls of that name (`config_exec`, or a sub-stage).
    pub fn calls(&self, name: &str) -> Vec<&Value> {
        let calls = self.json["calls"].as_array().expect("calls");
        calls
            .iter()
            .filter(|call| call["sub_stage"] == name || (call["sub_stage"].is_null() && call["exec"] == name))
            .collect()
    }

    /// The exit code of the only call of that name.
    #[track_caller]
    pub fn code_of(&self, name: &str) -> i64 {
        let calls = self.calls(name);
        assert_eq!(calls.len(), 1, "calls of {name}: {}", self.json);
        calls[0]["exit"]["code"].as_i64().unwrap_or_else(|| panic!("{name} did not exit: {}", calls[0]))
    }
}
