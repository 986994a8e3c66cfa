//! `[[test]]` and `[[never]]`: what the rules must do, said beside them. No stage acts by it.

use super::groups::Groups;
use super::rules::{When, group_path, read_when, users};
use crate::config::{Place, Placed, Section, values};
use crate::evidence::RefType;
use crate::evidence::memberships::Memberships;
use crate::evidence::supposed::Supposed;
use crate::policy::pattern::Pattern;

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Assertions {
    /// `[[test]]`
    pub tests: Vec<Test>,
    /// `[[never]]`
    pub nevers: Vec<Never>,
}

/// What must become of one job.
#[derive(Clone, Debug)]
pub struct Test {
    /// What the admin calls it.
    pub name: Option<String>,
    /// Of which GitLab's jobs it speaks, where there are several.
    pub gitlab: Option<String>,
    /// Where it begins.
    pub place: Place,
    /// The job.
    pub job: Supposed,
    /// The account that it asks for.
    pub request: Option<String>,
    /// Who has approved its commit, for whatever account.
    pub approved_by: Vec<String>,
    /// What must come of it.
    pub expect: Expect,
    /// The name of the rule that must decide.
    pub rule: Option<String>,
}

/// What must come of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This account.
    Account(String),
    /// None.
    Refused,
}

/// Accounts that no job may have but some.
#[derive(Clone, Debug)]
pub struct Never {
    /// What the admin calls it.
    pub name: Option<String>,
    /// Of which GitLab's jobs it speaks; of those of all, if it does not say that.
    pub gitlab: Option<String>,
    /// Where it begins.
    pub place: Place,
    /// The accounts.
    pub accounts: Vec<Pattern>,
    /// The jobs that may.
    pub unless: Option<When>,
}

/// Reads one `[[test]]`.
pub fn read_test(mut section: Section<'_>, groups: &Groups) -> Option<Test> {
    let name = section.string("name").map(Placed::into_value);
    let gitlab = section.string("gitlab").map(Placed::into_value);
    let number = |section: &mut Section<'_>, key| section.number(key).map(Placed::into_value);
    let text = |section: &mut Section<'_>, key| section.parsed(key, values::visible_text);
    let user = text(&mut section, "user");
    let from_fork = section.boolean("from_fork");
    let job = Supposed {
        user,
        user_id: number(&mut section, "user_id").unwrap_or_default(),
        scoped_user_id: number(&mut section, "scoped_user_id"),
        project: text(&mut section, "project"),
        project_id: number(&mut section, "project_id").unwrap_or_default(),
        git_ref: text(&mut section, "ref"),
        ref_type: section.choice("ref_type", &[("branch", RefType::Branch), ("tag", RefType::Tag)]),
        ref_protected: section.boolean("ref_protected"),
        pipeline_source: text(&mut section, "pipeline_source").or_else(|| Some("push".to_owned())),
        ci_stage: text(&mut section, "ci_stage"),
        runner_id: number(&mut section, "runner"),
        groups: section
            .one_or_more("gitlab_group", group_path)
            .map_or_else(Memberships::default, |groups| Memberships::supposed(groups.into_iter().collect())),
        environment: text(&mut section, "environment"),
        environment_protected: section.boolean("environment_protected"),
        job_id: 1,
        ..Supposed::default()
    };
    if job.environment_protected.is_some() && job.environment.is_none() {
        let words = "`test.environment_protected` is of no environment; say which one in `environment`";
        section.problem(&section.place(), words);
    }
    let job = match from_fork {
        Some(from_fork) => job.with_code(from_fork),
        None => job,
    };
    let request = text(&mut section, "request");
    let approved_by = section.one_or_more("approved_by", |text| users(text, groups)).unwrap_or_default();
    let expect = section.required("expect", "\"arthur\"", |text| match text {
        "refused" => Ok(Expect::Refused),
        _ => values::visible_text(text).map(Expect::Account),
    });
    let rule = section.string("rule").map(Placed::into_value);
    let place = section.place();
    section.finish();
    Some(Test { name, gitlab, place, job, request, approved_by: approved_by.concat(), expect: expect?, rule })
}

/// Reads one `[[never]]`.
pub fn read_never(mut section: Section<'_>, groups: &Groups) -> Option<Never> {
    let name = section.string("name").map(Placed::into_value);
    let gitlab = section.string("gitlab").map(Placed::into_value);
    let accounts = section.one_or_more("account", Pattern::parse);
    if accounts.is_none() && !section.has("account") {
        let help = "for example: account = \"svc-climate\"";
        section.problem_with_help(&section.place(), "`never.account` is missing", help);
    }
    let unless = section.section("unless");
    let is_present = unless.is_present();
    let unless = read_when(unless, groups);
    let place = section.place();
    if is_present && unless == When::default() {
        // An edit or a template may have emptied it.
        section.problem_with_help(
            &place,
            "`never.unless` is empty: it holds for every job, so that all of them may have the account",
            "name conditions in it, or leave it out: then no job may",
        );
    }
    section.finish();
    Some(Never { name, gitlab, place, accounts: accounts?, unless: is_present.then_some(unless) })
}
