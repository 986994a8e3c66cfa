//! What the configuration says of its own rules: `[[test]]` and `[[never]]`.

use super::findings::Findings;
use super::runner::Runner;
use crate::admin::policy::all_judged;
use crate::report::counted;
use crate::settings::Settings;

/// A problem for each that is not so, or of which nobody knows.
pub(super) fn judge(settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let assertions = &settings.assertions;
    let (tests, nevers) = (assertions.tests.len(), assertions.nevers.len());
    if tests + nevers == 0 {
        return;
    }
    match runner.act(|| all_judged(settings)) {
        Err(words) => findings.problem("tests", words),
        Ok(all) => {
            let mut good = true;
            for judged in all {
                if let Err(words) = judged.result {
                    good = false;
                    findings.problem(&judged.what, words);
                }
            }
            if good {
                findings.ok("tests", format!("{}, {}: all hold", counted(tests, "test"), counted(nevers, "never")));
            }
        }
    }
}
