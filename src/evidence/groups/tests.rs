//! Answers of an attacker, of a GitLab in trouble, and of one that is as it should be.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::config::{self, Source};
use crate::evidence::settings::read_gitlab;

/// 2023-11-14T22:13:20Z
const NOW: i64 = 1_700_000_000;

type Asked = Arc<Mutex<Vec<String>>>;

/// A GitLab that answers each path with a status and a body, and remembers the first line and the token of each request.
fn server(answer: impl Fn(&str) -> (&'static str, Value) + Send + 'static) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let request: Vec<String> = lines.collect();
            let path = request[0].split(' ').nth(1).unwrap_or_default().to_owned();
            let token = request.iter().find(|line| line.to_ascii_lowercase().starts_with("private-token:"));
            seen.lock().expect("paths").push(format!("{path} {}", token.map_or("", String::as_str)));
            let (status, body) = answer(&path);
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = write!(stream, "{head}{body}");
        }
    });
    (url, asked)
}

/// A directory for answers, with a file that has a token.
fn site() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    fs::write(&file, "glpat-0123456789\n").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
    (dir, file)
}

fn gitlab(url: &str, token: &Path) -> GitLabSettings {
    let text = format!("[gitlab]\nurl = {url:?}\ntimeout = \"2s\"\ngroups_token = {:?}\n", token.display().to_string());
    config::read(&Source::new("c.toml", text), |mut root| read_gitlab(root.section("gitlab"))).expect("valid")
}

fn member(change: impl FnOnce(&mut Value)) -> Value {
    let mut member = json!({"id": 42, "username": "adent", "state": "active", "access_level": 10, "expires_at": null, "membership_state": "active"});
    change(&mut member);
    member
}

/// Whether user 42 is in `climate/core`, by this answer about him, and another one about the group.
fn verdict(about_him: (&'static str, Value), about_the_group: (&'static str, Value)) -> Result<bool, GroupsError> {
    let (_dir, token) = site();
    let (url, _) =
        server(move |path| if path.contains("/members/") { about_him.clone() } else { about_the_group.clone() });
    let now = Timestamp::from_second(NOW).expect("a time");
    let question = Question { gitlab: &gitlab(&url, &token), user_id: 42, kept: None, now };
    let known = ask(&question, &BTreeSet::from(["climate/core"]))?;
    Ok(known.of("climate/core").expect("known"))
}

fn shown() -> (&'static str, Value) {
    ("200 OK", json!({"id": 9, "full_path": "climate/core"}))
}

#[test]
fn a_member_is_who_is_active_as_guest_or_more_until_the_day_on_which_it_ends() {
    for (what, is_member) in [
        (member(|_| ()), true),
        (member(|member| drop(member.as_object_mut().expect("one").remove("membership_state"))), true),
        (member(|member| member["access_level"] = 50.into()), true),
        (member(|member| member["access_level"] = 5.into()), false),
        (member(|member| member["access_level"] = 0.into()), false),
        (member(|member| member["membership_state"] = "awaiting".into()), false),
        (member(|member| member["state"] = "awaiting".into()), false),
        (member(|member| member["state"] = "blocked".into()), false),
        (member(|member| member["expires_at"] = "2023-11-15".into()), true),
        (member(|member| member["expires_at"] = "2023-11-14".into()), false),
        (member(|member| member["expires_at"] = "2022-12-31".into()), false),
    ] {
        assert_eq!(verdict(("200 OK", what.clone()), shown()).expect("an answer"), is_member, "{what}");
    }
    assert!(!verdict(("404 Not Found", json!({})), shown()).expect("an answer"), "he is not in it");
}

#[test]
fn what_is_no_answer_is_neither_a_member_nor_none() {
    let not_found = || ("404 Not Found", json!({"message": "404 Group Not Found"}));
    for (about_him, about_the_group) in [
        // A group that was renamed, deleted or hidden: who was in it must not pass for who was not.
        (not_found(), not_found()),
        (not_found(), ("200 OK", json!({"full_path": "climate/other"}))),
        (not_found(), ("200 OK", json!({}))),
        (not_found(), ("401 Unauthorized", json!({}))),
        (("401 Unauthorized", json!({})), shown()),
        (("403 Forbidden", json!({})), shown()),
        (("302 Found", json!({})), shown()),
        (("400 Bad Request", json!({})), shown()),
        (("200 OK", json!([])), shown()),
        (("200 OK", member(|member| member["id"] = 43.into())), shown()),
        (("200 OK", member(|member| member["state"] = Value::Null)), shown()),
        (("200 OK", member(|member| member["access_level"] = "50".into())), shown()),
        (("200 OK", member(|member| member["expires_at"] = "soon".into())), shown()),
        (("200 OK", Value::from("x".repeat(1 << 21))), shown()),
    ] {
        let error = verdict(about_him.clone(), about_the_group).expect_err("no answer");
        assert_eq!(error.kind(), FailureKind::System, "{}: {error}", about_him.0);
        assert!(!error.for_author().contains("climate") && !error.to_string().contains("glpat"), "{error}");
    }
}

#[test]
fn a_gitlab_in_trouble_is_asked_again_and_is_then_a_failure_of_the_site() {
    let error = verdict(("503 Service Unavailable", json!({})), shown()).expect_err("no answer");
    assert!(matches!(error, GroupsError::Unreachable { .. }) && error.kind() == FailureKind::System, "{error}");
}

#[test]
fn the_token_goes_to_gitlab_alone_and_only_from_a_file_that_nobody_else_can_read() {
    let (dir, token) = site();
    let (url, asked) = server(|_| ("200 OK", member(|_| ())));
    let now = Timestamp::from_second(NOW).expect("a time");
    let settings = gitlab(&url, &token);
    let question = Question { gitlab: &settings, user_id: 42, kept: None, now };
    let groups = BTreeSet::from(["climate/core"]);
    ask(&question, &groups).expect("an answer");
    let seen = asked.lock().expect("paths").concat();
    assert!(
        seen.starts_with("/api/v4/groups/climate%2Fcore/members/all/42 ") && seen.ends_with(": glpat-0123456789"),
        "{seen}"
    );
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("chmod");
    assert!(matches!(ask(&question, &groups), Err(GroupsError::Token { .. })), "others can read it");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("chmod");
    for wrong in ["", "\n", "a b", "a\r\nX: y"] {
        fs::write(&token, wrong).expect("written");
        assert!(matches!(ask(&question, &groups), Err(GroupsError::Token { .. })), "{wrong:?}");
    }
    fs::remove_file(dir.path().join("token")).expect("removed");
    assert!(matches!(ask(&question, &groups), Err(GroupsError::Token { .. })), "none");
    assert_eq!(asked.lock().expect("paths").len(), 1, "nobody is asked without one");
}

#[test]
fn an_answer_is_kept_for_minutes_for_this_user_this_group_and_this_gitlab_alone() {
    let (dir, token) = site();
    let (url, asked) = server(|path| match path.rsplit('/').next() {
        Some("42") => ("200 OK", member(|_| ())),
        Some("43") => ("404 Not Found", json!({})),
        _ => ("200 OK", json!({"full_path": path.split(['/', '?']).nth(4).map(|group| group.replace("%2F", "/"))})),
    });
    let settings = gitlab(&url, &token);
    let kept = dir.path().join("kept");
    fs::create_dir(&kept).expect("made");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o700)).expect("chmod");
    let is_member = |user_id, group, second| {
        let now = Timestamp::from_second(second).expect("a time");
        let question = Question { gitlab: &settings, user_id, kept: Some(&kept), now };
        let before = asked.lock().expect("paths").len();
        let known = ask(&question, &BTreeSet::from([group])).expect("an answer");
        (known.of(group).expect("known"), asked.lock().expect("paths").len() - before)
    };
    assert_eq!(is_member(42, "climate", NOW), (true, 1));
    assert_eq!(is_member(42, "climate", NOW + 299), (true, 0));
    assert_eq!(is_member(42, "climate", NOW + 300), (true, 1), "it may have changed");
    assert_eq!(is_member(42, "climate", NOW - 200), (true, 1), "the clock was set back");
    assert_eq!(is_member(43, "climate", NOW - 200), (false, 2), "another one, who is not in it");
    assert_eq!(is_member(43, "climate", NOW - 100), (false, 0));
    assert_eq!(is_member(42, "physics", NOW - 100), (true, 1), "another group");
    // A file that anybody else could have written is as good as none, and so is one of something else.
    let files: Vec<_> = fs::read_dir(&kept).expect("a directory").map(|entry| entry.expect("one").path()).collect();
    let files: Vec<_> = files.into_iter().filter(|path| path.extension().is_some()).collect();
    assert_eq!(files.len(), 2, "one for each group");
    for file in &files {
        assert_eq!(fs::metadata(file).expect("a file").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(file, fs::Permissions::from_mode(0o666)).expect("chmod");
    }
    assert_eq!(is_member(43, "climate", NOW - 100).1, 2);
    fs::set_permissions(&files[0], fs::Permissions::from_mode(0o600)).expect("chmod");
    fs::copy(&files[0], &files[1]).expect("copied");
    fs::set_permissions(&files[1], fs::Permissions::from_mode(0o600)).expect("chmod");
    let questions = is_member(42, "physics", NOW - 100).1 + is_member(42, "climate", NOW - 100).1;
    assert!(questions >= 1, "the file of one group is none of another");
}
