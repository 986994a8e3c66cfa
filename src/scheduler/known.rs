//! Which batch schedulers there are.

use std::sync::Arc;

use super::SchedulerKind;
use super::batch::{Batch, KnownScheduler};
use crate::config::Section;

/// All of them. Where nothing else is said, the first is meant.
pub(super) static KNOWN: &[KnownScheduler] = &[super::slurm::KNOWN];

/// What they are called.
pub fn kinds() -> impl Iterator<Item = SchedulerKind> {
    KNOWN.iter().map(|known| known.kind)
}

/// The schedulers as this site has configured them, each by its own section.
#[derive(Clone, Debug)]
pub struct Schedulers(Vec<Arc<dyn Batch>>);

/// Reads and judges all their sections, the unused ones included.
pub fn read_schedulers(root: &mut Section<'_>) -> Schedulers {
    Schedulers(KNOWN.iter().map(|known| (known.read)(root.section(known.kind.word()))).collect())
}

impl Schedulers {
    /// The one of this kind.
    pub fn get(&self, kind: SchedulerKind) -> Option<&dyn Batch> {
        self.0.iter().find(|batch| batch.kind() == kind).map(AsRef::as_ref)
    }

    /// The one that is meant where nothing else is said.
    pub fn first(&self) -> &dyn Batch {
        self.0[0].as_ref()
    }
}
