//! Which installation of a scheduler a job is in.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::kind::SchedulerKind;

/// One cluster. Only the one that was given a job can say that there is no such job: for any other that is true of every job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cluster {
    /// The scheduler's word.
    scheduler: String,
    /// The scheduler's own configuration file, where the site's configuration names one.
    conf: Option<PathBuf>,
    /// What it is called there, where that can be read.
    name: Option<String>,
}

impl Cluster {
    /// As a site's configuration leads to it.
    pub fn new(kind: SchedulerKind, conf: Option<&Path>, name: Option<String>) -> Self {
        Self { scheduler: kind.word().to_owned(), conf: conf.map(Path::to_owned), name }
    }

    /// The scheduler's word.
    pub fn scheduler(&self) -> &str {
        &self.scheduler
    }

    /// Whether both are the same, so far as that can be known. Two installations may have the same name, and a file may be
    /// written anew for another cluster: so both count. A name that cannot be read says nothing.
    pub fn is(&self, other: &Self) -> bool {
        let names = self.name.as_ref().zip(other.name.as_ref());
        self.scheduler == other.scheduler && self.conf == other.conf && names.is_none_or(|(own, other)| own == other)
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.conf) {
            (Some(name), Some(conf)) => write!(f, "cluster {name} ({})", conf.display()),
            (Some(name), None) => write!(f, "cluster {name}"),
            (None, Some(conf)) => write!(f, "the cluster of {}", conf.display()),
            (None, None) => write!(f, "the cluster that {}'s programs find by themselves", self.scheduler),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_differ_by_file_and_by_name_and_a_name_that_nobody_knows_is_no_difference() {
        let kind = SchedulerKind::new("x", "X");
        let cluster =
            |conf: Option<&str>, name: Option<&str>| Cluster::new(kind, conf.map(Path::new), name.map(str::to_owned));
        let deep = cluster(Some("/a"), Some("deep"));
        for same in [deep.clone(), cluster(Some("/a"), None)] {
            assert!(deep.is(&same) && same.is(&deep), "{same}");
        }
        for other in [
            cluster(Some("/a"), Some("shallow")),
            cluster(Some("/b"), Some("deep")),
            cluster(Some("/b"), None),
            cluster(None, Some("deep")),
            cluster(None, None),
        ] {
            assert!(!deep.is(&other) && !other.is(&deep), "{other}");
        }
        let other_kind = Cluster::new(SchedulerKind::new("y", "Y"), Some(Path::new("/a")), Some("deep".into()));
        assert!(!deep.is(&other_kind));
    }
}
