//! A walk at random: events in any order, repeated, contradictory. What must hold is in [`model`](super::model).

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestError, TestRunner};

use super::super::{Event, Question};
use super::bench::{For, UNKNOWN_TIMEOUT, alive, id};
use super::model::Model;
use crate::order::completion::{Completion, ScriptEnd, Started};
use crate::order::frames::{Blame, Drained, Report, WorkerFailure};
use crate::scheduler::{End, EndReason, Phase, State, Unknown};
use crate::sys::call::Answer;

/// How many walks are tried.
const WALKS: u32 = 5_000;
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

/// One step. What answers a question or a call that is not there is left out.
#[derive(Clone, Debug)]
enum Step {
    /// Until something is due.
    Wait,
    Pass(Duration),
    State(State),
    Found(u8),
    Canceller(Option<u32>),
    NotAsked,
    Called(Answer),
    Says(Report),
    WorkerEnded,
    NoMoreReports,
    Terminate,
    DiskFull,
}

/// How the world is from then on.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// The worker does what it must, the scheduler says nothing.
    Silence,
    /// Somebody asks the stage to end, and nobody answers anything any more.
    Frozen,
    /// The worker is lost.
    Lost,
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        3 => Just(Phase::Running),
        1 => Just(Phase::Pending { reason: "Priority".into(), start: None }),
        1 => Just(Phase::Suspended),
        1 => Just(Phase::Completing),
    ]
}

fn end() -> impl Strategy<Value = State> {
    let reason = prop_oneof![
        Just(EndReason::Completed),
        Just(EndReason::Failed),
        Just(EndReason::TimeLimit("1".into())),
        Just(EndReason::Cancelled),
        Just(EndReason::NodeFailed),
    ];
    (reason, 0..3_u8, any::<bool>()).prop_map(|(reason, status, ran)| {
        let node = ran.then(|| "n1".into());
        State::Ended(End { reason, status, signal: 0, restarts: 0, node, words: "WORD".into() })
    })
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        6 => (phase(), 0..3_u32).prop_map(|(phase, restarts)| State::Alive(alive(phase, restarts / 2))),
        3 => end(),
        1 => Just(State::Unknown(Unknown::NoAnswer("Socket timed out".into()))),
        1 => Just(State::Unknown(Unknown::NoSuchJob)),
        1 => Just(State::Unknown(Unknown::NotOurs("job 17 is not the one".into()))),
    ]
}

fn exited(status: u8, out: &str, err: &str) -> Answer {
    Answer::Exited { status, out: out.into(), err: err.into() }
}

fn called() -> impl Strategy<Value = Answer> {
    prop_oneof![
        5 => Just(exited(0, "17\n", "")),
        1 => Just(exited(0, "", "")),
        1 => Just(exited(1, "", "sbatch: error: Invalid account")),
        1 => Just(exited(1, "", "Unable to contact slurm controller")),
        2 => Just(Answer::Ended("no answer within 120 s".into())),
        1 => Just(Answer::NotStarted("no sbatch".into())),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    let end = prop_oneof![
        3 => Just(ScriptEnd::Exited(0)),
        2 => Just(ScriptEnd::Exited(3)),
        2 => Just(ScriptEnd::Exited(143)),
        1 => Just(ScriptEnd::NoToken),
        1 => Just(ScriptEnd::RanBefore),
    ];
    let record = (end, any::<bool>(), 0..3_u32).prop_map(|(end, terminated, restarts)| {
        Report::Recorded(Completion { end, bytes: 0, terminated, restarts: restarts / 2, node: "n1".into() })
    });
    let failed = || WorkerFailure { blame: Blame::Account, words: "no home".into() };
    prop_oneof![
        60 => Just(Report::Ready),
        40 => (0..3_u32).prop_map(|restarts| Report::Started(Started { restarts, node: "n1".into() })),
        30 => record,
        30 => Just(Report::Drained(Drained::default())),
        10 => Just(Report::Notice("hey".into())),
        10 => called().prop_map(Report::Answered),
        1 => Just(()).prop_map(move |()| Report::Failed(failed())),
        1 => Just(Report::Done),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        50 => Just(Step::Wait),
        20 => (0..20_000_u64).prop_map(|milliseconds| Step::Pass(Duration::from_millis(milliseconds))),
        50 => state().prop_map(Step::State),
        20 => (0..3_u8).prop_map(Step::Found),
        10 => proptest::option::of(1000..1002_u32).prop_map(Step::Canceller),
        3 => Just(Step::NotAsked),
        40 => called().prop_map(Step::Called),
        60 => report().prop_map(Step::Says),
        1 => Just(Step::WorkerEnded),
        1 => Just(Step::NoMoreReports),
        6 => Just(Step::Terminate),
        1 => Just(Step::DiskFull),
    ]
}

/// What follows from a step, if anything.
fn take(model: &mut Model, step: Step) -> Result<(), String> {
    let event = match step {
        Step::Wait => match model.next_deadline() {
            Some(at) => {
                model.now = model.now.max(at);
                Event::Time
            }
            None => return Ok(()),
        },
        // Whatever is due before comes first, as the clock of the drive sees to.
        Step::Pass(time) => {
            let at = model.now + time;
            while let Some(due) = model.next_deadline().filter(|due| *due <= at && model.outcome.is_none()) {
                model.now = model.now.max(due);
                model.tell(Event::Time)?;
            }
            model.now = at;
            Event::Time
        }
        Step::State(state) => match &model.question {
            Some((Question::State(..), asked)) => Event::State { asked: *asked, state },
            _ => return Ok(()),
        },
        Step::Found(count) => match &model.question {
            Some((Question::Find(_), _)) => Event::Found(match count {
                0 => Err("Unable to contact slurm controller".into()),
                1 => Ok(Vec::new()),
                _ => Ok(vec![id("17"), id("18")]),
            }),
            _ => return Ok(()),
        },
        Step::Canceller(uid) if model.canceller.is_some() => Event::Canceller(uid),
        Step::NotAsked if model.question.is_some() => Event::NotAsked,
        Step::Called(answer) if model.call.is_some() => Event::Report(Report::Answered(answer)),
        // Twice it would only end the walk.
        Step::Says(Report::Ready) if model.ready => return Ok(()),
        Step::Says(report) => Event::Report(report),
        Step::WorkerEnded => Event::WorkerEnded,
        Step::NoMoreReports => Event::NoMoreReports,
        Step::Terminate => Event::Terminate,
        Step::DiskFull => {
            model.disk = Err("disk full".into());
            return Ok(());
        }
        Step::Canceller(_) | Step::NotAsked | Step::Called(_) => return Ok(()),
    };
    model.tell(event)
}

/// From here on nothing new happens: the course must come to its end by itself, and soon.
fn come_to_the_end(model: &mut Model, rest: Rest) -> Result<(), String> {
    let bound = model.now + UNKNOWN_TIMEOUT * 2;
    match rest {
        Rest::Silence => {}
        Rest::Frozen => model.tell(Event::Terminate)?,
        Rest::Lost => model.tell(Event::WorkerEnded)?,
    }
    while model.outcome.is_none() {
        let answer = match (rest, &model.question) {
            (Rest::Frozen, _) => None,
            (_, Some((Question::Find(_), _))) => Some(Event::Found(Err("silent".into()))),
            (_, Some((_, asked))) => {
                Some(Event::State { asked: *asked, state: State::Unknown(Unknown::NoAnswer("silent".into())) })
            }
            _ if model.canceller.is_some() => Some(Event::Canceller(None)),
            (Rest::Lost, _) => None,
            _ if model.call.is_some() => Some(Event::Report(Report::Answered(Answer::Ended("silent".into())))),
            _ if !model.ready => Some(Event::Report(Report::Ready)),
            _ if model.drain_awaited => Some(Event::Report(Report::Drained(Drained::default()))),
            _ => None,
        };
        let event = match (answer, model.next_deadline()) {
            (Some(answer), _) => answer,
            (None, Some(at)) => {
                model.now = model.now.max(at);
                Event::Time
            }
            (None, None) => return Err("nothing is due, and nothing will come".into()),
        };
        model.tell(event)?;
        if model.now > bound {
            return Err("it goes on for ever".into());
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
    let rest = prop_oneof![Just(Rest::Silence), Just(Rest::Frozen), Just(Rest::Lost)];
    let walks = (proptest::sample::select(&USES[..]), proptest::collection::vec(step(), 0..60), rest);
    let walked = TestRunner::new(config).run(&walks, |(what, steps, rest)| {
        let mut model = Model::new(what);
        let walk = steps.into_iter().try_for_each(|step| take(&mut model, step));
        walk.and_then(|()| come_to_the_end(&mut model, rest)).map_err(TestCaseError::fail)
    });
    match walked {
        Ok(()) => {}
        Err(TestError::Fail(reason, (what, steps, rest))) => panic!("{reason}: {what:?} {rest:?} {steps:?}"),
        Err(abort) => panic!("{abort}"),
    }
}
