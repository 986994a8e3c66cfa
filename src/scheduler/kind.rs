//! What a batch scheduler is called: in the configuration, in tokens, and for people.

/// A kind of batch scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerKind {
    word: &'static str,
    name: &'static str,
}

/// What every scheduler's section has, where somebody is told about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Which stages run there.
    Stages,
    /// Whether a stage may run twice.
    Requeue,
    /// How long nothing may be known of a job.
    UnknownTimeout,
    /// How long a shared file system may be late.
    OutputTimeout,
    /// How long a job waits for its token.
    TokenTimeout,
}

impl Setting {
    /// Its key in the section.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Stages => "stages",
            Self::Requeue => "requeue",
            Self::UnknownTimeout => "unknown_timeout",
            Self::OutputTimeout => "output_timeout",
            Self::TokenTimeout => "token_timeout",
        }
    }
}

impl SchedulerKind {
    /// To be called by the scheduler itself, once.
    pub(super) const fn new(word: &'static str, name: &'static str) -> Self {
        Self { word, name }
    }

    /// Its word: for `jobs.executor`, for its section, in a rule, and as `hpc.scheduler` in tokens.
    pub fn word(self) -> &'static str {
        self.word
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The full key of a setting, for whoever may change it.
    pub fn key(self, setting: Setting) -> String {
        format!("{}.{}", self.word, setting.key())
    }
}
