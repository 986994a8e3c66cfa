//! Worlds for tests: accounts, directories, keys, a configuration, the emulator of GitLab Runner, and a cluster of Slurm.
//! `tests/README.md` tells how a test is made of them.

mod account;
pub mod batch;
mod build;
mod cases;
pub mod check;
pub mod cluster;
mod config;
mod files;
pub mod gitlab;
pub mod instance;
mod needs;
pub mod pam;
mod patience;
mod poison;
mod programs;
mod running;
mod selection;
mod simulate;
mod single;
pub mod stage;
pub mod token;
pub mod version2;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

pub use account::{Stranger, TestAccount, change_accounts, try_change_accounts};
pub(crate) use cases::cases;
pub use cases::{Case, main};
pub use cluster::{Cluster, Delayed};
pub use config::{Config, GitlabSection, Rule};
pub use files::{base, chmod, chown, is_root, make_dir, unified_groups};
pub use needs::{
    Accounting, Body, ControlGroups, LaggingDisk, Logrotate, ModuleSystems, Root, Slurm, SubordinateIds, UnifiedGroups,
    UserModeLinux,
};
pub use patience::{in_some_try, until};
pub use poison::{Poison, Silence};
pub use programs::{PROGRAMS, copy_program, copy_programs, make_script};
pub use running::{Running, job_numbers};
pub use simulate::{JobEnd, Simulate};
pub use single::{Single, payload};

pub use build::Builder;
use build::Kind;

/// A machine on which jobs run, for one test. Its end takes accounts and processes with it.
pub struct World {
    kind: Kind,
    pub dir: PathBuf,
    /// Whom jobs run as.
    pub user: TestAccount,
    /// Whom the driver runs as, if not root.
    pub runner: Option<TestAccount>,
    pub bins: PathBuf,
    config: Config,
    /// The slurm.conf of the cluster that jobs go to, if they do.
    conf: Option<PathBuf>,
    /// A GitLab of the harness, where the emulator's cannot be used.
    own_gitlab: Option<gitlab::GitLab>,
}

/// Unlike any other of this process.
fn next_number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

impl World {
    /// Where the signing keys are.
    pub fn keys(&self) -> PathBuf {
        self.dir.join("state").join("keys")
    }

    pub fn config_file(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    pub fn audit_file(&self) -> PathBuf {
        self.dir.join("audit/audit.log")
    }

    pub fn sessions(&self) -> PathBuf {
        self.dir.join("state/motmot/sessions")
    }

    /// Changes the record of a session.
    pub fn change_record(&self, session: &str, change: impl FnOnce(&mut Value)) {
        let file = self.sessions().join(session).join("session.json");
        let mut record: Value = serde_json::from_slice(&fs::read(&file).expect("record")).expect("JSON");
        change(&mut record);
        fs::write(&file, record.to_string()).expect("record");
    }

    /// Has the record of a session say that the machine was started since.
    pub fn start_anew(&self, session: &str) {
        self.change_record(session, |record| record["tree"] = "mnt:[1] 00000000-0000-0000-0000-000000000000".into());
    }

    /// Where jobs write. Not in the home directory of whoever runs these tests.
    pub fn data_dir(&self) -> PathBuf {
        if self.user.made { self.user.home.join(".motmot") } else { self.dir.join("data") }
    }

    /// The configuration changes, in the file too.
    pub fn change(&mut self, edit: impl FnOnce(&mut Config) -> &mut Config) {
        edit(&mut self.config);
        self.write_config();
    }

    /// Jobs go to this cluster from now on.
    pub fn go_to(&mut self, cluster: &Cluster) {
        self.conf = Some(cluster.conf());
        self.change(|config| config.slurm(|slurm| slurm.conf(cluster.conf())));
    }

    /// Writes the configuration as it is now, whatever has become of the file.
    pub fn write_config(&self) {
        self.write_config_with(|config| config);
    }

    /// The same with a change that holds for the file only.
    pub fn write_config_with(&self, edit: impl FnOnce(&mut Config) -> &mut Config) {
        let mut config = self.config.clone();
        edit(&mut config);
        // Put in its place as a whole: a job of before may be about to read it.
        let new = self.dir.join("config.new");
        fs::write(&new, config.text()).expect("config");
        chmod(&new, 0o644);
        fs::rename(&new, self.config_file()).expect("config");
    }

    /// Writes another configuration beside the world's own: the same but for this change.
    pub fn write_other_config(&self, name: &str, edit: impl FnOnce(&mut Config) -> &mut Config) -> PathBuf {
        let (mut config, file) = (self.config.clone(), self.dir.join(name));
        edit(&mut config);
        fs::write(&file, config.text()).expect("config");
        chmod(&file, 0o644);
        file
    }

    /// A program as whoever the driver runs as in this world.
    pub fn as_driver(&self, program: &Path) -> Command {
        let account = match self.kind {
            Kind::Root => None,
            Kind::OneUser => Some(&self.user),
            Kind::Capabilities => self.runner.as_ref(),
        };
        match account {
            Some(account) => account.command(program),
            None => Command::new(program),
        }
    }

    /// The emulator for this world's configuration.
    pub fn simulate(&self) -> Simulate<'_> {
        self.write_config();
        Simulate { world: self, args: Vec::new(), envs: Vec::new() }
    }

    /// A stage binary by itself, with a payload, as GitLab Runner would call it.
    pub fn stage(&self, stage: &str) -> Command {
        let temp = self.dir.join("tmp");
        let mut command = self.as_driver(&self.bins.join(format!("motmot-{stage}")));
        command
            .arg("--config")
            .arg(self.config_file())
            .current_dir(&temp)
            .stdin(Stdio::null())
            .env("TMPDIR", &temp)
            .env("BUILD_FAILURE_EXIT_CODE", "1")
            .env("SYSTEM_FAILURE_EXIT_CODE", "2")
            .env("BUILD_EXIT_CODE_FILE", temp.join("build_exit_code"))
            .env("JOB_RESPONSE_FILE", temp.join("response.json"));
        command
    }

    /// Writes the payload that [`World::stage`] points to.
    pub fn write_payload(&self, payload: &Value) {
        let file = self.dir.join("tmp/response.json");
        fs::write(&file, payload.to_string()).expect("payload");
        let owner = fs::metadata(self.dir.join("tmp")).expect("tmp");
        chown(&file, owner.uid(), owner.gid());
    }

    /// `motmot` with arguments.
    pub fn motmot<A: AsRef<OsStr>>(&self, args: &[A]) -> Output {
        self.as_driver(&self.bins.join("motmot")).args(args).output().expect("motmot")
    }

    /// The public keys, in a file.
    pub fn jwks_file(&self) -> PathBuf {
        let output = self.motmot(&[OsStr::new("jwks"), OsStr::new("--dir"), self.keys().as_os_str()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = self.dir.join("jwks.json");
        fs::write(&file, output.stdout).expect("jwks");
        file
    }

    /// The lines of the audit log.
    pub fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.audit_file()).unwrap_or_default();
        // Somebody may be writing the last one.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    /// Names of the programs that run as the job's account, apart from the emulator's own in a world of one user.
    pub fn processes_of_user(&self) -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let path = entry.path();
            if fs::metadata(&path).is_ok_and(|meta| meta.uid() == self.user.uid)
                && let Ok(name) = fs::read_to_string(path.join("comm"))
                // A zombie has no command line left, and waits for a parent that is not ours.
                && !fs::read(path.join("cmdline")).unwrap_or_default().is_empty()
            {
                names.push(name.trim_end().to_owned());
            }
        }
        names
    }

    /// A program of the job's account.
    pub fn user_program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.user.home.join(name);
        make_script(&path, text);
        chown(&path, self.user.uid, self.user.gid);
        path
    }

    /// Writes a file of the job's account.
    pub fn user_file(&self, name: &str, content: &str) -> PathBuf {
        assert!(self.user.made, "a test must not write into the home directory of whoever runs it");
        let path = self.user.home.join(name);
        fs::write(&path, content).expect("file of the account");
        chown(&path, self.user.uid, self.user.gid);
        path
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the world of this test stays at {}", self.dir.display());
        }
        if let Some(conf) = &self.conf {
            // A shared cluster shall not go on with jobs of an account that is gone. If it was not shared, it may be
            // gone itself, and the command would look for it long.
            let mut cancel = Command::new("timeout");
            cancel.args(["2", "scancel", "--user", &self.user.name]).env("SLURM_CONF", conf);
            let _ = cancel.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        for account in [Some(&self.user), self.runner.as_ref()].into_iter().flatten() {
            account.remove();
        }
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Ends what tests shared. What explains a failure stays.
pub fn tear_down(failed: bool) {
    cluster::tear_down(failed);
    if base().read_dir().is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == "bin")) {
        let _ = fs::remove_dir_all(base());
    }
}
