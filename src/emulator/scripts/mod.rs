//! The scripts that the driver is asked to run.
//!
//! They have the shape of the runner's own: everything is one quoted word behind `eval`, all variables
//! are exported first, user commands are echoed before they run. A driver must not look inside.

mod body;
mod git;
mod helper;
mod quote;

use std::fmt::Write as _;

use crate::build::Build;
use crate::contract::build_stage::BuildStage;
use body::{Body, Scene};
use quote::quote;

/// The script of a sub-stage, or `None` if it has nothing to do and is skipped.
pub(crate) fn generate(build: &Build, stage: &BuildStage, shell: &str) -> Option<Vec<u8>> {
    let scene = Scene::of(build);
    let mut body = Body::default();
    match stage {
        BuildStage::PrepareScript => prepare(&mut body, &scene),
        BuildStage::GetSources => git::get_sources(&mut body, &scene),
        BuildStage::ClearWorktree => git::clear_worktree(&mut body, &scene),
        BuildStage::RestoreCache => helper::restore_cache(&mut body, &scene)?,
        BuildStage::DownloadArtifacts => helper::download_artifacts(&mut body, &scene)?,
        BuildStage::Step(position, _) => {
            let step = build.payload.steps.as_ref()?.get(*position)?;
            user(&mut body, &scene, step.script.as_deref().unwrap_or_default());
        }
        BuildStage::AfterScript => {
            let step = build.payload.steps.iter().flatten().find(|step| step.name == "after_script")?;
            let commands = step.script.as_deref().filter(|commands| !commands.is_empty())?;
            body.variables(&scene);
            body.notice("Running after script...");
            body.commands(&scene, commands);
        }
        BuildStage::ArchiveCache { success } => {
            helper::archive_cache(&mut body, &scene, *success)?;
        }
        BuildStage::UploadArtifacts { success } => {
            helper::upload_artifacts(&mut body, &scene, *success)?;
        }
        BuildStage::CleanupFileVariables => cleanup(&mut body, &scene),
    }
    Some(wrap(body.text(), &scene, shell).into_bytes())
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

fn prepare(body: &mut Body, scene: &Scene) {
    // The name is the driver's and stands inside double quotes, so the shell expands what is in it.
    let via =
        scene.build.hostname().filter(|name| !name.is_empty()).map_or_else(String::new, |name| format!(" via {name}"));
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
    git::forget_credentials(body, scene);
}
