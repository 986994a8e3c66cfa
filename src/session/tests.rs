use super::*;

struct World {
    _temp: tempfile::TempDir,
    sessions: Sessions,
}

fn world() -> World {
    let temp = tempfile::tempdir().expect("dir");
    let sessions = Sessions::open(&temp.path().join("state")).expect("opened");
    World { _temp: temp, sessions }
}

impl World {
    fn create(&self, job_id: u64, attempt: &str) -> Session {
        // A session as a config stage leaves it, without the way there.
        let name = format!("{job_id}-{:012x}", uuid::Uuid::now_v7().as_u128() & 0xffff_ffff_ffff);
        DirBuilder::new().mode(0o700).create(self.sessions.path(&name)).expect("made");
        let slot = self.sessions.take_slot(1001, 7, &name).expect("a slot");
        let facts = serde_json::from_value(
            serde_json::json!({"job_id": job_id, "project_id": 7, "user_id": 42, "user_login": "adent"}),
        )
        .expect("facts");
        let directories = Directories::lay_out("/d".into(), "h", 7, slot, &name);
        let record = Record {
            facts,
            assurance: Assurance::JobApi,
            account: "arthur".into(),
            uid: 1001,
            rule: "r".into(),
            options: RuleOptions::default(),
            directories,
            host: machine(),
            tree: tree(),
            runner: None,
            group: None,
            attempt: attempt.into(),
        };
        write_private(&self.sessions.path(&name).join("session.json"), &serde_json::to_vec(&record).expect("json"))
            .expect("written");
        self.sessions.find(&name).expect("found")
    }
}

#[test]
fn two_living_sessions_of_a_project_never_share_a_directory_and_a_free_one_is_used_again() {
    let world = world();
    let (one, two) = (world.create(1, "/t/1"), world.create(2, "/t/2"));
    let builds = |session: &Session| session.record.directories.builds.clone();
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
    assert!(matches!(session.claim(), Ok(Claim::Busy)));
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
    assert_eq!(names(world.sessions.left_behind()), [over.name()]);
    living.close().expect("closed");
    assert_eq!(names(world.sessions.left_behind()), [over.name()], "its own cleanup is at work");
    let closed = File::open(world.sessions.path(living.name()).join("closed")).expect("open");
    closed.set_modified(SystemTime::now() - A_WHILE * 2).expect("set");
    assert_eq!(world.sessions.left_behind().len(), 2);
    let file = world.sessions.path(living.name()).join("session.json");
    let text = fs::read_to_string(&file).expect("read");
    fs::write(&file, text.replace(&format!("\"host\":\"{}\"", machine()), "\"host\":\"elsewhere\"")).expect("write");
    assert_eq!(names(world.sessions.left_behind()), [over.name()], "another machine's business");
    fs::write(&file, &text).expect("write");
    // A runner with a /tmp of its own: that its directory is not seen from here says nothing.
    fs::remove_file(world.sessions.path(living.name()).join("closed")).expect("remove");
    let apart = text
        .replace(&tree(), &format!("apart {}", boot_of(&tree())))
        .replace(attempt.path().to_str().expect("utf-8"), "/nonexistent/too");
    fs::write(&file, apart).expect("write");
    assert_eq!(names(world.sessions.left_behind()), [over.name()], "another tree, and used a moment ago");
    File::open(&file).expect("open").set_modified(SystemTime::now() - A_DAY * 2).expect("set");
    assert_eq!(world.sessions.left_behind().len(), 2);
    let before_the_boot = text.replace(&tree(), "mnt:[1] another-boot");
    fs::write(&file, before_the_boot).expect("write");
    assert_eq!(world.sessions.left_behind().len(), 2, "no runner survives a boot");
}

#[test]
fn a_batch_job_is_known_by_name_before_it_has_a_number() {
    let world = world();
    let session = world.create(1, "/t/1");
    assert_eq!((session.take_number().expect("1"), session.take_number().expect("2")), (1, 2));
    let name = JobName::new(session.name(), 1);
    session.submitting(&name).expect("recorded");
    let job = |id, script| KnownJob { name: name.clone(), id, script };
    assert_eq!(session.jobs(), [job(None, Script::MayRun)]);
    let id = JobId::parse("17").expect("digits");
    session.submitted(&name, &id).expect("recorded");
    let found = world.sessions.find(session.name()).expect("found");
    assert_eq!(found.jobs(), [job(Some(id.clone()), Script::MayRun)]);
    session.ended(&name, &id).expect("recorded");
    assert_eq!(found.jobs(), [job(Some(id), Script::Ended)]);
}

#[test]
fn a_store_that_others_can_look_into_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().expect("dir");
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    assert!(matches!(Sessions::open(temp.path()), Err(SessionError::NotPrivate { .. })));
}
