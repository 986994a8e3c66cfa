//! Small worlds: all jobs of a site that rules there can tell from each other.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::{NAMESPACES, PATHS, USERS, pattern};
use crate::evidence::JobFacts;
use crate::evidence::memberships::Memberships;
use crate::evidence::settings::{Groups as GroupsAre, IdTokenSettings, Knowable, Sources};
use crate::evidence::supposed::Supposed;

/// Projects, one for each way in which patterns can tell two from each other.
fn projects() -> Vec<Option<String>> {
    let mut all: Vec<String> = vec![String::new()];
    for _ in 0..5 {
        let longer: Vec<String> =
            all.iter().flat_map(|text| ["g", "h", "p", "/"].map(|letter| format!("{text}{letter}"))).collect();
        all.extend(longer);
        all.sort();
        all.dedup();
    }
    let patterns = PATHS.map(pattern);
    let names = NAMESPACES.map(pattern);
    let mut seen = BTreeSet::new();
    all.retain(|path| !path.is_empty());
    all.sort_by_key(|path| (path.len(), path.clone()));
    all.retain(|path| {
        let namespace = path.rsplit_once('/').map(|(namespace, _)| namespace);
        let kind: Vec<bool> = patterns.iter().map(|pattern| pattern.matches(path)).collect();
        let names: Vec<Option<bool>> =
            names.iter().map(|pattern| namespace.map(|namespace| pattern.matches(namespace))).collect();
        seen.insert((kind, names))
    });
    all.into_iter().map(Some).chain([None]).collect()
}

/// What the rules of a world ask for: of all facts at once there would be too many jobs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Facts {
    Usual,
    Deployments,
    Groups,
}

/// A site, and all jobs of a small world as its sources tell of them.
pub(super) struct World {
    pub(super) facts: Facts,
    sources: Sources,
    groups: GroupsAre,
    pub(super) jobs: Vec<(Supposed, JobFacts)>,
}

impl World {
    pub(super) fn knowable(&self) -> Knowable<'_> {
        Knowable { sources: &self.sources, groups: self.groups }
    }
}

pub(super) static WORLDS: LazyLock<[World; 8]> = LazyLock::new(|| {
    let audience = IdTokenSettings { variable: "T".into(), audience: "a".into() };
    let all = jobs();
    let without = |job: &Supposed| job.source_project_id.is_none();
    let payload = |job: &Supposed| {
        let unknown = Supposed { user: None, project: None, pipeline_source: None, ..job.clone() };
        without(job).then_some(unknown)
    };
    let asking = |groups, facts, sources, jobs: Vec<Supposed>| World {
        facts,
        sources,
        groups,
        jobs: jobs.into_iter().map(|job| (job.clone(), job.facts())).collect(),
    };
    let world = |facts, sources, jobs| asking(GroupsAre::NotAsked, facts, sources, jobs);
    let mut numbers: Vec<Supposed> = all.iter().filter_map(payload).collect();
    numbers.dedup();
    [
        world(Facts::Usual, Sources::JobApi, all.iter().filter(|job| without(job)).cloned().collect()),
        world(Facts::Usual, Sources::Payload, numbers),
        world(Facts::Usual, Sources::IdToken(audience.clone()), all),
        world(
            Facts::Deployments,
            Sources::JobApi,
            deployments().into_iter().filter(|job| without(job) && job.environment.is_none()).collect(),
        ),
        world(Facts::Deployments, Sources::IdToken(audience.clone()), deployments()),
        asking(GroupsAre::Asked, Facts::Groups, Sources::JobApi, members(without, Memberships::supposed)),
        world(Facts::Groups, Sources::JobApi, few_jobs().into_iter().filter(without).collect()),
        world(Facts::Groups, Sources::IdToken(audience), {
            // Of whom an agent acts for nobody says it.
            let agents = few_jobs().into_iter().filter(|job| job.scoped_user_id.is_some());
            let people = members(|job| job.scoped_user_id.is_none(), Memberships::at_least);
            people.into_iter().chain(agents).collect()
        }),
    ]
});

fn jobs() -> Vec<Supposed> {
    let texts = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).chain([None]).collect::<Vec<_>>();
    let mut jobs = Vec::new();
    let refs = texts(&["main", "x", "refs/merge-requests/1/head"]);
    let sources = texts(&["push", "api", "merge_request_event"]);
    for (user, scoped) in USERS.into_iter().flat_map(|user| [(user, false), (user, true)]) {
        // For agents a name is a name, or that of a bot.
        if scoped && !["ada", "group_8_bot"].contains(&user) {
            continue;
        }
        for human in [1, 2, 3, 9] {
            for project in projects() {
                for (git_ref, source) in
                    refs.iter().flat_map(|git_ref| sources.iter().map(move |source| (git_ref, source)))
                {
                    for ref_protected in [None, Some(false), Some(true)] {
                        let job = Supposed {
                            user: Some(user.into()),
                            user_id: human,
                            scoped_user_id: scoped.then_some(human),
                            project: project.clone(),
                            project_id: 7,
                            git_ref: git_ref.clone(),
                            pipeline_source: source.clone(),
                            ref_protected,
                            ..Supposed::default()
                        };
                        // What is signed counts for pipelines of merge requests.
                        if job.git_ref.as_deref().is_some_and(|git_ref| git_ref.starts_with("refs/")) {
                            for source_ref in texts(&["main", "x"]) {
                                jobs.push(Supposed { source_project_id: Some(7), source_ref, ..job.clone() });
                            }
                            jobs.push(Supposed { source_project_id: Some(8), ..job.clone() });
                        }
                        jobs.push(job);
                    }
                }
            }
        }
    }
    jobs
}

/// One user of each kind, and code of each kind.
fn few_jobs() -> Vec<Supposed> {
    let usual = |user: &str, human, scoped: bool| Supposed {
        user: Some(user.to_owned()),
        user_id: human,
        scoped_user_id: scoped.then_some(human),
        project: Some("g/p".into()),
        project_id: 7,
        git_ref: Some("main".into()),
        pipeline_source: Some("push".into()),
        ..Supposed::default()
    };
    let users = USERS.map(|user| (user, false)).into_iter().chain([("ada", true), ("group_8_bot", true)]);
    let people = users.flat_map(|(user, scoped)| [1, 2, 3, 9].map(|human| usual(user, human, scoped)));
    people
        .flat_map(|job| {
            let (git_ref, source) = (Some("refs/merge-requests/1/head".into()), Some("merge_request_event".into()));
            let merge_request = Supposed { git_ref, pipeline_source: source, ..job.clone() };
            let signed = |of| Supposed { source_project_id: Some(of), ..merge_request.clone() };
            [job, signed(7), signed(8), merge_request.clone()]
        })
        .collect()
}

/// Who is in some of three groups.
fn members(which: impl Fn(&Supposed) -> bool, groups: fn(BTreeSet<String>) -> Memberships) -> Vec<Supposed> {
    let all = [&[][..], &["a"], &["b"], &["c"], &["a", "b"], &["a", "c"], &["b", "c"], &["a", "b", "c"]];
    let of = |names: &[&str]| groups(names.iter().map(|name| (*name).to_owned()).collect());
    let jobs = few_jobs().into_iter().filter(which);
    jobs.flat_map(|job| all.map(|names| Supposed { groups: of(names), ..job.clone() })).collect()
}

fn deployments() -> Vec<Supposed> {
    let mut jobs = few_jobs();
    let environments = jobs.clone().into_iter().flat_map(|job| {
        ["production", "review/7", "x"].into_iter().flat_map(move |name| {
            let job = Supposed { environment: Some(name.into()), ..job.clone() };
            [None, Some(false), Some(true)]
                .map(|protected| Supposed { environment_protected: protected, ..job.clone() })
        })
    });
    jobs.extend(environments);
    let stages = [None, Some("build"), Some("x")];
    let runners = [None, Some(1), Some(2)];
    jobs.iter()
        .flat_map(|job| stages.map(|stage| Supposed { ci_stage: stage.map(str::to_owned), ..job.clone() }))
        .flat_map(|job| runners.map(|runner_id| Supposed { runner_id, ..job.clone() }))
        .collect()
}
