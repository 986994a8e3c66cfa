//! Whether GitLab says that a job still runs, asked for a stage that was told to end.
//!
//! `motmot-config --config FILE still-runs MILLISECONDS`, started by `motmot-run` and `motmot-prepare`. These two stay in memory
//! for as long as a script runs, thousands of them on one machine; HTTP and TLS would make them half as large again, for one
//! question at the end of a few. So the program asks that has both.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use super::edge::Arguments;
use crate::evidence::job_api;
use crate::report::Failure;
use crate::runner::{JOB_RESPONSE_FILE, is_of_a_job};
use crate::settings::Settings;
use crate::sys::apart::{self, Apart, Program};

/// The program that knows how to ask.
const PROGRAM: &str = "motmot-config";
/// The word that tells a question from the arguments that a site may have written for the stage (`config_args`).
const WORD: &str = "still-runs";
/// Exit statuses for what GitLab says. Of all others, and of a program that is not there, nothing follows.
const RUNS: u8 = 10;
const IS_OVER: u8 = 11;
/// For starting, and for reading the configuration.
const START: Duration = Duration::from_secs(2);

/// GitLab's word, if it gives one within this time.
pub(super) fn ask(arguments: &Arguments, timeout: Duration) -> Option<bool> {
    let limit = timeout + START;
    let mut args = arguments.of_configuration();
    args.extend([WORD.into(), limit.as_millis().to_string().into()]);
    // The payload has the token to ask with.
    let drop = |name: &OsStr| name != JOB_RESPONSE_FILE && is_of_a_job(name);
    match apart::run(Program::Beside(PROGRAM), &args, drop, limit) {
        Ok(Apart::Exited(RUNS)) => Some(true),
        Ok(Apart::Exited(IS_OVER)) => Some(false),
        Ok(Apart::Exited(_) | Apart::Over) | Err(_) => None,
    }
}

/// The time for an answer, in a process that was asked; `None` in a config stage.
pub(super) fn requested(rest: &[OsString]) -> Option<Duration> {
    match rest {
        [word, limit] if word == WORD => Some(Duration::from_millis(limit.to_str()?.parse().ok()?)),
        _ => None,
    }
}

/// Asks, and answers by the exit status.
pub(super) fn answer(arguments: &Arguments, limit: Duration) -> Result<(), Failure> {
    apart::end_after(limit).map_err(|error| Failure::noted(format!("cannot watch the time of a question: {error}")))?;
    // Whoever asks has told what there is to tell of the configuration.
    let word = Settings::load(&arguments.config)
        .and_then(|settings| settings.for_gitlab(&arguments.config, arguments.gitlab()))
        .ok()
        .zip(arguments.payload().ok())
        .and_then(|(settings, payload)| job_api::still_runs(&settings.gitlab, &payload.job_token));
    match word {
        Some(true) => std::process::exit(i32::from(RUNS)),
        Some(false) => std::process::exit(i32::from(IS_OVER)),
        None => Err(Failure::noted("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_site_wrote_for_its_config_stage_is_no_question() {
        let asked = |words: &[&str]| requested(&words.iter().map(OsString::from).collect::<Vec<_>>());
        for words in
            [[].as_slice(), &["still-runs"], &["still-runs", "soon"], &["7", "still-runs"], &["x", "still-runs", "7"]]
        {
            assert_eq!(asked(words), None);
        }
        assert_eq!(asked(&["still-runs", "1500"]), Some(Duration::from_millis(1500)));
    }
}
