//! The lines of a script, and what its templates need to know.

use super::quote::quote;
use crate::build::variables::{get, variables};
use crate::build::{Build, Dirs};
use crate::contract::version::RunnerVersion;
use crate::gitlab::payload::Variable;

/// What the templates need to know.
pub(crate) struct Scene<'a> {
    pub(crate) build: &'a Build,
    pub(crate) variables: Vec<Variable>,
    pub(crate) dirs: Dirs,
    pub(crate) version: RunnerVersion,
}

impl<'a> Scene<'a> {
    pub(crate) fn of(build: &'a Build) -> Self {
        Self { build, variables: variables(build), dirs: build.dirs(), version: build.simulation.runner.version }
    }

    pub(crate) fn get(&self, key: &str) -> &str {
        get(&self.variables, key).unwrap_or_default()
    }

    pub(crate) fn is_on(&self, key: &str) -> bool {
        matches!(self.get(key), "1" | "t" | "T" | "true" | "TRUE" | "True")
    }
}

/// Lines of one script.
#[derive(Default)]
pub(crate) struct Body {
    text: String,
}

impl Body {
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A green line in the job log.
    pub(crate) fn notice(&mut self, text: &str) {
        self.line(format!("echo {}", quote(&format!("\x1b[32;1m{text}\x1b[0;m"))));
    }

    /// A yellow line in the job log.
    pub(crate) fn warn(&mut self, text: &str) {
        self.line(format!("echo {}", quote(&format!("\x1b[0;33m{text}\x1b[0;m"))));
    }

    /// Exports all variables in order, writes the files, and reads what earlier scripts left in `GITLAB_ENV`.
    pub(crate) fn variables(&mut self, scene: &Scene) {
        self.export(scene, true);
        let temp = scene.dirs.temp();
        let env = quote(&format!("{temp}/gitlab_runner_env"));
        self.line(format!("export GITLAB_ENV={env}"));
        self.line(format!("mkdir -p {}", quote(&temp)));
        self.line(format!("touch {env}"));
        self.line(format!("while IFS= read -r assignment; do export \"$assignment\" || true; done < {env}"));
    }

    pub(crate) fn export(&mut self, scene: &Scene, write_files: bool) {
        let temp = scene.dirs.temp();
        for variable in &scene.variables {
            let key = quote(&variable.key);
            if variable.file {
                let path = quote(&format!("{temp}/{}", variable.key));
                if write_files {
                    self.line(format!("mkdir -p {}", quote(&temp)));
                    self.line(format!("printf '%s' {} > {path}", quote(&variable.value)));
                }
                self.line(format!("export {key}={path}"));
            } else {
                self.line(format!("export {key}={}", quote(&variable.value)));
            }
        }
    }

    /// The user's commands in the project directory, each one shown before it runs.
    pub(crate) fn commands(&mut self, scene: &Scene, commands: &[String]) {
        self.line(format!("cd {}", quote(&scene.dirs.project)));
        for command in commands {
            let command = command.trim();
            match command.split_once('\n') {
                Some((first, _)) => {
                    self.notice(&format!("$ {first} # collapsed multi-line command"));
                }
                None if command.is_empty() => {
                    self.line("echo");
                    continue;
                }
                None => self.notice(&format!("$ {command}")),
            }
            self.line(command);
        }
    }
}
