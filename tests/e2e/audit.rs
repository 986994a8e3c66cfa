//! The audit log: whose job each record is about, what its lines hang on, and what happens where its disk is full, was full, or lies
//! open.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::world::check::{check, finish};
use crate::world::{JobEnd, Rule, Single, World, cases, chmod, make_dir};

cases!(
    fn every_record_of_a_job_says_which_job_and_which_run_of_it_it_is_about(root: Root) {
        let world = World::root(root).build();
        world.simulate().option("--job-id", "77").option("--ref", "main").script("true").run().assert_success();
        let audit = world.audit();
        let events: Vec<_> = audit.iter().map(|line| line["event"].as_str().expect("an event")).collect();
        assert_eq!((events[0], events[1], *events.last().expect("a line")), ("accepted", "started", "cleaned up"));
        assert!(events.contains(&"minted") && events.contains(&"ended"), "{events:?}");
        for line in &audit {
            for field in ["pipeline_id", "project_id", "project", "sha", "gitlab", "host", "session", "stage"] {
                assert!(!line[field].is_null(), "{field} in {line}");
            }
            assert_eq!((&line["job_id"], &line["ref"], &line["simulated"]), (&77.into(), &"main".into(), &true.into()));
            assert_eq!(line["request"], audit[0]["request"]);
        }
        let session = audit[0]["session"].as_str().expect("a session");
        assert!(session.ends_with(audit[0]["request"].as_str().expect("a request")), "{session}");
    },
    fn a_script_begins_and_a_token_is_signed_before_anything_is_done_with_them_by_the_log() {
        let world = World::one_user().build();
        world.simulate().script("echo x").run().assert_success();
        let audit = world.audit();
        let of_script: Vec<_> = audit.iter().filter(|line| line["sub_stage"] == "build_script").collect();
        let place = |event| of_script.iter().position(|line| line["event"] == event).expect("an event");
        assert!(place("minted") < place("ended") && place("started") < place("ended"), "{of_script:?}");
    },
    fn lines_hang_together_over_all_stages_and_a_rotation(root: Root) {
        let world = World::root(root).build();
        world.simulate().script("true").run().assert_success();
        let old = world.dir.join("audit/audit.log-20270101");
        fs::rename(world.audit_file(), &old).expect("rotated");
        world.simulate().script("true").run().assert_success();
        let texts = [old, world.audit_file()].map(|file| fs::read_to_string(file).expect("a log"));
        let mut prev = "0".repeat(64);
        let lines: Vec<_> = texts.iter().flat_map(|text| text.lines()).collect();
        for (number, line) in lines.iter().enumerate() {
            let value: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!((&value["seq"], &value["prev"]), (&(number + 1).into(), &prev.into()), "{line}");
            prev = format!("{:x}", Sha256::digest(line.as_bytes()));
        }
    },
    fn a_full_disk_of_the_log_stops_new_jobs_and_says_so_in_words_and_check_says_that_it_is_full(root: Root) {
        let world = World::root(root).build();
        let end = on_a_full_disk_of(&world);
        end.assert_failed("runner_system_failure").assert_log("no job begins on this machine without a record of it");
        assert!(!end.log.contains("ran=yes"), "{}", end.log);
        assert!(fs::read_dir(world.sessions()).expect("sessions").next().is_none(), "nothing is left of it");
        let file = world.audit_file().display().to_string();
        let check = on_a_full_disk(&world, &Command::new(world.bins.join("motmot")));
        finish(check, &world.config_file(), &["--offline"]).says(&["warning  log", &file, "has 0 KiB left"]);
    },
    fn a_site_may_have_jobs_run_without_a_record_and_each_stage_says_so(root: Root) {
        let mut world = World::root(root).build();
        world.change(|config| config.logging(|log| log.on_failure("warn")));
        let end = on_a_full_disk_of(&world);
        end.assert_success().assert_log("ran=yes");
        let file = world.audit_file().display().to_string();
        let told = |text: &str| text.matches(&format!("warning: the audit log {file} cannot be written")).count();
        // Once in each stage: config, and a script for each token.
        assert!(told(&end.log) >= 2 && told(&end.log) < 10, "{}", end.log);
        assert_eq!(told(&end.runner_log), 1, "{}", end.runner_log);
    },
    fn a_log_that_cannot_be_written_any_more_stops_a_prepare_stage_and_no_cleanup(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        chmod(&world.dir.join("audit"), 0o777);
        let prepare = single.stage("prepare").output().expect("prepare");
        let told = String::from_utf8_lossy(&prepare.stderr);
        assert!(prepare.status.code() == Some(2) && told.contains("no job begins on this machine"), "{told}");
        // A job that has begun goes on.
        let run = single.stage("run").arg(single.script("echo ran=yes")).arg("build_script").output().expect("run");
        let (out, told) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success() && out.contains("ran=yes"), "{out}{told}");
        assert_eq!(told.matches("warning: the audit log ").count(), 1, "{told}");
        single.clean_up();
        assert!(fs::read_dir(world.sessions()).expect("sessions").next().is_none());
    },
    fn half_a_line_of_a_disk_that_was_full_spoils_no_record_behind_it() {
        let world = World::one_user().build();
        world.simulate().script("true").run().assert_success();
        let before = fs::read(world.audit_file()).expect("a log");
        fs::write(world.audit_file(), &before[..before.len() - 20]).expect("cut");
        world.simulate().script("true").run().assert_success();
        let text = fs::read_to_string(world.audit_file()).expect("a log");
        let (good, bad): (Vec<_>, Vec<_>) = text.lines().partition(|line| serde_json::from_str::<Value>(line).is_ok());
        let lines = String::from_utf8_lossy(&before).lines().count();
        assert_eq!((good.len(), bad.len()), (2 * lines - 1, 1), "{text}");
    },
    fn syslog_and_journal_have_each_record_of_the_file(root: Root) {
        let mut world = World::root(root).build();
        let dir = world.dir.join("sockets");
        make_dir(&dir, 0o755);
        let [journal, syslog] = ["socket", "log"].map(|name| Reader::bind(&dir.join(name)));
        let socket = dir.join("log");
        world.change(|config| {
            config.logging(|log| log.audit(["file", "journald", "syslog"]).syslog_socket(socket.as_path()))
        });
        let end = with_journal_in(&dir, &world);
        end.assert_success();
        let text = fs::read_to_string(world.audit_file()).expect("a log");
        let (journal, syslog) = (journal.all(), syslog.all());
        assert_eq!((journal.len(), syslog.len()), (text.lines().count(), text.lines().count()));
        for ((line, in_journal), in_syslog) in text.lines().zip(&journal).zip(&syslog) {
            assert!(
                in_journal.starts_with(&format!("MESSAGE={line}\nPRIORITY=6\nSYSLOG_IDENTIFIER=motmot\n")),
                "{in_journal}"
            );
            assert!(in_journal.contains("\nMOTMOT_JOB_ID="), "{in_journal}");
            assert!(in_syslog.starts_with("<86>1 2") && in_syslog.ends_with(line), "{in_syslog}");
        }
    },
    fn a_syslog_that_is_missing_or_does_not_read_stops_new_jobs_in_the_time_of_a_breath(root: Root) {
        let mut world = World::root(root).build();
        let socket = world.dir.join("log");
        world.change(|config| config.logging(|log| log.audit(["file", "syslog"]).syslog_socket(socket.as_path())));
        let end = world.simulate().script("true").run();
        end.assert_failed("runner_system_failure")
            .assert_log(&format!("the audit log {} cannot be written", socket.display()));
        let reader = UnixDatagram::bind(&socket).expect("bound");
        let writer = UnixDatagram::unbound().expect("a socket");
        writer.set_nonblocking(true).expect("set");
        while writer.send_to(b"full", &socket).is_ok() {}
        let end = world.simulate().script("true").run();
        end.assert_failed("runner_system_failure").assert_log("whoever reads it does not");
        drop(reader);
    },
    fn the_reference_that_the_author_of_a_refused_job_reads_is_that_of_its_record(root: Root) {
        let world = World::root(root).rules([Rule::user("nobody-else").run_as("daemon")]).build();
        let end = world.simulate().script("true").run();
        end.assert_failed("script_failure");
        let (_, reference) = end.log.split_once("the reference of this for the administrators: ").expect("a reference");
        let reference = reference.lines().next().expect("a line");
        let refused = world.audit().into_iter().find(|line| line["event"] == "refused").expect("a record");
        assert_eq!(refused["request"], reference);
    },
    fn check_refuses_a_directory_for_the_log_that_every_stage_refuses_also_before_there_is_a_log(root: Root) {
        let mut world = World::root(root).build();
        let open = world.dir.join("open");
        make_dir(&open, 0o777);
        for file in [open.join("audit.log"), open.join("new/audit.log")] {
            world.change(|config| config.log(&file));
            let why = format!("{}: is a directory with mode 0777", open.display());
            check(&world).is_good(false).says(&["PROBLEM  log: ", &why]).does_not_say("chmod");
            let end = world.simulate().script("true").run();
            end.assert_failed("runner_system_failure").assert_log("the audit log ").assert_log(&why);
            assert!(!file.exists());
            if file.starts_with(open.join("new")) {
                // The stage has made it, and then seen where it is.
                check(&world).is_good(false).says(&["PROBLEM  log: ", &why]);
            }
        }
    }
);

/// A job where nothing can be written beside the audit log.
fn on_a_full_disk_of(world: &World) -> JobEnd {
    let simulate = world.simulate().script("echo ran=yes");
    let (command, log, runner_log) = simulate.command();
    let output = on_a_full_disk(world, &command).output().expect("motmot simulate");
    JobEnd::read(&output, &log, &runner_log)
}

/// The same command where nothing can be written beside the audit log.
fn on_a_full_disk(world: &World, command: &Command) -> Command {
    const MOUNT: &str = "mount -t tmpfs -o size=16k,mode=755 none \"$1\" && ! cat /dev/zero 2>/dev/null > \"$1/full\" && shift && exec \"$@\"";
    elsewhere(MOUNT, &world.dir.join("audit"), command)
}

/// A job of a machine whose journal listens in this directory.
fn with_journal_in(dir: &Path, world: &World) -> JobEnd {
    const MOUNT: &str = "mount -t tmpfs -o mode=755 none /run && mkdir -p /run/systemd/journal && mount --bind \"$1\" /run/systemd/journal && shift && exec \"$@\"";
    let simulate = world.simulate().script("true");
    let (command, log, runner_log) = simulate.command();
    let output = elsewhere(MOUNT, dir, &command).output().expect("motmot simulate");
    JobEnd::read(&output, &log, &runner_log)
}

fn elsewhere(script: &str, dir: &Path, command: &Command) -> Command {
    let mut other = Command::new("unshare");
    other.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(dir);
    other.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    other
}

/// Takes all datagrams of a socket, as a service does.
struct Reader {
    stop: UnixDatagram,
    path: std::path::PathBuf,
    thread: std::thread::JoinHandle<Vec<String>>,
}

impl Reader {
    fn bind(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("bound");
        socket.set_read_timeout(Some(Duration::from_mins(2))).expect("set");
        let thread = std::thread::spawn(move || {
            let (mut all, mut bytes) = (Vec::new(), vec![0; 1 << 18]);
            loop {
                let length = socket.recv(&mut bytes).expect("a datagram");
                if length == 0 {
                    return all;
                }
                all.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            }
        });
        Self { stop: UnixDatagram::unbound().expect("a socket"), path: path.to_owned(), thread }
    }

    /// All that has come; an empty datagram is the end.
    fn all(self) -> Vec<String> {
        self.stop.send_to(b"", &self.path).expect("sent");
        self.thread.join().expect("read")
    }
}
