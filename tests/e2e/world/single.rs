//! A job whose stages a test calls one by one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::gitlab::GitLab;
use super::{TestAccount, World, chown};

/// A payload for calls of single stages.
pub fn payload(job_id: u64) -> Value {
    json!({"id": job_id, "token": "glcbt-test", "job_info": {"name": "j", "stage": "test", "project_id": 7, "project_full_path": "group/project", "user_id": 42, "pipeline_id": 55},
           "git_info": {"ref": "main", "ref_type": "branch", "sha": "0123456789012345678901234567890123456789", "protected": true}, "variables": [], "steps": []})
}

/// A job whose stages a test calls one by one, with a GitLab of the harness behind it.
pub struct Single<'w> {
    world: &'w World,
    pub session: String,
    _gitlab: GitLab,
}

impl<'w> Single<'w> {
    /// The config stage has answered.
    pub fn new(world: &'w World, job_id: u64) -> Self {
        Self::of(world, &world.user, job_id)
    }

    /// The same for a job of another account than the world's.
    pub fn of(world: &'w World, account: &TestAccount, job_id: u64) -> Self {
        let user = account.name.clone();
        let gitlab = GitLab::answering(
            json!({"id": job_id, "status": "running", "user": {"id": 42, "username": user}, "pipeline": {"id": 55, "project_id": 7, "source": "push"}}),
        );
        Self::at(world, gitlab, &payload(job_id))
    }

    /// The same with a GitLab that is there already, and a payload.
    pub fn at(world: &'w World, gitlab: GitLab, payload: &Value) -> Self {
        world.write_payload(payload);
        world.write_config_with(|config| config.gitlab(|section| section.url(&gitlab.url)));
        let output = world.stage("config").output().expect("config");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let session = answer["job_env"]["MOTMOT_SESSION"].as_str().expect("a session").to_owned();
        Self { world, session, _gitlab: gitlab }
    }

    pub fn stage(&self, stage: &str) -> Command {
        let mut command = self.world.stage(stage);
        command.env("MOTMOT_SESSION", &self.session);
        command
    }

    /// The cleanup stage, which must go through.
    #[track_caller]
    pub fn clean_up(&self) {
        let output = self.stage("cleanup").output().expect("cleanup");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A script in the runner's directory, in the runner's form.
    pub fn script(&self, body: &str) -> PathBuf {
        let path = self.world.dir.join("tmp/script");
        let quoted = body.replace('\\', "\\\\").replace('\'', "\\'");
        fs::write(&path, format!("#!/usr/bin/env bash\n\ntrap 'exit 1' TERM\n\nset -o errexit\nset +o noclobber\n(trap 'exit 1' TERM; eval $'{quoted}\\n') < /dev/null\nexit 0\n")).expect("script");
        let owner = fs::metadata(self.world.dir.join("tmp")).expect("tmp");
        chown(&path, owner.uid(), owner.gid());
        path
    }
}
