//! The variables of a job as the runner puts them together.

use super::Build;
use crate::contract::version::RunnerVersion;
use crate::gitlab::payload::Variable;

/// The last variable of a name, as the runner looks them up.
pub(crate) fn get<'a>(variables: &'a [Variable], key: &str) -> Option<&'a str> {
    variables.iter().rev().find(|variable| variable.key == key).map(|variable| variable.value.as_str())
}

/// All variables in the order in which they are exported; of several with one name the last wins.
pub(crate) fn variables(build: &Build) -> Vec<Variable> {
    let runner = &build.simulation.runner;
    let dirs = build.dirs();
    let mut all: Vec<Variable> = Vec::new();
    for (name, default) in runner.version.feature_flags() {
        all.push(Variable::new(name, default.to_string()));
    }
    for (name, value) in &runner.feature_flags {
        match all.iter_mut().find(|variable| variable.key == *name) {
            Some(known) => known.value = value.to_string(),
            None => all.push(Variable::new(name, value.to_string())),
        }
    }
    if !build.payload.image.name.is_empty() {
        all.push(Variable::new("CI_JOB_IMAGE", &*build.payload.image.name));
    }
    all.push(Variable::new("CI_RUNNER_SHORT_TOKEN", runner.short_token()));
    all.extend(runner.environment.iter().map(|(key, value)| Variable::new(key, value)));
    all.push(Variable::new("CI_BUILDS_DIR", &*dirs.builds));
    all.push(Variable::new("CI_PROJECT_DIR", &*dirs.project));
    all.push(Variable::new("CI_CONCURRENT_ID", runner.concurrent_id.to_string()));
    all.push(Variable::new("CI_CONCURRENT_PROJECT_ID", runner.concurrent_project_id.to_string()));
    all.push(Variable::new("CI_SERVER", "yes"));
    all.push(Variable::new("CI_JOB_STATUS", "running"));
    all.push(Variable::new("CI_JOB_TIMEOUT", build.timeout().as_secs().to_string()));
    all.extend(build.payload.variables.iter().flatten().cloned());
    all.push(Variable::new("CI_SHARED_ENVIRONMENT", "true"));
    all.push(Variable::new("CI_RUNNER_VERSION", runner.version.number()));
    all.push(Variable::new("CI_RUNNER_REVISION", RunnerVersion::REVISION));
    let arch = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };
    all.push(Variable::new("CI_RUNNER_EXECUTABLE_ARCH", arch));
    all.push(Variable::new("RUNNER_TEMP_PROJECT_DIR", dirs.temp()));
    // Flags fixed by the runner cannot be changed by a job.
    for (name, value) in &runner.feature_flags {
        all.iter_mut().filter(|variable| variable.key == *name).for_each(|variable| variable.value = value.to_string());
    }
    let mut expanded = expand(&all, &dirs.temp());
    if let Some(status) = build.status() {
        expanded
            .iter_mut()
            .filter(|variable| variable.key == "CI_JOB_STATUS")
            .for_each(|variable| status.clone_into(&mut variable.value));
    }
    expanded
}

/// Replaces references once, with the values as they were given; not in raw variables.
fn expand(variables: &[Variable], temp: &str) -> Vec<Variable> {
    let look_up = |name: &str| -> String {
        match variables.iter().rev().find(|variable| variable.key == name) {
            Some(variable) if variable.file => format!("{temp}/{name}"),
            Some(variable) => variable.value.clone(),
            None => String::new(),
        }
    };
    variables
        .iter()
        .map(|variable| {
            let value = if variable.raw { variable.value.clone() } else { substitute(&variable.value, &look_up) };
            Variable { value, ..variable.clone() }
        })
        .collect()
}

/// `$name` and `${name}`, and the shell's one-character names, of which only `$$` means anything.
fn substitute(text: &str, look_up: &dyn Fn(&str) -> String) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        let special = |c: char| "*#$@!?-".contains(c) || c.is_ascii_digit();
        if let Some(braced) = rest.strip_prefix('{') {
            match braced.find('}') {
                Some(end) => {
                    if braced[..end] == *"$" {
                        result.push('$');
                    } else {
                        result.push_str(&look_up(&braced[..end]));
                    }
                    rest = &braced[end + 1..];
                }
                // Bad syntax: the two characters are eaten.
                None => rest = braced,
            }
        } else if let Some(first) = rest.chars().next().filter(|&c| special(c)) {
            if first == '$' {
                result.push('$');
            }
            rest = &rest[1..];
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            if end == 0 {
                result.push('$');
            } else {
                result.push_str(&look_up(&rest[..end]));
            }
            rest = &rest[end..];
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::{Variable, expand};

    #[test]
    fn references_are_replaced_once_and_files_become_paths() {
        let given = [
            Variable::new("A", "1"),
            Variable::new("B", "$A-${A}-$A_-$$-$ -$"),
            Variable { raw: true, ..Variable::new("C", "$A") },
            Variable::file("F", "secret $A"),
            Variable::new("D", "$F $C $B"),
            Variable::new("A", "2"),
        ];
        let values: Vec<String> = expand(&given, "/p.tmp").into_iter().map(|variable| variable.value).collect();
        assert_eq!(values, ["1", "2-2--$-$ -$", "$A", "secret 2", "/p.tmp/F $A $A-${A}-$A_-$$-$ -$", "2"]);
    }
}
