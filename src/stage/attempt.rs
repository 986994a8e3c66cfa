//! What a runner that was killed leaves of its own: the directory of the attempt (`custom-executorNNNN`), with the payload,
//! the token of the job in it, and all its scripts.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::evidence::payload::Payload;
use crate::sys::files::{Owner, trusted_directory};

/// How GitLab Runner names it.
const NAME: &str = "custom-executor";
/// Permission bits for group and others.
const OTHERS: u32 = 0o077;
/// The payload in it.
const PAYLOAD: &str = "response.json";

/// Removes it, if it is that of this job beyond doubt. Any other directory stays, whatever a record says of it.
pub fn remove(dir: &Path, job_id: u64) -> io::Result<()> {
    if !dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(NAME)) {
        return Ok(());
    }
    // Every directory above it as well: nobody else can put another one in its place before it goes.
    let Ok(dir) = trusted_directory(dir, Owner::RootOrSelf) else { return Ok(()) };
    let meta = std::fs::symlink_metadata(&dir)?;
    let ours = meta.uid() == nix::unistd::geteuid().as_raw() && meta.mode() & OTHERS == 0;
    if ours && Payload::read(&dir.join(PAYLOAD)).is_ok_and(|payload| payload.job_id == job_id) {
        return std::fs::remove_dir_all(&dir);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const JOB: &str = r#"{"id": 7, "token": "secret", "job_info": {"project_id": 3}, "git_info": {}}"#;

    #[test]
    fn only_the_private_directory_with_the_payload_of_the_job_is_removed() {
        let temp = tempfile::tempdir().expect("dir");
        let make = |name: &str, payload: &str, mode: u32| {
            let dir = temp.path().join(name);
            fs::create_dir(&dir).expect("mkdir");
            fs::set_permissions(&dir, Permissions::from_mode(mode)).expect("chmod");
            fs::write(dir.join("response.json"), payload).expect("payload");
            dir
        };
        let other_job = JOB.replace('7', "8");
        let kept = [
            make("home", JOB, 0o700),
            make("custom-executor1", &other_job, 0o700),
            make("custom-executor2", "{", 0o700),
            make("custom-executor3", JOB, 0o755),
        ];
        for dir in &kept {
            remove(dir, 7).expect("nothing to do");
            assert!(dir.join("response.json").exists(), "{}", dir.display());
        }
        let its_own = make("custom-executor4", JOB, 0o700);
        let open = temp.path().join("open");
        fs::create_dir(&open).expect("mkdir");
        fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("chmod");
        symlink(&its_own, open.join("custom-executor5")).expect("a link");
        remove(&open.join("custom-executor5"), 7).expect("nothing to do");
        assert!(its_own.exists(), "by way of a directory that everybody can write to");
        remove(&its_own, 7).expect("removed");
        assert!(!its_own.exists());
        remove(&its_own, 7).expect("nothing to do the second time");
    }
}
