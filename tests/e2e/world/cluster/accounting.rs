//! Accounting for a cluster: a database and slurmdbd of its own, which keep as much of a job as Slurm can keep.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::daemons::{clean, daemon, munge_socket};
use super::{Cluster, PATH};
use crate::world::{TestAccount, chown, make_dir, until};

/// The programs without which there is no accounting.
pub const PROGRAMS: [&str; 5] = ["mariadbd", "mariadb-install-db", "mysqldump", "slurmdbd", "sacctmgr"];

/// What slurm.conf says about it, besides the port.
pub(super) const SETTINGS: [(&str, &str); 3] = [
    ("AccountingStorageType", "accounting_storage/slurmdbd"),
    ("AccountingStorageHost", "127.0.0.1"),
    // Whatever could carry a secret is stored.
    ("AccountingStoreFlags", "job_comment,job_env,job_script"),
];

const DATABASE: &str = "slurm_acct_db";

/// The account of all users in the accounting.
const ACCOUNT: &str = "tests";

fn socket(dir: &Path) -> PathBuf {
    dir.join("run/database")
}

/// A database on a socket, for nobody but root.
pub(super) fn start_database(dir: &Path) -> Child {
    let user = nix::unistd::User::from_name("mysql").expect("lookup").expect("the account mysql");
    let data = dir.join("database");
    make_dir(&data, 0o700);
    chown(&data, user.uid.as_raw(), user.gid.as_raw());
    let mut made = clean("mariadb-install-db");
    made.args(["--no-defaults", "--user=mysql", "--skip-test-db", "--auth-root-authentication-method=socket"]);
    let made = made.arg(format!("--datadir={}", data.display())).output().expect("mariadb-install-db");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // Where this user may make its socket.
    let run = socket(dir);
    make_dir(&run, 0o755);
    chown(&run, user.uid.as_raw(), user.gid.as_raw());
    let mut command = clean("mariadbd");
    command.args(["--no-defaults", "--user=mysql", "--skip-networking", "--skip-log-bin"]);
    command.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}/socket", run.display()));
    command.arg(format!("--pid-file={}/pid", data.display())).arg(format!("--log-error={}/log", data.display()));
    // Small, and with no care for what a loss of power would do to it.
    command.args(["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M"]);
    command.args([
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--innodb-lock-wait-timeout=900",
    ]);
    let database = daemon(command);
    let ping = || clean("mariadb-admin").args(["--no-defaults", "ping", "-S"]).arg(run.join("socket")).output();
    until("the database answers", || ping().is_ok_and(|output| output.status.success()));
    database
}

/// slurmdbd, which finds its configuration next to slurm.conf.
pub(super) fn start_daemon(dir: &Path, port: u16) -> Child {
    let shown = dir.display();
    let text = format!(
        "AuthType=auth/munge\nAuthInfo=socket={}\nDbdHost=localhost\nDbdPort={port}\nSlurmUser=root\nLogFile={shown}/log/slurmdbd.log\n\
         PidFile={shown}/run/slurmdbd.pid\nStorageType=accounting_storage/mysql\nStorageHost=localhost\n\
         StorageUser=root\nStorageLoc={DATABASE}\n",
        munge_socket().display()
    );
    let file = dir.join("slurmdbd.conf");
    fs::write(&file, text).expect("slurmdbd.conf");
    // It refuses a file that others can read.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
    let mut command = clean("slurmdbd");
    command.arg("-D").env("SLURM_CONF", dir.join("slurm.conf")).current_dir(dir);
    // There is no setting for the socket.
    command.env("MYSQL_UNIX_PORT", socket(dir).join("socket"));
    daemon(command)
}

impl Cluster {
    fn sacctmgr(&self, args: &[&str]) -> bool {
        self.command("sacctmgr")
            .arg("-i")
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// The cluster and an account for everybody. Before the controller starts, or it is told of a cluster that nobody
    /// knows. False while slurmdbd does not answer.
    pub(super) fn register(&self) -> bool {
        self.sacctmgr(&["add", "cluster", self.name()])
            && self.sacctmgr(&["add", "account", ACCOUNT, &format!("cluster={}", self.name())])
    }

    /// Makes an account of this machine known to the accounting.
    #[track_caller]
    pub fn add_user(&self, account: &TestAccount) {
        let at = format!("account={ACCOUNT}");
        assert!(self.sacctmgr(&["add", "user", &account.name, &at]), "sacctmgr add user {}", account.name);
    }

    /// Changes something in the accounting, with sacctmgr(1), and waits until the controller says this of associations and QOS.
    #[track_caller]
    pub fn change_accounting(&self, change: &[&str], heard: &str) {
        assert!(self.sacctmgr(change), "sacctmgr {change:?}");
        until("the controller has heard of it", || {
            let said = self.command("scontrol").args(["show", "assoc_mgr", "flags=assoc,qos"]).output();
            String::from_utf8_lossy(&said.expect("scontrol").stdout).contains(heard)
        });
    }

    /// All that the accounting has, as SQL. The script and the environment of a job come there some five seconds after
    /// its start, and never if it has ended by then.
    pub fn database_dump(&self) -> Vec<u8> {
        let mut command = Command::new("mysqldump");
        command.env_clear().env("PATH", PATH).args(["--no-defaults", "--skip-extended-insert", "-S"]);
        let output = command.arg(socket(self.dir()).join("socket")).arg(DATABASE).output().expect("mysqldump");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// The lines of the accounting's dump that contain this.
    pub fn database_contains(&self, needle: &[u8]) -> Vec<String> {
        let needle = memchr::memmem::Finder::new(needle);
        let dump = self.database_dump();
        let lines = dump.split(|byte| *byte == b'\n').filter(|line| needle.find(line).is_some());
        lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    /// What `sacct` says about a job and its steps: these fields of each, one step a line.
    pub fn sacct(&self, id: u32, fields: &str) -> Vec<Vec<String>> {
        let output = self.command("sacct").args(["-nPX", "-o", fields, "-j", &id.to_string()]).output().expect("sacct");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
    }
}
