use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::stat::Mode;
use tempfile::TempDir;

use super::*;

const PRIVATE: Trust = Trust { owner: Owner::RootOrSelf, secrecy: Secrecy::Private };
const PUBLIC: Trust = Trust { owner: Owner::RootOrSelf, secrecy: Secrecy::Public };

fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn file(dir: &TempDir, name: &str, mode: u32) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, b"content").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn refusal(path: &Path, trust: Trust) -> Distrust {
    read_trusted(path, trust, 100).unwrap_err().fault
}

#[test]
fn a_private_file_of_ones_own_is_read() {
    let dir = place();
    assert_eq!(read_trusted(&file(&dir, "key", 0o400), PRIVATE, 7).unwrap(), b"content");
    assert_eq!(read_trusted(&file(&dir, "other", 0o600), PRIVATE, 100).unwrap(), b"content");
}

#[test]
fn a_secret_with_any_bit_for_others_is_refused_and_the_message_says_what_to_do() {
    let dir = place();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601] {
        assert!(matches!(refusal(&file(&dir, "key", mode), PRIVATE), Distrust::NotPrivate { .. }), "{mode:o}");
    }
    let path = file(&dir, "key", 0o644);
    let message = read_trusted(&path, PRIVATE, 100).unwrap_err().to_string();
    assert!(message.contains(&format!("chmod 0400 {}", path.display())) && message.contains("0644"), "{message}");
    let me = account_name(nix::unistd::geteuid().as_raw());
    assert!(message.contains(&format!("owner {me}")), "{message}");
}

#[test]
fn a_public_file_may_be_read_by_all_but_written_by_none() {
    let dir = place();
    assert!(read_trusted(&file(&dir, "config", 0o644), PUBLIC, 100).is_ok());
    for mode in [0o664, 0o646] {
        assert!(matches!(refusal(&file(&dir, "config", mode), PUBLIC), Distrust::Writable { .. }));
    }
}

#[test]
fn a_symbolic_link_at_the_end_is_refused_even_to_a_good_file() {
    let dir = place();
    let link = dir.path().join("link");
    symlink(file(&dir, "key", 0o400), &link).unwrap();
    assert!(matches!(refusal(&link, PRIVATE), Distrust::Symlink));
}

#[test]
fn a_link_on_the_way_is_followed_while_every_directory_is_judged() {
    let dir = place();
    let real = dir.path().join("real");
    fs::create_dir(&real).unwrap();
    fs::write(real.join("config"), b"content").unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    assert_eq!(read_trusted(&dir.path().join("link/../link/./config"), PUBLIC, 100).unwrap(), b"content");
    fs::set_permissions(&real, Permissions::from_mode(0o777)).unwrap();
    let error = read_trusted(&dir.path().join("link/config"), PUBLIC, 100).unwrap_err();
    assert!(matches!(error.fault, Distrust::DirectoryWritable { .. }));
    assert_eq!(error.path, fs::canonicalize(&real).unwrap());
}

#[test]
fn a_link_that_lies_in_a_directory_of_others_is_refused_although_it_ends_well() {
    let (good, bad) = (place(), place());
    fs::write(good.path().join("config"), b"content").unwrap();
    symlink(good.path(), bad.path().join("link")).unwrap();
    fs::set_permissions(bad.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(refusal(&bad.path().join("link/config"), PUBLIC), Distrust::DirectoryWritable { .. }));
}

#[test]
fn a_directory_that_others_can_write_spoils_what_is_below_it() {
    let dir = place();
    let path = file(&dir, "key", 0o400);
    for mode in [0o770, 0o707, 0o772] {
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        assert!(matches!(refusal(&path, PRIVATE), Distrust::DirectoryWritable { .. }), "{mode:o}");
    }
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    assert!(read_trusted(&path, PRIVATE, 100).is_ok());
}

#[test]
fn a_circle_of_links_ends() {
    let dir = place();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    assert!(matches!(refusal(&dir.path().join("a/key"), PRIVATE), Distrust::TooManyLinks));
}

#[test]
fn a_link_to_the_root_directory_is_resolved() {
    let dir = place();
    symlink("/", dir.path().join("root")).unwrap();
    assert_eq!(trusted_directory(&dir.path().join("root"), Owner::RootOrSelf).unwrap(), Path::new("/"));
}

#[test]
fn a_pipe_and_a_directory_are_refused_without_waiting() {
    let dir = place();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    assert!(matches!(refusal(&pipe, PRIVATE), Distrust::NotRegular));
    assert!(matches!(refusal(dir.path(), PRIVATE), Distrust::NotRegular));
    assert!(matches!(refusal(Path::new("/dev/null"), PUBLIC), Distrust::NotRegular));
}

#[test]
fn a_secret_under_two_names_is_refused() {
    let dir = place();
    let path = file(&dir, "key", 0o400);
    fs::hard_link(&path, dir.path().join("copy")).unwrap();
    assert!(matches!(refusal(&path, PRIVATE), Distrust::HardLinks { count: 2 }));
}

#[test]
fn what_is_missing_is_told_apart_from_what_is_bad() {
    let dir = place();
    assert!(read_trusted(&dir.path().join("none"), PRIVATE, 100).unwrap_err().is_missing());
    assert!(!read_trusted(&file(&dir, "x", 0o644), PRIVATE, 100).unwrap_err().is_missing());
}

#[test]
fn a_file_above_its_limit_is_refused() {
    let dir = place();
    let error = read_trusted(&file(&dir, "key", 0o400), PRIVATE, 6).unwrap_err();
    assert!(matches!(error.fault, Distrust::TooLarge { limit: 6 }));
}

#[test]
fn a_file_of_somebody_else_is_refused_by_name() {
    if !nix::unistd::geteuid().is_root() {
        return; // only root can give files away
    }
    let dir = place();
    let path = file(&dir, "key", 0o400);
    std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
    for owner in [Owner::Root, Owner::RootOrSelf] {
        let error = read_trusted(&path, Trust { owner, secrecy: Secrecy::Private }, 100).unwrap_err();
        assert!(matches!(error.fault, Distrust::Owner { .. }));
        assert!(error.to_string().contains("must belong to root: chown root "), "{error}");
    }
}

#[test]
fn a_directory_for_secrets_is_made_with_mode_0700() {
    let dir = place();
    let path = make_private_directory(&dir.path().join("above/keys"), Owner::RootOrSelf).unwrap();
    assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn no_command_is_proposed_for_a_directory_that_is_somebody_elses() {
    let dir = place();
    let path = file(&dir, "key", 0o400);
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    let message = read_trusted(&path, PRIVATE, 100).unwrap_err().to_string();
    assert!(message.contains("0777") && message.contains("use a place"), "{message}");
    assert!(!message.contains("chmod") && !message.contains("chown"), "{message}");
    if !nix::unistd::geteuid().is_root() {
        return; // only root can give directories away
    }
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let link = dir.path().join("link");
    symlink(dir.path(), &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(65_534), None).unwrap();
    let message = read_trusted(&link.join("key"), PRIVATE, 100).unwrap_err().to_string();
    assert!(message.contains("aim it anywhere") && !message.contains("chown"), "{message}");
    std::os::unix::fs::chown(dir.path(), Some(65_534), None).unwrap();
    let message = read_trusted(&path, PRIVATE, 100).unwrap_err().to_string();
    assert!(message.contains("use a place") && !message.contains("chown"), "{message}");
}
