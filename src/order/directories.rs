//! Where a job works, below its account's `data_dir`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The directories of one job, all below the account's `data_dir`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directories {
    /// `jobs.data_dir`, expanded.
    pub data: PathBuf,
    /// What the runner gets as `builds_dir`: no other job has it at the same time.
    pub builds: PathBuf,
    /// What the runner gets as `cache_dir`.
    pub cache: PathBuf,
    /// This job's own: gone after cleanup.
    pub job: PathBuf,
}

impl Directories {
    /// Lays them out. `host` keeps two login nodes apart that share a home directory, `gitlab` two servers whose projects may have the
    /// same numbers and paths, `slot` two jobs of one project.
    pub fn lay_out(data: PathBuf, host: &str, gitlab: Option<&str>, project_id: u64, slot: u32, session: &str) -> Self {
        // No name of a server is a number.
        let of_gitlab = |dir: PathBuf| gitlab.map_or(dir.clone(), |name| dir.join(name));
        let builds = of_gitlab(data.join("builds").join(host)).join(project_id.to_string()).join(slot.to_string());
        Self { builds, cache: of_gitlab(data.join("cache")), job: data.join("jobs").join(session), data }
    }

    /// All that have to exist, parents first.
    pub fn all(&self) -> Vec<PathBuf> {
        let mut all = vec![self.data.clone()];
        for leaf in [&self.builds, &self.cache, &self.temp(), &self.token()] {
            let below: Vec<&Path> = leaf.ancestors().take_while(|dir| *dir != self.data).collect();
            for dir in below.into_iter().rev() {
                if !all.iter().any(|known| known == dir) {
                    all.push(dir.to_owned());
                }
            }
        }
        all
    }

    /// `TMPDIR` of the job.
    pub fn temp(&self) -> PathBuf {
        self.job.join("tmp")
    }

    /// Directory of the token file.
    pub fn token(&self) -> PathBuf {
        self.job.join("token")
    }
}

/// The name of this machine in paths.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_else(|_| OsString::from("localhost"));
    let name: String = name
        .to_string_lossy()
        .chars()
        .take_while(|c| *c != '.')
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' })
        .collect();
    if name.is_empty() { "localhost".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_is_listed_after_its_parent_and_once() {
        let directories = Directories::lay_out("/home/ada/.motmot".into(), "login1", None, 7, 0, "101-abc");
        let all = directories.all();
        assert_eq!(all[0], Path::new("/home/ada/.motmot"));
        for (index, dir) in all.iter().enumerate().skip(1) {
            assert!(all[..index].contains(&dir.parent().expect("parent").to_owned()), "{dir:?}");
            assert!(!all[..index].contains(dir), "{dir:?}");
        }
        assert!(all.contains(&PathBuf::from("/home/ada/.motmot/builds/login1/7/0")));
    }

    #[test]
    fn two_jobs_of_a_project_get_two_working_directories() {
        let lay_out = |host, slot| Directories::lay_out("/d".into(), host, None, 7, slot, "s").builds;
        assert_ne!(lay_out("a", 0), lay_out("a", 1));
        assert_ne!(lay_out("a", 0), lay_out("b", 0), "login nodes share home directories");
        let of = |gitlab| Directories::lay_out("/d".into(), "a", gitlab, 7, 0, "s");
        let (one, other) = (of(Some("one")), of(Some("other")));
        assert!(one.builds != other.builds && one.cache != other.cache, "project 7 is another one there");
    }
}
