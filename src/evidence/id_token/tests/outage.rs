//! Many jobs, and a GitLab that does not answer.

use super::keys::private;
use super::*;

/// A GitLab that can be switched off, and a token of it that lives for a day.
fn switchable() -> (Server, Arc<AtomicBool>, String) {
    let up = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&up);
    let server = Server::new(move |url, path| match (state.load(Ordering::SeqCst), path) {
        (true, "/.well-known/openid-configuration") => ok(&discovery(url)),
        (true, _) => ok(&jwks(&KEYS[0], "gitlab")),
        (false, _) => ("503 Service Unavailable".into(), String::new()),
    });
    let token = signed(&KEYS[0], "gitlab", &claims(&server.url, |claims| claims["exp"] = json!(NOW + 86_400)));
    (server, up, token)
}

#[test]
fn while_gitlab_is_down_one_job_in_half_a_minute_asks_and_the_others_go_on_with_the_keys_at_hand() {
    let (server, up, token) = switchable();
    let (gitlab, dir) = (gitlab(&server.url), private());
    let asked = |now| {
        verdict(&gitlab, &token, Some(dir.path()), now).expect("it holds");
        server.questions()
    };
    assert_eq!(asked(NOW), 1);
    up.store(false, Ordering::SeqCst);
    // Three tries, and then nobody waits for three more behind each other.
    assert_eq!(asked(NOW + 1000), 4);
    assert_eq!((asked(NOW + 1001), asked(NOW + 1015), asked(NOW + 1029)), (4, 4, 4));
    assert_eq!(asked(NOW + 1040), 7);
    up.store(true, Ordering::SeqCst);
    assert_eq!((asked(NOW + 1080), asked(NOW + 1081), asked(NOW + 1900)), (8, 8, 8));
}

#[test]
fn whoever_has_waited_for_anothers_question_takes_its_answer_or_that_there_was_none() {
    let (server, up, token) = switchable();
    let (gitlab, dir) = (gitlab(&server.url), private());
    up.store(false, Ordering::SeqCst);
    let unreachable = |now| {
        let error = verdict(&gitlab, &token, Some(dir.path()), now).unwrap_err();
        assert!(matches!(error, IdTokenError::Unreachable { .. }) && error.to_string().contains("503"), "{error}");
        server.questions()
    };
    // One of them waits for the lock from before the question of the other until after it.
    assert_eq!((unreachable(NOW), unreachable(NOW), unreachable(NOW - 20)), (3, 3, 3));
    assert_eq!(unreachable(NOW + 10), 6, "whoever comes later asks: the administrator has mended it, perhaps");
    up.store(true, Ordering::SeqCst);
    let forged = signed(&KEYS[1], "forged", &claims(&server.url, |_| ()));
    for now in [NOW + 40, NOW + 39, NOW + 10] {
        verdict(&gitlab, &token, Some(dir.path()), now).expect("it holds");
        verdict(&gitlab, &forged, Some(dir.path()), now).unwrap_err();
        assert_eq!(server.questions(), 7, "{now}");
    }
}

#[test]
fn an_answer_that_is_none_is_not_covered_by_old_keys_whoever_asks() {
    let usable = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&usable);
    let server = Server::with_keys(move || {
        if state.load(Ordering::SeqCst) { jwks(&KEYS[0], "gitlab") } else { json!({"keys": []}).to_string() }
    });
    let (gitlab, dir) = (gitlab(&server.url), private());
    let token = signed(&KEYS[0], "gitlab", &claims(&server.url, |_| ()));
    verdict(&gitlab, &token, Some(dir.path()), NOW).expect("it holds");
    usable.store(false, Ordering::SeqCst);
    for now in [NOW + 1000, NOW + 1000, NOW + 1001] {
        let error = verdict(&gitlab, &token, Some(dir.path()), now).unwrap_err();
        assert!(matches!(error, IdTokenError::Unusable { .. }), "{now}: {error}");
    }
}

#[test]
fn eight_jobs_at_once_ask_a_gitlab_that_is_down_once_and_not_eight_times() {
    let (server, up, token) = switchable();
    let (gitlab, dir) = (gitlab(&server.url), private());
    up.store(false, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| verdict(&gitlab, &token, Some(dir.path()), NOW).unwrap_err());
        }
    });
    assert_eq!(server.questions(), 3);
}
