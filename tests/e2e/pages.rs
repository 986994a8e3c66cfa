//! What people read and type first: the demo, the man pages, the README, the sample configuration.

use std::process::{Command, Stdio};

use std::fs;
use std::path::{Path, PathBuf};

use crate::examples::PAGES;
use crate::world::{World, cases, is_root};

cases!(
    fn the_demo_runs_a_job_and_verifies_its_token() {
        let world = World::one_user().build();
        let output = world.as_driver(&world.bins.join("motmot")).arg("demo").current_dir("/").output().expect("demo");
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words}\n{}", String::from_utf8_lossy(&output.stderr));
        for part in ["\"hpc\"", "\"executor_stage\": \"build_script\"", "[MASKED]", "after_script"] {
            assert!(words.contains(part), "{part} in {words}");
        }
        assert!(words.trim_end().ends_with("token verified"), "{words}");
        if is_root() {
            let output = Command::new(world.bins.join("motmot")).arg("demo").output().expect("demo");
            let words = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{words}\n{}", String::from_utf8_lossy(&output.stderr));
            assert!(
                words.contains("uid=65534") && words.trim_end().ends_with("token verified"),
                "as root it changes user: {words}"
            );
        }
    },
    fn the_man_pages_are_true() {
        let dir = file("packaging/man");
        for page in motmot::man_pages() {
            let name = format!("{}.{}", page.name, page.section);
            let mut text = Vec::new();
            if let Some(command) = page.command {
                clap_mangen::Man::new(command)
                    .title(page.name)
                    .section(page.section)
                    .date(motmot::MAN_PAGES_OF)
                    .source(concat!("motmot ", env!("CARGO_PKG_VERSION")))
                    .manual("motmot")
                    .render(&mut text)
                    .expect("rendered");
            }
            let page = String::from_utf8(text).expect("text") + &page.more;
            let path = dir.join(&name);
            if std::env::var_os("MOTMOT_WRITE_MAN_PAGES").is_some() {
                fs::create_dir_all(&dir).expect("packaging/man");
                fs::write(&path, &page).expect("written");
            }
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                kept == page,
                "packaging/man/{name} is out of date; write it anew with MOTMOT_WRITE_MAN_PAGES=1 cargo test --test e2e -- man_pages"
            );
        }
    },
    fn a_verb_that_reads_no_configuration_names_none_and_an_empty_name_is_told_with_its_variable() {
        let world = World::one_user().build();
        let run = |program: &str, words: &[&str]| {
            let output =
                Command::new(world.bins.join(program)).args(words).env("MOTMOT_CONFIG", "").output().expect("runs");
            (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        };
        for verb in ["demo", "verify", "completions"] {
            let (good, words) = run("motmot", &[verb, "--help"]);
            assert!(good && !words.contains("--config") && !words.contains("MOTMOT_CONFIG"), "{verb}: {words}");
        }
        assert!(run("motmot", &["check", "--help"]).1.contains("MOTMOT_CONFIG"));
        for (program, words) in [("motmot", &["check"] as &[&str]), ("motmot-config", &[]), ("motmot", &["--config="])]
        {
            let (good, told) = run(program, words);
            assert!(
                !good && told.contains("MOTMOT_CONFIG") && told.contains("is empty"),
                "{program} {words:?}: {told}"
            );
        }
    },
    fn every_program_and_verb_has_help() {
        let world = World::one_user().build();
        let run = |program: &str, words: &[&str]| {
            let output = Command::new(world.bins.join(program)).args(words).output().expect(program);
            assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        for program in ["motmot", "motmot-config", "motmot-prepare", "motmot-run", "motmot-cleanup", "motmot-worker"] {
            assert!(run(program, &["--help"]).contains(program.trim_end_matches("-worker")), "{program}");
            assert!(run(program, &["--version"]).contains(env!("CARGO_PKG_VERSION")), "{program}");
        }
        for verb in ["demo", "check", "simulate", "reap", "keys", "jwks", "verify", "completions"] {
            assert_eq!(run("motmot", &["help", verb]), run("motmot", &[verb, "--help"]));
        }
        assert!(run("motmot", &["help", "keys", "init"]).contains("--dir"));
        for shell in ["bash", "zsh", "fish"] {
            let script = run("motmot", &["completions", shell]);
            assert!(script.contains("motmot") && script.contains("runner-account"), "{shell}");
        }
    },
    fn an_answer_that_cannot_be_written_is_an_error_and_a_reader_that_has_gone_is_none() {
        let world = World::one_user().build();
        let keys = world.keys();
        let dir = keys.to_str().expect("UTF-8");
        for words in [
            &["--help"][..],
            &["help", "check"],
            &["completions", "zsh"],
            &["jwks", "--dir", dir],
            &["keys", "list", "--dir", dir],
            &["check", "--offline"],
            &["check", "--offline", "--json"],
            &["demo"],
            &["simulate", "--script", "true", "--user", &world.user.name],
        ] {
            let command = || {
                let mut command = world.as_driver(&world.bins.join("motmot"));
                command
                    .arg("--config")
                    .arg(world.config_file())
                    .args(words)
                    .stderr(Stdio::piped())
                    .stdin(Stdio::null());
                command
            };
            let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
            let output = command().stdout(full).output().expect("motmot");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains("No space left"), "{words:?}: {said}");
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            let output = command().stdout(writer).output().expect("motmot");
            assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        for program in ["motmot-config", "motmot-prepare", "motmot-run", "motmot-cleanup", "motmot-worker"] {
            for word in ["--help", "--version"] {
                let run = |output: Stdio| {
                    let mut command = Command::new(world.bins.join(program));
                    command.arg(word).stdout(output).stderr(Stdio::null()).status().expect(program)
                };
                let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
                assert!(!run(full.into()).success(), "{program} {word}");
                let (reader, writer) = std::io::pipe().expect("a pipe");
                drop(reader);
                assert!(run(writer.into()).success(), "{program} {word}");
            }
        }
    },
    fn keys_that_are_there_already_have_an_exit_code_of_their_own() {
        let world = World::one_user().build();
        let dir = world.dir.join("state/new-keys");
        let init = || {
            let mut command = world.as_driver(&world.bins.join("motmot"));
            command.args(["keys", "init", "--dir"]).arg(&dir).output().expect("motmot").status.code()
        };
        assert_eq!((init(), init()), (Some(0), Some(8)));
    },
    fn root_is_told_as_whom_to_look_at_the_keys_of_an_ordinary_runner(root: Root) {
        let world = World::with_capabilities(root).build();
        let name = &world.runner.as_ref().expect("a runner").name;
        let dir = world.keys();
        for verb in [&["keys", "list"][..], &["jwks"], &["keys", "init"]] {
            let run = |mut command: Command| command.args(verb).arg("--dir").arg(&dir).output().expect("motmot");
            let output = run(Command::new(world.bins.join("motmot")));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let advice =
                format!("{} {} --dir {}\n", world.bins.join("motmot").display(), verb.join(" "), dir.display());
            assert!(said.contains(&format!("belongs to {name}, and this runs as root")), "{verb:?}: {said}");
            assert!(said.ends_with(&format!("run it as that account: runuser -u {name} -- {advice}")), "{said}");
            assert!(!said.contains("chown") && output.status.code() == Some(7), "{said}");
            let followed = run(world.as_driver(&world.bins.join("motmot")));
            let wanted = if verb == ["keys", "init"] { 8 } else { 0 };
            assert_eq!(followed.status.code(), Some(wanted), "{}", String::from_utf8_lossy(&followed.stderr));
        }
    },
    fn the_readme_has_its_two_commands() {
        let text = read("README.md");
        assert!(text.contains("cargo run --release --bin motmot -- demo"));
        assert!(text.contains("bash tests/run.sh"));
    },
    fn the_messages_that_the_page_on_slurm_explains_are_those_of_the_driver() {
        let mut sources = read("executor-scripts/batch.bash") + &read("executor-scripts/launcher.bash");
        for dir in ["src/launch", "src/order", "src/scheduler", "src/stage", "src/sys", "src/worker"] {
            gather(&file(dir), &mut sources);
        }
        let page = read("packaging/doc/slurm.md");
        let (_, page) = page.split_once("\n# What this message means\n").expect("the section");
        let mut count = 0;
        for row in page.lines().filter(|line| line.starts_with("| `")) {
            let (cell, _) = row[2..].split_once(" | ").expect("a second column");
            for message in code_spans(cell) {
                // The name of the scheduler is a variable in the sources, and so is what stands as dots here.
                let parts: Vec<&str> =
                    message.trim_start_matches("motmot: ").split("...").flat_map(|p| p.split("Slurm")).collect();
                assert!(parts.iter().any(|part| part.trim().len() >= 7), "{message:?} says too little");
                for part in parts {
                    let there = sources.contains(part) || there_in_pieces(&sources, part);
                    assert!(there, "{part:?} of {message:?} is in no source any more; see packaging/doc/slurm.md");
                }
                count += 1;
            }
        }
        assert!(count > 60, "{count} messages");
    },
    fn links_between_pages_lead_somewhere() {
        for page in PAGES.iter().chain(&["CHANGELOG.md"]) {
            let text = read(page);
            for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if target.contains("://") {
                    continue;
                }
                let (name, section) = target.split_once('#').unwrap_or((target, ""));
                let to =
                    if name.is_empty() { file(page) } else { file(page).parent().expect("a directory").join(name) };
                assert!(to.exists(), "{page}: {target} is not there");
                if !section.is_empty() {
                    let there = fs::read_to_string(&to).expect("a page");
                    let found = there.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == section);
                    assert!(found, "{page}: {target} has no such section");
                }
            }
        }
    }
);

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Whether all clauses of it are there. What an author can do about it is advice of the scheduler's own room; the names of
/// settings and options in a clause may be variables, too.
fn there_in_pieces(sources: &str, part: &str) -> bool {
    part.split("; ").all(|clause| {
        let named = |word: &&str| word.starts_with("slurm.") || word.starts_with("--");
        match clause.split([' ', ',', '(', ')']).find(named) {
            _ if sources.contains(clause) => true,
            Some(name) => {
                let (before, behind) = clause.split_once(name).expect("found in it");
                sources.contains(name.trim_start_matches("slurm."))
                    && sources.contains(before)
                    && sources.contains(behind)
            }
            None => false,
        }
    })
}

/// What stands between one or more backticks.
fn code_spans(mut text: &str) -> Vec<String> {
    let mut spans = Vec::new();
    while let Some(at) = text.find('`') {
        let ticks = text[at..].bytes().take_while(|byte| *byte == b'`').count();
        let (mark, rest) = text[at..].split_at(ticks);
        let end = rest.find(mark).unwrap_or_else(|| panic!("{mark} is not closed in {text:?}"));
        spans.push(rest[..end].to_owned());
        text = &rest[end + ticks..];
    }
    spans
}

/// All sources below a directory, without their tests.
fn gather(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).expect("sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                gather(&path, text);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let source = fs::read_to_string(&path).expect("a source");
            text.push_str(source.split("#[cfg(test)]").next().unwrap_or_default());
        }
    }
}

/// The name that a heading has in links.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}
