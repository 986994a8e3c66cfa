use std::collections::BTreeMap;
use std::fs;

use zeroize::Zeroizing;

use super::*;
use crate::order::TokenPlace;
use crate::order::completion::ScriptEnd;

/// What the wrapper on the node writes.
fn record(end: &str) -> String {
    format!("{end}restarts=0\nnode=n1\nend\n")
}

/// The reports of a worker that follows a job, beginning with [`Report::Ready`].
struct Following {
    stage: UnixStream,
    worker: std::thread::JoinHandle<Result<(), WorkerFailure>>,
}

impl Following {
    /// A job below `data`, with `echo hello` for its script.
    fn start(data: &Path) -> Self {
        let jobs = data.join("jobs/5-a");
        let token = TokenPlace { file: jobs.join("token/token"), variable: "CI_JOB_JWT".into() };
        let order = BatchOrder {
            directories: vec![data.to_owned(), data.join("jobs"), jobs.clone(), jobs.join("token"), jobs.join("batch")],
            place: Some(jobs.join("batch/motmot-5")),
            settings: Some("a=b\n".into()),
            run: Some("run-1".into()),
            scheduler_output: "scheduler".into(),
            token: Some(token),
            output_timeout: Duration::from_mins(1),
            ..BatchOrder::default()
        };
        let (mut stage, mut theirs) = UnixStream::pair().expect("sockets");
        // A report that never comes fails the test.
        stage.set_read_timeout(Some(Duration::from_mins(1))).expect("a limit");
        let worker = std::thread::spawn(move || serve(&order, &mut theirs));
        Command::Script(Zeroizing::new(b"echo hello".to_vec())).write_to(&mut stage).expect("sent");
        let mut following = Self { stage, worker };
        assert!(matches!(following.report(), Report::Ready));
        following
    }

    fn report(&mut self) -> Report {
        Report::read_from(&mut self.stage).expect("a frame").expect("a report")
    }

    fn tell(&mut self, command: &Command) {
        command.write_to(&mut self.stage).expect("sent");
    }

    fn finish(mut self) {
        self.tell(&Command::Finish);
        self.worker.join().expect("no panic").expect("done");
    }
}

#[test]
fn what_a_node_writes_is_reported_and_a_tree_that_is_swapped_meanwhile_gets_nothing() {
    let temp = tempfile::tempdir().expect("dir");
    let path = temp.path().canonicalize().expect("path");
    let (data, moved) = (path.join("data"), path.join("moved"));
    let mut following = Following::start(&data);
    let place = |data: &Path| data.join("jobs/5-a/batch/motmot-5");
    let read = |name: &str| fs::read_to_string(place(&moved).join(name)).expect(name);

    fs::rename(&data, &moved).expect("rename");
    let planted = place(&data).join("run-1");
    fs::create_dir_all(&planted).expect("mkdir");
    fs::create_dir(data.join("jobs/5-a/token")).expect("mkdir");
    fs::write(planted.join("started"), record("")).expect("write");
    fs::write(planted.join("record"), record("end-of-script=0\nbytes=0\nterminated=no\n")).expect("write");

    assert_eq!(
        (read("next"), read("settings"), read("run-1/script")),
        ("run-1\n".into(), "a=b\n".into(), "echo hello".into())
    );
    fs::write(place(&moved).join("run-1/started"), record("")).expect("write");
    assert!(matches!(following.report(), Report::Started(started) if started.node == "n1"));
    following.tell(&Command::Token(Zeroizing::new(b"hush".to_vec())));
    // Its answer says that the command before it was carried out.
    let (program, args, environment) = ("/nonexistent".into(), Vec::new(), BTreeMap::new());
    following.tell(&Command::Call(Box::new(Call { program, args, environment, input: String::new() })));
    assert!(matches!(following.report(), Report::Answered(_)));
    fs::write(place(&moved).join("run-1/output"), "hello\n").expect("write");
    fs::write(place(&moved).join("scheduler"), "its own words\n").expect("write");
    let end = record("end-of-script=3\nbytes=6\nterminated=no\n");
    let new = place(&moved).join("run-1/record.new");
    fs::write(&new, end).expect("write");
    fs::rename(new, place(&moved).join("run-1/record")).expect("rename");
    let Report::Recorded(record) = following.report() else { panic!("no record") };
    assert_eq!((record.end, record.bytes), (ScriptEnd::Exited(3), 6));
    let Report::Drained(drained) = following.report() else { panic!("not drained") };
    assert_eq!((drained.missing, drained.scheduler_words.as_str()), (0, "its own words"));
    assert_eq!(fs::read_to_string(moved.join("jobs/5-a/token/token")).expect("the token"), "hush");
    following.finish();
    assert!(!moved.join("jobs/5-a/token/token").exists());
    assert_eq!(fs::read_dir(data.join("jobs/5-a/token")).expect("dir").count(), 0, "no token came there");
}

#[test]
fn a_run_below_a_directory_that_a_group_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let temp = tempfile::tempdir().expect("dir");
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o770)).expect("chmod");
    let (_stage, mut theirs) = UnixStream::pair().expect("sockets");
    let order = BatchOrder { directories: vec![temp.path().join("data")], ..BatchOrder::default() };
    let refused = serve(&order, &mut theirs).expect_err("refused");
    assert!(refused.words.contains("its group may write to it"), "{refused}");
}
