//! `include`: rules in files of their own, so that each may be somebody's to write.

use std::path::{Path, PathBuf};

use super::judge::{judge_gitlab, judge_terms, judge_token_terms, no_rule_needs_approvals};
use super::tested::Digesting;
use super::{MAX_BYTES, Settings, SettingsError, text};
use crate::config::{self, Section, Source};
use crate::policy::pattern::Pattern;
use crate::policy::settings::{MapRule, Stands, read_groups, read_rule};
use crate::sys::files::{Distrust, TrustError, trusted_directory};
use crate::sys::installed::{read_deciding, who_decides};

/// So many files may be included.
const MOST: usize = 1000;

/// Files to include.
#[derive(Clone, Debug)]
pub(super) enum Include {
    /// This one.
    File(PathBuf),
    /// All in a directory whose names match, by their names. What an editor or a package leaves (`.x.swp`, `x.toml~`) does not
    /// match `*.toml`.
    Matching(PathBuf, Pattern),
}

/// Reads the key. Paths are from the root, or from this directory: that of the configuration.
pub(super) fn read_include(root: &mut Section<'_>, base: &Path) -> Vec<Include> {
    root.parsed_each("include", |written| include(base, written)).unwrap_or_default()
}

fn include(base: &Path, written: &str) -> Result<Include, String> {
    let path = base.join(written);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(format!("is not the name of a file: {written:?}"));
    };
    if dir.to_string_lossy().contains('*') || name.contains("**") {
        return Err(format!("has a * in the name of the file and nowhere else: {written:?}; write \"map.d/*.toml\""));
    }
    if !name.contains('*') {
        return Ok(Include::File(path));
    }
    Ok(Include::Matching(dir.to_owned(), Pattern::parse(name)?))
}

impl Include {
    /// In the order of their names. A directory that nobody else can add to, or a file that is missing, is told.
    fn files(&self) -> Result<Vec<PathBuf>, TrustError> {
        let (dir, pattern) = match self {
            Self::File(path) => return Ok(vec![path.clone()]),
            Self::Matching(dir, pattern) => (dir, pattern),
        };
        let untrusted = |error| TrustError { path: dir.clone(), fault: Distrust::Io(error) };
        let mut names = Vec::new();
        for entry in trusted_directory(dir, who_decides())?.read_dir().map_err(untrusted)? {
            let name = entry.map_err(untrusted)?.file_name();
            let shown = name.to_string_lossy();
            if !shown.starts_with('.') && pattern.matches(&shown) {
                names.push(dir.join(&name));
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The rules of all of them, in order.
pub(super) fn rules_of(
    includes: &[Include],
    settings: &Settings,
    digest: &mut Digesting,
) -> Result<Vec<MapRule>, SettingsError> {
    let mut rules = Vec::new();
    let (mut files, mut room) = (0, MAX_BYTES);
    for path in includes.iter().map(Include::files).collect::<Result<Vec<_>, _>>()?.concat() {
        files += 1;
        if files > MOST {
            return Err(SettingsError::TooManyFiles(MOST));
        }
        let bytes = read_deciding(&path, room)?;
        room -= bytes.len();
        let source = Source::new(&path, text(&path, &bytes)?);
        digest.add(source.text());
        rules.extend(config::read(&source, |root| read_file(root, settings))?);
    }
    Ok(rules)
}

/// Rules, and groups that are for them alone.
fn read_file(mut root: Section<'_>, settings: &Settings) -> Option<Vec<MapRule>> {
    let own = root.section("groups");
    let place = own.place();
    let own = read_groups(own);
    let mut known = settings.policy.groups.clone();
    for (name, members) in own {
        if known.insert(name.clone(), members).is_some() {
            root.problem(
                &place,
                format!(
                    "the group {name:?} is in the [groups] of the configuration already; call this one another name"
                ),
            );
        }
    }
    let rules = root.tables("map", |section| read_rule(section, &known, Stands::InAnIncluded));
    if settings.approvals.is_none() {
        no_rule_needs_approvals(&root, rules.iter().flatten());
    }
    rules
        .iter()
        .flatten()
        .for_each(|rule| judge_gitlab("map", (rule.gitlab.as_deref(), &rule.place), &settings.gitlabs, &root));
    for rule in rules.iter().flatten() {
        judge_terms(rule, settings.jobs.executor, &settings.schedulers, &root);
        judge_token_terms(rule, settings.token.as_ref(), &root);
    }
    root.finish();
    rules.into_iter().collect()
}
