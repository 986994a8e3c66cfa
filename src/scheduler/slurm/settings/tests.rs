use std::path::Path;

use super::*;
use crate::config::{self, Source};
use crate::scheduler::Requeue;
use crate::scheduler::settings::Allocation;

/// Settings as if they stood in a whole file.
pub(in crate::scheduler::slurm) fn slurm(more: &str) -> SlurmSettings {
    let text = format!("[gitlab]\nurl = \"https://gitlab.example.com\"\n{more}");
    let source = Source::new("/etc/motmot/config.toml", text);
    config::read(&source, |mut root| Some(read_slurm(root.section("slurm")))).expect(more)
}

#[test]
fn defaults_are_safe_and_there_without_the_section() {
    let slurm = slurm("");
    assert_eq!(slurm.bin_dir, Path::new("/usr/bin"));
    assert_eq!(slurm.batch.parameters, ["SCHEDULER_PARAMETERS"]);
    assert_eq!((slurm.batch.allocation, slurm.batch.requeue), (Allocation::Stage, Requeue::Never));
    assert_eq!(slurm.limits, Limits::default());
    for name in ["nodefile", "bbf", "container", "mail-user", "priority", "reboot", "no-kill", "output"] {
        assert!(!slurm.allow.contains(name), "{name}");
    }
    for (stage, runs) in [("build_script", true), ("step_script", true), ("step_", true), ("after_script", false)] {
        assert_eq!(slurm.batch.runs(stage), runs, "{stage}");
    }
}
