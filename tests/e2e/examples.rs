//! What the pages show is valid: configurations for the driver, command lines for its programs, scripts for bash.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::world::{World, cases, chmod};

pub const PAGES: &[&str] = &[
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "tests/README.md",
    "packaging/doc/identity.md",
    "packaging/doc/operations.md",
    "packaging/doc/audit.md",
    "packaging/doc/policy.md",
    "packaging/doc/approvals.md",
    "packaging/doc/hook.md",
    "packaging/doc/slurm.md",
    "packaging/doc/attacks.md",
];

/// What a block of a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A part of the driver's configuration.
    Configuration,
    /// A part of gitlab-runner's.
    RunnerConfiguration,
    Json,
    /// A part of a `.gitlab-ci.yml`. Nothing here reads it.
    Pipeline,
    /// Rust, or a drawing.
    Other,
    Commands,
}

cases!(
    fn every_configuration_that_a_page_shows_is_valid() {
        let world = World::one_user().build();
        let mut count = 0;
        for (page, block) in blocks().filter(|(_, block)| kind(block) == Kind::Configuration) {
            for text in [block.clone(), block.replace("#: ", "")] {
                let config = world.dir.join("shown.toml");
                fs::write(&config, completed(&text)).expect("written");
                chmod(&config, 0o644);
                let mut command = Command::new(world.bins.join("motmot"));
                command.arg("--config").arg(&config).args(["check", "--offline", "--json"]);
                let output = command.output().expect("check");
                let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
                let first = &said["findings"][0];
                let valid = first["what"] == "configuration" && first["level"] == "ok";
                assert!(valid, "{page}:\n{text}\n{}", first["words"].as_str().unwrap_or_default());
                count += 1;
            }
        }
        assert!(count >= 8, "{count} configurations");
    },
    fn every_other_document_that_a_page_shows_is_one() {
        let mut count = 0;
        for (page, block) in blocks() {
            match kind(&block) {
                Kind::RunnerConfiguration => {
                    let read = block.parse::<toml::Table>();
                    assert!(read.is_ok(), "{page}:\n{block}\n{read:?}");
                }
                Kind::Json => {
                    let read = serde_json::from_str::<serde_json::Value>(&block);
                    assert!(read.is_ok(), "{page}:\n{block}\n{read:?}");
                }
                _ => continue,
            }
            count += 1;
        }
        assert!(count >= 3, "{count} documents");
    },
    fn every_command_that_a_page_shows_is_one() {
        let mut count = 0;
        for (page, block) in blocks().filter(|(_, block)| kind(block) == Kind::Commands) {
            let bash = Command::new("bash").args(["-n", "-c", &block]).stdin(Stdio::null()).output().expect("bash");
            assert!(bash.status.success(), "{page}:\n{block}\n{}", String::from_utf8_lossy(&bash.stderr));
            count += command_lines(&page, &block);
        }
        assert!(count >= 12, "{count} calls of motmot in blocks");
        for page in PAGES {
            // Also in running text: what stands between backticks.
            for span in read(page).split('`').skip(1).step_by(2).filter(|span| span.starts_with("motmot ")) {
                count += command_lines(page, &span.replace('\n', " "));
            }
        }
        assert!(count >= 30, "{count} calls of motmot with those in the text");
    },
    fn every_example_of_a_man_page_is_a_command() {
        let mut count = 0;
        for entry in fs::read_dir(file("packaging/man")).expect("pages").flatten() {
            let page = fs::read_to_string(entry.path()).expect("a page");
            let Some((_, examples)) = page.split_once(".SH EXAMPLES\n.nf\n") else { continue };
            let examples = examples.split("\n.fi").next().unwrap_or_default();
            let plain = examples.replace("\\-", "-").replace("\\(aq", "'").replace("\\(ti", "~").replace("\\e", "\\");
            count += command_lines(&entry.path().display().to_string(), &plain);
        }
        assert!(count >= 15, "{count} examples");
    }
);

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What is indented, without the indent, by its page. A blank line within belongs to it.
fn blocks() -> impl Iterator<Item = (String, String)> {
    PAGES.iter().flat_map(|page| {
        let mut found: Vec<String> = Vec::new();
        let (mut indent, mut blank) = (None, true);
        for line in read(page).lines() {
            let own = line.len() - line.trim_start().len();
            if line.trim().is_empty() {
                blank = true;
                continue;
            }
            match indent {
                Some(indent) if own >= indent => {
                    let block = found.last_mut().expect("begun");
                    *block += if blank { "\n" } else { "" };
                    block.extend([&line[indent..], "\n"]);
                }
                // What goes on in a list is indented by three.
                _ if blank && own >= 4 => {
                    indent = Some(own);
                    found.push(format!("{}\n", line.trim_start()));
                }
                _ => indent = None,
            }
            blank = false;
        }
        found.into_iter().map(|block| ((*page).to_owned(), block))
    })
}

fn kind(block: &str) -> Kind {
    const OURS: &[&str] = &[
        "[gitlab]",
        "[jobs]",
        "[token]",
        "[accounts]",
        "[slurm]",
        "[slurm.limits]",
        "[log]",
        "[[map]]",
        "[approvals]",
        "[hook]",
    ];
    const NO_SCRIPT: &[&str] = &["cases!(", "let ", "evidence ->", "# names", "%climate", "#!/usr/bin/python3"];
    let first = block.lines().next().unwrap_or_default();
    if OURS.contains(&first) {
        Kind::Configuration
    } else if first == "[[runners]]" {
        Kind::RunnerConfiguration
    } else if first == "{" {
        Kind::Json
    } else if first.ends_with(':') {
        Kind::Pipeline
    } else if NO_SCRIPT.iter().any(|beginning| first.starts_with(beginning)) {
        Kind::Other
    } else {
        Kind::Commands
    }
}

/// With what the sections need that a block is to be put into.
fn completed(block: &str) -> String {
    let mut text = block.to_owned();
    if !text.contains("[gitlab]") {
        text = format!("[gitlab]\nurl = \"https://gitlab.example.com\"\n{text}");
    }
    if !text.contains("issuer = ") {
        let token = "[token]\nissuer = \"https://ci.example\"\naudience = \"https://hpc.example\"\n";
        text = text.replace("[token]\n", token);
    }
    text
}

/// Has the program's own parser judge every call of it; how many there are.
fn command_lines(page: &str, script: &str) -> usize {
    use clap::error::ErrorKind;
    let page_of_program = motmot::man_pages().into_iter().find(|page| page.name == "motmot").expect("a page");
    let program = page_of_program.command.expect("the program");
    let ends = ["|", "||", "&&", ">", ";", "&"];
    let mut count = 0;
    for line in script.replace("\\\n", " ").lines() {
        let Some(words) = shlex::split(line) else { continue };
        let starts = |at: &usize| {
            words[*at] == "motmot" && (*at == 0 || ends.contains(&words[at - 1].as_str()) || words[at - 1] == "--")
        };
        for at in (0..words.len()).filter(starts) {
            let call = words[at..].iter().take_while(|word| !ends.contains(&word.as_str()));
            let call: Vec<&String> = call.collect();
            if let Err(error) = program.clone().try_get_matches_from(&call) {
                // The text may name a verb and leave out the rest of the line.
                let unfinished = matches!(
                    error.kind(),
                    ErrorKind::MissingRequiredArgument
                        | ErrorKind::MissingSubcommand
                        | ErrorKind::DisplayHelp
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                );
                assert!(unfinished, "{page}: {call:?}: {error}");
            }
            count += 1;
        }
    }
    count
}
