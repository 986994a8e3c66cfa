//! `get_sources` and its relatives.

use super::body::{Body, Scene};
use super::quote::quote;

pub(crate) fn get_sources(body: &mut Body, scene: &Scene) {
    body.variables(scene);
    hook(body, scene, "pre_get_sources_script");
    let project = quote(&scene.dirs.project);
    match scene.get("GIT_STRATEGY") {
        "none" => {
            body.notice("Skipping Git repository setup");
            body.line(format!("mkdir -p {project}"));
            body.notice("Skipping Git checkout");
            body.notice("Skipping Git submodules setup");
        }
        "empty" => {
            body.notice("Skipping Git repository setup and creating an empty build directory");
            body.line(format!("rm -rf {project}"));
            body.line(format!("mkdir -p {project}"));
            body.notice("Skipping Git checkout");
            body.notice("Skipping Git submodules setup");
        }
        strategy => {
            if strategy == "clone" || (strategy.is_empty() && !scene.build.payload.allow_git_fetch) {
                body.line(format!("rm -rf {project}"));
            }
            fetch(body, scene);
        }
    }
    hook(body, scene, "post_get_sources_script");
}

/// A fetch in the project directory. The job token is part of the URL, and so of git's arguments:
/// that leak is the runner's, and drivers have to live with it.
fn fetch(body: &mut Body, scene: &Scene) {
    let git = &scene.build.payload.git_info;
    let temp = scene.dirs.temp();
    let project = quote(&scene.dirs.project);
    let template = format!("{temp}/git-template");
    // What an earlier job left behind must not decide what git does in this one.
    body.line(format!("if [ -d {project}/.git ]; then"));
    body.line(format!("  find {project}/.git -name '*.lock' -type f -exec rm -f {{}} +"));
    body.line(format!("  rm -rf {project}/.git/config {project}/.git/hooks"));
    body.line("fi");
    body.line(format!("rm -rf {}", quote(&template)));
    body.line(format!("mkdir -p {}", quote(&template)));
    let config = quote(&format!("{template}/config"));
    for setting in [
        "init.defaultBranch none",
        "fetch.recurseSubmodules false",
        "credential.interactive never",
        "gc.autoDetach false",
    ] {
        body.line(format!("git config -f {config} {setting}"));
    }
    if scene.version.has_ext_git_config() {
        let ext = quote(&ext_config(scene));
        body.line(format!("rm -f {ext}"));
        body.line(format!("export GLR_EXT_GIT_CONFIG_PATH={ext}"));
        let url = &scene.build.url;
        if let Some((scheme, host)) = url.split_once("://") {
            let with_token = format!("{scheme}://gitlab-ci-token:{}@{host}", scene.build.payload.token);
            body.line(format!("git config -f {ext} {} {}", quote(&format!("url.{with_token}.insteadOf")), quote(url)));
            body.line(format!("git config -f {config} include.path {ext}"));
        }
    }
    if git.depth > 0 {
        body.notice(&format!("Fetching changes with git depth set to {}...", git.depth));
    } else {
        body.notice("Fetching changes...");
    }
    body.line(format!("git init -q {project} --template {}", quote(&template)));
    body.line(format!("cd {project}"));
    let url = quote(&git.repo_url);
    body.line(format!(
        "if git remote add origin {url} >/dev/null 2>&1; then {}; else git remote set-url origin {url}; fi",
        "echo 'Created fresh repository.'"
    ));
    let depth = if git.depth > 0 { format!(" --depth {}", git.depth) } else { String::new() };
    let refspecs: Vec<String> = git.refspecs.iter().flatten().map(|spec| quote(spec)).collect();
    body.line(format!("git fetch origin --no-recurse-submodules --prune --quiet{depth} {}", refspecs.join(" ")));
    let short: String = git.sha.chars().take(8).collect();
    body.notice(&format!("Checking out {short} as detached HEAD (ref is {})...", git.reference));
    body.line(format!("git -c submodule.recurse=false checkout -f -q {}", quote(&git.sha)));
    body.line("git clean -ffdx");
    body.line("if git lfs version >/dev/null 2>&1; then git lfs pull; fi");
    match scene.get("GIT_SUBMODULE_STRATEGY") {
        strategy @ ("normal" | "recursive") => {
            body.notice("Updating/initializing submodules...");
            let recursive = if strategy == "recursive" { " --recursive" } else { "" };
            body.line(format!("git submodule update --init{recursive}"));
        }
        _ => body.notice("Skipping Git submodules setup"),
    }
    forget_credentials(body, scene);
}

/// Tells credential helpers that the job token is of no use any more (19.3).
pub(crate) fn forget_credentials(body: &mut Body, scene: &Scene) {
    if !scene.version.tidies_credentials() {
        return;
    }
    if let Some((scheme, host)) = scene.build.url.split_once("://") {
        let credential = format!("protocol={scheme}\nhost={host}\nusername=gitlab-ci-token\n\n");
        body.line(format!("if git version >/dev/null 2>&1; then printf '%s' {} | GIT_TERMINAL_PROMPT=0 git credential reject || true; fi", quote(&credential)));
    }
    body.line(format!("rm -f {}", quote(&ext_config(scene))));
}

fn ext_config(scene: &Scene) -> String {
    format!("{}/.gitlab-runner.ext.conf", scene.dirs.temp())
}

/// Empties the work tree before the second attempt to fetch.
pub(crate) fn clear_worktree(body: &mut Body, scene: &Scene) {
    let project = quote(&scene.dirs.project);
    body.line(format!("if [ -d {project}/.git ]; then"));
    body.line(format!("  cd {project}"));
    body.line("  git rm -rf --quiet --ignore-unmatch . && git clean -ffdx");
    body.line("fi");
}

fn hook(body: &mut Body, scene: &Scene, name: &str) {
    for hook in scene.build.payload.hooks.iter().flatten().filter(|hook| hook.name == name) {
        for command in hook.script.iter().flatten() {
            body.notice(&format!("$ {}", command.lines().next().unwrap_or_default()));
            body.line(command);
        }
    }
}
