//! The keyword `run:` of a pipeline. An executor that cannot run such steps itself gets an ordinary script in their place, which
//! calls `step-runner`; the runner rewrites the job so before any driver hears of it.

use serde_json::Value;

use super::payload::{JobPayload, Step, Variable};
use super::response_file::escape_like_go;

/// What the runner says of a job that it does not take. Nothing is started for it.
pub(crate) type Unsupported = &'static str;

/// The variable in which `step-runner` finds its work.
const STEPS: &str = "STEPS";

impl JobPayload {
    /// Does to a job with `run:` what the runner does. One that was written by a runner has been through this before.
    pub(crate) fn rewrite_run_keyword(&mut self) -> Result<(), Unsupported> {
        let Some(Value::String(text)) = &self.run else { return Ok(()) };
        let run: Value = serde_json::from_str(text).unwrap_or_default();
        if run.as_array().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        if self.steps.iter().flatten().any(|step| step.script.as_ref().is_some_and(|script| !script.is_empty())) {
            return Err("the `run` and `script` keywords cannot be used together");
        }
        if self.first_variable(STEPS).is_some_and(|value| !value.is_empty()) {
            return Err("the `run` keyword requires the exclusive use of the variable STEPS");
        }
        let steps = escape_like_go(&run.to_string());
        let variable = Variable { key: STEPS.to_owned(), value: steps, raw: true, ..Variable::default() };
        self.variables.get_or_insert_default().push(variable);
        self.steps = Some(vec![Step {
            name: "script".to_owned(),
            script: Some(vec!["step-runner ci".to_owned()]),
            timeout: 3600,
            when: "on_success".to_owned(),
            allow_failure: false,
        }]);
        Ok(())
    }
}
