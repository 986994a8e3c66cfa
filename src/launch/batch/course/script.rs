//! The script, as the worker sees it through the files of its wrapper.

use std::time::Instant;

use super::{Action, Course};
use crate::launch::batch::result::Said;
use crate::order::completion::Completion;
use crate::order::frames::Drained;

/// What the files say.
#[derive(Debug, Default)]
pub(super) struct ScriptWatch {
    /// The wrapper says that the script begins; how often the job was started before.
    pub(super) mark: Option<u32>,
    pub(super) completed: Option<Completed>,
    output: Output,
}

/// The script has ended.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) completion: Completion,
    /// When we were told.
    pub(super) at: Instant,
    /// What the scheduler said when it was asked after that.
    pub(super) said: Option<Said>,
}

/// The output.
#[derive(Debug, Default)]
enum Output {
    #[default]
    Flows,
    /// The worker was asked to look once more, and then to say that no more will come.
    LastLook,
    /// It has said so.
    Drained(Drained),
}

impl ScriptWatch {
    pub(super) fn has_begun(&self) -> bool {
        self.mark.is_some() || self.completed.is_some()
    }

    pub(super) fn drained(&mut self, drained: Drained) {
        self.output = Output::Drained(drained);
    }

    pub(super) fn has_drained(&self) -> Option<&Drained> {
        match &self.output {
            Output::Drained(drained) => Some(drained),
            Output::Flows | Output::LastLook => None,
        }
    }

    /// What the record tells is the end of a start of which the scheduler has made nothing.
    pub(super) fn forget_end(&mut self) {
        self.completed = None;
        self.output = Output::Flows;
    }
}

impl Course {
    /// The wrapper says that the script begins. That is worth a question, and nothing else.
    pub(super) fn on_mark(&mut self, restarts: u32, now: Instant) {
        if !self.asking.mark_is_worth_a_question() {
            return;
        }
        self.script.mark = Some(restarts);
        // A signal to a script that had not begun was heard by nobody.
        if let Some(ending) = &mut self.ending {
            ending.signal_anew(now);
        }
        if restarts > 0 && self.seen.has_restarted(restarts) {
            self.token.was_thrown_away();
        }
        if self.script.completed.as_ref().is_some_and(|completed| restarts > completed.completion.restarts) {
            self.script.forget_end();
        }
        self.asking.begun(now);
    }

    /// One script, one record; others would be somebody's who likes to have the scheduler asked.
    pub(super) fn on_completion(&mut self, completion: Completion, now: Instant) {
        if self.script.completed.is_some() || !self.asking.record_is_worth_a_question() {
            return;
        }
        self.script.completed = Some(Completed { completion, at: now, said: None });
        self.withdraw_token();
        self.asking.anew();
        self.asking.now(now);
    }

    /// The job is over, and no record has come: what is not here soon will not come.
    pub(super) fn look_for_the_last_time(&mut self) {
        if self.script.completed.is_none() && matches!(self.script.output, Output::Flows) {
            self.script.output = Output::LastLook;
            self.act(Action::LastLook);
        }
    }
}
