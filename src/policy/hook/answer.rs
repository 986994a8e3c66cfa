//! What a hook answers. It is the site's own program, but what it was told was written by strangers, and it may have repeated it.

use serde::Deserialize;

use super::settings::Form;
use crate::report::one_line;
use crate::sys::call::Answer as Run;

/// So many characters of a message are repeated.
const LONGEST: usize = 400;
/// No account has a longer name.
const LONGEST_NAME: usize = 256;

/// What it says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Yes or no.
    pub verdict: Verdict,
    /// For the author of a job that is refused: fit for a log.
    pub message: Option<String>,
    /// For the administrators: likewise.
    pub reason: Option<String>,
}

/// Yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The job may run as the account that it was told.
    Accept,
    /// As this one, if that has all that an account needs.
    Account(String),
    /// It may not run.
    Refuse,
}

impl Verdict {
    /// In one word, for the audit log.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accept | Self::Account(_) => "accept",
            Self::Refuse => "refuse",
        }
    }
}

/// Form `json`. Each of its keys once, and no other: a word that is misspelled is no permission.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    answer: Word,
    account: Option<String>,
    message: Option<String>,
    reason: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Accept,
    Refuse,
}

/// Form `argv`: what RunAs validation scripts of Jacamar CI print, if they print something.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RunAs {
    username: Option<String>,
    data_dir: Option<String>,
    error_message: Option<String>,
    user_message: Option<String>,
}

/// What a program that has run means by it.
///
/// # Errors
/// Why it means nothing.
pub(super) fn understood(form: Form, run: Run) -> Result<Answer, String> {
    match (form, run) {
        (_, Run::NotStarted(why)) => Err(format!("it could not be started: {why}")),
        (_, Run::Ended(why)) => Err(why),
        (Form::Json, Run::Exited { status: 0, out, .. }) => json(&out),
        (Form::Json, run @ Run::Exited { .. }) => Err(failed(&run)),
        (Form::Arguments, Run::Exited { status: 0, out, .. }) => run_as(&out),
        // Its errors are for the admin, since Jacamar CI shows them to nobody else.
        (Form::Arguments, run @ Run::Exited { .. }) => {
            let words = failed(&run);
            let Run::Exited { out, .. } = run else { return Err(words) };
            let printed = object::<RunAs>(&out).unwrap_or_default();
            let reason = cleaned(printed.error_message).or_else(|| cleaned(Some(words)));
            Ok(Answer { verdict: Verdict::Refuse, message: cleaned(printed.user_message), reason })
        }
    }
}

/// Its last words.
fn failed(run: &Run) -> String {
    let words = shortened(&one_line(&run.words()));
    match run {
        Run::Exited { status, .. } => format!("it has ended with status {status}: {words}"),
        Run::Ended(_) | Run::NotStarted(_) => words,
    }
}

fn json(out: &str) -> Result<Answer, String> {
    let Json { answer, account, message, reason } = object(out)?;
    let verdict = match (answer, account) {
        (Word::Accept, None) => Verdict::Accept,
        (Word::Accept, Some(name)) => named(name)?,
        (Word::Refuse, None) => Verdict::Refuse,
        (Word::Refuse, Some(_)) => return Err("its answer is to refuse, and names an account".to_owned()),
    };
    Ok(Answer { verdict, message: cleaned(message), reason: cleaned(reason) })
}

fn run_as(out: &str) -> Result<Answer, String> {
    if out.trim().is_empty() {
        return Ok(Answer { verdict: Verdict::Accept, message: None, reason: None });
    }
    let RunAs { username, data_dir, error_message, user_message } = object(out)?;
    // What is not followed must not be passed over: files would be where the script does not expect them.
    if data_dir.is_some_and(|dir| !dir.is_empty()) {
        return Err("its answer has data_dir, which jobs.data_dir of the configuration decides".to_owned());
    }
    let (message, reason) = (cleaned(user_message), cleaned(error_message));
    let verdict = match username {
        // What speaks of an error is no permission, whatever the status.
        _ if reason.is_some() => Verdict::Refuse,
        // What a script prints whose look-up has found nobody.
        Some(name) if name.is_empty() => return Err("the username in its answer is empty".to_owned()),
        None => Verdict::Accept,
        Some(name) => named(name)?,
    };
    Ok(Answer { verdict, message, reason })
}

/// A whole JSON object. (serde takes a list for one, too.)
fn object<'t, T: Deserialize<'t>>(out: &'t str) -> Result<T, String> {
    if !out.trim_start().starts_with('{') {
        return Err(format!("its answer is no JSON object: {:?}", shortened(&one_line(out.trim()))));
    }
    serde_json::from_str(out)
        .map_err(|error| format!("its answer is not understood: {}", shortened(&one_line(&error.to_string()))))
}

fn named(name: String) -> Result<Verdict, String> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err("the name of the account in its answer is none".to_owned());
    }
    Ok(Verdict::Account(name))
}

/// On one line, with an end, and without what moves a cursor.
fn cleaned(words: Option<String>) -> Option<String> {
    let words = shortened(one_line(words?.trim()).trim());
    (!words.is_empty()).then_some(words)
}

fn shortened(words: &str) -> String {
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &words[..end]),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(status: u8, out: &str) -> Run {
        Run::Exited { status, out: out.into(), err: "Traceback\nsomething broke\n".into() }
    }

    fn plain(verdict: Verdict) -> Answer {
        Answer { verdict, message: None, reason: None }
    }

    #[test]
    fn nothing_but_a_whole_object_that_says_so_is_an_acceptance() {
        let json = |out: &str| understood(Form::Json, exited(0, out));
        assert_eq!(json(" {\"answer\": \"accept\"}\n"), Ok(plain(Verdict::Accept)));
        assert_eq!(json(r#"{"answer":"accept","account":"svc"}"#), Ok(plain(Verdict::Account("svc".into()))));
        assert_eq!(json(r#"{"answer":"refuse"}"#), Ok(plain(Verdict::Refuse)));
        for bad in [
            "",
            "accept",
            "\"accept\"",
            "true",
            "{}",
            "null",
            r#"["accept", null, null, null]"#,
            r#"{"answer":"Accept"}"#,
            r#"{"answer":"yes"}"#,
            r#"{"answer":true}"#,
            r#"{"answer":["accept"]}"#,
            r#"{"answer":{"accept":null}} x"#,
            r#"{"answer":"accept""#,
            r#"{"answer":"accept"} {"answer":"refuse"}"#,
            r#"{"answer":"refuse","answer":"accept"}"#,
            r#"{"answer":"accept","answer":"refuse"}"#,
            r#"{"answer":"accept","acount":"svc"}"#,
            r#"{"answer":"accept","account":""}"#,
            r#"{"answer":"accept","account":7}"#,
            r#"{"answer":"refuse","account":"svc"}"#,
            &format!(r#"{{"answer":"accept","account":"{}"}}"#, "a".repeat(257)),
            &format!("{}{}", r#"{"answer":"accept","message":"#, "[".repeat(5_000)),
        ] {
            assert!(json(bad).is_err(), "{bad}");
        }
        // A status other than 0 is a crash, whatever was printed before.
        let crashed = understood(Form::Json, exited(1, r#"{"answer":"accept"}"#)).expect_err("a crash");
        assert_eq!(crashed, "it has ended with status 1: Traceback; something broke");
        for run in [Run::Ended("no answer within 10 s".into()), Run::NotStarted("no".into())] {
            for form in [Form::Json, Form::Arguments] {
                assert!(understood(form, run.clone()).is_err());
            }
        }
    }

    #[test]
    fn a_script_for_run_as_of_jacamar_means_here_what_it_means_there() {
        let argv = |status, out: &str| understood(Form::Arguments, exited(status, out));
        assert_eq!(argv(0, ""), Ok(plain(Verdict::Accept)));
        assert_eq!(argv(0, "\n"), Ok(plain(Verdict::Accept)));
        assert_eq!(argv(0, r#"{"username": "svc", "data_dir": ""}"#), Ok(plain(Verdict::Account("svc".into()))));
        let refused = argv(1, "").expect("refused");
        assert_eq!((refused.verdict, refused.message), (Verdict::Refuse, None));
        assert_eq!(refused.reason.as_deref(), Some("it has ended with status 1: Traceback; something broke"));
        let words = r#"{"username": "svc", "error_message": "not a member", "user_message": "ask your PI"}"#;
        for status in [0, 1, 255] {
            let (message, reason) = (Some("ask your PI".into()), Some("not a member".into()));
            assert_eq!(argv(status, words), Ok(Answer { verdict: Verdict::Refuse, message, reason }), "{status}");
        }
        // An empty name is what a script prints whose look-up has found nobody.
        for bad in [
            "svc",
            "[]",
            r#"{"username": 7}"#,
            r#"{"username": ""}"#,
            r#"{"user": "svc"}"#,
            r#"{"data_dir": "/scratch"}"#,
            "{",
        ] {
            assert!(argv(0, bad).is_err(), "{bad}");
            assert_eq!(argv(1, bad).expect("refused").verdict, Verdict::Refuse, "{bad}");
        }
    }

    #[test]
    fn a_message_is_one_line_with_an_end_and_moves_no_cursor() {
        let hostile = format!("\\u001b[2Ka\\nmotmot: forged\\u202e{}", "x".repeat(5_000));
        let out = format!(r#"{{"answer":"refuse","message":"{hostile}","reason":"{hostile}"}}"#);
        let answer = understood(Form::Json, exited(0, &out)).expect("refused");
        for words in [answer.message.expect("a message"), answer.reason.expect("a reason")] {
            assert!(!words.contains(|c: char| c.is_control() || c == '\u{202e}'), "{words:?}");
            assert_eq!(words.chars().count(), LONGEST + 3);
        }
        let empty = understood(Form::Json, exited(0, r#"{"answer":"refuse","message":" \n "}"#)).expect("refused");
        assert_eq!(empty, plain(Verdict::Refuse));
    }
}
