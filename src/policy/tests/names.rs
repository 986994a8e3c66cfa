//! Names that are written so that they are taken for others, and names that have changed hands.

use super::*;

const OWN: Mode = Mode::ChangeUser { own: Uid::from_raw(1009) };

/// Of a name that a rule knows: what somebody may call himself instead.
fn like(name: &str) -> Vec<String> {
    let cyrillic = name.replace(['a', 'e'], "\u{430}");
    let mut all = vec![name.to_uppercase(), cyrillic, format!("{name}\u{200b}"), format!("\u{202e}{name}")];
    let (first, rest) = name.split_at(1);
    all.push(first.to_uppercase() + rest);
    for sign in ["\n", "\0", " ", "/", "/..", "/.", "%00", "\r", "\t"] {
        all.push(format!("{name}{sign}"));
        all.push(format!("{sign}{name}"));
    }
    all.push(format!("../{name}"));
    all.push(format!("{name}\nroot"));
    all
}

#[test]
fn a_user_whose_login_only_looks_like_another_has_neither_his_rule_nor_his_account() {
    let by_rule = "[[map]]\nwhen = { user = \"adent\" }\nrun_as = \"arthur\"\n";
    assert_eq!(decide_for("adent", by_rule).expect("himself").account().name(), "arthur");
    for name in like("adent") {
        for config in [by_rule, SAME_NAME] {
            let error = decide_for(&name, config).expect_err(&name);
            assert!(error.is_refusal(), "{name:?}: {error}");
        }
    }
}

#[test]
fn a_project_whose_path_only_looks_like_another_has_none_of_its_rules() {
    let config = "[[map]]\nwhen = { project = [\"climate/model\", \"ocean/*\"] }\nrun_as = \"arthur\"\n";
    let run = |path: &str| decide_with(OWN, config, |facts| facts["project_path"] = path.into());
    assert!(run("climate/model").is_ok() && run("ocean/waves").is_ok());
    for path in like("climate/model") {
        assert!(run(&path).is_err(), "{path:?}");
    }
    for path in [
        "climate//model",
        "climate/../climate/model",
        "Ocean/waves",
        "ocean/a/b",
        "ocean",
        "x/ocean/waves",
        "oc\u{435}an/waves",
    ] {
        assert!(run(path).is_err(), "{path:?}");
    }
}

#[test]
fn who_has_taken_a_trusted_name_or_path_has_not_taken_the_number_that_a_rule_names_beside_it() {
    let config = "[[map]]\nwhen = { project = \"climate/model\", project_id = 22 }\nrun_as = \"ford\"\n[[map]]\nwhen = { user = \"adent\", user_id = 42 }\nrun_as = \"arthur\"\n";
    let run = |project_id: u64, user_id: u64| {
        let admission = decide_with(OWN, config, |facts| {
            facts["project_path"] = "climate/model".into();
            facts["project_id"] = project_id.into();
            facts["user_login"] = "adent".into();
            facts["user_id"] = user_id.into();
        });
        admission.map(|admission| admission.account().name().to_owned()).ok()
    };
    assert_eq!(run(22, 43).as_deref(), Some("ford"));
    assert_eq!(run(23, 42).as_deref(), Some("arthur"));
    // Renamed onto both.
    assert_eq!(run(23, 43), None);
}
