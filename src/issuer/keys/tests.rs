use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

/// A fixed private key; different numbers are different keys.
fn secret(number: u8) -> SecretKey {
    SecretKey::from_slice(&[number; 32]).unwrap()
}

fn key(number: u8) -> SigningKey {
    SigningKey::new(&secret(number)).unwrap()
}

pub(in crate::issuer) const OWNER: Owner = Owner::RootOrSelf;

pub(in crate::issuer) fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(in crate::issuer) fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn load(dir: &TempDir) -> Result<KeyRing, KeyError> {
    KeyRing::load(dir.path(), OWNER)
}

fn write(dir: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    atomic::create(&path, content, MODE).unwrap();
    path
}

/// Puts private key `number` into the directory, under its right name.
fn put(dir: &TempDir, number: u8) -> PathBuf {
    let pem = secret(number).to_pkcs8_pem(LineEnding::LF).unwrap();
    write(dir, &format!("{}.pem", key(number).kid()), pem.as_bytes())
}

fn line(number: u8, state: KeyState) -> RingLine {
    let jwk = key(number).public_jwk().clone();
    let (x, y) = jwk.coordinates();
    RingLine { kid: key(number).kid().to_string(), state, since: None, x: x.to_owned(), y: y.to_owned() }
}

fn write_ring(dir: &TempDir, keys: Vec<RingLine>) {
    write(dir, RING, &serde_json::to_vec(&RingFile { version: 1, keys }).unwrap());
}

#[test]
fn a_new_key_is_private_named_by_its_thumbprint_and_active() {
    let dir = place();
    let keys = dir.path().join("motmot/keys");
    let made = init(&keys, OWNER, now()).unwrap();
    assert_eq!(fs::metadata(&keys).unwrap().mode() & 0o7777, 0o700);
    for file in fs::read_dir(&keys).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().mode() & 0o7777, 0o400);
    }
    assert_eq!(made.path.file_name().unwrap(), format!("{}.pem", made.kid).as_str());
    let ring = KeyRing::load(&keys, OWNER).unwrap();
    assert_eq!(ring.active().kid(), &made.kid);
    assert_eq!(ring.entries()[0].since, Some(now()));
    assert!(fs::read_to_string(&made.path).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
}

#[test]
fn init_never_overwrites_or_adds() {
    let dir = place();
    let made = init(dir.path(), OWNER, now()).unwrap();
    let before = fs::read(&made.path).unwrap();
    assert!(matches!(init(dir.path(), OWNER, now()), Err(KeyError::Exists(_))));
    assert_eq!(fs::read(&made.path).unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    fs::remove_file(&made.path).unwrap();
    assert!(matches!(init(dir.path(), OWNER, now()), Err(KeyError::Exists(_))), "ring.json alone is a ring, too");
}

#[test]
fn two_inits_at_once_leave_one_ring_that_works() {
    let dir = place();
    let path = dir.path();
    let results: Vec<bool> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..4).map(|_| scope.spawn(|| init(path, OWNER, now()).is_ok())).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(results.iter().filter(|won| **won).count() == 1, "{results:?}");
    load(&dir).unwrap();
    assert_eq!(fs::read_dir(path).unwrap().count(), 2, "the losers take their keys away");
}

#[test]
fn no_directory_and_no_key_say_what_to_run() {
    let dir = place();
    for path in [dir.path().to_owned(), dir.path().join("none")] {
        let message = KeyRing::load(&path, OWNER).unwrap_err().to_string();
        assert!(message.contains(&format!("motmot keys init --dir {}", path.display())), "{message}");
    }
}

#[test]
fn a_single_key_without_a_list_is_active() {
    let dir = place();
    put(&dir, 1);
    let ring = load(&dir).unwrap();
    assert_eq!(ring.active().kid(), key(1).kid());
    assert_eq!(ring.jwks().keys(), [key(1).public_jwk().clone()]);
}

#[test]
fn a_key_made_by_openssl_ecparam_is_accepted_once_it_has_its_name() {
    let dir = place();
    let content = include_bytes!("../../../tests/keys/p256-ecparam.pem");
    let wrong = write(&dir, "mine.pem", content);
    let Err(KeyError::KidMismatch { kid, .. }) = load(&dir) else { panic!() };
    fs::rename(wrong, dir.path().join(format!("{kid}.pem"))).unwrap();
    assert_eq!(load(&dir).unwrap().active().kid(), &kid);
}

#[test]
fn several_keys_without_a_list_are_refused() {
    let dir = place();
    put(&dir, 1);
    put(&dir, 2);
    assert!(matches!(load(&dir), Err(KeyError::Ambiguous(_))));
}

#[test]
fn the_list_says_which_key_signs_and_all_of_them_are_published() {
    let dir = place();
    put(&dir, 1);
    put(&dir, 2);
    write_ring(&dir, vec![line(3, KeyState::Retired), line(2, KeyState::Active), line(1, KeyState::Next)]);
    let ring = load(&dir).unwrap();
    assert_eq!(ring.active().kid(), key(2).kid());
    let published: Vec<_> = ring.jwks().keys().iter().map(|jwk| jwk.kid().clone()).collect();
    assert_eq!(published, [3, 2, 1].map(|number| key(number).kid().clone()));
}

#[test]
fn a_list_that_does_not_fit_its_keys_is_refused() {
    let problem = |keys| {
        let dir = place();
        put(&dir, 1);
        write_ring(&dir, keys);
        match load(&dir) {
            Err(KeyError::Ring { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    };
    let active = |number| line(number, KeyState::Active);
    assert!(matches!(problem(vec![]), RingProblem::Active(0)));
    assert!(matches!(problem(vec![line(1, KeyState::Next)]), RingProblem::Active(0)));
    assert!(matches!(problem(vec![active(1), active(2)]), RingProblem::Active(2)));
    assert!(matches!(problem(vec![active(1), line(1, KeyState::Next)]), RingProblem::Twice(_)));
    let swapped = RingLine { kid: key(1).kid().to_string(), ..active(2) };
    assert!(matches!(problem(vec![swapped]), RingProblem::Kid(_)));
    let outside = RingLine { kid: "../../x".into(), ..active(1) };
    assert!(matches!(problem(vec![outside]), RingProblem::Kid(_)));
}

#[test]
fn a_list_with_words_of_another_version_is_refused() {
    for bad in [r#"{"version":2,"keys":[]}"#, r#"{"version":1,"keys":[],"more":1}"#, "", "[]", "{}"] {
        let dir = place();
        write(&dir, RING, bad.as_bytes());
        assert!(matches!(load(&dir), Err(KeyError::Ring { .. })), "{bad}");
    }
}

#[test]
fn a_key_in_a_file_of_another_keys_name_is_refused() {
    let dir = place();
    let pem = secret(2).to_pkcs8_pem(LineEnding::LF).unwrap();
    write(&dir, &format!("{}.pem", key(1).kid()), pem.as_bytes());
    write_ring(&dir, vec![line(1, KeyState::Active)]);
    assert!(matches!(load(&dir), Err(KeyError::KidMismatch { .. })));
}

#[test]
fn keys_that_others_can_read_and_links_to_keys_are_refused() {
    let dir = place();
    let path = put(&dir, 1);
    for mode in [0o440, 0o404, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(load(&dir).unwrap_err().to_string().contains("chmod 0400"));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    load(&dir).unwrap();
    fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    symlink("elsewhere", &path).unwrap();
    assert!(matches!(load(&dir), Err(KeyError::Trust(_))));
}

#[test]
fn a_directory_that_others_can_write_is_refused_by_load_and_init() {
    let dir = place();
    put(&dir, 1);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(load(&dir), Err(KeyError::Trust(_))));
    let empty = place();
    fs::set_permissions(empty.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(init(empty.path(), OWNER, now()), Err(KeyError::Trust(_))));
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn debug_output_of_a_ring_holds_no_private_key() {
    let dir = place();
    put(&dir, 1);
    let shown = format!("{:?}", load(&dir).unwrap());
    assert!(!shown.contains("1, 1, 1") && !shown.contains("PRIVATE"), "{shown}");
}

#[test]
fn a_key_that_is_damaged_or_gone_is_told_with_what_can_be_done_about_it() {
    let dir = place();
    let path = init(dir.path(), OWNER, now()).unwrap().path;
    let told = || load(&dir).unwrap_err().to_string();
    let spoil = |path: &Path, content: &[u8]| {
        fs::remove_file(path).unwrap();
        atomic::create(path, content, MODE).unwrap();
    };
    let good = fs::read_to_string(&path).unwrap();
    for bad in [good.replacen('M', "N", 1), good[..good.len() / 2].to_owned(), String::new()] {
        spoil(&path, bad.as_bytes());
        assert!(told().contains("backup") && told().contains("keys init --dir NEW"), "{}", told());
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(load(&dir), Err(KeyError::Lost(lost)) if lost.file_name() == path.file_name()));
    assert!(told().contains("does not exist") && told().contains("keys init --dir NEW"), "{}", told());
    spoil(&dir.path().join(RING), b"{");
    assert!(told().contains("ring.json: not a list of keys") && told().contains("backup"), "{}", told());
    // Where it would change something, the remedy is another one.
    let refused = init(dir.path(), OWNER, now()).unwrap_err().to_string();
    assert!(refused.contains("nothing was changed") && refused.contains("keys init --dir NEW"), "{refused}");
}
