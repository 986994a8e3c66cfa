//! The batch script by itself, without a scheduler: what it makes of the moments in which a scheduler seldom hits it.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::world::{base, cases, make_dir, until};

cases!(
    fn a_script_whose_job_is_told_to_end_while_it_is_being_started_is_told_too() {
        let dir = tempfile::Builder::new().prefix("wrapper-").tempdir_in(base()).expect("a directory");
        // The last thing that the wrapper needs for the script. Who reads it waits until the test has written it.
        let launcher = dir.path().join("launcher");
        mkfifo(&launcher, Mode::S_IRUSR | Mode::S_IWUSR).expect("mkfifo");
        let script = "trap 'echo trapped; exit 0' TERM\necho begun\nfor i in $(seq 100); do sleep 0.1; done\n";
        let mut wrapper = start(dir.path(), script);
        let open = || File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&launcher);
        let mut writer = None;
        until("the wrapper is about to start the script", || {
            writer = open().ok();
            writer.is_some()
        });
        // A scheduler looks which processes a job has, and then tells these: what is started meanwhile hears nothing.
        kill(Pid::from_raw(wrapper.id().cast_signed()), Signal::SIGTERM).expect("kill");
        let text = fs::read(LAUNCHER).expect("the launcher");
        std::io::Write::write_all(&mut writer.expect("opened"), &text).expect("the launcher");
        wrapper.wait().expect("ended");
        let (output, record) = (read(dir.path(), "output"), read(dir.path(), "record"));
        assert_eq!(output.contains("begun"), output.contains("trapped"), "{output}\n{record}");
        assert!(record.contains("\nterminated=yes\n"), "{record}");
    },
    fn a_script_whose_launcher_cannot_be_read_to_its_end_has_not_succeeded() {
        let whole = fs::read(LAUNCHER).expect("the launcher");
        for part in [Some(&[] as &[u8]), Some(&whole[..whole.len() / 2]), None] {
            let dir = tempfile::Builder::new().prefix("wrapper-").tempdir_in(base()).expect("a directory");
            if let Some(part) = part {
                fs::write(dir.path().join("launcher"), part).expect("the launcher");
            }
            let mut wrapper = start(dir.path(), "exit 3\n");
            wrapper.wait().expect("ended");
            let record = read(dir.path(), "record");
            assert!(record.contains("end-of-script=no-launcher\n"), "{:?}: {record}", part.map(<[u8]>::len));
        }
    },
    fn all_that_a_script_has_written_is_there_at_its_end_whoever_still_holds_its_output() {
        // Nobody; who only waits; who writes, slowly and as fast as he can; and who has put an end to the copying.
        for held in [
            "",
            "setsid sleep 1000 & echo $! >pid",
            "setsid sh -c 'while :; do echo behind; sleep 0.01; done' & echo $! >pid",
            "setsid sh -c 'exec yes behind' & echo $! >pid",
            "for copier in $(pgrep -P $PPID); do pkill -KILL -x -P $copier cat || true; done",
        ] {
            let dir = tempfile::Builder::new().prefix("wrapper-").tempdir_in(base()).expect("a directory");
            let at = dir.path().display();
            let script = format!("cd '{at}'\n{held}\nseq 200000\nprintf last >/dev/stderr\nexit 5\n");
            fs::copy(LAUNCHER, dir.path().join("launcher")).expect("the launcher");
            let begun = Instant::now();
            let mut wrapper = start(dir.path(), &script);
            wrapper.wait().expect("ended");
            assert!(begun.elapsed() < Duration::from_secs(40), "{held} holds the job");
            let (output, record) = (read(dir.path(), "output"), read(dir.path(), "record"));
            if let Ok(pid) = fs::read_to_string(dir.path().join("pid")) {
                let _ = kill(Pid::from_raw(pid.trim().parse().expect("a number")), Signal::SIGKILL);
            }
            let lines: Vec<&str> = output.lines().filter(|line| !line.starts_with("behind")).collect();
            assert!(record.contains("end-of-script=5\n") && record.contains("\nspilled=no\n"), "{held}: {record}");
            let behind = held.contains("behind");
            let numbers = lines.iter().filter(|line| line.parse::<u32>().is_ok()).count();
            assert!(numbers == 200_000 || behind && numbers > 199_000, "{held}: {numbers}");
            assert!(behind || output.ends_with("\nlast"), "{held}");
        }
    }
);

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join("run-1").join(name)).expect("a file of the run")
}

const BATCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/executor-scripts/batch.bash");
const LAUNCHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/executor-scripts/launcher.bash");

/// What the worker on the login node lays out for a job of one script, and the wrapper that runs it.
fn start(dir: &Path, script: &str) -> Child {
    let run = dir.join("run-1");
    make_dir(&run, 0o700);
    make_dir(&dir.join("tmp"), 0o700);
    fs::write(run.join("script"), script).expect("script");
    for (name, content) in [("output", ""), ("started", ""), ("record", ""), ("claim", " "), ("arrived", " ")] {
        fs::write(run.join(name), content).expect("a file of the run");
    }
    let settings = format!(
        "motmot_again=never motmot_many=no motmot_shell=/bin/bash motmot_login=no\n\
         motmot_tmpdir='{}' motmot_token_file= motmot_token_variable= motmot_token_tries=1\n",
        dir.join("tmp").display()
    );
    fs::write(dir.join("settings"), settings).expect("settings");
    fs::write(dir.join("next"), "run-1\n").expect("next");
    let text = fs::read_to_string(BATCH).expect("the wrapper");
    let head = format!("motmot_dir='{}'\nmotmot_job=1\nmotmot_restarts=0\nmotmot_node=n1\n", dir.display());
    fs::write(dir.join("batch"), head + &text).expect("the batch script");
    let mut command = Command::new("bash");
    command.arg(dir.join("batch")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).spawn().expect("bash")
}
