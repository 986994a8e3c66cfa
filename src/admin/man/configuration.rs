//! The page of the configuration file, motmot-config.toml(5): made of what the rooms declare beside their readers, so that it
//! has what the driver reads and no more.

use std::fmt::Write;

use super::DATE;
use crate::config::manual::{Bounds, Case, Header, Key, Program, Takes, Unset};
use crate::settings::manual::{Documented, INCLUDE, sections};

/// Its name. A page motmot-config would be taken for that of the program.
pub(super) const NAME: &str = "motmot-config.toml";

const BEGINNING: &str = "\
.SH NAME
motmot-config.toml - the configuration of motmot, a GitLab Runner custom executor
.SH SYNOPSIS
.I /etc/motmot/config.toml
.SH DESCRIPTION
A file in TOML, which the stages and motmot(1) read. MOTMOT_CONFIG or \\fB--config\\fR names another one. It must be owned by root, and \
nobody else may write to it; for one user's own runner it may be owned by that user. Unknown keys are errors, and all that is wrong is told \
at once with file, line and column. motmot-check(1) reads it exactly as the stages do. A change holds for the next stage of any job, \
without a restart of gitlab-runner.
.PP
A span of time is written like \"90s\", \"5m\" or \"1h 30m\", and is never zero. Each key says which programs act by it; all of them judge \
the whole file.
";

const END: &str = "\
.SH EXAMPLES
.nf
[gitlab]
url = \"https://gitlab.example.com\"

[token]
issuer = \"https://ci.hpc.example\"
audience = \"https://hpc.example\"

[[map]]
name = \"Arthur has another name here\"
when = { user = \"adent\", user_id = 42 }
run_as = \"arthur\"
.fi
.SH FILES
.TP
.I /etc/motmot/config.toml
The file. A sample with every key is packaging/config.toml of the sources.
.SH \"SEE ALSO\"
motmot(1), motmot-check(1), motmot-simulate(1), motmot-stages(8)
";

/// The whole page.
pub(super) fn page() -> String {
    let mut roff = String::from(BEGINNING);
    roff += ".SH \"ABOVE ALL SECTIONS\"\n";
    write_key(&mut roff, &INCLUDE);
    for section in sections() {
        write_section(&mut roff, &section);
    }
    roff += END;
    let roff = super::typed_as_shown(&roff);
    format!(".TH {NAME} 5 {DATE} \"motmot {}\" motmot\n{roff}", env!("CARGO_PKG_VERSION"))
}

fn write_section(roff: &mut String, section: &Documented) {
    let header = match section.header {
        Header::Table => format!("[{}]", section.section),
        Header::Tables => format!("[[{}]]", section.section),
        Header::Inline => match section.section.rsplit_once('.') {
            Some((table, key)) => format!("[[{table}]], {key} = {{ ... }}"),
            None => section.section.to_owned(),
        },
    };
    let _ = writeln!(roff, ".SH \"{}\"", header.replace('"', "\\(dq")); // into a string: cannot fail, as below
    for part in section.parts.iter().filter(|part| !part.says.is_empty()) {
        let _ = writeln!(roff, "{}", line(part.says));
    }
    for part in &section.parts {
        let _ = writeln!(roff, ".\\\" {}", part.file); // a comment: where to change what follows
        part.keys.iter().for_each(|key| write_key(roff, key));
    }
}

fn write_key(roff: &mut String, key: &Key) {
    let name = if key.name.is_empty() { "NAME" } else { key.name };
    let _ = writeln!(roff, ".TP\n.B {name}\n{}", line(key.says));
    let _ = writeln!(roff, ".br\nType: {}.", line(&takes(key.takes)));
    let _ = writeln!(roff, ".br\n{}", line(&unset(key.unset)));
    if !key.example.is_empty() {
        let example = match key.name {
            // Of a section that is one table: its first line.
            "" => key.example.trim_matches(['{', '}', ' ']).to_owned(),
            name => format!("{name} = {}", key.example),
        };
        let _ = writeln!(roff, ".br\nExample: {}", line(&example));
    }
    let _ = writeln!(roff, ".br\nUsed by: {}.", line(&programs(key.used_by)));
}

/// A backslash is roff's own, and so are a full stop and an apostrophe at the beginning of a line.
fn line(text: &str) -> String {
    let text = text.replace('\\', "\\e");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn takes(takes: Takes) -> String {
    match takes {
        Takes::Text(what) => format!("a string: {what}"),
        Takes::Word(_) | Takes::MadeWord(_) => {
            let words: Vec<String> = takes.words().iter().map(|word| format!("{word:?}")).collect();
            match words.as_slice() {
                [word] => format!("{word}, the only value"),
                _ => words.join(" or "),
            }
        }
        Takes::Boolean => "true or false".to_owned(),
        Takes::Number(unit, bounds) => format!("a whole number, unit: {unit}{}", within(bounds)),
        Takes::Time(bounds) => format!("a span of time{}", within(bounds)),
        Takes::Texts(what) => format!("a list of strings: {what}"),
        Takes::OneOrMore(what) => format!("a string, or a list of strings: {what}"),
        Takes::OneOrMoreNumbers(what) => format!("a whole number, or a list of them: {what}"),
        Takes::TextTable(what) => format!("a table: names of {what}, and strings"),
        Takes::NumberTable(what) => format!("a table: names of {what}, and whole numbers"),
        Takes::TextsTable(names, values) => format!("names of {names}, and lists of strings: {values}"),
    }
}

fn within(bounds: Bounds) -> String {
    match (bounds.least, bounds.most) {
        (None, None) => String::new(),
        (Some(least), None) => format!(", {least} or more"),
        (None, Some(most)) => format!(", {most} or less"),
        (Some(least), Some(most)) => format!(", {least} to {most}"),
    }
}

fn unset(unset: Unset) -> String {
    match unset {
        Unset::Required => "Required.".to_owned(),
        Unset::Is(value) => format!("Default: {value}"),
        Unset::Made(value) => format!("Default: {}", value()),
        Unset::Depends(cases) => {
            let one = |(lines, value): Case| match lines.as_slice() {
                [] => format!("Default: {value}"),
                lines => format!("with {}: {value}", lines.join(" and ")),
            };
            cases().into_iter().map(one).collect::<Vec<_>>().join("; ")
        }
        Unset::Means(words) => format!("Without it: {words}"),
    }
}

fn programs(programs: &[Program]) -> String {
    programs.iter().map(|program| program.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_program_that_uses_a_key_has_a_page() {
        let stages = crate::admin::command_line::man_pages();
        let pages: BTreeSet<&str> = stages.iter().map(|page| page.name.as_str()).collect();
        for program in sections().iter().flat_map(|s| &s.parts).flat_map(|part| part.keys).flat_map(|key| key.used_by) {
            let page = match program {
                Program::Config | Program::Prepare | Program::Run | Program::Cleanup => "motmot-stages".to_owned(),
                verb => verb.name().replace(' ', "-"),
            };
            assert!(pages.contains(page.as_str()), "{page}");
        }
    }

    #[test]
    fn the_example_is_valid() {
        let example = END.split(".nf\n").nth(1).and_then(|rest| rest.split(".fi\n").next()).expect("an example");
        crate::settings::Settings::parse(std::path::Path::new("example"), example).expect("valid");
    }

    #[test]
    fn every_section_and_key_is_in_the_page_with_its_words() {
        let page = page().replace("\\-", "-").replace("\\(aq", "'").replace("\\(ti", "~");
        for key in sections().iter().flat_map(|section| &section.parts).flat_map(|part| part.keys) {
            let name = if key.name.is_empty() { "NAME" } else { key.name };
            assert!(page.contains(&format!("\n.TP\n.B {name}\n{}\n", key.says)), "{name}");
            assert!(!key.says.is_empty() && !key.used_by.is_empty(), "{}", key.name);
        }
        assert!(page.contains(".SH \"[slurm.limits]\"") && page.contains(".SH \"[[map]], when = { ... }\""), "{page}");
    }
}
