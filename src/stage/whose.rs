//! Under which configuration this process works, and what is said of sessions that are another one's.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::report::Failure;
use crate::scheduler::Cluster;
use crate::scheduler::batch::Batch;
use crate::scheduler::known::kinds;
use crate::session::{Configuration, MadeUnder, Session, Whose};
use crate::settings::Settings;

/// How much of a scheduler's own configuration is read.
const MOST: u64 = 4 << 20;

/// The one in this file.
pub fn configuration(path: &Path, settings: &Settings) -> Configuration {
    let schedulers = settings.schedulers.clone();
    let clusters = move || kinds().filter_map(|kind| schedulers.get(kind).map(cluster)).collect();
    Configuration::new(absolute(path), clusters).with_jobs_of(settings.gitlab.name.clone())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The cluster that a scheduler's programs ask.
pub(super) fn cluster(batch: &dyn Batch) -> Cluster {
    batch.cluster(&read)
}

/// The scheduler to which a session's batch jobs went, if it says so.
pub(super) fn session_scheduler(session: &Session) -> Option<&str> {
    session.made_under().and_then(MadeUnder::cluster).map(Cluster::scheduler)
}

/// A file that the administrator names. A pipe or a device says nothing, and is not waited for.
fn read(path: &Path) -> Option<String> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    let mut bytes = Vec::new();
    file.metadata().ok()?.is_file().then_some(())?;
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Why a session is left alone, and what to do; `None` for one of this configuration.
pub(super) fn why_left_alone(session: &Session) -> Option<String> {
    let name = session.name();
    Some(match session.whose() {
        Whose::Ours => return None,
        Whose::OtherConfiguration(path) if path.exists() => {
            format!("it is of another configuration; clean it up with: motmot --config {} reap", path.display())
        }
        Whose::OtherConfiguration(path) => format!(
            "it is of another configuration, {}, which is not there any more; to clean it up under this one: motmot reap --session {name}",
            path.display()
        ),
        Whose::OtherCluster(made) => other_cluster(session, &made),
        Whose::NotSaid => format!(
            "it does not say in which cluster its batch jobs are, since its scheduler or the program that made it was another one; if this configuration asks that one: motmot reap --session {name}"
        ),
    })
}

/// Nothing is asked about jobs in another cluster, whoever wants it: what it does not know it would call gone.
pub(super) fn refuse_other_cluster(session: &Session) -> Result<(), Failure> {
    match session.whose() {
        Whose::OtherCluster(made) => {
            Err(Failure::site(format!("session {}: {}", session.name(), other_cluster(session, &made))))
        }
        _ => Ok(()),
    }
}

fn other_cluster(session: &Session, made: &MadeUnder) -> String {
    let (name, there) = (session.name(), made.cluster().map(Cluster::to_string).unwrap_or_default());
    let by = session.configuration();
    let here = by.clusters().iter().map(Cluster::to_string).collect::<Vec<_>>().join(", ");
    let give_up = format!("or give it up: motmot reap --forget {name}");
    if by.is_at(made.config()) {
        return format!(
            "its batch jobs are in {there}, but this configuration asks {here}: it has changed since, or the scheduler's own configuration has, to which it leads; undo that until the session is cleaned up, or clean it up with another configuration that asks the former (motmot --config FILE reap --session {name}), {give_up}"
        );
    }
    format!(
        "its batch jobs are in {there}, but this configuration asks {here}; clean it up with a configuration that asks the former (it was made under: motmot --config {} reap), {give_up}",
        made.config().display()
    )
}
