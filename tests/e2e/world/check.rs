//! `motmot check`, called in all the ways in which it can be.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::World;
use super::files::{chmod, chown};
use super::gitlab::{GitLab, respond};

/// What it said, and whether all is well.
pub struct Checked {
    pub words: String,
    good: bool,
}

impl Checked {
    #[track_caller]
    pub fn says(&self, parts: &[&str]) -> &Self {
        let found = self.words.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no line with {parts:?}:\n{}", self.words);
        self
    }

    #[track_caller]
    pub fn does_not_say(&self, part: &str) -> &Self {
        assert!(!self.words.contains(part), "{part:?}:\n{}", self.words);
        self
    }

    #[track_caller]
    pub fn is_good(&self, good: bool) -> &Self {
        assert_eq!(self.good, good, "{}", self.words);
        self
    }
}

pub fn finish(mut command: Command, config: &Path, args: &[&str]) -> Checked {
    let output = command.arg("--config").arg(config).arg("check").args(args).output().expect("check");
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Checked { words, good: output.status.success() }
}

/// As whoever the driver runs as.
pub fn check(world: &World) -> Checked {
    finish(world.as_driver(&world.bins.join("motmot")), &world.config_file(), &["--offline"])
}

/// As root, for the runner's account.
pub fn check_for_runner(world: &World) -> Checked {
    let runner = world.runner.as_ref().expect("a runner").name.clone();
    finish(Command::new(world.bins.join("motmot")), &world.config_file(), &["--offline", "--runner-account", &runner])
}

/// The line of the first `[[map]]`.
pub fn first_rule(world: &World) -> usize {
    let text = fs::read_to_string(world.config_file()).expect("config");
    text.lines().position(|line| line == "[[map]]").expect("a rule") + 1
}

/// With the controller asked, and a GitLab that answers as one does that nobody has shown a token.
pub fn ask(world: &World) -> Checked {
    let (_gitlab, config) = with_gitlab(world);
    finish(world.as_driver(&world.bins.join("motmot")), &config, &[])
}

/// The configuration of the world, line by line, but with a GitLab.
fn with_gitlab(world: &World) -> (GitLab, PathBuf) {
    let gitlab =
        GitLab::new(|_, stream| respond(stream, "401 Unauthorized", "", b"{\"message\":\"401 Unauthorized\"}"));
    let (from, to) = (world.config_file(), world.dir.join("with-gitlab.toml"));
    // A world with capabilities has a GitLab already, but one that answers whoever asks.
    let line = |line: &str| {
        if line.starts_with("url = ") { format!("url = \"{}\"\n", gitlab.url) } else { format!("{line}\n") }
    };
    let text: String = fs::read_to_string(&from).expect("config").lines().map(line).collect();
    fs::write(&to, text).expect("config");
    let meta = fs::metadata(&from).expect("config");
    chmod(&to, meta.mode() & 0o7777);
    if meta.uid() != fs::metadata(&to).expect("config").uid() {
        chown(&to, meta.uid(), meta.gid());
    }
    (gitlab, to)
}

/// As root, for the runner's account, with the controller asked.
pub fn ask_for_runner(world: &World) -> Checked {
    let runner = world.runner.as_ref().expect("a runner").name.clone();
    let (_gitlab, config) = with_gitlab(world);
    finish(Command::new(world.bins.join("motmot")), &config, &["--runner-account", &runner])
}
