mod keeping;
mod signing;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tempfile::TempDir;

use self::signing::{Made, TestKey, armor};
use super::settings::ApprovalSettings;
use super::*;
use crate::config::values::BaseUrl;
use crate::report::{FailureKind, Fault};
use crate::sys::files::Owner;

const GITLAB: &str = "https://gitlab.example.com";
const ISSUER: &str = "https://ci.hpc.example";
const NAMESPACE: &str = "motmot-approve@https://ci.hpc.example";
const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

fn url(text: &str) -> BaseUrl {
    BaseUrl::parse(text).expect("an address")
}

fn in_hours(hours: i64) -> Timestamp {
    // Of one moment: what a test says twice is the same.
    static NOW: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);
    *NOW + SignedDuration::from_hours(hours)
}

fn statement(gitlab: &str, project_id: u64, sha: &str, account: &str, hours: i64) -> Statement {
    Statement::new(Subject::new(&url(gitlab), project_id, sha, account).expect("a subject"), in_hours(hours))
}

fn ordinary() -> Statement {
    statement(GITLAB, 22, SHA, "svc-climate", 24)
}

fn signed(key: &TestKey, statement: Statement) -> Approval {
    let armor = key.sign(&Made::of(NAMESPACE, &statement.message()));
    Approval::new(statement, armor)
}

fn put(path: &Path, text: &str) {
    fs::write(path, text).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("chmod");
}

/// A site with its approvers, `maintainers` and `others`, and what a job brings along.
struct Site {
    dir: TempDir,
    key: TestKey,
    other: TestKey,
    settings: ApprovalSettings,
}

impl Site {
    fn new() -> Self {
        let (dir, key, other) = (tempfile::tempdir().expect("a directory"), TestKey::new(), TestKey::new());
        let root = dir.path().canonicalize().expect("a path");
        fs::create_dir(root.join("approvals")).expect("mkdir");
        // Whatever the umask is.
        fs::set_permissions(root.join("approvals"), fs::Permissions::from_mode(0o755)).expect("chmod");
        let settings = ApprovalSettings {
            allowed_signers: root.join("signers"),
            dir: Some(root.join("approvals")),
            variable: Some("APPROVAL".to_owned()),
            issuer: ISSUER.to_owned(),
        };
        let site = Self { dir, key, other, settings };
        site.write_signers(&(site.key.line("maintainers,arthur") + &site.other.line("others")));
        site
    }

    fn write_signers(&self, text: &str) {
        put(&self.settings.allowed_signers, text);
    }

    fn kept(&self) -> &Path {
        self.settings.dir.as_deref().expect("a directory")
    }

    fn keep(&self, approval: &Approval) -> std::path::PathBuf {
        store::install(self.kept(), approval, Owner::RootOrSelf, Timestamp::now()).expect("installed")
    }

    /// What comes of the ordinary job.
    fn ask(&self, values: &[&str]) -> Result<Result<Approver, Unapproved>, ApprovalError> {
        self.ask_about(GITLAB, 22, Some(SHA), "svc-climate", values)
    }

    fn ask_about(
        &self,
        gitlab: &str,
        project_id: u64,
        sha: Option<&str>,
        account: &str,
        values: &[&str],
    ) -> Result<Result<Approver, Unapproved>, ApprovalError> {
        let gitlab = url(gitlab);
        let variable = |name: &str| {
            assert_eq!(name, "APPROVAL");
            values.iter().map(|value| (*value).to_owned()).collect()
        };
        let wanted = &["maintainers".to_owned(), "managers".to_owned()];
        let asked = Asked { project_id, sha, account, wanted };
        Evidence::new(&self.settings, &gitlab, Owner::RootOrSelf, variable).approver(asked)
    }

    fn refused(&self, values: &[&str]) -> Unapproved {
        self.ask(values).expect("judged").expect_err("not approved")
    }
}

#[test]
fn an_approval_counts_in_the_directory_and_in_the_variable_and_says_whose_it_is() {
    let site = Site::new();
    assert_eq!(site.refused(&[]), Unapproved::Nothing);
    let approval = signed(&site.key, ordinary());
    let by_variable = site.ask(&[&approval.text()]).expect("judged").expect("approved");
    assert_eq!(by_variable.principal(), "maintainers");
    assert!(by_variable.key().starts_with("SHA256:"), "{by_variable:?}");
    // As a form in a browser hands it on.
    let by_browser = approval.text().replace('\n', "\r\n");
    assert_eq!(site.ask(&[by_browser.trim_end()]).expect("judged").as_ref(), Ok(&by_variable));
    site.keep(&approval);
    assert_eq!(site.ask(&[]).expect("judged"), Ok(by_variable));
    let message = ordinary().message();
    let text = format!("{message}{}", site.key.sign(&Made { hash: "sha256", ..Made::of(NAMESPACE, &message) }));
    assert!(site.ask(&[&text]).expect("judged").is_ok());
}

#[test]
fn an_approval_is_for_one_commit_of_one_project_of_one_gitlab_as_one_account() {
    let site = Site::new();
    let (text, other_sha) = (signed(&site.key, ordinary()).text(), SHA.replace('0', "1"));
    site.keep(&signed(&site.key, ordinary()));
    for (gitlab, project, sha, account, why) in [
        ("https://gitlab.example.org", 22, SHA, "svc-climate", Unapproved::OtherGitLab),
        (GITLAB, 23, SHA, "svc-climate", Unapproved::OtherProject),
        (GITLAB, 22, other_sha.as_str(), "svc-climate", Unapproved::OtherCommit),
        (GITLAB, 22, SHA, "svc-climate2", Unapproved::OtherAccount),
        (GITLAB, 22, SHA, "Svc-climate", Unapproved::OtherAccount),
    ] {
        let asked = |values: &[&str]| site.ask_about(gitlab, project, Some(sha), account, values).expect("judged");
        assert_eq!(asked(&[&text]), Err(why));
        // Nor is what is kept found under another's name; and under a wrong name it is for what it says.
        assert_eq!(asked(&[]), Err(Unapproved::Nothing));
        let name = Subject::new(&url(gitlab), project, sha, account).expect("a subject").digest();
        put(&site.kept().join(name), &text);
        assert_eq!(asked(&[]), Err(why));
    }
    for sha in [None, Some(""), Some("main"), Some(&SHA[..12]), Some(&*SHA.to_uppercase())] {
        let asked = site.ask_about(GITLAB, 22, sha, "svc-climate", &[&text]).expect("judged");
        assert_eq!(asked, Err(Unapproved::NoSubject), "{sha:?}");
    }
}

#[test]
fn an_approval_that_is_over_or_for_ever_does_not_count() {
    let site = Site::new();
    for (hours, why) in [(-1, Unapproved::Expired), (24 * 367, Unapproved::TooLong)] {
        let approval = signed(&site.key, statement(GITLAB, 22, SHA, "svc-climate", hours));
        assert_eq!(site.refused(&[&approval.text()]), why);
    }
    // To the second.
    let approval = signed(&site.key, ordinary());
    let signers = load_signers(&site.settings, Owner::RootOrSelf).expect("keys");
    let at = |now| judge(&approval, approval.statement().subject(), NAMESPACE, &signers, &["arthur".to_owned()], now);
    let until = approval.statement().not_after();
    assert!(at(until).is_ok());
    assert_eq!(at(until + SignedDuration::from_secs(1)), Err(Unapproved::Expired));
}

#[test]
fn a_signature_for_something_else_is_no_approval() {
    let site = Site::new();
    for made_for in [
        "git",
        "file",
        "motmot-approve",
        "motmot-approve@https://ci.hpc.example.org",
        "MOTMOT-APPROVE@https://ci.hpc.example",
    ] {
        let message = ordinary().message();
        let text = format!("{message}{}", site.key.sign(&Made::of(made_for, &message)));
        assert_eq!(site.refused(&[&text]), Unapproved::Namespace, "{made_for}");
    }
    // The right words about the wrong thing: of another statement, of a beginning, of two lines.
    let other = statement(GITLAB, 22, SHA, "svc-climate", 48).message();
    for message in [other.clone(), ordinary().message().trim_end().to_owned(), ordinary().message() + &other] {
        let text = format!("{}{}", ordinary().message(), site.key.sign(&Made::of(NAMESPACE, &message)));
        assert_eq!(site.refused(&[&text]), Unapproved::WrongSignature, "{message}");
    }
}

#[test]
fn only_the_approvers_of_the_rule_can_approve() {
    let site = Site::new();
    let stranger = signed(&TestKey::new(), ordinary()).text();
    assert_eq!(site.refused(&[&stranger]), Unapproved::UnknownKey);
    let other = signed(&site.other, ordinary()).text();
    assert_eq!(site.refused(&[&other]), Unapproved::OtherApprover);
    // Of several the good one counts, wherever it stands; else the one that came closest is told.
    assert_eq!(site.refused(&[&other, "x", &stranger]), Unapproved::OtherApprover);
    let good = signed(&site.key, ordinary()).text();
    assert!(site.ask(&[&good, &other]).expect("judged").is_ok());
    assert!(site.ask(&[&format!("{other}\n{stranger}{good}")]).expect("judged").is_ok());
    // A key is taken back in the file, whatever it has signed before.
    let line = site.key.line("valid-before=\"20260101Z\"").replace("valid", "maintainers valid");
    site.write_signers(&line);
    assert_eq!(site.refused(&[&good]), Unapproved::KeyExpired);
    site.write_signers(&line.replace("before", "after").replace("2026", "2999"));
    assert_eq!(site.refused(&[&good]), Unapproved::KeyNotYet);
    site.write_signers("");
    assert_eq!(site.refused(&[&good]), Unapproved::UnknownKey);
}

#[test]
fn a_security_key_has_to_be_touched() {
    let site = Site::new();
    site.write_signers(&site.key.security_line("maintainers"));
    let message = ordinary().message();
    for (flags, judged) in
        [(0x01, Ok(())), (0x05, Ok(())), (0x00, Err(Unapproved::Untouched)), (0x04, Err(Unapproved::Untouched))]
    {
        let made = Made { security_key: Some(flags), ..Made::of(NAMESPACE, &message) };
        let text = format!("{message}{}", site.key.sign(&made));
        assert_eq!(site.ask(&[&text]).expect("judged").map(drop), judged, "{flags}");
    }
    // The flags are signed: nobody sets them later.
    let made = Made { security_key: Some(0), ..Made::of(NAMESPACE, &message) };
    let mut raw = site.key.raw(&made);
    let at = raw.len() - 5;
    raw[at] = 1;
    assert_eq!(site.refused(&[&format!("{message}{}", armor(&raw))]), Unapproved::WrongSignature);
    // And a plain signature of the same numbers is another key's.
    let plain = signed(&site.key, ordinary()).text();
    assert_eq!(site.refused(&[&plain]), Unapproved::UnknownKey);
}

#[test]
fn openssh_takes_the_signature_of_a_security_key_that_is_taken_here() {
    let site = Site::new();
    site.write_signers(&site.key.security_line("maintainers"));
    let message = ordinary().message();
    let armor = site.key.sign(&Made { security_key: Some(1), ..Made::of(NAMESPACE, &message) });
    let [statement, signature] = ["statement", "statement.sig"].map(|name| site.dir.path().join(name));
    fs::write(&statement, &message).expect("write");
    fs::write(&signature, &armor).expect("write");
    let mut command = std::process::Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-I", "maintainers", "-n", NAMESPACE, "-f"]).arg(&site.settings.allowed_signers);
    command.arg("-s").arg(signature).stdin(fs::File::open(statement).expect("open"));
    let output = command.output().expect("ssh-keygen");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(site.ask(&[&(message + &armor)]).expect("judged").is_ok());
}

#[test]
fn signatures_of_another_form_are_refused() {
    let site = Site::new();
    let message = ordinary().message();
    for made in [
        Made { version: 0, ..Made::of(NAMESPACE, &message) },
        Made { version: 2, ..Made::of(NAMESPACE, &message) },
        Made { reserved: "x", ..Made::of(NAMESPACE, &message) },
        Made { hash: "sha1", ..Made::of(NAMESPACE, &message) },
        Made { hash: "sha384", ..Made::of(NAMESPACE, &message) },
        Made { hash: "", ..Made::of(NAMESPACE, &message) },
    ] {
        let text = format!("{message}{}", site.key.sign(&made));
        assert_eq!(site.refused(&[&text]), Unapproved::Form, "{} {:?} {:?}", made.version, made.reserved, made.hash);
    }
    let good = signed(&site.key, ordinary()).text();
    for (from, to) in [
        ("-----BEGIN SSH SIGNATURE-----", "-----BEGIN OPENSSH PRIVATE KEY-----"),
        ("-----BEGIN SSH SIGNATURE-----\n", ""),
        ("-----END SSH SIGNATURE-----", ""),
        ("U1NIU0lH", "U1NIU0l?"),
        ("U1NIU0lH", "U1NIU0lH===="),
        ("U1NIU0lH", "\u{0}\u{0}"),
        ("U1NIU0lH", " U1NIU0lH"),
        ("U1NIU0lH", "AAAA"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert_eq!(site.refused(&[&bad]), Unapproved::Form, "{from} -> {to}");
    }
    let raw = site.key.raw(&Made::of(NAMESPACE, &message));
    for end in [raw[..raw.len() - 1].to_vec(), [&raw[..], &[0]].concat(), b"SSHSIG".to_vec()] {
        assert_eq!(site.refused(&[&format!("{message}{}", armor(&end))]), Unapproved::Form);
    }
}

#[test]
fn one_flipped_bit_anywhere_in_a_signature_is_noticed() {
    let site = Site::new();
    let message = ordinary().message();
    let raw = site.key.raw(&Made::of(NAMESPACE, &message));
    for at in 0..raw.len() {
        let mut bad = raw.clone();
        bad[at] ^= 1;
        assert!(site.ask(&[&format!("{message}{}", armor(&bad))]).expect("judged").is_err(), "byte {at}");
    }
}

/// A panic would be a failure of the site, by a word of the job's author.
#[test]
fn whatever_is_written_there_is_judged_and_approves_nothing() {
    let (site, message) = (Site::new(), ordinary().message());
    let raw = site.key.raw(&Made::of(NAMESPACE, &message));
    let approves = |text: &str| site.ask(&[text]).expect("judged").is_ok();
    let config = ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() };
    let bytes = proptest::collection::vec(any::<u8>(), 0..9);
    proptest!(config, |(at in 0..raw.len(), cut in 0_usize..9, put in bytes, text in "\\PC{0,80}")| {
        let mut bad = raw.clone();
        bad.splice(at..(at + cut).min(raw.len()), put);
        prop_assume!(bad != raw);
        let texts = [text.clone(), message.clone() + &armor(&bad), message.clone() + &text];
        prop_assert!(!texts.iter().any(|text| approves(text)));
        let _ = Signers::parse(Path::new("/s"), text.as_bytes());
        let _ = Signers::parse(Path::new("/s"), ("a ".to_owned() + &text).as_bytes());
    });
}

#[test]
fn what_a_job_writes_is_bounded_and_breaks_nothing() {
    let site = Site::new();
    let good = signed(&site.key, ordinary()).text();
    let huge = format!("{good}{}", "\n".repeat(64 << 10));
    assert_eq!(site.refused(&[&huge]), Unapproved::Form);
    assert_eq!(site.refused(&[&good.repeat(9)]), Unapproved::Form);
    assert!(site.ask(&[&good.repeat(8)]).expect("judged").is_ok());
    // The last of eight entries is the first that is looked at, and there is no ninth.
    let many = vec!["x"; 8];
    assert!(site.ask(&[&["x"; 7], &[good.as_str()][..]].concat()).expect("judged").is_ok());
    assert_eq!(site.refused(&[&[good.as_str()][..], &many].concat()), Unapproved::Form);
    for text in ["", "\0", "{}", "{", &good[..good.len() / 2], "-----BEGIN SSH SIGNATURE-----"] {
        assert_eq!(site.refused(&[text]), Unapproved::Form, "{text:?}");
    }
    // A second statement above a signature for the first approves nothing.
    let (statement, armor) = good.split_once('\n').expect("lines");
    let arthur = statement.replace("svc-climate", "arthur");
    for forged in [format!("{arthur}\n{statement}\n{armor}"), format!("{arthur}\n{armor}")] {
        assert!(site.ask_about(GITLAB, 22, Some(SHA), "arthur", &[&forged]).expect("judged").is_err(), "{forged}");
    }
}

#[test]
fn what_others_can_change_is_not_believed_and_no_job_gets_another_account_by_it() {
    let site = Site::new();
    let good = signed(&site.key, ordinary()).text();
    let path = site.keep(&signed(&site.key, ordinary()));
    let broken = |values: &[&str]| {
        let error = site.ask(values).expect_err("cannot be judged");
        assert_eq!(error.kind(), FailureKind::System);
        assert!(!error.for_author().contains('/'), "{}", error.for_author());
        error.to_string()
    };
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    // A link in the directory, to a file that would be good.
    fs::rename(&path, site.dir.path().join("elsewhere")).expect("rename");
    symlink(site.dir.path().join("elsewhere"), &path).expect("link");
    assert!(broken(&[&good]).contains("is a symbolic link"));
    fs::remove_file(&path).expect("remove");
    chmod(site.kept(), 0o775);
    assert!(broken(&[]).contains("others can exchange"));
    chmod(site.kept(), 0o755);
    chmod(&site.settings.allowed_signers, 0o664);
    assert!(broken(&[&good]).contains("others than the owner can change it"));
    chmod(&site.settings.allowed_signers, 0o644);
    site.write_signers("maintainers cert-authority x\n");
    assert!(broken(&[&good]).contains("signers:1: has a certificate authority"));
    fs::remove_file(&site.settings.allowed_signers).expect("remove");
    assert!(broken(&[&good]).contains("does not exist"));
}

#[test]
fn approvals_of_several_are_kept_together_until_they_expire_or_are_taken_back() {
    let site = Site::new();
    let (one, two) = (signed(&site.key, ordinary()), signed(&site.other, ordinary()));
    let path = site.keep(&two);
    assert_eq!(site.keep(&one), path);
    assert_eq!(site.keep(&one), path, "twice is once");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o644);
    let all = store::list(site.kept(), Owner::RootOrSelf).expect("listed");
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    assert_eq!(all, [(name.clone(), vec![two, one.clone()])]);
    assert!(site.ask(&[]).expect("judged").is_ok());
    // Later, those of today have expired and make room.
    let later = Timestamp::now() + SignedDuration::from_hours(30);
    for _ in 0..8 {
        let approval = signed(&TestKey::new(), statement(GITLAB, 22, SHA, "svc-climate", 48));
        store::install(site.kept(), &approval, Owner::RootOrSelf, later).expect("installed");
    }
    let ninth = store::install(site.kept(), &one, Owner::RootOrSelf, later).expect_err("full");
    assert!(ninth.to_string().contains(&format!("--revoke {name}")), "{ninth}");
    for wrong in ["", "..", "../approvals", &name[1..], &name.to_uppercase(), &format!("/{name}")] {
        assert!(store::revoke(site.kept(), wrong, Owner::RootOrSelf).is_err(), "{wrong:?}");
    }
    store::revoke(site.kept(), &name, Owner::RootOrSelf).expect("revoked");
    assert!(matches!(store::revoke(site.kept(), &name, Owner::RootOrSelf), Err(store::StoreError::Missing(_))));
    assert_eq!(site.refused(&[]), Unapproved::Nothing);
}
