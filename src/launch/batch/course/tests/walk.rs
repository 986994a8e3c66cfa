//! A walk at random: events in any order, repeated, contradictory. What must hold is in [`model`](super::model).

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestError, TestRunner};

use super::super::{BatchEvent, Calling, Question};
use super::bench::{For, UNKNOWN_TIMEOUT, alive, id};
use super::model::Model;
use crate::order::completion::{Completion, ScriptEnd, Started};
use crate::order::frames::{Blame, Drained, Report, WorkerFailure};
use crate::scheduler::{End, EndReason, Phase, Prospect, State, Unknown};
use crate::sys::call::Answer;

/// How many walks are tried.
const WALKS: u32 = 20_000;
/// So that a failure is one tomorrow, too. Another number, another set of walks.
const SEED: u64 = 2026;

const USES: [For; 9] = [
    For::Stage,
    For::ChosenResources,
    For::NoTokens,
    For::Requeue,
    For::Allocating,
    For::Allocated,
    For::Left,
    For::LeftWithoutNumber,
    For::LeftEnded,
];

const AFTERMATHS: [Aftermath; 3] = [Aftermath::Silence, Aftermath::Frozen, Aftermath::Lost];

/// One step.
#[derive(Clone, Debug)]
enum Step {
    /// Until something is due.
    Wait,
    Pass(Duration),
    State(State),
    Found(u8),
    Canceller(Option<u32>),
    NotAsked,
    NotCalled,
    Called(Answer),
    Says(Report),
    WorkerEnded,
    NoMoreReports,
    Terminate,
    DiskFull,
}

/// How the world is from then on.
#[derive(Clone, Copy, Debug)]
enum Aftermath {
    /// The worker does what it must, the scheduler says nothing.
    Silence,
    /// Somebody asks the stage to end, and nobody answers anything any more.
    Frozen,
    /// The worker is lost.
    Lost,
}

/// Where a step comes from: a number, so that trying out thousands of walks takes a moment, and a walk that goes wrong is
/// made simpler by smaller numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        let side = self.0 % sides;
        self.0 /= sides;
        side
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).expect("a small number")].clone()
    }

    /// Twice as often 0 as 1.
    fn restarts(&mut self) -> u32 {
        self.of(&[0, 0, 1])
    }

    fn step(mut self) -> Step {
        match self.below(100) {
            0..20 => Step::Wait,
            20..28 => Step::Pass(Duration::from_millis(self.below(20_000))),
            28..47 => Step::State(self.state()),
            47..55 => Step::Found(self.of(&[0, 1, 2])),
            55..58 => Step::Canceller(self.of(&[None, Some(1001), Some(0)])),
            58 => Step::NotAsked,
            59 => Step::NotCalled,
            60..74 => Step::Called(self.answer()),
            74..97 => Step::Says(self.report()),
            97..99 => Step::Terminate,
            _ => self.of(&[Step::DiskFull, Step::WorkerEnded, Step::NoMoreReports]),
        }
    }

    fn state(&mut self) -> State {
        match self.below(12) {
            0..6 => {
                let phase = match self.below(6) {
                    0..3 => Phase::Running,
                    3 => {
                        let prospect = self.of(&[Prospect::Open, Prospect::Open, Prospect::Never]);
                        Phase::Pending { reason: "Priority".into(), start: None, prospect }
                    }
                    4 => Phase::Suspended,
                    _ => Phase::Completing,
                };
                State::Alive(alive(phase, self.restarts()))
            }
            6..9 => {
                let reason = self.of(&[
                    EndReason::Completed,
                    EndReason::Failed,
                    EndReason::TimeLimit("1".into()),
                    EndReason::Cancelled,
                    EndReason::NodeFailed,
                ]);
                let node = self.coin().then(|| "n1".into());
                State::Ended(End {
                    reason,
                    status: self.of(&[0, 1]),
                    signal: 0,
                    restarts: 0,
                    node,
                    words: "WORD".into(),
                })
            }
            9 => State::Unknown(Unknown::NoAnswer("Socket timed out".into())),
            10 => State::Unknown(Unknown::NoSuchJob),
            _ => State::Unknown(Unknown::NotOurs("job 17 is not the one".into())),
        }
    }

    fn answer(&mut self) -> Answer {
        let exited = |status, out: &str, err: &str| Answer::Exited { status, out: out.into(), err: err.into() };
        match self.below(10) {
            0..4 => exited(0, "17\n", ""),
            4 => exited(0, "", ""),
            5 => exited(1, "", "sbatch: error: Invalid account"),
            6 => exited(1, "", "Unable to contact slurm controller"),
            7..9 => Answer::Ended("no answer within 120 s".into()),
            _ => Answer::NotStarted("no sbatch".into()),
        }
    }

    fn report(&mut self) -> Report {
        match self.below(100) {
            0..40 => Report::Ready,
            40..60 => Report::Started(Started { restarts: self.of(&[0, 1, 2]), node: "n1".into() }),
            60..75 => {
                let codes = [0, 0, 3, 143].map(ScriptEnd::Exited);
                let end = if self.below(4) == 3 {
                    self.of(&[ScriptEnd::NoToken, ScriptEnd::RanBefore])
                } else {
                    self.of(&codes)
                };
                let (terminated, restarts) = (self.coin(), self.restarts());
                Report::Recorded(Completion { end, bytes: 0, spilled: false, terminated, restarts, node: "n1".into() })
            }
            75..88 => Report::Drained(Drained::default()),
            88..93 => Report::Notice("hey".into()),
            93..98 => Report::Answered(self.answer()),
            98 => Report::Failed(WorkerFailure { blame: Blame::Account, words: "no home".into() }),
            _ => Report::Done,
        }
    }
}

/// What follows from a step. Where it does not fit, time passes.
fn take(model: &mut Model, step: Step) -> Result<(), String> {
    let event = match (step, &model.question) {
        (Step::Pass(time), _) => return pass(model, time),
        (Step::State(state), Some((Question::State(..), asked))) => BatchEvent::State { asked: *asked, state },
        (Step::Found(count), Some((Question::Find(_), _))) => BatchEvent::Found(match count {
            0 => Err("Unable to contact slurm controller".into()),
            1 => Ok(Vec::new()),
            _ => Ok(vec![id("17"), id("18")]),
        }),
        (Step::NotAsked, Some(_)) => BatchEvent::NotAsked,
        (Step::NotCalled, _) if model.taken_back && model.call == Some(Calling::Submit) => BatchEvent::NotCalled,
        (Step::Canceller(uid), _) if model.canceller.is_some() => BatchEvent::Canceller(uid),
        (Step::Called(answer), _) if model.call.is_some() => BatchEvent::Report(Report::Answered(answer)),
        // Twice it would only end the walk.
        (Step::Says(Report::Ready), _) if model.ready => return wait(model),
        (Step::Says(report), _) => BatchEvent::Report(report),
        (Step::WorkerEnded, _) => BatchEvent::WorkerEnded,
        (Step::NoMoreReports, _) => BatchEvent::NoMoreReports,
        (Step::Terminate, _) => BatchEvent::Terminate,
        (Step::DiskFull, _) => {
            model.disk = Err("disk full".into());
            return Ok(());
        }
        _ => return wait(model),
    };
    model.tell(event)
}

/// Until something is due.
fn wait(model: &mut Model) -> Result<(), String> {
    let Some(at) = model.next_deadline() else { return Ok(()) };
    model.now = model.now.max(at);
    model.tell(BatchEvent::Time)
}

/// Whatever is due before comes first, as the clock of the drive sees to.
fn pass(model: &mut Model, time: Duration) -> Result<(), String> {
    let at = model.now + time;
    while model.outcome.is_none() && model.next_deadline().is_some_and(|due| due <= at) {
        wait(model)?;
    }
    model.now = at;
    model.tell(BatchEvent::Time)
}

/// From here on nothing new happens: the course must come to its end by itself, and soon.
fn come_to_the_end(model: &mut Model, aftermath: Aftermath) -> Result<(), String> {
    let bound = model.now + UNKNOWN_TIMEOUT * 2;
    match aftermath {
        Aftermath::Silence => {}
        Aftermath::Frozen => model.tell(BatchEvent::Terminate)?,
        Aftermath::Lost => model.tell(BatchEvent::WorkerEnded)?,
    }
    while model.outcome.is_none() {
        if model.now > bound {
            return Err("it goes on for ever".into());
        }
        let answer = match (aftermath, &model.question) {
            (Aftermath::Frozen, _) => None,
            (_, Some((Question::Find(_), _))) => Some(BatchEvent::Found(Err("silent".into()))),
            (_, Some((_, asked))) => {
                Some(BatchEvent::State { asked: *asked, state: State::Unknown(Unknown::NoAnswer("silent".into())) })
            }
            _ if model.canceller.is_some() => Some(BatchEvent::Canceller(None)),
            (Aftermath::Lost, _) => None,
            _ if model.call.is_some() => Some(BatchEvent::Report(Report::Answered(Answer::Ended("silent".into())))),
            _ if !model.ready => Some(BatchEvent::Report(Report::Ready)),
            _ if model.drain_awaited => Some(BatchEvent::Report(Report::Drained(Drained::default()))),
            _ => None,
        };
        match (answer, model.next_deadline()) {
            (Some(answer), _) => model.tell(answer)?,
            (None, Some(_)) => wait(model)?,
            (None, None) => return Err("nothing is due, and nothing will come".into()),
        }
    }
    Ok(())
}

#[test]
fn whatever_happens_in_whatever_order_the_rules_hold_and_the_course_comes_to_an_end() {
    let config = ProptestConfig {
        rng_seed: RngSeed::Fixed(SEED),
        failure_persistence: None,
        ..ProptestConfig::with_cases(WALKS)
    };
    let walks = (
        proptest::sample::select(&USES[..]),
        proptest::collection::vec(any::<u64>(), 0..80),
        proptest::sample::select(&AFTERMATHS[..]),
    );
    let walked = TestRunner::new(config).run(&walks, |(what, steps, aftermath)| {
        let mut model = Model::new(what);
        let walk = steps.into_iter().try_for_each(|number| take(&mut model, Dice(number).step()));
        walk.and_then(|()| come_to_the_end(&mut model, aftermath)).map_err(TestCaseError::fail)
    });
    match walked {
        Ok(()) => {}
        Err(TestError::Fail(reason, (what, steps, aftermath))) => {
            let steps: Vec<Step> = steps.into_iter().map(|number| Dice(number).step()).collect();
            panic!("{reason}: {what:?} {aftermath:?} {steps:?}");
        }
        Err(abort) => panic!("{abort}"),
    }
}
