//! Tables of accounts that rules name: whether each can be used, and whether the accounts in it are ones.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::findings::Findings;
use super::runner::Runner;
use crate::policy;
use crate::policy::settings::{MapRule, RunAs};
use crate::policy::table::{Files, Table, TableError, Tables};
use crate::report::counted;
use crate::settings::Settings;
use crate::sys::accounts::Nss;

const WHAT: &str = "run_as";
/// So many problems of one table are told.
const TOLD: usize = 10;
/// So many accounts of one table are asked for: behind each may be a directory service.
const ASKED: usize = 100;

/// Each table once, however many rules name it. Whether all are good.
pub(super) fn judge(settings: &Settings, runner: &Runner, findings: &mut Findings) -> bool {
    let tables: BTreeSet<&Path> = settings.map.iter().filter_map(table_of).collect();
    let mut good = true;
    for path in tables {
        good &= judge_one(path, settings, runner, findings);
    }
    good
}

fn table_of(rule: &MapRule) -> Option<&Path> {
    match &rule.run_as {
        RunAs::Table(path) => Some(path),
        RunAs::Account(_) | RunAs::GitLabUser | RunAs::Requested => None,
    }
}

fn judge_one(path: &Path, settings: &Settings, runner: &Runner, findings: &mut Findings) -> bool {
    let unusable = |error: &TableError| format!("no job is mapped by it, nor by a rule behind it: {error}");
    let table = match Files.read(path) {
        Ok(table) => table,
        Err(error) => {
            findings.problem(WHAT, unusable(&error));
            return false;
        }
    };
    let wrong = wrong_lines(&table);
    for error in wrong.iter().take(TOLD) {
        findings.problem(WHAT, unusable(error));
    }
    if wrong.len() > TOLD {
        findings.problem(WHAT, format!("{}: so are {} more of its lines", path.display(), wrong.len() - TOLD));
    }
    if !wrong.is_empty() {
        return false;
    }
    let accounts: BTreeSet<&str> = table.entries().flatten().map(|entry| entry.account).collect();
    let mut good = true;
    for name in accounts.iter().take(ASKED) {
        match policy::forecast(name, &settings.accounts, runner.mode(settings), &Nss) {
            Ok(Ok(_)) => {}
            Ok(Err(why)) => {
                good = false;
                findings.warning(
                    WHAT,
                    format!("{}: whoever has the account {name:?} there is refused: {why}", path.display()),
                );
            }
            Err(error) => {
                findings.warning(WHAT, error);
                return false;
            }
        }
    }
    if accounts.len() > ASKED {
        findings.skipped(WHAT, format!("{}: only the first {ASKED} accounts are looked at", path.display()));
    }
    if good {
        let lines = counted(table.entries().count(), "user");
        findings.ok(WHAT, format!("{}: {lines}, {}", path.display(), counted(accounts.len(), "account")));
    }
    good
}

/// All of them: a job finds the first alone.
fn wrong_lines(table: &Table) -> Vec<TableError> {
    let mut first = HashMap::new();
    let judged = table.entries().map(|entry| {
        let entry = entry?;
        match first.insert(entry.user, entry.line) {
            None => Ok(()),
            Some(line) => Err(table.twice(&entry, line)),
        }
    });
    judged.filter_map(Result::err).collect()
}
