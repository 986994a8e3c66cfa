//! By which line of the runner's configuration a program was started.
//!
//! `config_exec`, `prepare_exec`, `run_exec` and `cleanup_exec` have a program each, whose names differ in one word. A program
//! in the line of another must not end well: where `run_exec` is not motmot-run, a job would be green although none of its
//! scripts has run. What tells the lines apart is what the runner does in each: a script for `run_exec` alone, a session for all
//! but `config_exec`, and a preparation that goes well once.

use std::ffi::OsString;
use std::path::Path;

use super::account::sessions;
use super::edge::Arguments;
use crate::report::Failure;
use crate::session::Session;
use crate::settings::Settings;

/// Refuses arguments in a stage that has none.
pub(super) fn refuse_arguments(stage: &'static str, rest: &[OsString]) -> Result<(), Failure> {
    match rest {
        [] => Ok(()),
        [.., script, _] if Path::new(script).is_absolute() => Err(wrong(format!(
            "motmot-{stage} was given a script to run, which only motmot-run does: name motmot-run in run_exec"
        ))),
        [.., last] => Err(wrong(format!(
            "motmot-{stage} has no argument {:?}: take it out of {stage}_args",
            last.to_string_lossy()
        ))),
    }
}

/// Refuses to decide about a job once more: in `config_exec` it has no session yet.
pub(super) fn refuse_second_config(arguments: &Arguments, settings: &Settings, job_id: u64) -> Result<(), Failure> {
    let Ok(name) = arguments.contract.session() else { return Ok(()) };
    match sessions(settings, arguments)?.find(name) {
        Ok(session) if session.facts().job_id() == job_id => Err(wrong(
            "motmot-config was started when this job had its session already; name it in config_exec alone, and look at prepare_exec, run_exec and cleanup_exec".into(),
        )),
        // That of the job in which the runner itself runs, or one that is gone.
        _ => Ok(()),
    }
}

/// Refuses to prepare what is prepared. (After a failure it may be tried again.)
pub(super) fn refuse_second_prepare(session: &Session) -> Result<(), Failure> {
    if !session.is_prepared() {
        return Ok(());
    }
    Err(wrong(
        "motmot-prepare was started when this job was prepared already; name it in prepare_exec alone, and look at run_exec and cleanup_exec".into(),
    ))
}

/// What the runner passes behind our own arguments in `run_exec` is missing.
pub(super) fn no_script() -> Failure {
    wrong(
        "motmot-run was started without the script and the name of its sub-stage, which GitLab Runner adds in run_exec; name it there alone, and look at config_exec, prepare_exec and cleanup_exec".into(),
    )
}

fn wrong(words: String) -> Failure {
    Failure::site(words + " of [runners.custom] in the runner's config.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_belongs_in_one_line_and_a_word_of_the_sites_is_no_stages() {
        let refused = |rest: &[&str]| {
            let rest: Vec<_> = rest.iter().map(OsString::from).collect();
            refuse_arguments("cleanup", &rest).err().map(|failure| failure.for_admin().to_owned())
        };
        assert_eq!(refused(&[]), None);
        for rest in [["/tmp/script", "build_script"].as_slice(), &["verbose", "/tmp/script", "/x"]] {
            assert!(refused(rest).expect("refused").contains("in run_exec of [runners.custom]"), "{rest:?}");
        }
        for rest in [["verbose"].as_slice(), &["sweep", "7-a"], &["script", "build_script"]] {
            assert!(refused(rest).expect("refused").contains("cleanup_args of [runners.custom]"), "{rest:?}");
        }
    }
}
