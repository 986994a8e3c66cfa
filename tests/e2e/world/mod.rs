//! A world for one test: accounts, directories, keys, a configuration, and the emulator.

mod programs;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

pub use programs::{PROGRAMS, copy_program, copy_programs, make_script};

/// Whether this process is root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// What the driver may do in a world.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The runner is root.
    Root,
    /// One user's own runner.
    OneUser,
    /// The runner is an ordinary account, and the stage binaries have file capabilities.
    Capabilities,
}

/// An account of this machine, made for one test.
pub struct TestAccount {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: PathBuf,
    made: bool,
}

pub struct World {
    kind: Kind,
    pub dir: PathBuf,
    /// Whom jobs run as.
    pub user: TestAccount,
    /// Whom the driver runs as, if not root.
    pub runner: Option<TestAccount>,
    pub bins: PathBuf,
    /// Lines of the sections of the configuration.
    pub gitlab: String,
    pub jobs: String,
    pub token: Option<String>,
    pub accounts: String,
    pub map: String,
    /// The slurm.conf of the cluster that jobs go to, if they do, and more lines of that section.
    cluster: Option<PathBuf>,
    pub slurm: String,
    /// A GitLab of the harness, where the emulator's cannot be used.
    own_gitlab: Option<crate::gitlab::GitLab>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);
/// Runs a command that changes the account files. Such commands lock them and fail when another one has them, be it
/// that of another thread or of other tests that run on this machine.
pub fn try_change_accounts(command: &mut Command) -> Output {
    static THREADS: Mutex<()> = Mutex::new(());
    let _threads = THREADS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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

impl World {
    /// The runner is root, and jobs run as an account made for this test.
    pub fn new() -> Self {
        assert!(is_root(), "this test needs root");
        Self::build(Kind::Root)
    }

    /// One user's own runner: nobody changes user. As root the whole of it runs as an account made for this test.
    pub fn one_user() -> Self {
        Self::build(Kind::OneUser)
    }

    /// The runner is an ordinary account, and the stage binaries carry capabilities.
    pub fn with_capabilities() -> Self {
        assert!(is_root(), "this test needs root");
        Self::build(Kind::Capabilities)
    }

    fn build(kind: Kind) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = base().join(number.to_string());
        make_dir(&dir, 0o755);
        let user = if is_root() { TestAccount::make(&dir, "u", number) } else { TestAccount::own() };
        let runner = (kind == Kind::Capabilities).then(|| TestAccount::make(&dir, "r", number));
        let bins = match &runner {
            Some(runner) => capable_binaries(&dir, runner),
            None => shared_binaries(),
        };
        // Whatever must be root's is root's; whatever must be the driver's own is that.
        let (uid, gid) = match kind {
            Kind::Root => (0, 0),
            Kind::OneUser => (user.uid, user.gid),
            Kind::Capabilities => runner.as_ref().map_or((0, 0), |runner| (runner.uid, runner.gid)),
        };
        for (name, mode) in [("state", 0o700), ("tmp", 0o700), ("audit", 0o700)] {
            make_dir(&dir.join(name), mode);
            chown(&dir.join(name), uid, gid);
        }
        let mut world = Self {
            kind,
            bins,
            gitlab: String::new(),
            jobs: String::new(),
            token: Some("issuer = \"https://ci.hpc.example\"\naudience = \"https://hpc.example\"\nsite = \"hpc.example\"\ncluster = \"deep\"\n".into()),
            accounts: String::new(),
            map: "[[map]]\nname = \"same name\"\nrun_as = \"{gitlab_user}\"\n".into(),
            cluster: None,
            slurm: String::new(),
            own_gitlab: runner.is_some().then(|| crate::gitlab::GitLab::answering(crate::gitlab::answer_about(&user.name))),
            user,
            runner,
            dir,
        };
        if let Some(gitlab) = &world.own_gitlab {
            world.gitlab = format!("url = {:?}\n", gitlab.url);
        }
        let made = world
            .as_driver(&world.bins.join("motmot"))
            .args(["keys", "init", "--dir"])
            .arg(world.keys())
            .output()
            .expect("motmot keys init");
        // In a world with capabilities the runner cannot write the world's directory: make the directory for it.
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        world.write_config();
        world
    }

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

    /// Where jobs write. Not in the home directory of whoever runs these tests.
    pub fn data_dir(&self) -> PathBuf {
        if self.user.made { self.user.home.join(".motmot") } else { self.dir.join("data") }
    }

    /// Jobs go to this cluster. [`World::slurm`] takes more lines for it.
    pub fn use_slurm(&mut self, cluster: &crate::cluster::Cluster) {
        self.cluster = Some(cluster.conf());
    }

    /// Writes the configuration as it is now.
    pub fn write_config(&self) {
        let downscope = if self.kind == Kind::OneUser { "none" } else { "setuid" };
        let token = self
            .token
            .as_ref()
            .map(|token| format!("[token]\nkeys = {:?}\n{token}\n", self.keys()))
            .unwrap_or_default();
        let data_dir = if self.user.made || self.jobs.contains("data_dir") {
            String::new()
        } else {
            format!("data_dir = {:?}", self.data_dir())
        };
        let (executor, slurm) = match &self.cluster {
            Some(conf) => ("executor = \"slurm\"\n", format!("[slurm]\nconf = {conf:?}\n{}\n", self.slurm)),
            None => ("", String::new()),
        };
        let url = if self.gitlab.contains("url") { "" } else { "url = \"http://127.0.0.1:9\"\n" };
        let text = format!(
            "[gitlab]\n{url}{}\n[jobs]\ndownscope = \"{downscope}\"\nstate_dir = {:?}\n{data_dir}\n{executor}{}\n{slurm}{token}[accounts]\n{}\n[log]\nfile = {:?}\n{}\n",
            self.gitlab,
            self.dir.join("state/motmot"),
            self.jobs,
            self.accounts,
            self.audit_file(),
            self.map,
        );
        fs::write(self.config_file(), text).expect("config");
        fs::set_permissions(self.config_file(), fs::Permissions::from_mode(0o644)).expect("chmod");
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
        if let Some(conf) = &self.cluster {
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

impl TestAccount {
    /// `role` is one letter or more, and together with `number` like no other of this process; `r` is the runner's.
    pub fn make(dir: &Path, role: &str, number: u32) -> Self {
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

    fn own() -> Self {
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

/// One run of the emulator.
pub struct Simulate<'w> {
    world: &'w World,
    args: Vec<String>,
    envs: Vec<(String, String)>,
}

impl Simulate<'_> {
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn option(self, name: &str, value: impl Into<String>) -> Self {
        self.arg(name).arg(value)
    }

    pub fn script(self, line: impl Into<String>) -> Self {
        self.option("--script", line)
    }

    /// A variable of the runner's own environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.into(), value.into()));
        self
    }

    /// The command, its log files, and what is needed to read its end.
    pub fn command(&self) -> (Command, PathBuf, PathBuf) {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temp = self.world.dir.join("tmp");
        let (log, runner_log) = (temp.join(format!("log-{number}")), temp.join(format!("runner-log-{number}")));
        let mut command = self.world.as_driver(&self.world.bins.join("motmot"));
        command.arg("--config").arg(self.world.config_file()).args(["simulate", "--json"]);
        command.arg("--bin-dir").arg(&self.world.bins).arg("--tmpdir").arg(&temp);
        command.arg("--log").arg(&log).arg("--runner-log").arg(&runner_log);
        if self.world.own_gitlab.is_some() {
            // The emulator's copy of the configuration would be the runner's own, and those are not believed here.
            command.args([
                "--gitlab-from-config",
                "--job-id",
                "101",
                "--user-id",
                "42",
                "--project-id",
                "7",
                "--pipeline-id",
                "55",
            ]);
        }
        if !self.args.iter().any(|arg| arg == "--user" || arg.starts_with("--user=")) {
            command.args(["--user", &self.world.user.name]);
        }
        command.args(&self.args).envs(self.envs.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (command, log, runner_log)
    }

    pub fn run(self) -> JobEnd {
        let (mut command, log, runner_log) = self.command();
        let output = command.output().expect("motmot simulate");
        JobEnd::read(&output, &log, &runner_log)
    }
}

/// How a simulated job ended.
pub struct JobEnd {
    pub log: String,
    pub runner_log: String,
    pub json: Value,
}

impl JobEnd {
    pub fn read(output: &Output, log: &Path, runner_log: &Path) -> Self {
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "no result ({error}): {}\n{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        });
        let bytes = fs::read(log).unwrap_or_default();
        let log = if bytes.len() < 8 << 20 { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() };
        Self { log, runner_log: fs::read_to_string(runner_log).unwrap_or_default(), json }
    }

    pub fn succeeded(&self) -> bool {
        self.json["status"] == "success"
    }

    #[track_caller]
    pub fn assert_success(&self) -> &Self {
        assert!(self.succeeded(), "{}\n{}\n{}", self.json, self.log, self.runner_log);
        self
    }

    /// The job failed, for this reason.
    #[track_caller]
    pub fn assert_failed(&self, reason: &str) -> &Self {
        assert_eq!(
            (self.json["status"].as_str(), self.json["failure_reason"].as_str()),
            (Some("failed"), Some(reason)),
            "{}\n{}\n{}",
            self.json,
            self.log,
            self.runner_log
        );
        self
    }

    #[track_caller]
    pub fn assert_log(&self, part: &str) -> &Self {
        assert!(self.log.contains(part), "{part:?} is not in the log:\n{}", self.log);
        self
    }

    /// No line of the log begins so; the runner's echo of the commands does not count.
    #[track_caller]
    pub fn assert_no_line(&self, start: &str) -> &Self {
        assert!(!self.log.lines().any(|line| line.starts_with(start)), "a line begins with {start:?}:\n{}", self.log);
        self
    }

    #[track_caller]
    pub fn assert_not_in_log(&self, part: &str) -> &Self {
        assert!(!self.log.contains(part), "{part:?} is in the log:\n{}", self.log);
        self
    }

    /// The value behind `name=` on a line of its own, as scripts of tests print it.
    #[track_caller]
    pub fn value(&self, name: &str) -> &str {
        let prefix = format!("{name}=");
        self.log
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .unwrap_or_else(|| panic!("no {prefix} in the log:\n{}", self.log))
    }

    /// All calls of that name (`config_exec`, or a sub-stage).
    pub fn calls(&self, name: &str) -> Vec<&Value> {
        let calls = self.json["calls"].as_array().expect("calls");
        calls
            .iter()
            .filter(|call| call["sub_stage"] == name || (call["sub_stage"].is_null() && call["exec"] == name))
            .collect()
    }

    /// The exit code of the only call of that name.
    #[track_caller]
    pub fn code_of(&self, name: &str) -> i64 {
        let calls = self.calls(name);
        assert_eq!(calls.len(), 1, "calls of {name}: {}", self.json);
        calls[0]["exit"]["code"].as_i64().unwrap_or_else(|| panic!("{name} did not exit: {}", calls[0]))
    }
}

/// A directory for all worlds of this run, which every account can enter.
pub fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("motmot-test-").tempdir().expect("a directory").keep();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("chmod");
        dir
    })
}

/// Copies of the programs where every account can reach them, wherever this was built.
fn shared_binaries() -> PathBuf {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    BINARIES
        .get_or_init(|| {
            let to = base().join("bin");
            copy_programs(&to);
            to
        })
        .clone()
}

/// As a site installs them for a runner that is not root: only the runner's account may execute the capable ones.
fn capable_binaries(dir: &Path, runner: &TestAccount) -> PathBuf {
    let to = dir.join("bin");
    copy_programs(&to);
    for stage in ["motmot-config", "motmot-prepare", "motmot-run", "motmot-cleanup"] {
        let path = to.join(stage);
        chown(&path, 0, runner.gid);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).expect("chmod");
        let set = Command::new("setcap")
            .arg("cap_setuid,cap_setgid,cap_kill+ep")
            .arg(&path)
            .output()
            .expect("setcap (package libcap2-bin)");
        assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    }
    to
}

pub fn make_dir(path: &Path, mode: u32) {
    fs::create_dir_all(path).expect("a directory");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

pub fn chown(path: &Path, uid: u32, gid: u32) {
    if is_root() {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).expect("chown");
    }
}

/// Waits until something is true; panics when it has not come true after a generous time.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed().as_secs() < 120, "waited too long until {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Measures something until it is as quick as it must be. Other tests keep the machine busy, but a delay of ours would be
/// in every try.
#[track_caller]
pub fn in_some_try<T: std::fmt::Debug>(mut measure: impl FnMut() -> T, quick: impl Fn(&T) -> bool) {
    let mut seen = Vec::new();
    while seen.len() < 8 {
        let measured = measure();
        if quick(&measured) {
            return;
        }
        seen.push(measured);
    }
    panic!("in no try: {seen:?}");
}

/// Removes what all worlds shared.
pub fn tear_down() {
    if base().read_dir().is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == "bin")) {
        let _ = fs::remove_dir_all(base());
    }
}
