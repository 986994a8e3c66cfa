//! That a question ends soon, whatever the rules are.

use super::*;

/// More pigeons than holes: a letter in the name for each pigeon in each hole.
fn pigeons(holes: u32) -> String {
    let letter = |pigeon: u32, hole: u32| char::from_u32(0x4e00 + pigeon * holes + hole).expect("a letter");
    let other = |when: String| format!("[[map]]\nwhen = {{ {when} }}\nrun_as = \"other\"\n");
    let mut text = String::new();
    for pigeon in 0..=holes {
        let all: Vec<String> = (0..holes).map(|hole| format!("**{}**", letter(pigeon, hole))).collect();
        text += &other(format!("not = {{ project = {all:?} }}"));
    }
    for hole in 0..holes {
        for one in 0..=holes {
            for two in 0..one {
                let (one, two) = (letter(one, hole), letter(two, hole));
                text += &other(format!("project = [\"**{one}**{two}**\", \"**{two}**{one}**\"]"));
            }
        }
    }
    text + "[[map]]\nwhen = { project = \"**\" }\nrun_as = \"svc\"\n"
}

#[test]
fn rules_that_hide_a_puzzle_are_solved_or_undecided_within_seconds() {
    let ask = |holes| {
        let rules = rules_of(&pigeons(holes));
        let proofs = Proofs::new(&rules, ForeignCode::Allow, JOB_API, &OneTable).expect("few rules");
        proofs.counterexample(&[pattern("svc")], None).map(|found| found.map(|found| found.account))
    };
    // For every job there is an earlier rule, and of few of them that is found out.
    assert_eq!(ask(2), Ok(None));
    let mut last = Duration::ZERO;
    cpu(&mut last);
    assert_eq!(ask(3), Err(Undecided::TooLarge));
    let took = cpu(&mut last);
    assert!(took < Duration::from_mins(1), "{took:?}");
}
