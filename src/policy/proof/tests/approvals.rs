//! What an approval of one account does to rules that give another one.

use super::*;

const RULES: &str = r#"
[[map]]
when = {  }
run_as = "{gitlab_user}"
approved_by = ["p", "q"]
[[map]]
when = { user = ["ada", "bob"] }
run_as = "ada"
approved_by = "p"
"#;

#[test]
fn who_has_approved_an_account_has_not_approved_the_one_that_an_earlier_rule_gives() {
    let rules = rules_of(RULES);
    let proofs = Proofs::new(&rules, ForeignCode::Allow, JOB_API, &OneTable).expect("decided");
    let ways = proofs.ways(&[pattern("ada")]).expect("decided");
    let who: Vec<&Who> = ways.iter().map(|way| &way.who).collect();
    // Ada has her own account by the first rule, whoever of the two has approved it; bob has hers by the second.
    assert_eq!(who, [&Who::Logins(vec!["ada".to_owned()]), &Who::Logins(vec!["bob".to_owned()])]);
    assert_eq!(ways[1].example.approved_by.as_deref(), Some("p"));
}

#[test]
fn an_approval_of_the_same_account_by_the_same_person_lets_the_earlier_rule_decide() {
    let text = "[[map]]\nwhen = {}\nrun_as = \"svc\"\napproved_by = \"p\"\n";
    let rules = rules_of(&text.repeat(2));
    let proofs = Proofs::new(&rules, ForeignCode::Allow, JOB_API, &OneTable).expect("decided");
    assert_eq!(proofs.ways(&[pattern("svc")]).expect("decided").len(), 1);
    // Who may approve besides makes it another way.
    let rules = rules_of(&format!("{text}{}", text.replace("\"p\"", "[\"p\", \"q\"]")));
    let proofs = Proofs::new(&rules, ForeignCode::Allow, JOB_API, &OneTable).expect("decided");
    let ways = proofs.ways(&[pattern("svc")]).expect("decided");
    assert_eq!(ways.len(), 2);
    assert_eq!(ways[1].example.approved_by.as_deref(), Some("q"));
}
