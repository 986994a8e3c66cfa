//! Rules that are never reached, since one before them takes all their jobs.

use std::collections::HashMap;

use crate::policy::condition::{Condition, is_bot};
use crate::policy::settings::{ForeignCode, MapRule, When};
use crate::policy::takes_foreign_code;

/// With more conditions than this a rule is not looked for among all that ask for less.
const MOST: usize = 6;

/// Whether it is for every job, but for those that only a rule which names them is for.
pub(super) fn is_open(when: &When) -> bool {
    *when == When::default()
}

/// The jobs that a rule takes although no condition asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Reach {
    bots: Bots,
    code: Code,
    agents: Agents,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Bots {
    Perhaps,
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Code {
    Anybodys,
    OwnOnly,
}

/// Users that act for others match rules alone that are for no others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Agents {
    Only,
    Never,
}

impl Reach {
    /// All those that include this one.
    fn wider(self) -> impl Iterator<Item = Self> {
        let agents = self.agents;
        [
            Self { bots: Bots::Perhaps, code: Code::Anybodys, agents },
            Self { bots: Bots::Perhaps, code: Code::OwnOnly, agents },
            Self { bots: Bots::Never, code: Code::Anybodys, agents },
            Self { bots: Bots::Never, code: Code::OwnOnly, agents },
        ]
        .into_iter()
        .filter(move |wider| wider.includes(self))
    }

    fn of(rule: &MapRule, foreign_code: ForeignCode) -> Self {
        let for_bots = rule.when.all.iter().any(|condition| match condition {
            Condition::User(names) => names.iter().any(|name| is_bot(name)),
            Condition::Bot(wanted) => *wanted,
            _ => false,
        });
        let bots = if for_bots { Bots::Perhaps } else { Bots::Never };
        let code = if takes_foreign_code(rule, rule.grants(), foreign_code) { Code::Anybodys } else { Code::OwnOnly };
        let agents = if rule.is_for_agents() { Agents::Only } else { Agents::Never };
        Self { bots, code, agents }
    }

    /// Whether a rule with this reach takes all that one with the other takes.
    fn includes(self, other: Self) -> bool {
        (self.bots == Bots::Perhaps || other.bots == Bots::Never)
            && (self.code == Code::Anybodys || other.code == Code::OwnOnly)
            && self.agents == other.agents
    }
}

/// Whether a rule takes all jobs that the rules behind it could take.
pub(super) fn catches_all(rule: &MapRule, behind: &[MapRule], foreign_code: ForeignCode) -> bool {
    let reach = Reach::of(rule, foreign_code);
    is_open(&rule.when) && rule.gives_all() && behind.iter().all(|later| reach.includes(Reach::of(later, foreign_code)))
}

/// Rules that come before another one, by their conditions and what else they take: of those with the same ones the first. Found
/// by what could shadow that other one, and not by looking at them all: there may be 20,000 of both.
pub(super) struct Earlier<'r> {
    first: HashMap<(When, Reach), (usize, &'r MapRule)>,
    count: usize,
    foreign_code: ForeignCode,
}

impl<'r> Earlier<'r> {
    pub(super) fn new(foreign_code: ForeignCode) -> Self {
        Self { first: HashMap::new(), count: 0, foreign_code }
    }

    /// Why this rule, which is from now on among them, is never reached, if so.
    pub(super) fn shadow(&mut self, rule: &'r MapRule) -> Option<String> {
        let reach = Reach::of(rule, self.foreign_code);
        let mut found: Option<(usize, &MapRule)> = None;
        for when in weaker(&rule.when) {
            for by in reach.wider() {
                let earlier = self.first.get(&(when.clone(), by)).copied();
                found = [found, earlier].into_iter().flatten().min_by_key(|(index, _)| *index);
            }
        }
        let words = found.and_then(|(_, earlier)| shadow(earlier, rule, self.foreign_code));
        if rule.gives_all() {
            self.first.entry((rule.when.clone(), reach)).or_insert((self.count, rule));
        }
        self.count += 1;
        words
    }
}

/// All that asks for nothing that these conditions do not ask for, themselves included; as far as they are few.
fn weaker(when: &When) -> Vec<When> {
    let (all, none) = (when.all.len(), when.none.len());
    if all + none > MOST {
        return vec![When::default(), when.clone()];
    }
    let chosen = |from: &[Condition], bits: usize| {
        let kept = from.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
        kept.map(|(_, condition)| condition.clone()).collect()
    };
    (0..1_usize << (all + none))
        .map(|bits| When { all: chosen(&when.all, bits), none: chosen(&when.none, bits >> all) })
        .collect()
}

/// Why the later of two rules is never reached, if so.
pub(super) fn shadow(earlier: &MapRule, later: &MapRule, foreign_code: ForeignCode) -> Option<String> {
    let asks_less = |few: &[Condition], many: &[Condition]| few.iter().all(|condition| many.contains(condition));
    let includes = Reach::of(earlier, foreign_code).includes(Reach::of(later, foreign_code));
    let why = if !earlier.gives_all() || !includes {
        return None;
    } else if is_open(&earlier.when) {
        "has no conditions"
    } else if earlier.when == later.when {
        "has the same conditions"
    } else if asks_less(&earlier.when.all, &later.when.all) && asks_less(&earlier.when.none, &later.when.none) {
        "already matches all its jobs; put this one before it"
    } else {
        return None;
    };
    Some(format!("is never reached, the rule at {} {why}", earlier.line()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Source};
    use crate::policy::settings::{Groups, Stands, read_rule};

    const OWN: ForeignCode = ForeignCode::OwnAccount;

    fn rule(user: Option<&str>, user_id: Option<u64>) -> MapRule {
        let user = user.map(|user| format!("user = {user:?}"));
        let user_id = user_id.map(|id| format!("user_id = {id}"));
        let when: Vec<String> = user.into_iter().chain(user_id).collect();
        let text = format!("\n\n\n\n\n\n[[map]]\nwhen = {{ {} }}\nrun_as = \"{{gitlab_user}}\"\n", when.join(", "));
        let rules = config::read(&Source::new("c.toml", text), |mut root| {
            root.tables("map", |section| read_rule(section, &Groups::new(), Stands::InTheFile)).pop()?
        });
        rules.expect("a rule")
    }

    #[test]
    fn the_first_of_all_rules_that_shadow_one_is_found_as_by_looking_at_each() {
        let mut rules = Vec::new();
        for (user, user_id) in
            [(3, 2), (1, 1), (1, 2), (0, 2), (2, 1), (1, 1), (3, 2), (2, 0), (2, 3), (3, 3), (0, 0), (1, 0), (3, 1)]
        {
            let user = (user > 0).then(|| format!("u{user}"));
            rules.push(rule(user.as_deref(), (user_id > 0).then_some(user_id)));
        }
        let mut earlier = Earlier::new(OWN);
        let mut shadowed = 0;
        for (index, rule) in rules.iter().enumerate() {
            let slow = rules[..index].iter().find_map(|earlier| shadow(earlier, rule, OWN));
            shadowed += usize::from(slow.is_some());
            assert_eq!(earlier.shadow(rule), slow, "{index}");
        }
        assert!(shadowed > 3 && shadowed < rules.len(), "{shadowed}");
    }

    /// CPU time of this thread: other tests run beside it.
    fn cost(count: u64) -> std::time::Duration {
        let rules: Vec<MapRule> = (0..count)
            .map(|id| MapRule {
                when: When { all: vec![Condition::UserId(vec![id])], none: Vec::new() },
                ..rule(None, None)
            })
            .collect();
        let now = || {
            std::time::Duration::from(
                nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"),
            )
        };
        let start = now();
        let mut earlier = Earlier::new(OWN);
        assert!(rules.iter().all(|rule| earlier.shadow(rule).is_none()));
        now().saturating_sub(start)
    }

    #[test]
    fn four_times_the_rules_take_about_four_times_as_long() {
        let few = (0..3).map(|_| cost(2000)).min().expect("some");
        let many = (0..3).map(|_| cost(8000)).min().expect("some");
        assert!(many < few * 10, "{few:?} for 2000, {many:?} for 8000");
    }

    #[test]
    fn a_rule_that_asks_for_approvals_shadows_none_and_can_be_shadowed() {
        let plain = rule(Some("a"), None);
        let asks = MapRule { approved_by: Some(vec!["m".to_owned()]), ..plain.clone() };
        let for_all = MapRule { approved_by: Some(Vec::new()), ..rule(None, None) };
        assert!(!catches_all(&for_all, &[], OWN));
        for earlier in [&asks, &for_all] {
            let mut before = Earlier::new(OWN);
            assert_eq!((before.shadow(earlier), before.shadow(&plain)), (None, None));
        }
        let mut before = Earlier::new(OWN);
        assert!(before.shadow(&plain).is_none() && before.shadow(&asks).is_some());
    }

    #[test]
    fn a_rule_is_shadowed_by_one_that_asks_for_less_and_by_no_other() {
        let (open, name, number, both) =
            (rule(None, None), rule(Some("a"), None), rule(None, Some(1)), rule(Some("a"), Some(1)));
        for (earlier, later) in
            [(&open, &open), (&open, &both), (&name, &name), (&both, &both), (&name, &both), (&number, &both)]
        {
            assert!(shadow(earlier, later, OWN).is_some_and(|words| words.contains("line 7")), "{earlier:?} {later:?}");
        }
        let other = rule(Some("b"), Some(1));
        for (earlier, later) in [(&name, &open), (&both, &name), (&name, &number), (&name, &other), (&both, &other)] {
            assert_eq!(shadow(earlier, later, OWN), None, "{earlier:?} {later:?}");
        }
    }
}
