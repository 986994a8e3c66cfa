use std::fs::{self, File};
use std::path::PathBuf;
use std::time::SystemTime;

use super::left_behind::{A_DAY, A_WHILE};
use super::record::{boot_of, machine, tree};
use super::*;
use crate::launch::batch::Ledger;
use crate::policy::Decision;
use crate::report::{FailureKind, Fault};
use crate::scheduler::{JobId, JobName};

struct Stored {
    _temp: tempfile::TempDir,
    sessions: Sessions,
}

fn world() -> Stored {
    let temp = tempfile::tempdir().expect("dir");
    let sessions = open(&temp.path().join("state")).expect("opened");
    Stored { _temp: temp, sessions }
}

fn open(dir: &Path) -> Result<Sessions, SessionError> {
    Sessions::open(dir, Configuration::new("/etc/c.toml".into(), Vec::new))
}

impl Stored {
    fn create(&self, job_id: u64, attempt: &str) -> Session {
        // A session as a config stage leaves it, without the way there.
        let name = format!("{job_id}-{:012x}", uuid::Uuid::now_v7().as_u128() & 0xffff_ffff_ffff);
        let dir = self.dir(&name);
        DirBuilder::new().mode(0o700).create(&dir).expect("made");
        let slot = slots::take(&self.sessions.store, 1001, 7, &name).expect("a slot");
        let record = SessionRecord {
            identity: Identity::for_test(|facts| facts["job_id"] = job_id.into()),
            decision: Decision::for_test("arthur", 1001),
            directories: Directories::lay_out("/d".into(), "h", None, 7, slot, &name),
            made_under: Some(self.sessions.by.record(None)),
            host: machine(),
            tree: tree(),
            runner: None,
            groups: None,
            attempt: attempt.into(),
        };
        record.write(&dir).expect("written");
        self.sessions.find(&name).expect("found")
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.sessions.store.session(name)
    }
}

#[test]
fn two_living_sessions_of_a_project_never_share_a_directory_and_a_free_one_is_used_again() {
    let world = world();
    let (one, two) = (world.create(1, "/t/1"), world.create(2, "/t/2"));
    let builds = |session: &Session| session.directories().builds.clone();
    assert_ne!(builds(&one), builds(&two));
    let free = builds(&one);
    one.remove();
    assert_eq!(builds(&world.create(3, "/t/3")), free);
}

#[test]
fn a_session_is_for_its_own_job_and_not_after_cleanup_has_begun() {
    let world = world();
    let session = world.create(1, "/t/1");
    let name = session.name().to_owned();
    assert!(world.sessions.resume(&name, 1).is_ok());
    assert!(matches!(world.sessions.resume(&name, 2), Err(SessionError::OtherJob { .. })));
    let running = world.sessions.resume(&name, 1).expect("a stage");
    session.close().expect("closed");
    assert!(matches!(session.claim(), Ok(Claim::Busy(Holder::Stages))));
    drop(running);
    assert!(matches!(session.claim(), Ok(Claim::Mine(_))));
    assert!(matches!(world.sessions.resume(&name, 1), Err(SessionError::Closed(_))));
    let other = world.sessions.find(&name).expect("found");
    session.remove();
    assert!(matches!(other.claim(), Ok(Claim::Gone)));
    assert!(matches!(world.sessions.find(&name), Err(SessionError::Unknown(_))));
}

#[test]
fn a_name_cannot_lead_out_of_the_store() {
    let world = world();
    for name in ["", "..", "../x", "a/b", "/etc", "a\0b"] {
        assert!(matches!(world.sessions.find(name), Err(SessionError::Unknown(_))), "{name:?}");
    }
}

#[test]
fn cleanup_without_a_name_finds_the_sessions_of_its_attempt_only() {
    let world = world();
    let (one, _two) = (world.create(1, "/t/1"), world.create(1, "/t/2"));
    let found = world.sessions.of_attempt(1, Path::new("/t/1"));
    assert_eq!(found.iter().map(Session::name).collect::<Vec<_>>(), [one.name()]);
    assert!(world.sessions.of_attempt(11, Path::new("/t/1")).is_empty());
}

#[test]
fn a_session_whose_runner_is_done_with_it_is_left_behind_and_a_living_one_is_not() {
    let world = world();
    let attempt = tempfile::tempdir().expect("dir");
    let living = world.create(1, attempt.path().to_str().expect("utf-8"));
    let over = world.create(2, "/nonexistent/attempt");
    let names = |found: Vec<Session>| found.iter().map(|session| session.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(world.sessions.left_behind().ours), [over.name()]);
    living.close().expect("closed");
    assert_eq!(names(world.sessions.left_behind().ours), [over.name()], "its own cleanup is at work");
    let closed = File::open(world.dir(living.name()).join("closed")).expect("open");
    closed.set_modified(SystemTime::now() - A_WHILE * 2).expect("set");
    assert_eq!(world.sessions.left_behind().ours.len(), 2);
    let file = world.dir(living.name()).join("session.json");
    let text = fs::read_to_string(&file).expect("read");
    fs::write(&file, text.replace(&format!("\"host\":\"{}\"", machine()), "\"host\":\"elsewhere\"")).expect("write");
    assert_eq!(names(world.sessions.left_behind().ours), [over.name()], "another machine's business");
    fs::write(&file, &text).expect("write");
    // A runner with a /tmp of its own: that its directory is not seen from here says nothing.
    fs::remove_file(world.dir(living.name()).join("closed")).expect("remove");
    let apart = text
        .replace(&tree(), &format!("apart {}", boot_of(&tree())))
        .replace(attempt.path().to_str().expect("utf-8"), "/nonexistent/too");
    fs::write(&file, apart).expect("write");
    assert_eq!(names(world.sessions.left_behind().ours), [over.name()], "another tree, and used a moment ago");
    File::open(&file).expect("open").set_modified(SystemTime::now() - A_DAY * 2).expect("set");
    assert_eq!(world.sessions.left_behind().ours.len(), 2);
    let before_the_boot = text.replace(&tree(), "mnt:[1] another-boot");
    fs::write(&file, before_the_boot).expect("write");
    assert_eq!(world.sessions.left_behind().ours.len(), 2, "no runner survives a boot");
}

#[test]
fn a_session_whose_cleanup_has_failed_is_left_behind_at_once() {
    let world = world();
    let attempt = tempfile::tempdir().expect("dir");
    let session = world.create(1, attempt.path().to_str().expect("utf-8"));
    session.close().expect("closed");
    assert!(!session.is_left_behind(), "its cleanup is at work");
    session.trouble().add("it hangs");
    assert!(session.is_left_behind());
    assert!(!session.runner_is_gone(), "which is another question");
}

#[test]
fn a_session_in_use_says_whether_stages_use_it_or_a_cleanup() {
    let world = world();
    let session = world.create(1, "/t/1");
    let stage = world.sessions.resume(session.name(), 1).expect("a stage");
    assert!(matches!(session.claim(), Ok(Claim::Busy(Holder::Stages))));
    drop(stage);
    let claim = session.claim().expect("claimed");
    let other = world.sessions.find(session.name()).expect("found");
    assert!(matches!(other.claim(), Ok(Claim::Busy(Holder::Cleanup))));
    drop(claim);
    assert!(matches!(other.claim(), Ok(Claim::Mine(_))));
}

#[test]
fn a_batch_job_is_known_by_name_before_it_has_a_number() {
    let world = world();
    let session = world.create(1, "/t/1");
    assert_eq!((session.take_number().expect("1"), session.take_number().expect("2")), (1, 2));
    let name = JobName::new(session.name(), 1);
    session.ledger().submitting(&name).expect("recorded");
    let job = |id, script| KnownJob { name: name.clone(), id, script };
    assert_eq!(session.jobs(), [job(None, Script::MayRun)]);
    let id = JobId::parse("17").expect("digits");
    session.ledger().submitted(&name, &id).expect("recorded");
    let found = world.sessions.find(session.name()).expect("found");
    assert_eq!(found.jobs(), [job(Some(id.clone()), Script::MayRun)]);
    session.ledger().ended(&name, &id).expect("recorded");
    assert_eq!(found.jobs(), [job(Some(id), Script::Ended)]);
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let world = world();
    let session = world.create(1, "/t/1");
    assert_eq!(session.identity(), &Identity::for_test(|facts| facts["job_id"] = 1.into()));
    assert_eq!(session.decision(), &Decision::for_test("arthur", 1001));
}

#[test]
fn a_record_that_lacks_something_is_a_failure_of_the_site() {
    let world = world();
    let session = world.create(1, "/t/1");
    let file = world.dir(session.name()).join("session.json");
    let whole: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    for name in ["facts", "assurance", "account", "uid", "rule", "directories", "host", "tree", "attempt"] {
        let mut part = whole.clone();
        part.as_object_mut().expect("object").remove(name);
        fs::write(&file, part.to_string()).expect("write");
        let refused = world.sessions.find(session.name()).expect_err("refused");
        assert_eq!(refused.kind(), FailureKind::System, "{name}");
        assert!(refused.to_string().contains(&format!("`{name}`")), "{refused}");
    }
}

#[test]
fn a_session_of_another_configuration_is_named_and_not_ours_to_clean_up_and_one_of_an_older_version_is_read() {
    let world = world();
    let (over, living) =
        (world.create(1, "/nonexistent/attempt"), world.create(2, world.sessions.store.dir().to_str().expect("UTF-8")));
    let names = |found: Vec<Session>| found.iter().map(|session| session.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        (names(world.sessions.left_behind().ours), names(world.sessions.idle())),
        (vec![over.name().to_owned()], vec![living.name().to_owned()])
    );
    let dir = world.sessions.store.dir();
    let others = Sessions::open(dir, Configuration::new("/etc/d.toml".into(), Vec::new)).expect("opened");
    assert!(others.left_behind().ours.is_empty());
    assert_eq!(names(others.left_behind().others), [over.name()]);
    assert_eq!(names(others.idle()), [living.name()]);
    assert_eq!(others.of_others().len(), 2);
    for session in [&over, &living] {
        let file = world.dir(session.name()).join("session.json");
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
        record.as_object_mut().expect("object").remove("made_under").expect("recorded");
        fs::write(&file, record.to_string()).expect("write");
    }
    for sessions in [&world.sessions, &others] {
        assert_eq!(names(sessions.left_behind().ours), [over.name()], "without batch jobs it is anybody's");
    }
    over.ledger().submitting(&JobName::new(over.name(), 1)).expect("recorded");
    for sessions in [&world.sessions, &others] {
        assert!(sessions.left_behind().ours.is_empty());
        assert_eq!(names(sessions.left_behind().others), [over.name()], "somebody has to know whose its jobs are");
    }
}

#[test]
fn a_store_below_a_directory_that_others_can_change_or_aim_elsewhere_is_refused_and_nothing_is_made_there() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let temp = tempfile::tempdir().expect("dir");
    let shared = temp.path().join("shared");
    fs::create_dir(&shared).expect("made");
    symlink(&shared, temp.path().join("link")).expect("linked");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).expect("chmod");
    for place in ["shared/state", "shared/a/b/state", "link/state"] {
        let words = open(&temp.path().join(place)).expect_err("refused").to_string();
        assert!(words.contains("shared: is a directory with mode 0777") && words.contains("jobs.state_dir"), "{words}");
        assert!(!words.contains("chmod"), "{words}");
        Sessions::may_be_in(&temp.path().join(place), Prize::of_this_process()).expect_err("refused beforehand");
    }
    assert_eq!(fs::read_dir(&shared).expect("listed").count(), 0);
    // Where only root and this account can exchange anything, what is missing is made, and private.
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).expect("chmod");
    for place in ["shared/a/b/state", "link/state"] {
        Sessions::may_be_in(&temp.path().join(place), Prize::of_this_process()).expect("good");
        open(&temp.path().join(place)).expect("a store");
    }
    let mode = fs::metadata(shared.join("a")).expect("made").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn a_store_that_others_can_look_into_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().expect("dir");
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let refused = || open(temp.path()).expect_err("refused").to_string();
    assert!(refused().contains("motmot has not made it") && !refused().contains("chmod"), "{}", refused());
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o700)).expect("chmod");
    open(temp.path()).expect("a store");
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    assert!(refused().contains("chmod 0700 /"), "its own: {}", refused());
    for part in Sessions::PARTS.iter().chain([&".new-k2Xp0q"]).filter(|part| !temp.path().join(part).exists()) {
        fs::write(temp.path().join(part), "").expect("write");
        assert!(refused().contains("chmod 0700 /"), "{part} is its own, too: {}", refused());
    }
    fs::write(temp.path().join("thesis.tex"), "").expect("write");
    assert!(!refused().contains("chmod"), "somebody works here: {}", refused());
}
