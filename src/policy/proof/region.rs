//! Sets of jobs: for each fact that rules ask for what it may be, whatever the others are.
//!
//! What rules ask for is not each fact by itself: whose code it is, and which branch of the project, follow from several, and from
//! what the sources of the site can say ([`Region::worlds`]). So all jobs are a few such sets, one for each way in which that is
//! known or not.

use std::collections::BTreeSet;
use std::rc::Rc;

pub use super::bits::{FIRST, SECOND, UNKNOWN};
use super::membership::{Groups, List, Of};
use super::sequence::{Class, Count, Sequence};
use super::set::OneOf;
use super::texts::{Side, Texts, Usual};
use super::{Steps, Undecided};
use crate::evidence::RefType;
use crate::evidence::settings::{Groups as Asking, Knowable, Sources};
use crate::evidence::supposed::Supposed;

/// A fact that is a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    Login,
    Project,
    Source,
    /// The ref, where it certainly is the project's own.
    OwnRef,
    /// What is deployed to.
    Environment,
    CiStage,
}

/// A fact that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    User,
    Project,
    /// Asked only where it is known.
    Runner,
}

/// A fact of few values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Few {
    RefType,
    RefProtected,
    /// Whose code it is: first the project's own, second a fork's.
    Code,
    /// Whether the user acts for another one: first no, second yes. Always known.
    Acting,
    /// Whether the environment is protected. Asked only where there is one.
    EnvironmentProtected,
    /// Whether the runner is known: first that it is. There is no second.
    Runner,
}

/// Something that is asked of one fact. The jobs of a rule are those for which all of some are so.
#[derive(Clone, Debug)]
pub enum Atom {
    /// The text is on this side of a set; or is unknown, if that is enough.
    Text { of: Text, side: Side, set: Rc<OneOf>, or_unknown: bool },
    /// The number is on this side of a set.
    Number { of: Number, side: Side, set: Rc<BTreeSet<u64>> },
    /// It is one of these, by their bits.
    Few { of: Few, bits: u8 },
    /// So it is of some of these groups, or of all of them.
    Groups { of: Of, list: List, bits: u8 },
}

impl Atom {
    /// What is so for exactly those jobs for which this is not.
    pub fn opposite(&self) -> Self {
        match self {
            Self::Text { of, side, set, or_unknown } => {
                Self::Text { of: *of, side: side.other(), set: Rc::clone(set), or_unknown: !or_unknown }
            }
            Self::Number { of, side, set } => Self::Number { of: *of, side: side.other(), set: Rc::clone(set) },
            Self::Few { of, bits } => Self::Few { of: *of, bits: !bits & (UNKNOWN | FIRST | SECOND) },
            Self::Groups { of, list, bits } => {
                let of = if *of == Of::Some { Of::All } else { Of::Some };
                Self::Groups { of, list: Rc::clone(list), bits: !bits & (UNKNOWN | FIRST | SECOND) }
            }
        }
    }
}

/// What a number may be. Never nothing.
#[derive(Clone, Debug)]
enum Numbers {
    Listed(Rc<BTreeSet<u64>>),
    AllBut(Rc<BTreeSet<u64>>),
}

impl Numbers {
    fn narrow(&self, side: Side, set: &Rc<BTreeSet<u64>>) -> Option<Self> {
        match (self, side) {
            (Self::Listed(all), _) => {
                let left: BTreeSet<u64> = all.iter().copied().filter(|id| side.is(set.contains(id))).collect();
                (!left.is_empty()).then(|| Self::Listed(Rc::new(left)))
            }
            (Self::AllBut(not), Side::In) => {
                let left: BTreeSet<u64> = set.difference(not).copied().collect();
                (!left.is_empty()).then(|| Self::Listed(Rc::new(left)))
            }
            (Self::AllBut(not), Side::Out) => {
                let mut not = Rc::clone(not);
                Rc::make_mut(&mut not).extend(set.iter());
                Some(Self::AllBut(not))
            }
        }
    }

    /// One of them. A set of fewer than all numbers leaves one.
    fn example(&self) -> u64 {
        match self {
            Self::Listed(all) => all.first().copied().unwrap_or_default(),
            Self::AllBut(not) => (1..=u64::MAX).find(|id| !not.contains(id)).unwrap_or_default(),
        }
    }
}

/// The number of an agent, and that of a fork: no rule asks for them.
const AGENT: u64 = 1;
const FORK: u64 = 1000;

/// What starts the pipelines of merge requests, and a ref of such a pipeline.
pub const MERGE_REQUEST: &str = "merge_request_event";
const MERGE_REQUEST_REF: &str = "refs/merge-requests/1/head";

/// What starts pipelines, mostly. In examples only: GitLab has more words, and new ones.
const SOURCES: [&str; 6] = ["web", "schedule", "api", "trigger", "pipeline", MERGE_REQUEST];

/// A set of jobs. Never empty.
#[derive(Clone, Debug)]
pub struct Region {
    login: Texts,
    project: Texts,
    source: Texts,
    own_ref: Texts,
    user_id: Numbers,
    project_id: Numbers,
    ref_type: u8,
    ref_protected: u8,
    code: u8,
    acting: u8,
    environment: Texts,
    environment_protected: u8,
    ci_stage: Texts,
    runner: u8,
    runner_id: Numbers,
    groups: Groups,
}

impl Region {
    /// All jobs, of which these sources can be asked. Facts of a job are never empty texts, and no number of GitLab is 0: the evidence
    /// has neither.
    pub fn worlds(knowable: Knowable<'_>, steps: &Steps) -> Result<Vec<Self>, Undecided> {
        let worlds = Self::of_sources(knowable.sources, steps)?;
        let with = |groups: &Groups, acting: u8, of: &Self| Self { groups: groups.clone(), acting, ..of.clone() };
        let everybody = |groups: Groups| worlds.iter().map(|of| with(&groups, of.acting, of)).collect();
        Ok(match (knowable.groups, knowable.sources.id_token()) {
            (Asking::Asked, _) => everybody(Groups::asked()),
            (Asking::NotAsked, None) => everybody(Groups::unknown()),
            // Of whom an agent acts for an id token says nothing.
            (Asking::NotAsked, Some(_)) => {
                let people = worlds.iter().map(|of| with(&Groups::signed(), FIRST, of));
                people.chain(worlds.iter().map(|of| with(&Groups::unknown(), SECOND, of))).collect()
            }
        })
    }

    /// The same, whatever groups there are.
    fn of_sources(sources: &Sources, steps: &Steps) -> Result<Vec<Self>, Undecided> {
        // What is deployed to only an id token says.
        let (environment, environment_protected) = match sources.id_token() {
            Some(_) => (Texts::all(true, vec![listed(&["production"])], steps)?, UNKNOWN | FIRST | SECOND),
            None => (Texts::unknown(), UNKNOWN),
        };
        // Whose code it is nobody says.
        let unknown = Self {
            login: Texts::all(false, Vec::new(), steps)?,
            project: Texts::all(true, vec![path()], steps)?,
            source: Texts::all(true, vec![listed(&[MERGE_REQUEST])], steps)?,
            own_ref: Texts::unknown(),
            user_id: Numbers::AllBut(Rc::new(BTreeSet::from([0]))),
            project_id: Numbers::AllBut(Rc::new(BTreeSet::from([0]))),
            ref_type: UNKNOWN | FIRST | SECOND,
            ref_protected: UNKNOWN | FIRST | SECOND,
            code: UNKNOWN,
            acting: FIRST | SECOND,
            environment,
            environment_protected,
            ci_stage: Texts::all(true, vec![listed(&["build"])], steps)?,
            runner: UNKNOWN | FIRST,
            runner_id: Numbers::AllBut(Rc::new(BTreeSet::from([0]))),
            groups: Groups::unknown(),
        };
        if *sources == Sources::Payload {
            let nothing = Texts::unknown;
            return Ok(vec![Self {
                login: nothing(),
                project: nothing(),
                source: nothing(),
                runner: UNKNOWN,
                ..unknown
            }]);
        }
        let any_ref = |steps| Texts::all(true, vec![listed(&["main"])], steps);
        // No pipeline of a merge request: both its source and its ref say so.
        let merge_request = OneOf::new([MERGE_REQUEST.to_owned()], Vec::new());
        let sources_of_refs = Texts::all(true, vec![listed(&["push"]), listed(&SOURCES)], steps)?;
        let mut worlds = Vec::new();
        if let (Some(source), Some(own_ref)) = (
            sources_of_refs.narrow(Side::Out, &merge_request, false, steps)?,
            any_ref(steps)?.narrow(Side::Out, &beginning("refs/merge-requests/"), true, steps)?,
        ) {
            worlds.push(Self { source, own_ref, code: FIRST, ..unknown.clone() });
        }
        if sources.id_token().is_some() {
            // One of a merge request, of which GitLab has signed that it is the project's own branch. With other sources it is as above.
            if let (Some(source), Some(own_ref)) = (
                unknown.source.narrow(Side::In, &merge_request, true, steps)?,
                any_ref(steps)?.narrow(Side::Out, &beginning("refs/"), true, steps)?,
            ) {
                worlds.push(Self { source, own_ref, code: FIRST, ..unknown.clone() });
            }
            worlds.push(Self { code: SECOND, ..unknown.clone() });
        }
        worlds.push(unknown);
        Ok(worlds)
    }

    /// Those of its jobs for which something is so, if there are any.
    pub fn narrow(&self, atom: &Atom, steps: &Steps) -> Result<Option<Self>, Undecided> {
        let mut narrower = self.clone();
        let some = match atom {
            Atom::Text { of, side, set, or_unknown } => {
                let texts = narrower.texts_mut(*of);
                texts.narrow(*side, set, *or_unknown, steps)?.map(|left| *texts = left)
            }
            Atom::Number { of, side, set } => {
                let numbers = match of {
                    Number::User => &mut narrower.user_id,
                    Number::Project => &mut narrower.project_id,
                    Number::Runner => &mut narrower.runner_id,
                };
                numbers.narrow(*side, set).map(|left| *numbers = left)
            }
            Atom::Few { of, bits } => {
                let few = match of {
                    Few::RefType => &mut narrower.ref_type,
                    Few::RefProtected => &mut narrower.ref_protected,
                    Few::Code => &mut narrower.code,
                    Few::Acting => &mut narrower.acting,
                    Few::EnvironmentProtected => &mut narrower.environment_protected,
                    Few::Runner => &mut narrower.runner,
                };
                *few &= bits;
                (*few != 0).then_some(())
            }
            Atom::Groups { of, list, bits } => {
                narrower.groups.narrow(*of, list, *bits).map(|left| narrower.groups = left)
            }
        };
        Ok(some.map(|()| narrower))
    }

    /// The same for several things.
    pub fn narrow_to<'a>(
        self,
        atoms: impl IntoIterator<Item = &'a Atom>,
        steps: &Steps,
    ) -> Result<Option<Self>, Undecided> {
        let mut left = self;
        for atom in atoms {
            match left.narrow(atom, steps)? {
                Some(narrower) => left = narrower,
                None => return Ok(None),
            }
        }
        Ok(Some(left))
    }

    fn texts_mut(&mut self, of: Text) -> &mut Texts {
        match of {
            Text::Login => &mut self.login,
            Text::Project => &mut self.project,
            Text::Source => &mut self.source,
            Text::OwnRef => &mut self.own_ref,
            Text::Environment => &mut self.environment,
            Text::CiStage => &mut self.ci_stage,
        }
    }

    /// The users of its jobs, if they are listed, by name.
    pub fn logins(&self) -> Option<Vec<String>> {
        let all = self.login.listed()?;
        (self.acting == FIRST).then(|| all.iter().map(ToString::to_string).collect())
    }

    /// The same by number.
    pub fn user_ids(&self) -> Option<Vec<u64>> {
        match &self.user_id {
            Numbers::Listed(ids) => Some(ids.iter().copied().collect()),
            Numbers::AllBut(_) => None,
        }
    }

    /// The jobs of this user alone, if he is one of those.
    pub fn of_login(&self, name: &str) -> Option<Self> {
        let is_listed = self.login.listed()?.iter().any(|listed| **listed == *name);
        is_listed.then(|| Self { login: Texts::one(name), ..self.clone() })
    }

    /// The same by number.
    pub fn of_user_id(&self, id: u64) -> Option<Self> {
        let user_id = self.user_id.narrow(Side::In, &Rc::new(BTreeSet::from([id])))?;
        Some(Self { user_id, ..self.clone() })
    }

    /// One of its jobs. Where there is a choice more is known of it rather than less, but for what few rules ask for.
    pub fn example(&self) -> Supposed {
        let text = |texts: &Texts| texts.example().map(str::to_owned);
        // Where an agent has started it the number that counts is that of the person.
        let human = self.user_id.example();
        let (user_id, scoped_user_id) = if self.acting & FIRST != 0 { (human, None) } else { (AGENT, Some(human)) };
        let project_id = self.project_id.example();
        let (pipeline_source, own_ref) = (text(&self.source), text(&self.own_ref));
        let merge_request = || Some(MERGE_REQUEST_REF.to_owned());
        let (git_ref, source_project_id, source_ref) = match self.code {
            FIRST if pipeline_source.as_deref().is_some_and(|source| source != MERGE_REQUEST) => (own_ref, None, None),
            FIRST => (merge_request(), Some(project_id), own_ref),
            SECOND => (merge_request(), Some(if project_id == FORK { FORK - 1 } else { FORK }), None),
            _ => (pipeline_source.is_some().then(merge_request).flatten(), None, None),
        };
        let environment = self.environment.least().map(str::to_owned);
        let protected = environment.as_ref().and_then(|_| either(self.environment_protected, false, true));
        Supposed {
            environment,
            environment_protected: protected,
            ci_stage: self.ci_stage.least().map(str::to_owned),
            groups: self.groups.example(),
            runner_id: (self.runner == FIRST).then(|| self.runner_id.example()),
            user: text(&self.login),
            user_id,
            scoped_user_id,
            project: text(&self.project),
            project_id,
            git_ref,
            ref_type: either(self.ref_type, RefType::Branch, RefType::Tag),
            ref_protected: either(self.ref_protected, false, true),
            pipeline_source,
            source_project_id,
            source_ref,
            job_id: 1,
            ..Supposed::default()
        }
    }
}

/// Texts that are usual, and listed.
fn listed(words: &[&str]) -> Usual {
    let words = words.iter().map(|word| (*word).to_owned());
    Usual { within: vec![OneOf::new(words, Vec::new())], without: Vec::new() }
}

/// Paths as projects have them.
fn path() -> Usual {
    let any = || (Class::Any, Count::Any);
    let slash = || (Class::Is('/'), Count::One);
    let form = |places: &[(Class, Count)]| Sequence::new(places.iter().copied());
    Usual {
        within: vec![OneOf::new([], vec![form(&[any(), slash(), any()])])],
        without: vec![OneOf::new(
            [],
            vec![form(&[any(), slash(), slash(), any()]), form(&[slash(), any()]), form(&[any(), slash()])],
        )],
    }
}

fn beginning(text: &str) -> Rc<OneOf> {
    OneOf::new([], vec![Sequence::new(Sequence::text(text)).then([(Class::Any, Count::Any)])])
}

fn either<T>(bits: u8, first: T, second: T) -> Option<T> {
    match bits {
        bits if bits & FIRST != 0 => Some(first),
        bits if bits & SECOND != 0 => Some(second),
        _ => None,
    }
}
