//! What Slurm keeps, logs and shows of a job: nothing that is secret.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;

use crate::world::batch::{HELD, begin, meeting_place};
use crate::world::cluster::look::cmdlines_contain;
use crate::world::{Cluster, Running, Slurm, World, cases, until};

cases!(
    fn nothing_secret_reaches_slurm_while_a_job_waits_and_while_it_runs(slurm: Slurm) {
        // The programs that talk to Slurm live for moments only, so somebody looks all the time.
        let over = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut seen = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    seen.extend(command_lines(ANY));
                    std::thread::sleep(Duration::from_millis(2)); // nothing tells when a program starts
                }
                seen
            });
            let looked = std::panic::catch_unwind(|| look_everywhere(slurm));
            over.store(true, Ordering::Relaxed);
            let seen = watch.join().expect("the watch");
            if let Err(panic) = looked {
                std::panic::resume_unwind(panic);
            }
            seen
        });
        assert_eq!(seen, Vec::<String>::new());
    }
);

/// Part of all that must be nowhere.
const ANY: &[u8] = b"secretz";
/// What must be nowhere. Each occurs in its own place only, so that a find says what leaked.
const VARIABLE: &str = "zvariablesecretz";
const FILE_VARIABLE: &str = "zfilesecretz";
const JOB_TOKEN: &str = "zjobtokensecretz";
const SCRIPT: &str = "zscriptsecretz";
const SITE: &str = "zsitesecretz";

/// Command lines of this machine, without that of the emulator: it plays GitLab, too, and is given secrets there.
fn command_lines(needle: &[u8]) -> Vec<String> {
    cmdlines_contain(needle).into_iter().filter(|line| !line.contains(" simulate ")).collect()
}

fn look_everywhere(slurm: Slurm) {
    let cluster = Cluster::shared(slurm);
    let proxy = format!("http://u:{SITE}@proxy");
    let world = World::root(slurm)
        .at(cluster)
        .slurm(|section| section.defaults(HELD))
        .jobs(|jobs| jobs.environment([("SITE_PROXY", proxy.as_str())]))
        .build();
    let running = Running::start(
        &world
            .simulate()
            .option("--job-token", JOB_TOKEN)
            .option("--variable", format!("DEPLOY_KEY={VARIABLE}"))
            .option("--file-variable", format!("KEY_FILE={FILE_VARIABLE}"))
            .script(format!(": {SCRIPT}"))
            .script("env > \"$HOME/env\"; cat \"$KEY_FILE\" > \"$HOME/file\"; cp \"$CI_JOB_JWT_FILE\" \"$HOME/token\"; touch \"$HOME/runs\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done"),
    );
    let job = running.until_submitted();
    let place = meeting_place(&world);
    let secrets = [VARIABLE, FILE_VARIABLE, JOB_TOKEN, SCRIPT, SITE];
    // Held long enough that the controller has written it down.
    cluster.save_state();
    assert!(
        !cluster.spool_contains(format!("motmot_dir='{}'", place.display()).as_bytes()).is_empty(),
        "this would be found"
    );
    for secret in secrets {
        assert_unknown(cluster, job, secret, "while it waits");
    }
    // What Slurm keeps of the environment is what the driver gave it, and what Slurm itself adds.
    let spooled = cluster.spool_contains(b"MOTMOT_SESSION=");
    let of_job = format!("job.{job}/environment");
    let environment = spooled.iter().find(|path| path.to_string_lossy().ends_with(&of_job)).expect("the environment");
    let text = String::from_utf8_lossy(&fs::read(environment).expect("environment")).into_owned();
    let names: Vec<&str> =
        text.split(|c: char| c.is_control()).filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let known = ["HOME", "LOGNAME", "MOTMOT_SESSION", "PATH", "SHELL", "USER"];
    assert!(known.iter().all(|name| names.contains(name)), "{text}");
    let odd: Vec<&&str> = names.iter().filter(|name| !name.starts_with("SLURM_") && !known.contains(name)).collect();
    assert!(odd.is_empty(), "{text}");
    begin(cluster, job);
    until("the script runs", || world.user.home.join("runs").exists());
    cluster.save_state();
    let token = fs::read_to_string(world.user.home.join("token")).expect("token");
    let environment = fs::read_to_string(world.user.home.join("env")).expect("env");
    // The job itself has all of it.
    for needed in [VARIABLE, JOB_TOKEN, SITE, token.as_str()] {
        assert!(environment.contains(needed), "{needed}");
    }
    assert_eq!(fs::read_to_string(world.user.home.join("file")).expect("file").trim_end(), FILE_VARIABLE);
    assert_eq!(open_to_others(&place), Vec::<PathBuf>::new());
    let parts: Vec<&str> = token.split('.').collect();
    let encoded = base64::prelude::BASE64_STANDARD.encode(VARIABLE);
    for secret in secrets.into_iter().chain([parts[1], parts[2], encoded.as_str()]) {
        assert_unknown(cluster, job, secret, "while it runs");
    }
    world.user_file("go", "");
    running.end().assert_success();
    for secret in secrets.into_iter().chain(parts[1..].iter().copied()) {
        assert_unknown(cluster, job, secret, "at the end");
    }
    cluster.until_no_jobs_of(&world.user.name);
}

#[track_caller]
fn assert_unknown(cluster: &Cluster, job: u32, secret: &str, when: &str) {
    let found = cluster.spool_contains(secret.as_bytes());
    assert!(found.is_empty(), "{secret} {when}: {found:?}");
    let lines = command_lines(secret.as_bytes());
    assert!(lines.is_empty(), "{secret} {when}: {lines:?}");
    for args in
        [["show", "job", "--details"].as_slice(), &["write", "batch_script", &job.to_string(), "-"], &["listpids"]]
    {
        let output = cluster.command("scontrol").args(args).output().expect("scontrol");
        let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!words.contains(secret), "{secret} {when}: scontrol {args:?}");
    }
}

/// Files and directories below that others than the owner may touch.
fn open_to_others(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in dir.read_dir().expect("a directory").flatten().map(|entry| entry.path()).chain([dir.to_owned()]) {
        let meta = fs::symlink_metadata(&path).expect("metadata");
        if meta.mode() & 0o077 != 0 {
            found.push(path.clone());
        }
        if meta.is_dir() && path != dir {
            found.extend(open_to_others(&path));
        }
    }
    found
}
