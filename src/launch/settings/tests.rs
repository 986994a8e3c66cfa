use super::*;
use crate::config::{self, Source};

fn jobs(text: &str) -> Result<JobSettings, String> {
    let source = Source::new("c.toml", text);
    config::read(&source, |mut root| Some(read_jobs(root.section("jobs")))).map_err(|error| error.to_string())
}

#[test]
fn sessions_of_slurm_jobs_outlive_a_reboot_of_the_login_node() {
    let state = |text: &str| jobs(text).expect("valid").state_dir.as_str().to_owned();
    assert_eq!(state("[jobs]\nexecutor = \"slurm\"\n"), "/var/lib/motmot");
    assert_eq!(state("[jobs]\nexecutor = \"shell\"\n"), "/run/motmot");
    assert_eq!(state("[jobs]\nexecutor = \"slurm\"\ndownscope = \"none\"\n"), "{home}/.local/state/motmot");
}

#[test]
fn a_group_is_trusted_below_a_directory_and_never_everywhere() {
    let listed = |text: &str| jobs(&format!("[jobs]\ndata_dir_group_writable = [\"{text}\"]\n"));
    assert_eq!(listed("/project").expect("valid").data_dir_group_writable, [PathBuf::from("/project")]);
    for bad in ["/", "//", "project", "/project/../..", ""] {
        assert!(listed(bad).is_err(), "{bad}");
    }
    assert!(jobs("").expect("valid").data_dir_group_writable.is_empty());
}
