//! The scripts that the driver is asked to run.
//!
//! They have the shape of the runner's own: everything is one quoted word behind `eval`, all variables
//! are exported first, user commands are echoed before they run. A driver must not look inside.

use std::fmt::Write as _;

use super::job::Job;
use super::payload::Variable;
use super::profile::RunnerVersion;
use super::stage::Stage;
use super::variables::{Dirs, get};
use super::{git_script, helper_script};

/// Lines of one script.
pub(super) struct Body {
    text: String,
}

/// What the templates need to know.
pub(super) struct Scene<'a> {
    pub(super) job: &'a Job,
    pub(super) variables: Vec<Variable>,
    pub(super) dirs: Dirs,
    pub(super) version: RunnerVersion,
}

impl Scene<'_> {
    pub(super) fn get(&self, key: &str) -> &str {
        get(&self.variables, key).unwrap_or_default()
    }

    pub(super) fn is_on(&self, key: &str) -> bool {
        matches!(self.get(key), "1" | "t" | "T" | "true" | "TRUE" | "True")
    }
}

/// The script of a sub-stage, or `None` if it has nothing to do and is skipped.
pub(super) fn generate(job: &Job, stage: &Stage, shell: &str) -> Option<Vec<u8>> {
    let scene = Scene { job, variables: job.variables(), dirs: job.dirs(), version: job.simulation.runner.version };
    let mut body = Body { text: String::new() };
    match stage {
        Stage::PrepareScript => prepare(&mut body, &scene),
        Stage::GetSources => git_script::get_sources(&mut body, &scene),
        Stage::ClearWorktree => git_script::clear_worktree(&mut body, &scene),
        Stage::RestoreCache => helper_script::restore_cache(&mut body, &scene)?,
        Stage::DownloadArtifacts => helper_script::download_artifacts(&mut body, &scene)?,
        Stage::Step(position, _) => {
            let step = job.payload.steps.as_ref()?.get(*position)?;
            user(&mut body, &scene, step.script.as_deref().unwrap_or_default());
        }
        Stage::AfterScript => {
            let step = job.payload.steps.iter().flatten().find(|step| step.name == "after_script")?;
            let commands = step.script.as_deref().filter(|commands| !commands.is_empty())?;
            body.variables(&scene);
            body.notice("Running after script...");
            body.commands(&scene, commands);
        }
        Stage::ArchiveCache { success } => {
            helper_script::archive_cache(&mut body, &scene, *success)?;
        }
        Stage::UploadArtifacts { success } => {
            helper_script::upload_artifacts(&mut body, &scene, *success)?;
        }
        Stage::CleanupFileVariables => cleanup(&mut body, &scene),
    }
    Some(wrap(&body.text, &scene, shell).into_bytes())
}

/// Puts the body behind `eval`, away from the script's own standard input.
fn wrap(body: &str, scene: &Scene, shell: &str) -> String {
    let trap = scene.version.traps_term() && !scene.is_on("FF_USE_LEGACY_BASH_EVAL");
    let mut script = format!("#!/usr/bin/env {shell}\n\n");
    if trap {
        script.push_str("trap 'exit 1' TERM\n\n");
    }
    if scene.is_on("CI_DEBUG_TRACE") {
        script.push_str("set -o xtrace\n");
    }
    script.push_str("if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi\nset -o errexit\nset +o noclobber\n");
    let body = quote(body);
    if trap {
        let _ = writeln!(script, "(trap 'exit 1' TERM; eval {body}) < /dev/null");
    } else {
        let _ = writeln!(script, ": | eval {body}");
    }
    script.push_str("exit 0\n");
    script
}

impl Body {
    pub(super) fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    /// A green line in the job log.
    pub(super) fn notice(&mut self, text: &str) {
        self.line(format!("echo {}", quote(&format!("\x1b[32;1m{text}\x1b[0;m"))));
    }

    /// A yellow line in the job log.
    pub(super) fn warn(&mut self, text: &str) {
        self.line(format!("echo {}", quote(&format!("\x1b[0;33m{text}\x1b[0;m"))));
    }

    /// Exports all variables in order, writes the files, and reads what earlier scripts left in `GITLAB_ENV`.
    pub(super) fn variables(&mut self, scene: &Scene) {
        self.export(scene, true);
        let temp = scene.dirs.temp();
        let env = quote(&format!("{temp}/gitlab_runner_env"));
        self.line(format!("export GITLAB_ENV={env}"));
        self.line(format!("mkdir -p {}", quote(&temp)));
        self.line(format!("touch {env}"));
        self.line(format!("while IFS= read -r assignment; do export \"$assignment\" || true; done < {env}"));
    }

    fn export(&mut self, scene: &Scene, write_files: bool) {
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
    fn commands(&mut self, scene: &Scene, commands: &[String]) {
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

fn prepare(body: &mut Body, scene: &Scene) {
    // The name is the driver's and stands inside double quotes, so the shell expands what is in it.
    let via =
        scene.job.hostname().filter(|name| !name.is_empty()).map_or_else(String::new, |name| format!(" via {name}"));
    body.line(format!("echo \"Running on $(hostname){via}...\""));
    let temp = scene.dirs.temp();
    body.line(format!("rm -f {}", quote(&format!("{temp}/gitlab_runner_env"))));
    body.line(format!("rm -f {}", quote(&format!("{temp}/masking.db"))));
}

fn user(body: &mut Body, scene: &Scene, commands: &[String]) {
    body.variables(scene);
    body.commands(scene, commands);
}

fn cleanup(body: &mut Body, scene: &Scene) {
    body.export(scene, !scene.version.tidies_credentials());
    let temp = scene.dirs.temp();
    for name in ["gitlab_runner_env", "masking.db"] {
        body.line(format!("rm -f {}", quote(&format!("{temp}/{name}"))));
    }
    for variable in scene.variables.iter().filter(|variable| variable.file) {
        body.line(format!("rm -f {}", quote(&format!("{temp}/{}", variable.key))));
    }
    git_script::forget_credentials(body, scene);
}

/// One word for bash: as it is where that is safe, otherwise `$'...'`.
pub(super) fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:,@%+=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut word = String::with_capacity(text.len() + 4);
    word.push_str("$'");
    for character in text.chars() {
        match character {
            '\n' => word.push_str("\\n"),
            '\r' => word.push_str("\\r"),
            '\t' => word.push_str("\\t"),
            '\\' => word.push_str("\\\\"),
            '\'' => word.push_str("\\'"),
            control if control.is_ascii_control() => {
                let _ = write!(word, "\\x{:02x}", u32::from(control));
            }
            other => word.push(other),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::quote;

    #[test]
    fn bash_reads_a_quoted_word_back_unchanged() {
        let all: String = ('\u{1}'..='\u{ff}').collect();
        for text in ["", "plain", "a b", "it's", "$(id) `id` \\ \"", "\x1bA1", "line\nline\r\n\t", &all] {
            let output = Command::new("bash").arg("-c").arg(format!("printf %s {}", quote(text))).output();
            let stdout = output.map(|output| output.stdout).unwrap_or_default();
            assert_eq!(String::from_utf8_lossy(&stdout), text);
        }
    }
}
