//! When the scheduler is asked. It is everybody's, so a job asks it seldom, whatever its account does.

use std::time::{Duration, Instant};

use super::submission::SubmissionStage;
use super::{Action, Course, Question};
use crate::launch::batch::pace::Urgency;

/// Between two questions, whatever the reason.
const CLOSEST: Duration = Duration::from_millis(150);
/// Before a question for which the worker gives a reason.
const BETWEEN: Duration = Duration::from_millis(200);
/// Pauses between questions while a job waits. Its start is told by the wrapper; these tell why it does not start.
pub(super) const WHILE_PENDING: [u64; 4] = [5, 10, 20, 30];
/// Pauses while it runs: these notice that a node is lost.
pub(super) const WHILE_RUNNING: [u64; 2] = [30, 60];
/// Pauses while its processes are going.
pub(super) const WHILE_COMPLETING: [u64; 4] = [1, 1, 2, 5];
/// How many marks of the wrapper are taken for a reason to ask. A job can write as many as it likes.
const MARKS: u32 = 8;
/// And how many records. Unlike marks they are never counted anew: no job is started that often.
const RECORDS: u32 = 100;
/// Before a question is tried again that could not be asked, for lack of threads or because there are too many. Twice as long
/// each time, up to four times as long.
const NOT_ASKED: Duration = Duration::from_secs(1);

/// When the scheduler is asked next.
#[derive(Debug)]
pub(super) struct Asking {
    line: Line,
    due: Option<Instant>,
    urgency: Urgency,
    last: Option<Instant>,
    /// Questions since the job's phase changed.
    count: u32,
    marks: u32,
    records: u32,
    /// Questions in a row that could not be asked.
    not_asked: u32,
}

/// One question at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Free,
    Busy,
}

impl Default for Asking {
    fn default() -> Self {
        Self {
            line: Line::Free,
            due: None,
            urgency: Urgency::Low,
            last: None,
            count: 0,
            marks: 0,
            records: 0,
            not_asked: 0,
        }
    }
}

impl Asking {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.filter(|_| self.line == Line::Free)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next_deadline().is_some_and(|due| due <= now)
    }

    /// Somebody waits for the answer.
    pub(super) fn now(&mut self, now: Instant) {
        self.soonest(Urgency::High, now);
    }

    /// The wrapper says that the job has begun. The first time, a script waits for this one answer. The second time it may be
    /// the first of another start, of which the scheduler has yet to tell. Whatever comes then is an account that says so
    /// again and again: nobody waits for that.
    pub(super) fn begun(&mut self, now: Instant) {
        let urgency = match self.marks {
            0 | 1 => Urgency::Start,
            2 => Urgency::High,
            _ => Urgency::Low,
        };
        self.soonest(urgency, now);
    }

    fn soonest(&mut self, urgency: Urgency, now: Instant) {
        self.due = Some(self.not_before(now, BETWEEN));
        self.urgency = self.urgency.max(urgency);
    }

    /// When it is worth a first look at a job that has just been submitted.
    pub(super) fn soon(&mut self, now: Instant) {
        self.at(now + Duration::from_secs(WHILE_PENDING[0]));
    }

    pub(super) fn at(&mut self, at: Instant) {
        self.due = Some(self.not_before(at, CLOSEST));
    }

    fn not_before(&self, at: Instant, pause: Duration) -> Instant {
        self.last.map_or(at, |last| at.max(last + pause))
    }

    /// After a pause that grows.
    pub(super) fn later(&mut self, pauses: &[u64], now: Instant) {
        let pause = pauses[(self.counted() as usize).min(pauses.len() - 1)];
        let at = now + Duration::from_secs(pause);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// After a pause that doubles, up to so many times.
    pub(super) fn doubling(&mut self, pause: Duration, most: u32, now: Instant) {
        let at = now + pause * (1 << self.counted().min(most));
        self.at(at);
    }

    /// The same, but pauses do not grow yet.
    pub(super) fn not_yet_doubling(&mut self, pause: Duration, most: u32, now: Instant) {
        self.at(now + pause * (1 << self.count.min(most)));
    }

    /// How many questions there were, with one more.
    fn counted(&mut self) -> u32 {
        let before = self.count;
        self.count = before.saturating_add(1);
        before
    }

    /// Something has changed: the pauses begin anew.
    pub(super) fn anew(&mut self) {
        self.count = 0;
    }

    /// The scheduler itself says that the job was started once more.
    pub(super) fn marks_anew(&mut self) {
        self.marks = 0;
    }

    /// One more mark of the wrapper.
    pub(super) fn mark_is_worth_a_question(&mut self) -> bool {
        self.marks = self.marks.saturating_add(1);
        self.marks <= MARKS
    }

    /// One more record. An honest job writes one for each start; a worker that was taken over could have each thrown away,
    /// and write another.
    pub(super) fn record_is_worth_a_question(&mut self) -> bool {
        self.records = self.records.saturating_add(1);
        self.records <= RECORDS
    }

    pub(super) fn answered(&mut self) {
        self.line = Line::Free;
        self.not_asked = 0;
    }

    pub(super) fn not_asked(&mut self, now: Instant) {
        self.line = Line::Free;
        let at = now + NOT_ASKED * (1 << self.not_asked.min(2));
        self.not_asked = self.not_asked.saturating_add(1);
        // There may be a better reason by now.
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

impl Course {
    /// Asks the scheduler what there is to ask, as ourselves: what the account says about its job is no evidence.
    pub(super) fn ask(&mut self, now: Instant) {
        self.asking.due = None;
        self.asking.last = Some(now);
        let urgency = std::mem::replace(&mut self.asking.urgency, Urgency::Low);
        let question = match self.submitting.stage() {
            SubmissionStage::Done(id) => Question::State(id.clone(), urgency),
            SubmissionStage::Unsure { .. } => Question::Find(urgency),
            // The worker's answer comes first.
            SubmissionStage::Preparing | SubmissionStage::Remembering | SubmissionStage::Calling => return,
        };
        self.asking.line = Line::Busy;
        self.act(Action::Ask(question));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_word_of_a_start_has_a_lane_of_its_own_and_for_those_that_repeat_it_nobody_waits() {
        let now = Instant::now();
        let mut asking = Asking::default();
        for _ in 0..2 {
            let mut urgencies = Vec::new();
            while asking.mark_is_worth_a_question() {
                asking.begun(now);
                urgencies.push(std::mem::replace(&mut asking.urgency, Urgency::Low));
            }
            assert_eq!(urgencies[..2], [Urgency::Start, Urgency::High]);
            assert_eq!(urgencies.len(), MARKS as usize);
            assert!(urgencies[2..].iter().all(|urgency| *urgency == Urgency::Low), "{urgencies:?}");
            // The scheduler itself says that there was another start.
            asking.marks_anew();
        }
    }

    #[test]
    fn a_question_on_its_way_does_not_become_less_urgent() {
        let now = Instant::now();
        let mut asking = Asking::default();
        for _ in 0..3 {
            assert!(asking.mark_is_worth_a_question());
            asking.begun(now);
            asking.now(now);
            assert_eq!(asking.urgency, Urgency::Start);
        }
    }

    #[test]
    fn a_question_that_had_no_turn_does_not_put_off_a_better_one() {
        let now = Instant::now();
        let mut asking = Asking { line: Line::Busy, last: Some(now), ..Asking::default() };
        assert!(asking.mark_is_worth_a_question());
        asking.begun(now);
        asking.not_asked(now);
        assert_eq!((asking.next_deadline(), asking.urgency), (Some(now + BETWEEN), Urgency::Start));
        let mut asking = Asking { line: Line::Busy, ..Asking::default() };
        asking.not_asked(now);
        assert_eq!((asking.next_deadline(), asking.urgency), (Some(now + NOT_ASKED), Urgency::Low));
    }

    #[test]
    fn who_finds_a_crowd_again_and_again_comes_less_often() {
        let mut now = Instant::now();
        let mut asking = Asking::default();
        let mut pauses = Vec::new();
        for _ in 0..4 {
            asking.due = None;
            asking.not_asked(now);
            let due = asking.next_deadline().expect("it is tried again");
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [1, 2, 4, 4]);
        asking.answered();
        asking.due = None;
        asking.not_asked(now);
        assert_eq!(asking.next_deadline(), Some(now + NOT_ASKED));
    }
}
