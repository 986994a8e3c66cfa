//! The man pages: which there are, and what they say besides the options.
//!
//! The options come from the command line itself. The rest is roff, kept here; a test renders both together.

mod configuration;
mod words;

use std::fmt::Write;

use clap::Command;
use clap::builder::Resettable;

use self::words::{CONFIG_FILE, WORDS, Words};

/// One man page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its name, such as `motmot-check`.
    pub name: String,
    /// Its section of the manual.
    pub section: &'static str,
    /// The command that it describes, built; a page of a file has none.
    pub command: Option<Command>,
    /// The sections that follow, as roff; without a command all of it.
    pub more: String,
}

const ENVIRONMENT: &str = "\
.SH ENVIRONMENT
.TP
.B MOTMOT_CONFIG
The configuration file, where \\fB--config\\fR is not given.
";

/// The day of the pages: that of the last change to what they say, for `.TH`. Not the day of a build, which would make each
/// build another one.
pub const DATE: &str = "2026-11-27";

/// What gitlab-runner sets for the stages.
const RUNNER_ENVIRONMENT: &str = "\
.TP
.B JOB_RESPONSE_FILE
From gitlab-runner: the job.
.TP
.BR BUILD_FAILURE_EXIT_CODE \", \" SYSTEM_FAILURE_EXIT_CODE \", \" BUILD_EXIT_CODE_FILE
From gitlab-runner: how a stage tells the way it ended.
";

/// All pages, for the program and the command line of the stages.
pub(super) fn pages(program: Command, stages: Command) -> Vec<Page> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add(&mut pages, &program);
    let mut stages = stages
        .display_name("motmot-config, motmot-prepare, motmot-run, motmot-cleanup")
        .about("the stages of motmot, a GitLab Runner custom executor")
        .mut_arg("rest", |rest| rest.hide(true));
    stages.build();
    pages.push(page("motmot-stages".to_owned(), "8", stages));
    let (name, more) = (configuration::NAME.to_owned(), configuration::page());
    pages.push(Page { name, section: "5", command: None, more });
    pages
}

fn add(pages: &mut Vec<Page>, command: &Command) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    pages.push(page(name, "1", command.clone()));
    for verb in command.get_subcommands() {
        add(pages, verb);
    }
}

fn page(name: String, section: &'static str, command: Command) -> Page {
    // The exit codes have a section here, and the version is in the footer.
    let mut command = command.after_help(Resettable::Reset).version(Resettable::Reset);
    let mut more = String::new();
    if let Some(words) = WORDS.iter().find(|words| words.name == name) {
        command = command.override_usage(words.usage).long_about(words.description);
        more = words.sections();
    }
    Page { name, section, command: Some(command), more }
}

impl Words {
    fn sections(&self) -> String {
        let mut roff = format!(".SH EXAMPLES\n.nf\n{}\n.fi\n.SH \"EXIT STATUS\"\n", self.examples.join("\n"));
        for (code, meaning) in self.exit {
            let _ = write!(roff, ".TP\n.B {code}\n{meaning}\n"); // into a string: cannot fail
        }
        if self.files.contains(&CONFIG_FILE) {
            roff += ENVIRONMENT;
        }
        if self.name == "motmot-stages" {
            roff += RUNNER_ENVIRONMENT;
        }
        if !self.files.is_empty() {
            roff += ".SH FILES\n";
            roff.extend(self.files.iter().copied());
        }
        let _ = write!(roff, ".SH \"SEE ALSO\"\n{}\n", self.see_also);
        typed_as_shown(&roff)
    }
}

/// Neither a hyphen nor a quotation mark of the printer's.
fn typed_as_shown(roff: &str) -> String {
    roff.replace('-', "\\-").replace('~', "\\(ti").replace('\'', "\\(aq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_words_and_all_words_have_a_page() {
        let pages = crate::admin::command_line::man_pages();
        assert!(pages.iter().all(|page| !page.more.is_empty()), "a page without words");
        assert_eq!(pages.len(), WORDS.len() + 1, "and that of the configuration");
    }
}
