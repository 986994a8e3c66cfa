//! Which batch schedulers there are.

use std::sync::Arc;

use super::SchedulerKind;
use super::batch::{Batch, KnownScheduler};
use crate::config::Section;
use crate::config::manual::Part;

/// All of them. Where nothing else is said, the first is meant.
pub(super) static KNOWN: &[KnownScheduler] = &[super::slurm::KNOWN];

/// What they are called.
pub fn kinds() -> impl Iterator<Item = SchedulerKind> {
    KNOWN.iter().map(|known| known.kind)
}

/// What the manual says of their sections.
pub fn manual() -> impl Iterator<Item = &'static Part> {
    KNOWN.iter().flat_map(|known| known.manual)
}

/// The schedulers as this site has configured them, each by its own section.
#[derive(Clone, Debug)]
pub struct Schedulers {
    all: Vec<Arc<dyn Batch>>,
    /// Those of which the file says something.
    configured: Vec<SchedulerKind>,
}

/// Reads and judges all their sections, the unused ones included.
pub fn read_schedulers(root: &mut Section<'_>) -> Schedulers {
    let mut configured = Vec::new();
    let read = |known: &KnownScheduler| {
        let section = root.section(known.kind.word());
        if section.says_something() {
            configured.push(known.kind);
        }
        (known.read)(section)
    };
    let all = KNOWN.iter().map(read).collect();
    Schedulers { all, configured }
}

impl Schedulers {
    /// The one of this kind.
    pub fn get(&self, kind: SchedulerKind) -> Option<&dyn Batch> {
        self.all.iter().find(|batch| batch.kind() == kind).map(AsRef::as_ref)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Batch>> {
        self.all.iter()
    }

    /// Each as this makes it of the one that the site has.
    pub fn changed<E>(&self, change: impl Fn(&Arc<dyn Batch>) -> Result<Arc<dyn Batch>, E>) -> Result<Self, E> {
        Ok(Self { all: self.all.iter().map(change).collect::<Result<_, _>>()?, configured: self.configured.clone() })
    }

    /// Those of which the file says something.
    pub fn configured(&self) -> &[SchedulerKind] {
        &self.configured
    }

    /// The one that is meant where nothing else is said.
    pub fn first(&self) -> &dyn Batch {
        self.all[0].as_ref()
    }
}
