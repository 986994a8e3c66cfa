//! Which records are wanted, and what is shown of one.

use std::str::FromStr;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

/// Conditions, all of which have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Wanted {
    /// Of this job
    #[arg(long, value_name = "NUMBER")]
    job: Option<u64>,
    /// Of this GitLab user, by login name or number
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// About this local account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Decided by this rule: its name, or all of what the record says
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Of this token
    #[arg(long, value_name = "ID")]
    jti: Option<String>,
    /// Of the run that an author has this reference of, or of this session
    #[arg(long, value_name = "REFERENCE")]
    reference: Option<String>,
    /// Not before: a time (2027-01-31, 2027-01-31T08:30:00Z), or how long ago (2h, 7d)
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,
    /// Not after, likewise; a day is in it as a whole
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,
}

/// A time that somebody has typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time {
    at: Timestamp,
    /// Where a day ends that was typed without an hour.
    end: Timestamp,
}

impl FromStr for Time {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write 2027-01-31, 2027-01-31T08:30:00Z, or how long ago: 30m, 2h, 7d";
        let moment = |at| Self { at, end: at };
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(moment(at));
        }
        if let Ok(day) = text.parse::<jiff::civil::Date>() {
            let at = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| WRONG)?.timestamp();
            let end =
                at.checked_add(SignedDuration::from_hours(24) - SignedDuration::from_nanos(1)).map_err(|_| WRONG)?;
            return Ok(Self { at, end });
        }
        let days = text.strip_suffix('d').and_then(|days| days.trim().parse::<i64>().ok());
        let ago = match days {
            Some(days) => days.checked_mul(24).filter(|hours| *hours < 1 << 30).map(SignedDuration::from_hours),
            None => text.parse::<SignedDuration>().ok(),
        };
        let at = ago.filter(|ago| !ago.is_negative()).and_then(|ago| Timestamp::now().checked_sub(ago).ok());
        at.map(moment).ok_or(WRONG)
    }
}

impl Wanted {
    /// Everything of one job.
    pub(super) fn job(number: u64) -> Self {
        Self { job: Some(number), ..Self::default() }
    }

    pub(super) fn holds(&self, record: &Record) -> bool {
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        let user = || {
            self.user.as_deref().is_none_or(|user| {
                record.text("user") == Some(user) || user.parse().is_ok_and(|id| record.number("user_id") == Some(id))
            })
        };
        // It says `"name" (line 9)`.
        let rule = || {
            self.rule.as_deref().is_none_or(|wanted| {
                let named = format!("{wanted:?} (");
                record.text("rule").is_some_and(|rule| rule == wanted || rule.starts_with(&named))
            })
        };
        let time = || {
            let at = record.time();
            self.since.is_none_or(|since| at.is_some_and(|at| at >= since.at))
                && self.until.is_none_or(|until| at.is_some_and(|at| at <= until.end))
        };
        self.job.is_none_or(|job| record.number("job_id") == Some(job))
            && is(&self.account, record.text("account"))
            && is(&self.jti, record.text("jti"))
            && (is(&self.reference, record.text("request")) || is(&self.reference, record.text("session")))
            && user()
            && rule()
            && time()
    }
}

/// A record, read back.
#[derive(Clone, Debug)]
pub(super) struct Record(Map<String, Value>);

impl Record {
    /// What a line says; nothing if it is no record.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(line) else { return None };
        fields.get("event").is_some_and(Value::is_string).then_some(Self(fields))
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).and_then(Value::as_str)
    }

    pub(super) fn number(&self, field: &str) -> Option<u64> {
        self.0.get(field).and_then(Value::as_u64)
    }

    /// When it was written, if it says so in a way that can be read.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.text("timestamp")?.parse().ok()
    }

    /// Whatever it is, as it is shown; nothing for a field that is not there.
    pub(super) fn shown(&self, field: &str) -> String {
        match self.0.get(field) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// What joins it with others. Older versions had no request, and told of some jobs without a session.
    pub(super) fn run(&self) -> String {
        let of_session = || self.text("session").and_then(|session| session.rsplit('-').next());
        let run = self.text("request").or_else(of_session).map(str::to_owned);
        run.unwrap_or_else(|| format!("job {}", self.shown("job_id")))
    }

    /// What is particular to its event, in a few words.
    pub(super) fn details(&self) -> String {
        let field = |name: &str| self.shown(name);
        let mut words = match self.text("event").unwrap_or_default() {
            "accepted" => format!("by rule {}", field("rule")),
            "refused" | "unavailable" | "not limited" => field("reason"),
            "hook answered" => {
                let words = ["answer", "named", "reason"].map(&field);
                words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(": ")
            }
            "failed" => format!("{}: {}", field("stage"), field("reason")),
            "started" => field("sub_stage"),
            "keys distrusted" => format!("{}: {}", field("file"), field("reason")),
            "minted" => format!("{}: token {} for {}", field("sub_stage"), field("jti"), field("aud")),
            "ended" => {
                let with = |name: &str, word: &str| {
                    let value = field(name);
                    if value.is_empty() { value } else { format!(" {word} {value}") }
                };
                let (slurm, code, signal) =
                    (with("slurm_job_id", "Slurm job"), with("exit_code", "with"), with("signal", "by signal"));
                format!("{}:{slurm} {}{code}{signal}", field("sub_stage"), field("outcome"))
            }
            _ => String::new(),
        };
        if self.0.get("simulated") == Some(&Value::Bool(true)) {
            words.push_str(" [simulated]");
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        Record::of(text.as_bytes()).expect("a record")
    }

    #[test]
    fn all_conditions_have_to_hold() {
        let line = record(
            r#"{"timestamp":"2027-01-31T08:30:00.000001Z","event":"accepted","job_id":7,"user":"adent","user_id":42,"account":"arthur","rule":"\"a (b)\" (line 9)","session":"7-0123456789ab","request":"0123456789ab","jti":"j"}"#,
        );
        let text = |text: &str| Some(text.to_owned());
        let time = |text: &str| Some(text.parse::<Time>().expect("a time"));
        let all = Wanted {
            job: Some(7),
            user: text("42"),
            account: text("arthur"),
            rule: text("a (b)"),
            jti: text("j"),
            reference: text("0123456789ab"),
            since: time("2027-01-31T08:30:00Z"),
            until: time("2027-01-31"),
        };
        assert!(all.holds(&line) && Wanted::default().holds(&line) && Wanted::job(7).holds(&line));
        assert!(
            Wanted {
                reference: text("7-0123456789ab"),
                user: text("adent"),
                rule: text("\"a (b)\" (line 9)"),
                ..all.clone()
            }
            .holds(&line)
        );
        for other in [
            Wanted { job: Some(8), ..all.clone() },
            Wanted { user: text("7"), ..all.clone() },
            Wanted { account: text("art"), ..all.clone() },
            Wanted { rule: text("a"), ..all.clone() },
            Wanted { jti: text(""), ..all.clone() },
            Wanted { reference: text("7"), ..all.clone() },
            Wanted { since: time("2027-02-01"), ..all.clone() },
            Wanted { until: time("2027-01-31T08:30:00Z"), ..all.clone() },
        ] {
            assert!(!other.holds(&line), "{other:?}");
        }
        let untimed = record(r#"{"event":"accepted"}"#);
        assert!(
            !Wanted { since: time("2000-01-01"), ..Wanted::default() }.holds(&untimed),
            "what has no time is not in one"
        );
    }

    #[test]
    fn what_has_a_reason_is_shown_with_it() {
        for event in ["refused", "unavailable", "not limited", "failed", "keys distrusted"] {
            let text = format!(r#"{{"event":"{event}","file":"/run/k.json","reason":"it is so"}}"#);
            assert!(record(&text).details().contains("it is so"), "{event}");
        }
        let keys = record(r#"{"event":"keys distrusted","file":"/run/k.json","reason":"it is a link"}"#);
        assert_eq!(keys.details(), "/run/k.json: it is a link");
    }

    #[test]
    fn what_a_hook_has_answered_is_told_in_a_few_words() {
        let of = |more: &str| record(&format!(r#"{{"event":"hook answered","account":"arthur",{more}}}"#)).details();
        assert_eq!(of(r#""answer":"accept""#), "accept");
        assert_eq!(
            of(r#""answer":"accept","named":"svc","reason":"a member","simulated":true"#),
            "accept: svc: a member [simulated]"
        );
        assert_eq!(of(r#""answer":"none","reason":"no answer within 2 s""#), "none: no answer within 2 s");
    }

    #[test]
    fn a_time_is_a_moment_a_day_or_an_age() {
        let now = Timestamp::now();
        let ago = |text: &str| now.duration_since(text.parse::<Time>().expect("a time").at).as_secs_f64();
        assert!(
            (ago("2h") - 7200.0).abs() < 60.0
                && (ago("7d") - 604_800.0).abs() < 60.0
                && (ago("30m") - 1800.0).abs() < 60.0
        );
        for wrong in ["", "yesterday", "-2h", "99999999999999999999d", "9223372036854775807d", "2027-13-01", "d"] {
            wrong.parse::<Time>().expect_err(wrong);
        }
    }
}
