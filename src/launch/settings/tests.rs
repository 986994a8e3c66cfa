use super::*;
use crate::config::{self, Source};

fn jobs(text: &str) -> Result<JobSettings, String> {
    let source = Source::new("c.toml", text);
    config::read(&source, |mut root| Some(read_jobs(root.section("jobs")))).map_err(|error| error.to_string())
}

#[test]
fn a_home_directory_itself_is_never_made_private() {
    for key in ["data_dir", "state_dir"] {
        for text in ["{home}", "{home}/", "{home}/./"] {
            let error = jobs(&format!("[jobs]\n{key} = \"{text}\"\n")).expect_err(text);
            assert!(error.contains("must not be the home directory itself") && error.contains("{home}/."), "{error}");
        }
    }
}

#[test]
fn a_variable_that_motmot_sets_itself_is_not_accepted_without_effect() {
    assert!(jobs("[jobs]\nenvironment = { LANG = \"C\", PATH = \"/opt/bin:/usr/bin\" }\n").is_ok());
    for name in ["HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "MOTMOT_SESSION", "MOTMOT_ANY"] {
        let error = jobs(&format!("[jobs]\nenvironment = {{ {name} = \"x\" }}\n")).expect_err(name);
        assert!(error.contains(&format!("`jobs.environment.{name}` has no effect")), "{error}");
    }
}

#[test]
fn what_is_not_bash_runs_no_script() {
    for good in ["/bin/bash", "/opt/bash-5.3/bin/bash5"] {
        assert!(jobs(&format!("[jobs]\nshell_path = {good:?}\n")).is_ok(), "{good}");
    }
    for bad in ["/bin/sh", "/bin/zsh", "/bin/rbash", "/usr/bin/bash/", "/bin/bash/sh"] {
        let error = jobs(&format!("[jobs]\nshell_path = {bad:?}\n")).expect_err(bad);
        assert!(error.contains(":2:14: `jobs.shell_path` must be a bash"), "{error}");
    }
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

#[test]
fn a_directory_of_commands_is_one_entry_of_path_and_leads_nowhere_else() {
    let listed = |text: &str| jobs(&format!("[jobs]\npath_prepend = [\"{text}\"]\n"));
    let good = jobs("[jobs]\npath_prepend = [\"/opt/gitlab-runner/bin\", \"/opt/git/bin\"]\n").expect("valid");
    assert_eq!(good.path_prepend, [PathBuf::from("/opt/gitlab-runner/bin"), PathBuf::from("/opt/git/bin")]);
    for bad in ["", "bin", ".", "~/bin", "{home}/bin", "/opt/a:/opt/b", "/opt/../tmp", "/opt/a\\u0000"] {
        assert!(listed(bad).is_err(), "{bad}");
    }
    assert!(jobs("").expect("valid").path_prepend.is_empty());
}
