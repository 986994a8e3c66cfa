//! Whose a session is: the configuration that it was made under, and the cluster in which its batch jobs are.
//!
//! Two configurations may share a state directory, knowingly or by mistake. What one of them has left behind the other must
//! not clean up: its scheduler would say of every job that there is none, and the job would be forgotten and run on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::scheduler::Cluster;

/// What a session records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MadeUnder {
    /// The configuration file.
    config: PathBuf,
    /// Where its batch jobs are; none for jobs that run in a shell.
    cluster: Option<Cluster>,
    /// Whose job it is, where the configuration names its GitLabs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gitlab: Option<String>,
}

impl MadeUnder {
    /// Whose job it is, where the configuration names its GitLabs.
    pub fn gitlab(&self) -> Option<&str> {
        self.gitlab.as_deref()
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Where its batch jobs are.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }
}

/// The configuration of this process.
#[derive(Debug)]
pub struct Configuration {
    path: PathBuf,
    /// Whose jobs this process is for, where the configuration names its GitLabs.
    gitlab: Option<String>,
    /// Those that can be asked about jobs. Looked for only where it matters: the scheduler's file may be on a file system that
    /// does not answer.
    clusters: LazyLock<Vec<Cluster>, Box<dyn FnOnce() -> Vec<Cluster> + Send>>,
}

impl Configuration {
    /// The one with this absolute path, whose schedulers are these clusters.
    pub fn new(path: PathBuf, clusters: impl FnOnce() -> Vec<Cluster> + Send + 'static) -> Self {
        Self { path, gitlab: None, clusters: LazyLock::new(Box::new(clusters)) }
    }

    /// The same for jobs of the GitLab of this name.
    #[must_use]
    pub fn with_jobs_of(self, gitlab: Option<String>) -> Self {
        Self { gitlab, ..self }
    }

    /// Whose jobs this process is for.
    pub fn gitlab(&self) -> Option<&str> {
        self.gitlab.as_deref()
    }

    /// What a session records that is made now. `cluster`: where its batch jobs go.
    pub fn record(&self, cluster: Option<Cluster>) -> MadeUnder {
        MadeUnder { config: self.path.clone(), cluster, gitlab: self.gitlab.clone() }
    }

    /// Those that can be asked about jobs.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// Whether this is the file that it is in, by whatever name.
    pub fn is_at(&self, path: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).ok();
        self.path == path || real(&self.path).is_some_and(|own| Some(own) == real(path))
    }
}

/// Whose a session is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// This configuration's.
    Ours,
    /// Another one's, with the path of its file. Nothing of it is where this one could not ask.
    OtherConfiguration(PathBuf),
    /// It has batch jobs in a cluster of which this configuration knows nothing.
    OtherCluster(MadeUnder),
    /// It has batch jobs, and does not say in which cluster: another version made it, or its job did not go to a scheduler
    /// when it began.
    NotSaid,
}

/// Judges; `made_under` is what the session has recorded.
pub(super) fn whose(made_under: Option<&MadeUnder>, jobs: Jobs, by: &Configuration) -> Whose {
    let cluster = made_under.and_then(MadeUnder::cluster);
    match (made_under, cluster, jobs) {
        (_, None, Jobs::Some) => Whose::NotSaid,
        (Some(made), Some(cluster), Jobs::Some) if !by.clusters().iter().any(|known| known.is(cluster)) => {
            Whose::OtherCluster(made.clone())
        }
        (Some(made), _, _) if !by.is_at(&made.config) => Whose::OtherConfiguration(made.config.clone()),
        _ => Whose::Ours,
    }
}

/// Whether a session has batch jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jobs {
    None,
    Some,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str) -> Cluster {
        let kind = crate::scheduler::known::kinds().next().expect("one");
        Cluster::new(kind, None, Some(name.to_owned()))
    }

    #[test]
    fn a_session_is_ours_by_its_configuration_and_if_it_has_batch_jobs_by_their_cluster() {
        let ours = Configuration::new("/etc/ours.toml".into(), || vec![cluster("deep")]);
        let other = Configuration::new("/etc/other.toml".into(), Vec::new);
        let judged = |made: Option<&MadeUnder>, jobs| whose(made, jobs, &ours);
        let made = |by: &Configuration, name: Option<&str>| by.record(name.map(cluster));
        let foreign = made(&ours, Some("flat"));
        for (made, without_jobs, with_jobs) in [
            (Some(made(&ours, Some("deep"))), Whose::Ours, Whose::Ours),
            (Some(made(&ours, None)), Whose::Ours, Whose::NotSaid),
            (None, Whose::Ours, Whose::NotSaid),
            (Some(foreign.clone()), Whose::Ours, Whose::OtherCluster(foreign)),
            (
                Some(made(&other, Some("deep"))),
                Whose::OtherConfiguration("/etc/other.toml".into()),
                Whose::OtherConfiguration("/etc/other.toml".into()),
            ),
        ] {
            assert_eq!(judged(made.as_ref(), Jobs::None), without_jobs, "{made:?}");
            assert_eq!(judged(made.as_ref(), Jobs::Some), with_jobs, "{made:?}");
        }
    }

    #[test]
    fn another_way_to_the_same_file_is_the_same_configuration() {
        let dir = tempfile::tempdir().expect("dir");
        let (file, link) = (dir.path().join("config.toml"), dir.path().join("link.toml"));
        fs::write(&file, "").expect("write");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let ours = Configuration::new(file.clone(), Vec::new);
        assert!(ours.is_at(&link) && ours.is_at(&dir.path().join("./config.toml")));
        fs::remove_file(&file).expect("remove");
        assert!(ours.is_at(&file) && !ours.is_at(&link), "by its name alone");
    }
}
