//! Whose keys are believed, and how often they are asked for.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::report::audit::{AuditLog, Context, RequestId};

/// An answer of a GitLab that somebody else has in his hand, and what it is.
type Way = (&'static str, Box<dyn Fn(&str, &str) -> Answer + Send>);

fn genuine(url: &str) -> String {
    signed(&KEYS[0], "gitlab", &claims(url, |_| ()))
}

/// A directory as the driver has one.
pub(super) fn private() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("chmod");
    dir
}

/// The file of keys in it.
fn file(dir: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(dir).expect("dir").map(|entry| entry.expect("entry").path());
    entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "json")).expect("a file")
}

#[test]
fn keys_are_asked_for_once_and_again_when_they_are_old() {
    let (server, dir) = (Server::with_keys(|| jwks(&KEYS[0], "gitlab")), private());
    let (gitlab, token) = (gitlab(&server.url), genuine(&server.url));
    let asked = |now| {
        verdict(&gitlab, &token, Some(dir.path()), now).expect("it holds");
        server.questions()
    };
    assert_eq!((asked(NOW), asked(NOW + 1), asked(NOW + 899)), (1, 1, 1));
    assert_eq!((asked(NOW + 900), asked(NOW + 901)), (2, 2));
    // A clock that was set back: how old they are nobody knows.
    assert_eq!(asked(NOW), 3);
    assert_eq!(fs::metadata(file(dir.path())).expect("metadata").permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).expect("dir").count(), 2, "keys and lock");
}

#[test]
fn forged_names_of_keys_make_us_ask_no_more_than_twice_a_minute() {
    let (server, dir) = (Server::with_keys(|| jwks(&KEYS[0], "gitlab")), private());
    let gitlab = gitlab(&server.url);
    let forged = |number: i64, now| {
        let token = signed(&KEYS[1], &format!("forged-{number}"), &claims(&server.url, |_| ()));
        let error = verdict(&gitlab, &token, Some(dir.path()), now).unwrap_err();
        assert!(
            matches!(error, IdTokenError::NotVerified(VerifyError::Untrusted(Untrusted::UnknownKid(_)))),
            "{error}"
        );
    };
    verdict(&gitlab, &genuine(&server.url), Some(dir.path()), NOW).expect("it holds");
    (0..60).for_each(|second| forged(second, NOW + second));
    assert_eq!(server.questions(), 2, "the first, and one half a minute later");
    forged(60, NOW + 60);
    assert_eq!(server.questions(), 3);
    // With the name of the right key it is only wrong.
    let wrong = signed(&KEYS[1], "gitlab", &claims(&server.url, |_| ()));
    let error = verdict(&gitlab, &wrong, Some(dir.path()), NOW + 200).unwrap_err();
    assert!(matches!(error, IdTokenError::NotVerified(VerifyError::Untrusted(Untrusted::Signature))), "{error}");
    assert_eq!(server.questions(), 3);
}

#[test]
fn a_new_key_of_gitlab_is_known_with_the_first_token_that_names_it() {
    let turn = Arc::new(AtomicUsize::new(0));
    let shown = Arc::clone(&turn);
    let server = Server::with_keys(move || {
        let turn = shown.load(Ordering::SeqCst);
        jwks(&KEYS[turn], ["old", "new"][turn])
    });
    let (gitlab, dir) = (gitlab(&server.url), private());
    let token = |turn: usize| signed(&KEYS[turn], ["old", "new"][turn], &claims(&server.url, |_| ()));
    verdict(&gitlab, &token(0), Some(dir.path()), NOW).expect("it holds");
    turn.store(1, Ordering::SeqCst);
    verdict(&gitlab, &token(1), Some(dir.path()), NOW + 60).expect("it holds");
    let old = verdict(&gitlab, &token(0), Some(dir.path()), NOW + 61).unwrap_err();
    assert!(matches!(old, IdTokenError::NotVerified(_)), "a key that GitLab has given up is none: {old}");
    assert_eq!(server.questions(), 2);
}

#[test]
fn an_outage_is_a_failure_of_the_site_unless_keys_of_the_last_hours_are_at_hand() {
    let down = Arc::new(AtomicUsize::new(0));
    let state = Arc::clone(&down);
    let server = Server::new(move |url, path| match (state.load(Ordering::SeqCst), path) {
        (0, "/.well-known/openid-configuration") => ok(&discovery(url)),
        (0, _) => ok(&jwks(&KEYS[0], "gitlab")),
        _ => ("503 Service Unavailable".into(), String::new()),
    });
    let (gitlab, dir) = (gitlab(&server.url), private());
    let token = signed(&KEYS[0], "gitlab", &claims(&server.url, |claims| claims["exp"] = json!(NOW + 86_400)));
    verdict(&gitlab, &token, Some(dir.path()), NOW).expect("it holds");
    down.store(1, Ordering::SeqCst);
    verdict(&gitlab, &token, Some(dir.path()), NOW + 4 * 3600 - 1).expect("it still holds");
    let late = verdict(&gitlab, &token, Some(dir.path()), NOW + 4 * 3600).unwrap_err();
    assert!(matches!(late, IdTokenError::Unreachable { .. }) && late.kind() == FailureKind::System, "{late}");
    let never = verdict(&gitlab, &token, Some(private().path()), NOW).unwrap_err();
    assert_eq!(never.kind(), FailureKind::System, "{never}");
}

#[test]
fn kept_keys_that_others_could_have_written_are_not_believed_and_replaced() {
    let (server, dir) = (Server::with_keys(|| jwks(&KEYS[0], "gitlab")), private());
    let (gitlab, token) = (gitlab(&server.url), genuine(&server.url));
    let forged = signed(&KEYS[1], "gitlab", &claims(&server.url, |_| ()));
    verdict(&gitlab, &token, Some(dir.path()), NOW).expect("it holds");
    let path = file(dir.path());
    let good = fs::read_to_string(&path).expect("read");
    let poisoned =
        good.replace(&jwks(&KEYS[0], "gitlab").replace('"', "\\\""), &jwks(&KEYS[1], "gitlab").replace('"', "\\\""));
    assert_ne!(poisoned, good);
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, &poisoned).expect("write");
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).expect("chmod");
    let ways: [(&str, &dyn Fn()); 5] = [
        ("open to others", &|| {
            fs::write(&path, &poisoned).expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        }),
        ("a link", &|| symlink(&elsewhere, &path).expect("link")),
        ("a second name", &|| fs::hard_link(&elsewhere, &path).expect("link")),
        ("of another GitLab", &|| {
            fs::write(&path, poisoned.replace(&server.url, "https://other.example")).expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        }),
        ("no record", &|| {
            fs::write(&path, "{\"issuer\":7}").expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        }),
    ];
    for (number, (way, poison)) in ways.into_iter().enumerate() {
        let _ = fs::remove_file(&path);
        poison();
        let error = verdict(&gitlab, &forged, Some(dir.path()), NOW).expect_err(way);
        assert!(matches!(error, IdTokenError::NotVerified(_)), "{way}: {error}");
        assert_eq!(server.questions(), number + 2, "{way}: GitLab was asked");
        verdict(&gitlab, &token, Some(dir.path()), NOW).expect(way);
        assert!(fs::symlink_metadata(&path).expect("there").is_file(), "{way}: replaced");
        assert_eq!(fs::read_to_string(&elsewhere).expect("read"), poisoned, "{way}: nothing was written through it");
    }
}

#[test]
fn a_file_of_keys_that_is_not_believed_is_told_with_what_is_wrong_before_it_is_replaced() {
    let (server, dir, logs) = (Server::with_keys(|| jwks(&KEYS[0], "gitlab")), private(), private());
    let (gitlab, token) = (gitlab(&server.url), genuine(&server.url));
    let log = logs.path().join("log");
    let context = Context {
        request: RequestId::new(),
        stage: "config",
        host: "login1".into(),
        gitlab: server.url.clone(),
        simulated: false,
        job: None,
        session: None,
        facts: None,
        untested: false,
    };
    let _open = AuditLog::in_file(&log, context);
    let told = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record")).collect::<Vec<_>>()
    };
    let accept = |now| verdict(&gitlab, &token, Some(dir.path()), now).map(drop);
    for now in [NOW, NOW + 1, NOW + 1000] {
        accept(now).expect("it holds");
    }
    assert!(told().is_empty(), "of none, and of one that is only old, there is nothing to tell: {:?}", told());
    let path = file(dir.path());
    let good = fs::read_to_string(&path).expect("read");
    let write = |text: &str, mode| {
        fs::write(&path, text).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
    };
    let ways: [(&str, &dyn Fn()); 6] = [
        ("has mode 0644 (owner ", &|| write(&good, 0o644)),
        ("is a symbolic link", &|| symlink(logs.path(), &path).expect("link")),
        ("has 2 hard links", &|| {
            write(&good, 0o600);
            fs::hard_link(&path, logs.path().join("second")).expect("link");
        }),
        ("is about another GitLab", &|| write(&good.replace(&server.url, "https://other.example"), 0o600)),
        ("is no record of keys (line 1, column ", &|| write("{\"secret\":7}", 0o600)),
        ("what it has in the place of keys", &|| write(&good.replace("RSA", "none"), 0o600)),
    ];
    for (number, (words, poison)) in ways.into_iter().enumerate() {
        fs::remove_file(&path).expect("there");
        poison();
        accept(NOW + 1001).expect(words);
        accept(NOW + 1002).expect(words);
        let told = told();
        assert_eq!(told.len(), number + 1, "{words}: once: {told:?}");
        let last = &told[number];
        assert_eq!((&last["event"], &last["level"]), (&json!("keys distrusted"), &json!("WARN")));
        assert_eq!(last["file"].as_str(), path.to_str());
        let reason = last["reason"].as_str().expect("a reason");
        assert!(reason.contains(words) && !reason.contains("chmod") && !reason.contains("secret"), "{reason}");
    }
    // One that cannot be replaced is told as well: so it is before.
    fs::remove_file(&path).expect("there");
    fs::create_dir(&path).expect("a directory");
    accept(NOW + 1003).expect_err("it cannot be kept");
    assert!(told()[6]["reason"].as_str().is_some_and(|reason| reason.ends_with("is not a regular file")));
}

#[test]
fn keys_that_cannot_be_kept_are_a_failure_of_the_site() {
    let server = Server::with_keys(|| jwks(&KEYS[0], "gitlab"));
    let dir = private();
    let error = verdict(&gitlab(&server.url), &genuine(&server.url), Some(&dir.path().join("gone")), NOW).unwrap_err();
    assert!(matches!(error, IdTokenError::NotKept { .. }) && error.kind() == FailureKind::System, "{error}");
    assert_eq!(server.questions(), 0);
}

#[test]
fn nothing_leads_away_from_our_gitlab() {
    let evil = Server::with_keys(|| jwks(&KEYS[1], "gitlab"));
    let away = evil.url.clone();
    let ways: [Way; 7] = [
        ("keys elsewhere", {
            let away = away.clone();
            Box::new(move |url, _| {
                ok(&json!({"issuer": url, "jwks_uri": format!("{away}/oauth/discovery/keys")}).to_string())
            })
        }),
        ("another issuer", {
            let away = away.clone();
            Box::new(move |_, _| ok(&discovery(&away)))
        }),
        ("discovery redirects", {
            let away = away.clone();
            Box::new(move |_, path| (format!("302 Found\r\nLocation: {away}{path}"), String::new()))
        }),
        (
            "keys redirect",
            Box::new(move |url, path| match path {
                "/.well-known/openid-configuration" => ok(&discovery(url)),
                _ => (format!("307 Temporary Redirect\r\nLocation: {away}{path}"), String::new()),
            }),
        ),
        ("a huge discovery", Box::new(|url, _| ok(&(discovery(url) + &" ".repeat(1 << 20))))),
        (
            "a huge key set",
            Box::new(|url, path| match path {
                "/.well-known/openid-configuration" => ok(&discovery(url)),
                _ => ok(&(jwks(&KEYS[1], "gitlab") + &" ".repeat(1 << 20))),
            }),
        ),
        ("no JSON", Box::new(|_, _| ok("<html>"))),
    ];
    for (way, answer) in ways {
        let server = Server::new(answer);
        let forged = signed(&KEYS[1], "gitlab", &claims(&server.url, |_| ()));
        let error = verdict(&gitlab(&server.url), &forged, None, NOW).expect_err(way);
        assert!(matches!(error, IdTokenError::Unusable { .. }), "{way}: {error}");
        assert_eq!(error.kind(), FailureKind::System, "{way}");
    }
    assert!(evil.asked.lock().expect("paths").is_empty(), "nobody has asked there");
}
