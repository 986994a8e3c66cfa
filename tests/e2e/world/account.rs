//! Accounts of this machine, made for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use super::needs::Root;
use super::next_number;

/// An account of this machine, made for one test.
pub struct TestAccount {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: PathBuf,
    /// Not that of whoever runs the tests.
    pub(super) made: bool,
}

/// Runs a command that changes the account files. Such commands lock them and fail when another one has them, be it
/// that of another thread or of other tests that run on this machine.
pub fn try_change_accounts(command: &mut Command) -> Output {
    static THREADS: Mutex<()> = Mutex::new(());
    let _threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    let lock = std::env::temp_dir().join("motmot-test-accounts.lock");
    let file = fs::File::options().create(true).append(true).open(lock).expect("a lock");
    let _processes = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).expect("flock");
    command.output().expect("a command of the package passwd")
}

/// The same, for what must work.
#[track_caller]
pub fn change_accounts(command: &mut Command) {
    let output = try_change_accounts(command);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl TestAccount {
    /// `role` is one letter or more, and together with `number` like no other of this process; `r` is the runner's.
    #[allow(dead_code)] // benchmarks make more accounts than worlds have
    pub fn make(_: impl Into<Root>, dir: &Path, role: &str, number: u32) -> Self {
        Self::make_as_root(dir, role, number)
    }

    pub(super) fn make_as_root(dir: &Path, role: &str, number: u32) -> Self {
        let name = format!("mm{}{role}{number}", std::process::id() % 100_000);
        let home = dir.join(format!("home-{role}"));
        // A number of its own: that of an account just removed may still have a zombie somewhere.
        let uid = 200_000 + std::process::id() % 10_000 * 2_000 + number * 2 + u32::from(role == "r");
        let mut useradd = Command::new("useradd");
        useradd.args(["--no-log-init", "-m", "-s", "/bin/bash", "-K", "UID_MAX=60000000", "-K", "GID_MAX=60000000"]);
        change_accounts(useradd.arg("-u").arg(uid.to_string()).arg("-d").arg(&home).arg(&name));
        let user = nix::unistd::User::from_name(&name).expect("lookup").expect("the account was just made");
        Self { name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home, made: true }
    }

    /// Another one beside those of a world. It goes with the value.
    pub fn stranger(_: impl Into<Root>, dir: &Path) -> Stranger {
        Stranger(Self::make_as_root(dir, "s", next_number()))
    }

    /// That of whoever runs the tests.
    pub(super) fn own() -> Self {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("lookup").expect("this account");
        Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir, made: false }
    }

    /// A program as this account.
    pub fn command(&self, program: &Path) -> Command {
        if !self.made {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", self.uid))
            .arg(format!("--regid={}", self.gid))
            .args(["--clear-groups", "--"])
            .arg(program);
        command.env("HOME", &self.home).env("USER", &self.name).env("LOGNAME", &self.name);
        command
    }

    /// Ends all its processes and removes it. Its home directory stays.
    pub fn remove(&self) {
        if !self.made {
            return;
        }
        let _ = Command::new("pkill").args(["-KILL", "-U", &self.uid.to_string()]).status();
        // A test may have removed it already.
        try_change_accounts(Command::new("userdel").arg("-f").arg(&self.name));
    }
}

/// An account that belongs to no world.
pub struct Stranger(TestAccount);

impl std::ops::Deref for Stranger {
    type Target = TestAccount;

    fn deref(&self) -> &TestAccount {
        &self.0
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.remove();
    }
}
