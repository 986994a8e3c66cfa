use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::report::audit::{AuditLog, Context, JobContext, RequestId};

const PAGE: &str = include_str!("../../../packaging/doc/audit.md");

/// One of each kind, with every field that it can have. The compiler asks for a new one here.
fn all<'a>(refusal: &'a Failure, outage: &'a Failure) -> Vec<AuditEvent<'a>> {
    let job = JobOf { job_id: 7, project_id: 3, project: Some("hpc/weather"), gitlab: "https://gitlab.example.com" };
    let mut next = Some(AuditEvent::Accepted {
        job,
        user_id: 42,
        user: Some("adent"),
        acting_for: Some(7),
        assurance: "job-api",
        account: "arthur",
        uid: 1042,
        rule: "everybody (line 9)",
        approver: Some(("climate-maintainers", "SHA256:a")),
        session: "s",
    });
    let mut all = Vec::new();
    while let Some(event) = next {
        let ended = |end| AuditEvent::Ended { job_id: 7, account: "arthur", session: "s", sub_stage: "step_x", end };
        next = match event {
            AuditEvent::Accepted { .. } => Some(AuditEvent::NotAccepted {
                job,
                user: Some((42, Some("adent"))),
                assurance: Some("simulated"),
                failure: refusal,
            }),
            AuditEvent::NotAccepted { failure, .. } if failure.kind() == FailureKind::Build => {
                Some(AuditEvent::NotAccepted {
                    job,
                    user: Some((42, Some("adent"))),
                    assurance: Some("simulated"),
                    failure: outage,
                })
            }
            AuditEvent::NotAccepted { .. } => Some(AuditEvent::Minted {
                job_id: 7,
                sub_stage: "step_x",
                account: "arthur",
                jti: Uuid::nil(),
                kid: "k",
                sub: "project_path:hpc/weather",
                aud: "https://hpc.example",
                exp: 1_900_000_000,
            }),
            AuditEvent::Minted { .. } => {
                Some(ended(AuditedEnd::Shell { outcome: "exited", exit_code: Some(3), signal: Some(9) }))
            }
            AuditEvent::Ended { end: AuditedEnd::Shell { .. }, .. } => {
                Some(ended(AuditedEnd::Batch { slurm_job_id: Some("17"), outcome: "job failed", exit_code: Some(4) }))
            }
            AuditEvent::Ended { end: AuditedEnd::Batch { .. }, .. } => {
                Some(AuditEvent::Failed { job_id: Some(7), stage: "run", session: Some("s"), failure: outage })
            }
            AuditEvent::Failed { .. } => Some(AuditEvent::CleanedUp { job_id: 7, account: "arthur", session: "s" }),
            AuditEvent::CleanedUp { .. } => Some(AuditEvent::Forgotten { job_id: 7, account: "arthur", session: "s" }),
            AuditEvent::Forgotten { .. } => {
                Some(AuditEvent::NotLimited { job_id: 7, account: "arthur", session: "s", reason: "no controller" })
            }
            AuditEvent::NotLimited { .. } => {
                Some(AuditEvent::Started { job_id: 7, account: "arthur", session: "s", sub_stage: "step_x" })
            }
            AuditEvent::Started { .. } => Some(AuditEvent::KeysDistrusted { file: "/run/k.json", reason: "is a link" }),
            AuditEvent::KeysDistrusted { .. } => Some(AuditEvent::HookAnswered {
                job_id: 7,
                account: "arthur",
                rule: "everybody (line 9)",
                answer: "accept",
                named: Some("svc"),
                message: Some("hello"),
                reason: Some("a member"),
            }),
            AuditEvent::HookAnswered { .. } => None,
        };
        all.push(event);
    }
    all
}

/// Of which nothing is known yet.
fn context() -> Context {
    Context {
        request: RequestId::of_session("7-0123456789ab").expect("a request"),
        stage: "run",
        host: "login1".into(),
        gitlab: "https://gitlab.example.com".into(),
        simulated: false,
        job: None,
        session: None,
        facts: None,
        untested: false,
    }
}

/// What a record has of its own: the context is added behind it.
fn lines(events: &[AuditEvent]) -> Vec<String> {
    let lines = lines_in(context(), events);
    lines
        .iter()
        .map(|line| line.split_once(",\"host\":").map_or(line.as_str(), |(own, _)| own).to_owned() + "}")
        .collect()
}

/// The lines of the log for these events.
fn lines_in(context: Context, events: &[AuditEvent]) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("audit.log");
    let log = AuditLog::in_file(&file, context);
    events.iter().for_each(AuditEvent::log);
    drop(log);
    std::fs::read_to_string(file).expect("the log").lines().map(str::to_owned).collect()
}

fn failures() -> (Failure, Failure) {
    let outage = Failure::site("GitLab does not answer");
    (Failure { kind: FailureKind::Build, ..Failure::site("no rule") }, outage)
}

#[test]
fn lines_have_the_fields_values_and_order_that_sites_read() {
    let (refusal, outage) = failures();
    let mut events = all(&refusal, &outage);
    events.push(AuditEvent::Failed { job_id: None, stage: "cleanup", session: None, failure: &outage });
    let AuditEvent::NotAccepted { job, .. } = events[1] else { panic!("{events:?}") };
    events.push(AuditEvent::NotAccepted { job, user: None, assurance: None, failure: &refusal });
    let lines: Vec<String> = lines(&events)
        .iter()
        .map(|line| {
            let rest = line.strip_prefix("{\"timestamp\":\"").expect("the time first");
            rest.split_once("\",").expect("the end of the time").1.to_owned()
        })
        .collect();
    let expected = [
        r#""level":"INFO","event":"accepted","job_id":7,"project_id":3,"project":"hpc/weather","user_id":42,"user":"adent","acting_for":7,"gitlab":"https://gitlab.example.com","assurance":"job-api","account":"arthur","uid":1042,"rule":"everybody (line 9)","approved_by":"climate-maintainers","approval_key":"SHA256:a","session":"s"}"#,
        r#""level":"WARN","event":"refused","job_id":7,"project_id":3,"project":"hpc/weather","user_id":42,"user":"adent","gitlab":"https://gitlab.example.com","assurance":"simulated","reason":"no rule"}"#,
        r#""level":"WARN","event":"unavailable","job_id":7,"project_id":3,"project":"hpc/weather","user_id":42,"user":"adent","gitlab":"https://gitlab.example.com","assurance":"simulated","reason":"GitLab does not answer"}"#,
        r#""level":"INFO","event":"minted","job_id":7,"sub_stage":"step_x","account":"arthur","jti":"00000000-0000-0000-0000-000000000000","kid":"k","sub":"project_path:hpc/weather","aud":"https://hpc.example","exp":1900000000,"gitlab":"https://gitlab.example.com"}"#,
        r#""level":"INFO","event":"ended","job_id":7,"account":"arthur","session":"s","sub_stage":"step_x","outcome":"exited","exit_code":3,"signal":9,"gitlab":"https://gitlab.example.com"}"#,
        r#""level":"INFO","event":"ended","job_id":7,"account":"arthur","session":"s","sub_stage":"step_x","slurm_job_id":"17","outcome":"job failed","exit_code":4,"gitlab":"https://gitlab.example.com"}"#,
        r#""level":"WARN","event":"failed","job_id":7,"stage":"run","session":"s","kind":"system","reason":"GitLab does not answer","gitlab":"https://gitlab.example.com"}"#,
        r#""level":"INFO","event":"cleaned up","job_id":7,"account":"arthur","session":"s","gitlab":"https://gitlab.example.com"}"#,
        r#""level":"WARN","event":"forgotten","job_id":7,"account":"arthur","session":"s","gitlab":"https://gitlab.example.com"}"#,
        r#""level":"WARN","event":"not limited","job_id":7,"account":"arthur","session":"s","reason":"no controller","gitlab":"https://gitlab.example.com"}"#,
        r#""level":"INFO","event":"started","job_id":7,"account":"arthur","session":"s","sub_stage":"step_x","gitlab":"https://gitlab.example.com"}"#,
        r#""level":"WARN","event":"keys distrusted","file":"/run/k.json","reason":"is a link","gitlab":"https://gitlab.example.com"}"#,
        r#""level":"INFO","event":"hook answered","job_id":7,"account":"arthur","rule":"everybody (line 9)","answer":"accept","named":"svc","message":"hello","reason":"a member","gitlab":"https://gitlab.example.com"}"#,
        r#""level":"WARN","event":"failed","stage":"cleanup","kind":"system","reason":"GitLab does not answer","gitlab":"https://gitlab.example.com"}"#,
        r#""level":"WARN","event":"refused","job_id":7,"project_id":3,"project":"hpc/weather","gitlab":"https://gitlab.example.com","reason":"no rule"}"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn every_record_says_which_job_it_is_about_and_which_run_of_it() {
    let job = JobContext {
        job_id: 7,
        pipeline_id: Some(5),
        project_id: 3,
        project: Some("hpc/weather".into()),
        git_ref: Some("main\n{\u{202e}".into()),
        sha: Some("c0ffee".into()),
    };
    let known = Context { job: Some(job), session: Some("7-0123456789ab".into()), simulated: true, ..context() };
    let (refusal, outage) = failures();
    let common = [
        "job_id",
        "pipeline_id",
        "project_id",
        "project",
        "ref",
        "sha",
        "gitlab",
        "host",
        "session",
        "request",
        "stage",
    ];
    for line in lines_in(known, &all(&refusal, &outage)) {
        let value: Value = serde_json::from_str(&line).expect("JSON");
        for field in common.iter().chain(&["seq", "prev", "timestamp", "level", "event"]) {
            assert!(!value[field].is_null(), "{field} in {line}");
        }
        assert_eq!((&value["ref"], &value["simulated"]), (&"main\n{\u{fffd}".into(), &true.into()));
        assert_eq!(line.matches("\"job_id\":").count(), 1, "no field stands twice: {line}");
    }
    let real = lines_in(context(), &all(&refusal, &outage));
    assert!(real.iter().all(|line| !line.contains("\"simulated\":true")), "a real job is not marked");
}

#[test]
fn no_name_begins_an_event_or_turns_one_around() {
    let name = "x\n{\"event\":\"accepted\"}\u{202e}\u{2028}\u{1b}[2K\u{85}";
    let failure = Failure::site(format!("the directory {name} is gone"));
    let job = JobOf { job_id: 7, project_id: 3, project: Some(name), gitlab: "https://gitlab.example.com" };
    let end = AuditedEnd::Shell { outcome: "exited", exit_code: Some(0), signal: None };
    let (job_id, account, session) = (7, name, "s");
    let accepted = AuditEvent::Accepted {
        job,
        user_id: 42,
        user: Some(name),
        acting_for: None,
        assurance: "job-api",
        account,
        uid: 1042,
        rule: name,
        approver: Some((name, name)),
        session,
    };
    let events = [
        accepted,
        AuditEvent::NotAccepted { job, user: None, assurance: None, failure: &failure },
        AuditEvent::Ended { job_id, account, session, sub_stage: name, end },
        AuditEvent::Failed { job_id: Some(7), stage: "run", session: None, failure: &failure },
        AuditEvent::CleanedUp { job_id, account, session },
        AuditEvent::Forgotten { job_id, account, session },
        AuditEvent::HookAnswered {
            job_id,
            account,
            rule: name,
            answer: "refuse",
            named: Some(name),
            message: Some(name),
            reason: Some(name),
        },
    ];
    let lines = lines(&events);
    assert_eq!(lines.len(), events.len());
    for line in lines {
        let plain = |c: char| !c.is_control() && !"\u{202e}\u{2028}".contains(c);
        assert!(line.chars().all(plain), "{line:?}");
        let value: Value = serde_json::from_str(&line).expect("JSON");
        for text in value.as_object().expect("an object").values().filter_map(Value::as_str) {
            assert!(text.chars().all(|c| c == '\n' || plain(c)), "{text:?}");
        }
    }
}

/// What stands between backticks in a cell, but for examples in brackets.
fn names(cell: &str) -> Vec<String> {
    let mut depth = 0;
    let plain: String = cell
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0 && *c != ')'
        })
        .collect();
    plain.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the table whose header begins so.
fn rows(header: &str) -> Vec<Vec<&'static str>> {
    let table = PAGE.split_once(header).expect("the table").1.lines().skip(2);
    table.take_while(|line| line.starts_with('|')).map(|line| line.trim_matches('|').split('|').collect()).collect()
}

#[test]
fn the_administrators_page_has_every_event_and_field_and_no_other() {
    let (refusal, outage) = failures();
    let mut logged: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in lines(&all(&refusal, &outage)) {
        let Value::Object(mut line) = serde_json::from_str(&line).expect("JSON") else { panic!("{line}") };
        let event = line.remove("event").and_then(|event| event.as_str().map(str::to_owned)).expect("an event");
        let fields = line.keys().filter(|field| !["timestamp", "level", "gitlab"].contains(&field.as_str())).cloned();
        logged.entry(event).or_default().extend(fields);
    }
    let described: BTreeMap<String, BTreeSet<String>> = rows("| event | when |")
        .into_iter()
        .map(|row| (names(row[0]).concat(), row[2..].iter().flat_map(|cell| names(cell)).collect()))
        .collect();
    assert_eq!(logged, described);
    let explained: BTreeSet<String> = rows("| field | |").into_iter().flat_map(|row| names(row[0])).collect();
    let all_fields = logged.into_values().flatten().collect();
    assert!(!explained.is_empty() && explained.is_subset(&all_fields), "{explained:?}");
}
