//! `motmot who-can`: every way to become an account.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::terminal::{answer, complain};
use crate::policy::pattern::Pattern;
use crate::policy::proof::never::{Becomes, Proofs, Way, Who};
use crate::policy::settings::RunAs;
use crate::policy::{Machine, at, job_in_words};
use crate::report::{counted, indented};
use crate::settings::Settings;

/// Arguments of `motmot who-can`.
#[derive(Debug, Args)]
pub struct WhoCanArgs {
    /// Name of the account, or several with * for any text
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Write one JSON document
    #[arg(long)]
    json: bool,
}

/// Exit code 0 if that is all, also if nobody can; 1 if it cannot be decided; 2 for wrong usage.
pub fn main(args: &WhoCanArgs, config: &Path) -> ExitCode {
    let loaded = Settings::load(config).map_err(|error| error.render());
    let asked = loaded.and_then(|settings| {
        let accounts = [Pattern::parse(&args.account).map_err(|why| format!("ACCOUNT {why}"))?];
        Ok((settings, accounts))
    });
    let (settings, accounts) = match asked {
        Ok(asked) => asked,
        Err(words) => return complain(&words, ExitCode::from(2)),
    };
    let each: Vec<Settings> = settings.of_each_gitlab().collect();
    let ways = each.iter().map(|of| {
        let foreign_code = of.policy.merge_requests_of_forks;
        Proofs::new(&of.map, foreign_code, of.gitlab.knowable(), Machine::THIS.tables)?.ways(&accounts)
    });
    match ways.collect::<Result<Vec<_>, _>>().map(|ways| ways.concat()) {
        Err(undecided) => complain(&undecided, ExitCode::FAILURE),
        Ok(ways) if args.json => {
            let ways: Vec<Value> = ways.iter().map(document).collect();
            answer(&format!("{:#}\n", json!({ "account": args.account, "ways": ways })), ExitCode::SUCCESS)
        }
        Ok(ways) => answer(&text(&args.account, &ways), ExitCode::SUCCESS),
    }
}

fn text(account: &str, ways: &[Way<'_>]) -> String {
    let mut text = String::new();
    for way in ways {
        let rule = way.example.rule;
        let name = rule.name.as_ref().map_or_else(String::new, |name| format!(" {name:?}"));
        let asking = way.example.requested.as_ref();
        let asking = asking.map_or_else(String::new, |name| format!(", for a job that asks for {name}"));
        let gitlab = rule.gitlab.as_ref();
        let gitlab = gitlab.map_or_else(String::new, |name| format!(", for jobs of the GitLab {name:?}"));
        let approved = match &rule.approved_by {
            None => String::new(),
            Some(names) => format!(", with the approval of {}", some_of(names)),
        };
        let example = example(way);
        let words = format!(
            "{}{name}: when = {}{asking}{approved}{gitlab}\nlets in {}\nfor example {example}",
            at(&rule.place),
            rule.when,
            who(way)
        );
        let _ = writeln!(text, "{}", indented(&words)); // into a string: cannot fail, as below
    }
    let ways = match ways.len() {
        0 => "nobody can become it".to_owned(),
        many => counted(many, "way"),
    };
    let _ = writeln!(text, "{account}: {ways}");
    text
}

fn example(way: &Way<'_>) -> String {
    let Becomes { job, requested, approved_by, .. } = &way.example;
    job_in_words(&job.clone().facts(), requested.as_deref(), approved_by.as_deref().as_slice())
}

fn some_of(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        all => format!("one of {}", few(all)),
    }
}

/// Who is let in, in words.
fn who(way: &Way<'_>) -> String {
    let listed = |count: usize, names: String| format!("{}: {names}", counted(count, "user"));
    match (&way.who, &way.example.rule.run_as) {
        (Who::Logins(names), RunAs::GitLabUser) if names.len() == 1 => {
            format!("whoever has the login {:?} in GitLab", names[0])
        }
        (Who::Logins(names), _) => listed(names.len(), few(names)),
        (Who::Ids(ids), _) => {
            let ids: Vec<String> = ids.iter().map(|id| format!("number {id}")).collect();
            listed(ids.len(), few(&ids))
        }
        (Who::AtMost(count), _) => format!("at most {count} users"),
        (Who::Anybody, RunAs::GitLabUser) => "whoever has such a login in GitLab".to_owned(),
        (Who::Anybody, RunAs::Account(_) | RunAs::Table(_) | RunAs::Requested) => {
            "anybody whose job fulfils these conditions".to_owned()
        }
    }
}

/// So many are named.
const NAMED: usize = 10;

fn few(names: &[String]) -> String {
    match names.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}

fn document(way: &Way<'_>) -> Value {
    let rule = way.example.rule;
    let mut document = json!({
        "rule": rule.name, "at": at(&rule.place), "when": rule.when.to_string(), "run_as": rule.run_as.to_string(),
        "account": way.example.account, "request": way.example.requested, "lets_in": who(way),
        "gitlab": rule.gitlab, "approved_by": rule.approved_by, "example": example(way),
    });
    match &way.who {
        Who::Logins(names) => document["logins"] = json!(names),
        Who::Ids(ids) => document["user_ids"] = json!(ids),
        Who::AtMost(count) => document["at_most"] = json!(count),
        Who::Anybody => {}
    }
    document
}
