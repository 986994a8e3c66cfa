//! The generated scripts, and the way of their output.

use std::fs;
use std::os::unix::fs::symlink;

use motmot_emulator::{RunnerVersion, Status, Variable};

use crate::world::World;

#[test]
fn file_variables_exist_for_the_script_and_are_deleted_at_the_end() {
    let world = World::with(|simulation| {
        simulation.variables.push(Variable::file("FILEV", "it's $HOME\nsecret"));
        simulation.variables.push(Variable { raw: true, ..Variable::file("RAWV", "it's $HOME\nsecret") });
        simulation.script = vec!["cat \"$RAWV\"".into(), "echo; echo \"path $RAWV\"".into()];
    });
    let played = world.play();
    assert!(played.has("it's $HOME\nsecret"), "{}", played.log);
    let path = world.path("builds/group/project.tmp/RAWV");
    assert!(played.has(&format!("path {}", path.display())));
    assert!(!path.exists());
}

#[test]
fn gitlab_env_carries_variables_from_script_to_after_script() {
    for version in [RunnerVersion::V17_9, RunnerVersion::V19_3] {
        let world = World::with(|simulation| {
            simulation.runner.version = version;
            simulation.script = vec!["echo NEW=value >>\"$GITLAB_ENV\"".into()];
            simulation.after_script = vec!["echo \"got $NEW $CI_JOB_STATUS\"".into()];
        });
        assert!(world.play().has("got value success\n"));
    }
}

#[test]
fn scripts_trap_term_only_since_19_1() {
    for (version, flag, traps) in [
        (RunnerVersion::V19_0, "false", false),
        (RunnerVersion::V19_1, "false", true),
        (RunnerVersion::V19_3, "true", false),
    ] {
        let world = World::with(|simulation| {
            simulation.runner.version = version;
            simulation.variables.push(Variable::new("FF_USE_LEGACY_BASH_EVAL", flag));
        });
        world.on("build_script", "cp \"$script\" \"$dir/script\"");
        world.play();
        let script = world.read("script");
        assert_eq!(script.contains("trap 'exit 1' TERM"), traps, "{version:?}");
        assert_eq!(script.contains("\n: | eval $'"), !traps, "{version:?}");
        assert!(script.ends_with("\nexit 0\n"));
    }
}

#[test]
fn bytes_of_the_job_arrive_unchanged() {
    let world = World::new();
    world.on("build_script", "printf 'bin\\000\\377\\376 no newline'; exit 0");
    let (mut log, mut runner_log) = (Vec::new(), Vec::new());
    world.run(&world.simulation, &mut log, &mut runner_log).unwrap();
    let wanted = b"bin\0\xff\xfe no newline";
    assert!(log.windows(wanted.len()).any(|window| window == wanted));
}

#[test]
fn a_large_log_streams() {
    struct Count(u64);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let world = World::new();
    world.on("build_script", "head -c 50000000 /dev/zero; yes a line of output | head -c 50000000; exit 0");
    let mut count = Count(0);
    let result = world.run(&world.simulation, &mut count, &mut std::io::sink()).unwrap();
    let build = result.calls.iter().find(|call| call.name() == "build_script").unwrap();
    assert_eq!(build.stdout_bytes, 100_000_000);
    assert!(count.0 > 100_000_000);
}

#[test]
fn a_repository_is_really_fetched() {
    let world = World::new();
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git").current_dir(world.dir.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q", "-b", "main", "repo"]);
    fs::write(world.path("repo/file"), "from git\n").unwrap();
    git(&["-C", "repo", "add", "."]);
    git(&["-C", "repo", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "x"]);
    let mut simulation = world.simulation.clone();
    simulation.job.sha = git(&["-C", "repo", "rev-parse", "HEAD"]);
    simulation.git_url = Some(format!("file://{}/repo", world.dir.path().display()));
    simulation.variables.clear();
    simulation.script = vec!["cat file".into()];
    for _ in 0..2 {
        let mut log = Vec::new();
        let result = world.run(&simulation, &mut log, &mut std::io::sink()).unwrap();
        let log = String::from_utf8_lossy(&log);
        assert_eq!(result.status, Status::Success, "{log}");
        assert!(log.contains("\nfrom git\n"), "{log}");
    }
}

#[test]
fn helpers_are_called_only_where_gitlab_runner_exists() {
    let world = World::with(|simulation| simulation.artifacts = vec!["out".into()]);
    assert!(world.play().has("Missing gitlab-runner. Uploading artifacts is disabled."));
    symlink(world.path("motmot-run"), world.path("gitlab-runner")).unwrap();
    world.on("upload_artifacts_on_success", "export PATH=\"$dir:$PATH\"");
    let played = world.play();
    let helper = world.read("helper");
    let id = played.result.job_id.to_string();
    assert!(
        helper.contains("artifacts-uploader --url http://127.0.0.1:")
            && helper.contains(&format!("--id {id} --path out")),
        "{helper}"
    );
}
