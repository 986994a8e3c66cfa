//! What people read and type first: the demo, the man pages, the README, the sample configuration.

use std::fs;
use std::path::Path;

use crate::world::World;
use crate::{Case, case};

pub const CASES: &[Case] = &[
    case("the_demo_runs_a_job_and_verifies_its_token", demo),
    case("the_sample_configuration_is_valid", sample),
    case("the_man_pages_are_true", man_pages),
    case("the_readme_has_its_two_commands", readme),
];

fn demo() {
    let world = World::one_user();
    let output = world.as_driver(&world.bins.join("motmot")).arg("demo").current_dir("/").output().expect("demo");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in ["\"hpc\"", "\"executor_stage\": \"build_script\"", "[MASKED]", "after_script"] {
        assert!(words.contains(part), "{part} in {words}");
    }
    assert!(words.trim_end().ends_with("token verified"), "{words}");
    if crate::world::is_root() {
        let output = std::process::Command::new(world.bins.join("motmot")).arg("demo").output().expect("demo");
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(
            words.contains("uid=65534") && words.trim_end().ends_with("token verified"),
            "as root it changes user: {words}"
        );
    }
}

fn sample() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/config.toml");
    let text = fs::read_to_string(&path).expect("the sample");
    motmot::config::Settings::parse(&path, &text).unwrap_or_else(|error| panic!("{}", error.render()));
    // What is commented out has to be valid, too.
    let all: String = text.lines().flat_map(|line| [line.strip_prefix("#: ").unwrap_or(line), "\n"]).collect();
    motmot::config::Settings::parse(&path, &all).unwrap_or_else(|error| panic!("{}", error.render()));
}

fn man_pages() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man");
    for page in motmot::admin::command_line::man_pages() {
        let name = format!("{}.{}", page.name, page.section);
        let mut text = Vec::new();
        clap_mangen::Man::new(page.command)
            .title(page.name)
            .section(page.section)
            .source(concat!("motmot ", env!("CARGO_PKG_VERSION")))
            .manual("motmot")
            .render(&mut text)
            .expect("rendered");
        let page = String::from_utf8(text).expect("text") + &page.more;
        let path = dir.join(&name);
        if std::env::var_os("MOTMOT_WRITE_MAN_PAGES").is_some() {
            fs::create_dir_all(&dir).expect("packaging/man");
            fs::write(&path, &page).expect("written");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == page,
            "packaging/man/{name} is out of date; write it anew with MOTMOT_WRITE_MAN_PAGES=1 cargo test --test e2e man_pages"
        );
    }
}

fn readme() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    assert!(text.contains("cargo run --release --bin motmot -- demo"));
    assert!(text.contains("bash tests/run.sh"));
}
