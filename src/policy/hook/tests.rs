//! The program: which bytes run.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::policy::hook::settings::{Digest, Form};

fn settings(path: &std::path::Path, content: &[u8]) -> HookSettings {
    HookSettings {
        program: path.to_owned(),
        sha256: Digest(Sha256::digest(content).into()),
        account: "motmot-hook".to_owned(),
        timeout: std::time::Duration::from_secs(10),
        form: Form::Json,
    }
}

#[test]
fn a_program_that_is_not_the_one_that_was_pinned_is_not_read_any_further() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("hook");
    let good = b"#!/bin/sh\necho good\n";
    let write = |content: &[u8]| {
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("chmod");
    };
    let read = || program(&settings(&path, good), Owner::RootOrSelf);
    write(good);
    assert_eq!(read().expect("pinned"), good);
    for other in [&b"#!/bin/sh\necho good\n\n"[..], b"#!/bin/sh\necho evil\n", b""] {
        write(other);
        let error = read().expect_err("another one");
        let found = Digest(Sha256::digest(other).into()).to_string();
        assert!(matches!(&error, HookError::OtherDigest { .. }) && error.to_string().contains(&found), "{error}");
    }
    // The same bytes, where others could put others in their place.
    write(good);
    for mode in [0o777, 0o775, 0o757] {
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
        assert!(matches!(read(), Err(HookError::Untrusted(_))), "{mode:o}");
    }
    write(good);
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).expect("chmod");
    assert!(matches!(read(), Err(HookError::Untrusted(_))));
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).expect("chmod");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("linked");
    assert!(matches!(program(&settings(&link, good), Owner::RootOrSelf), Err(HookError::Untrusted(_))));
    if !nix::unistd::geteuid().is_root() {
        assert_ne!(fs::metadata(&path).expect("metadata").uid(), 0);
        assert!(matches!(program(&settings(&path, good), Owner::Root), Err(HookError::Untrusted(_))), "not root's");
    }
}

#[test]
fn a_file_that_is_exchanged_all_the_time_is_the_pinned_one_or_none() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("hook");
    let texts = [&b"#!/bin/sh\necho good\n"[..], b"#!/bin/sh\necho evil\n"];
    fs::write(&path, texts[0]).expect("written");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // By another file under its name, and by other bytes in the same one.
            let beside = dir.path().join("beside");
            for turn in 0.. {
                if stop.load(relaxed) {
                    return;
                }
                fs::write(&beside, texts[turn % 2]).expect("written");
                fs::rename(&beside, &path).expect("renamed");
                fs::write(&path, texts[(turn + 1) % 2]).expect("written");
            }
        });
        let (mut pinned, mut others) = (0, 0);
        while pinned < 20 || others < 20 {
            match program(&settings(&path, texts[0]), Owner::RootOrSelf) {
                Ok(bytes) => {
                    assert_eq!(bytes, texts[0]);
                    pinned += 1;
                }
                Err(HookError::OtherDigest { found, pinned, .. }) => {
                    assert_ne!(found, pinned);
                    others += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        stop.store(true, relaxed);
    });
}
