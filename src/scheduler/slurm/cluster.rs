//! Which Slurm it is: what `slurm.conf` says of itself.

use std::path::Path;

use super::advice::KIND;
use crate::scheduler::Cluster;

/// Where Slurm's programs look for the file, if nobody names one: the first of these that is there. With a prefix of its own a
/// Slurm has another one, and then its name is not known.
pub(super) const PLACES: [&str; 3] =
    ["/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf", "/run/slurm/conf/slurm.conf"];
/// Longest name. It is told to people, and written into sessions.
const LONGEST: usize = 64;

/// By the file that the site's configuration names, or by Slurm's own. `read` reads one.
pub(super) fn cluster(conf: Option<&Path>, read: &dyn Fn(&Path) -> Option<String>) -> Cluster {
    let text = match conf {
        Some(conf) => read(conf),
        None => PLACES.iter().find_map(|place| read(Path::new(place))),
    };
    Cluster::new(KIND, conf, text.and_then(|text| name(&text)))
}

/// `ClusterName` in the text of slurm.conf, in whatever case: as Slurm reads it, the last one counts, in lower case. One in a
/// file that this one includes is not looked for.
fn name(text: &str) -> Option<String> {
    let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(line, _)| line));
    let mut values = lines.flat_map(str::split_whitespace).filter_map(|word| {
        let (key, value) = word.split_once('=')?;
        key.eq_ignore_ascii_case("ClusterName").then(|| value.trim_matches('"').to_ascii_lowercase())
    });
    let last = values.next_back()?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (!last.is_empty() && last.len() <= LONGEST && last.bytes().all(good)).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_read_as_slurm_reads_it() {
        for (text, wanted) in [
            ("ClusterName=deep\nSlurmctldHost=a\n", Some("deep")),
            ("SlurmctldHost=a clustername=Deep # the old one was ClusterName=flat\n", Some("deep")),
            ("#ClusterName=flat\nClusterName=\"deep\"", Some("deep")),
            ("ClusterName=flat\nClusterName=deep", Some("deep")),
            ("Include cluster.conf\nMyClusterName=x\n", None),
            ("ClusterName=\n", None),
            ("ClusterName=a\u{1b}[2J\n", None),
        ] {
            assert_eq!(name(text).as_deref(), wanted, "{text}");
        }
        assert_eq!(name(&format!("ClusterName={}", "x".repeat(LONGEST + 1))), None);
    }

    #[test]
    fn where_no_file_is_named_the_first_that_slurm_finds_counts() {
        let second = |path: &Path| (path == Path::new(PLACES[1])).then(|| "ClusterName=deep".to_owned());
        assert_eq!(cluster(None, &second), Cluster::new(KIND, None, Some("deep".into())));
        assert_eq!(cluster(Some(Path::new("/x")), &second), Cluster::new(KIND, Some(Path::new("/x")), None));
    }
}
