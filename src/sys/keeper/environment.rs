//! Which variables of a login session reach the job.

use std::collections::BTreeMap;

/// Those that say where things of the session are, and in which language and time it speaks. No others: what decides which
/// code runs (`PATH`, `LD_*`, `BASH_ENV`, `PYTHONPATH`) is the site's in `jobs.environment` and the account's in its login
/// profile; with the option `user_readenv` of pam_env(8) a file in a home directory would be a third place, that nobody
/// looks for.
const NAMES: [&str; 9] = [
    // pam_systemd(8): the account's own directory, which is there while a session of it is open.
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_ID",
    "XDG_SESSION_CLASS",
    "XDG_SESSION_TYPE",
    // Where to reach the account's own services; they run as it.
    "DBUS_SESSION_BUS_ADDRESS",
    // Where tickets are: a name, not a ticket.
    "KRB5CCNAME",
    // pam_env(8), from /etc/environment and /etc/default/locale.
    "LANG",
    "LANGUAGE",
    "TZ",
];

/// Locales beside `LANG`.
const PREFIX: &str = "LC_";

/// Longest value. Directories and locales are short.
const LONGEST: usize = 4096;

/// What is passed on of what modules have set.
pub(super) fn passed_on(variables: Vec<(String, String)>) -> BTreeMap<String, String> {
    let plain = |value: &str| value.len() <= LONGEST && !value.chars().any(char::is_control);
    variables.into_iter().filter(|(name, value)| is_passed_on(name) && plain(value)).collect()
}

fn is_passed_on(name: &str) -> bool {
    let locale = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    NAMES.contains(&name) || name.strip_prefix(PREFIX).is_some_and(locale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_decides_which_code_runs_is_passed_on() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "BASH_ENV",
            "ENV",
            "IFS",
            "PYTHONPATH",
            "GIT_SSH_COMMAND",
            "HOME",
            "TMPDIR",
            "MOTMOT_SESSION",
            "CI_JOB_JWT",
            "LC_",
            "LC_x=y",
            "LC_ALL(){",
            "BASH_FUNC_ls%%",
            "",
        ] {
            assert!(!is_passed_on(name), "{name}");
        }
        for name in ["XDG_RUNTIME_DIR", "LANG", "LC_ALL", "LC_TIME", "TZ"] {
            assert!(is_passed_on(name), "{name}");
        }
    }

    #[test]
    fn values_that_are_long_or_not_in_one_line_are_left_out() {
        let passed = |value: String| !passed_on(vec![("LANG".to_owned(), value)]).is_empty();
        assert!(passed("de_DE.UTF-8".into()) && passed("x".repeat(LONGEST)));
        assert!(!passed("x".repeat(LONGEST + 1)) && !passed("a\nb".into()) && !passed("a\u{1b}[2J".into()));
    }
}
