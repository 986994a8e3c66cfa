//! What somebody can do to others who may install approvals, too.

use std::cell::Cell;

use super::*;
use crate::approval::document::{MAX_ARMOR, MAX_BYTES, MOST};

fn install(site: &Site, approval: &Approval) -> Result<(), store::StoreError> {
    store::install(site.kept(), approval, Owner::RootOrSelf, Timestamp::now()).map(drop)
}

#[test]
fn what_ssh_keygen_would_not_read_is_no_signature_so_nobody_makes_one_longer_than_can_be_kept() {
    let site = Site::new();
    let good = signed(&site.key, ordinary()).text();
    let begin = "-----BEGIN SSH SIGNATURE-----\n";
    for filler in ["-----x\n".repeat(6000), format!("-----{}\n", "x".repeat(40_000)), format!("{begin}{begin}")] {
        let padded = good.replacen(begin, &format!("{begin}{filler}"), 1);
        assert!(Approval::parse_all(&padded).is_err() && padded.len() < MAX_BYTES, "{filler:.20}");
        assert_eq!(site.refused(&[&padded]), Unapproved::Form, "{filler:.20}");
    }
    let long = format!("{begin}{}", "A".repeat(MAX_ARMOR));
    assert!(Approval::parse_all(&good.replacen(begin, &long, 1)).is_err());
}

#[test]
fn as_many_approvals_as_are_kept_together_can_be_read_again_however_long_they_are() {
    let long = |text: &str| format!("{text}{}", "a".repeat(256 - text.len()));
    let subject = Subject::new(&url(&long("https://h/")), u64::MAX, &SHA.repeat(2)[..64], &long("a"));
    let statement = Statement::new(subject.expect("a subject"), Timestamp::MAX);
    assert!(MOST * (statement.message().len() + MAX_ARMOR) <= MAX_BYTES);
}

#[test]
fn an_approver_replaces_what_he_has_said_before_and_fills_no_place_of_others() {
    let site = Site::new();
    for hours in 24..=60 {
        install(&site, &signed(&site.other, statement(GITLAB, 22, SHA, "svc-climate", hours))).expect("installed");
    }
    let good = signed(&site.key, ordinary());
    install(&site, &good).expect("there is room for others");
    let [(_, kept)] = store::list(site.kept(), Owner::RootOrSelf).expect("listed").try_into().expect("one file");
    let [others, own] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!((others.statement().not_after().as_second(), own), (in_hours(60).as_second(), &good));
    assert!(site.ask(&[]).expect("judged").is_ok());
}

#[test]
fn the_variables_of_a_job_are_looked_through_once_however_many_rules_ask() {
    let (site, gitlab, looks) = (Site::new(), url(GITLAB), Cell::new(0));
    let variable = |_: &str| {
        looks.set(looks.get() + 1);
        vec!["x".to_owned()]
    };
    let evidence = Evidence::new(&site.settings, &gitlab, Owner::RootOrSelf, variable);
    for account in ["svc-climate", "svc-weather", "arthur"] {
        let judged = evidence
            .approver(Asked { project_id: 22, sha: Some(SHA), account, wanted: &["maintainers".to_owned()] })
            .expect("judged");
        assert_eq!(judged, Err(Unapproved::Form));
    }
    assert_eq!(looks.get(), 1);
}
