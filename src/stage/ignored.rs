//! What a pipeline asks for that has no effect here. It is said in the prepare stage: a job that works otherwise than its
//! author believes is worse than one that fails.

use crate::evidence::payload::Payload;
use crate::launch::settings::WithoutEffect;
use crate::order::ShellKind;
use crate::report::{FailureKind, Fault, tell};
use crate::settings::Settings;

/// How much of a name is repeated.
const NAME: usize = 100;

const STEP_RUNNER_IMAGE: &str = "registry.gitlab.com/gitlab-org/step-runner:";

const IMAGE_ADVICE: &str = "the script runs in a shell of this machine or of its scheduler, with what is installed there. \
What to do: take `image:` away from this job (also in `default:` and in included templates), and let the script load what it \
needs, such as `module load python`; or let the script start the container itself, such as `apptainer exec docker://IMAGE ./test.sh`";
const SERVICES_ADVICE: &str = "nothing is started beside the script, and no host has their names. What to do: take `services:` \
away from this job (also in `default:` and in included templates), and let the script start what it needs, or use a service of the site";

/// The site refuses jobs that ask for what it does not have.
#[derive(Debug, thiserror::Error)]
#[error("refused: this job asks for {what}, and this runner has no containers ({key} = \"refuse\"): {advice}")]
pub(super) struct Refused {
    what: String,
    key: &'static str,
    advice: &'static str,
}

impl Fault for Refused {
    fn kind(&self) -> FailureKind {
        FailureKind::Build
    }
}

/// Where options for the scheduler are written, unless a site says otherwise.
const OPTIONS: &str = "SCHEDULER_PARAMETERS";

/// Says what of the payload has no effect, or refuses the job for it.
pub(super) fn containers(payload: &Payload, settings: &Settings) -> Result<(), Refused> {
    // Older runners name this image for a job with `run:` themselves; its author has not asked for one.
    let of_the_runner = |name: &&String| payload.runs_steps && name.starts_with(STEP_RUNNER_IMAGE);
    let image =
        payload.image.iter().filter(|name| !of_the_runner(name)).map(|name| format!("`image: {}`", shown(name))).next();
    let services = (!payload.services.is_empty()).then(|| {
        let names: Vec<String> = payload.services.iter().take(10).map(|name| shown(name)).collect();
        format!("`services: [{}]`", names.join(", "))
    });
    for (what, choice, key, advice) in [
        (image, settings.jobs.image, "jobs.image", IMAGE_ADVICE),
        (services, settings.jobs.services, "jobs.services", SERVICES_ADVICE),
    ] {
        let Some(what) = what else { continue };
        match choice {
            WithoutEffect::Refuse => return Err(Refused { what, key, advice }),
            WithoutEffect::Warn => {
                let line = "*".repeat(72);
                let advice = advice.replace("What to do: ", "\nWhat to do: ");
                let warning = format!("{line}\nWARNING: {what} HAS NO EFFECT HERE:\n{advice}\n{line}");
                // Each a message of its own: nothing in them has a line break but ours.
                warning.lines().map(str::trim_end).for_each(tell);
            }
        }
    }
    Ok(())
}

/// Says which variables of the pipeline have no effect, or the wrong one. `defined`: whether the pipeline defines one.
pub(super) fn variables(settings: &Settings, defined: impl Fn(&str) -> bool) -> Vec<String> {
    let mut words: Vec<String> =
        settings.token.iter().filter_map(|token| hidden_token(&token.variable, &defined)).collect();
    let parameters = settings.batch().map(|batch| batch.settings().parameters.as_slice());
    let options = match parameters {
        Some([first, ..]) => format!("options for the scheduler are written in {first}"),
        Some([]) => "options for the scheduler are the site's".to_owned(),
        None => {
            "scripts run in a shell on this machine, and there is no scheduler that could be given options".to_owned()
        }
    };
    let profiles = match settings.jobs.shell {
        ShellKind::Login => {
            "the site has login profiles read before each script (jobs.login_shell); what must not see them is started as `env -i HOME=\"$HOME\" PATH=/usr/bin:/bin bash --noprofile --norc FILE`"
        }
        ShellKind::Plain => "no login profile is read here (jobs.login_shell = false)",
    };
    let names = [
        ("SITE_PARAMETERS", options.as_str()),
        (
            "CUSTOM_CI_BUILDS_DIR",
            "the job has a working directory of its own, $CI_PROJECT_DIR; its script can `cd` to another",
        ),
        (
            "SCHEDULER_JOB_PREFIX",
            "a batch job has the name by which it is found and cancelled; the address of the CI job is in its comment",
        ),
        (
            "COPY_SCHEDULER_LOGS",
            "what a script prints is in this log while it runs; to keep a copy, write `./solve 2>&1 | tee solve.log` with `set -o pipefail`, and name the file in `artifacts:`",
        ),
        ("JACAMAR_NO_BASH_PROFILE", profiles),
    ];
    // A site may have options read from it.
    let is_read =
        |name: &str| parameters.is_some_and(|parameters| parameters.iter().any(|parameter| parameter == name));
    if defined(OPTIONS) && !is_read(OPTIONS) {
        words.push(format!("warning: the variable {OPTIONS} has no effect here: {options}"));
    }
    for (name, instead) in names {
        if defined(name) && !is_read(name) {
            words.push(format!("warning: the variable {name}, known from Jacamar CI, has no effect here: {instead}"));
        }
    }
    words
}

/// Says which variables with options for the scheduler have words that are none: `#SBATCH --time=3`, as in a batch script. `value`:
/// that of a variable, if the pipeline defines it.
pub(super) fn comments(parameters: &[String], value: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let with_comments = parameters.iter().filter_map(|name| Some((name, comment(&value(name)?)?)));
    with_comments
        .map(|(name, comment)| {
            format!(
                "warning: in the variable {name} what stands behind # is a comment, as in a shell, and has no effect: `{}`; write the options alone, such as {name}: \"--nodes=2\"",
                shown(&comment)
            )
        })
        .collect()
}

/// The first comment, where words are split as a shell does it.
fn comment(text: &str) -> Option<String> {
    let (mut quote, mut at_beginning, mut escaped) = (None, true, false);
    for (at, character) in text.char_indices() {
        let plain = !escaped;
        match (quote, character) {
            _ if escaped => escaped = false,
            (None, '#') if at_beginning => return Some(text[at..].lines().next().unwrap_or_default().to_owned()),
            (None | Some('"'), '\\') => escaped = true,
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
        at_beginning = quote.is_none() && plain && matches!(character, ' ' | '\t' | '\n');
    }
    None
}

/// The runner's script sets the pipeline's variables itself, after the driver has set its own; nothing can keep it from that.
fn hidden_token(variable: &str, defined: &impl Fn(&str) -> bool) -> Option<String> {
    let file = format!("{variable}_FILE");
    let (what, left) = match (defined(variable), defined(&file)) {
        (false, false) => return None,
        (true, false) => (
            format!("{variable} itself: scripts find that value in it"),
            format!("the token is in the file ${file} all the same"),
        ),
        (false, true) => (
            format!("{file} itself: scripts find that value in it"),
            format!("${variable} has the token with which the stage began, and nobody renews it there"),
        ),
        (true, true) => (
            format!("{variable} and {file} itself: scripts find those values in them"),
            "they have no way to the token".to_owned(),
        ),
    };
    Some(format!(
        "warning: this pipeline (or its group, or its GitLab) defines {what}, in place of motmot's; {left}; take the variable away or rename it, unless it is meant"
    ))
}

/// As text that neither ends a line nor goes on for ever.
fn shown(name: &str) -> String {
    let mut text: String = name.chars().take(NAME).collect();
    if text.len() < name.len() {
        text.push_str("...");
    }
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_takes_the_tokens_place_is_told_by_name() {
        let told = |names: &[&str]| hidden_token("CI_JOB_JWT", &|name: &str| names.contains(&name));
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["CI_JOB_JWT_FILES", "JWT"]), None);
        for (names, words) in [
            (&["CI_JOB_JWT"][..], "defines CI_JOB_JWT itself"),
            (&["CI_JOB_JWT_FILE"], "defines CI_JOB_JWT_FILE itself"),
            (&["CI_JOB_JWT", "CI_JOB_JWT_FILE"], "defines CI_JOB_JWT and CI_JOB_JWT_FILE itself"),
        ] {
            assert!(told(names).is_some_and(|told| told.contains(words)), "{names:?}");
        }
    }

    #[test]
    fn what_is_a_comment_in_a_variable_of_options_is_told_and_what_only_looks_like_one_is_not() {
        for (text, found) in [
            ("#SBATCH --time=3", Some("#SBATCH --time=3")),
            ("--nodes=2 # two\n--time=3", Some("# two")),
            ("--nodes=2\n#SBATCH --time=3", Some("#SBATCH --time=3")),
            ("--nodes=2", None),
            ("--constraint=a#b", None),
            ("'--constraint=a #b' --nodes=2", None),
            ("\"a \\\" #b\"", None),
            ("\\#a", None),
            ("\\ #a", None),
            ("''#a", None),
        ] {
            assert_eq!(comment(text).as_deref(), found, "{text:?}");
            // And so says whoever splits them.
            let other = text.replace('#', "x");
            let dropped = shlex::split(text).map(|words| words.len()) < shlex::split(&other).map(|words| words.len());
            assert_eq!(dropped, found.is_some(), "{text:?}");
        }
        let value = |name: &str| (name == "B").then(|| "#SBATCH --x\u{1b}[2K".to_owned());
        let told = comments(&["A".into(), "B".into()], value);
        assert!(told.len() == 1 && told[0].contains("in the variable B ") && !told[0].contains('\u{1b}'), "{told:?}");
    }

    #[test]
    fn a_name_that_is_repeated_forges_no_line_and_has_an_end() {
        assert_eq!(shown("a\nmotmot: all is well\u{1b}[2K"), "a\\nmotmot: all is well\\u{1b}[2K");
        assert_eq!(shown(&"é".repeat(500)).chars().count(), NAME + 3);
    }
}
