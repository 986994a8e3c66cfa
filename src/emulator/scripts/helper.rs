//! Caches and artifacts: the scripts that call `gitlab-runner` as a helper on the user's side.
//!
//! Each returns `None` when there is nothing to do and the stage is skipped.

use std::fmt::Write as _;

use super::body::{Body, Scene};
use super::quote::quote;
use crate::gitlab::payload::{Artifact, Cache};

fn when_matches(when: &str, success: bool) -> bool {
    match when {
        "always" => true,
        "on_failure" => !success,
        _ => success,
    }
}

/// Runs a helper if the user's PATH has one. Without it the job goes on, and stays green.
fn guarded(body: &mut Body, feature: &str, notice: &str, command: &str) {
    body.line("if gitlab-runner --version >/dev/null 2>&1; then");
    body.notice(notice);
    body.line(command);
    body.line("else");
    body.warn(&format!("Missing gitlab-runner. {feature} is disabled."));
    body.line("fi");
}

fn useful(cache: &Cache) -> bool {
    cache.untracked || cache.paths.as_ref().is_some_and(|paths| !paths.is_empty())
}

fn cache_file(scene: &Scene, cache: &Cache) -> String {
    let key = if cache.key.is_empty() {
        format!("{}/{}", scene.get("CI_JOB_NAME"), scene.get("CI_COMMIT_REF_NAME"))
    } else {
        cache.key.clone()
    };
    quote(&format!("{}/{key}/cache.zip", scene.dirs.cache))
}

pub(crate) fn restore_cache(body: &mut Body, scene: &Scene) -> Option<()> {
    let caches: Vec<&Cache> =
        scene.build.payload.cache.iter().flatten().filter(|cache| useful(cache) && cache.policy != "push").collect();
    if caches.is_empty() {
        return None;
    }
    body.variables(scene);
    body.line(format!("cd {}", quote(&scene.dirs.project)));
    for cache in caches {
        let notice = format!("Checking cache for {}...", cache.key);
        let command = format!(
            "if gitlab-runner cache-extractor --file {} --timeout 10; then echo 'Successfully extracted cache'; else echo 'Failed to extract cache'; fi",
            cache_file(scene, cache)
        );
        guarded(body, "Extracting cache", &notice, &command);
    }
    Some(())
}

pub(crate) fn archive_cache(body: &mut Body, scene: &Scene, success: bool) -> Option<()> {
    let wanted = |cache: &&Cache| useful(cache) && cache.policy != "pull" && when_matches(&cache.when, success);
    let caches: Vec<&Cache> = scene.build.payload.cache.iter().flatten().filter(wanted).collect();
    if caches.is_empty() {
        return None;
    }
    body.variables(scene);
    body.line(format!("cd {}", quote(&scene.dirs.project)));
    for cache in caches {
        let notice = format!("Creating cache {}...", cache.key);
        let mut command = format!("gitlab-runner cache-archiver --file {} --timeout 10", cache_file(scene, cache));
        paths(&mut command, "--path", cache.paths.as_deref());
        if cache.untracked {
            command.push_str(" --untracked");
        }
        guarded(
            body,
            "Creating cache",
            &notice,
            &format!("if {command}; then echo 'Created cache'; else echo 'Failed to create cache'; fi"),
        );
    }
    Some(())
}

pub(crate) fn download_artifacts(body: &mut Body, scene: &Scene) -> Option<()> {
    let dependencies: Vec<_> = scene
        .build
        .payload
        .dependencies
        .iter()
        .flatten()
        .filter(|job| !job.artifacts_file.filename.is_empty())
        .collect();
    if dependencies.is_empty() {
        return None;
    }
    body.variables(scene);
    body.line(format!("cd {}", quote(&scene.dirs.project)));
    for job in dependencies {
        let notice = format!("Downloading artifacts for {} ({})...", job.name, job.id);
        let command = format!(
            "gitlab-runner artifacts-downloader --url {} --token {} --id {}",
            quote(&scene.build.url),
            quote(&job.token),
            job.id
        );
        guarded(body, "Artifacts downloading", &notice, &command);
    }
    Some(())
}

pub(crate) fn upload_artifacts(body: &mut Body, scene: &Scene, success: bool) -> Option<()> {
    let wanted = |artifact: &&Artifact| {
        let something = artifact.untracked || artifact.paths.as_ref().is_some_and(|paths| !paths.is_empty());
        something && when_matches(&artifact.when, success)
    };
    let artifacts: Vec<&Artifact> = scene.build.payload.artifacts.iter().flatten().filter(wanted).collect();
    if artifacts.is_empty() {
        return None;
    }
    body.variables(scene);
    body.line(format!("cd {}", quote(&scene.dirs.project)));
    let job = &scene.build.payload;
    for artifact in artifacts {
        let mut command = format!(
            "gitlab-runner artifacts-uploader --url {} --token {} --id {}",
            quote(&scene.build.url),
            quote(&job.token),
            job.id
        );
        paths(&mut command, "--path", artifact.paths.as_deref());
        paths(&mut command, "--exclude", artifact.exclude.as_deref());
        if artifact.untracked {
            command.push_str(" --untracked");
        }
        for (flag, value) in [
            ("--expire-in", &artifact.expire_in),
            ("--name", &artifact.name),
            ("--artifact-format", &artifact.artifact_format),
            ("--artifact-type", &artifact.artifact_type),
        ] {
            if !value.is_empty() {
                let _ = write!(command, " {flag} {}", quote(value));
            }
        }
        guarded(body, "Uploading artifacts", "Uploading artifacts...", &command);
    }
    Some(())
}

fn paths(command: &mut String, flag: &str, paths: Option<&[String]>) {
    for path in paths.unwrap_or_default() {
        let _ = write!(command, " {flag} {}", quote(path));
    }
}
