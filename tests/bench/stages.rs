//! What the driver costs, beside the same script without it. Prints figures; never fails on time.
//!
//! `cargo bench --bench stages` (as root; the jobs run as `nobody`). With `-- rules`, `-- audit`, `-- memory`,
//! `-- log` or `-- token` that part alone.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)] // figures are its output

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use motmot::probe::Minting;
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

const ROUNDS: usize = 60;
const ACCOUNT: &str = "nobody";

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("this benchmark changes user and needs root");
        return;
    }
    // What a stage looks for above it is its parent, as under a real runner.
    nix::sys::prctl::set_name(c"gitlab-runner").expect("a name");
    let world = World::new("");
    match std::env::args().skip(1).find(|word| !word.starts_with('-')).as_deref() {
        None => (),
        Some("rules") => {
            world.rules_cost(10_000);
            return world.table_cost(100_000);
        }
        Some("audit") => return world.audit_cost(),
        Some("log") => return world.throughput(),
        Some("memory") => return world.memory(),
        Some("token") => return tokens(&world.path("keys")),
        Some(part) => return println!("there is no part `{part}`"),
    }
    println!("median of {ROUNDS} rounds, taken in turn; wall time and CPU time of all processes\n");
    stages(&world);
    world.rules_cost(10_000);
    world.table_cost(100_000);
    world.job_cost();
    world.audit_cost();
    world.memory();
    world.throughput();
    world.latency();
    tokens(&world.path("keys"));
}

struct World {
    /// Where the audit log is.
    log: std::cell::RefCell<String>,
    dir: tempfile::TempDir,
    bins: PathBuf,
    uid: u32,
    gid: u32,
    /// More of `[accounts]`.
    accounts: String,
}

/// A service of PAM.
struct Pam {
    name: String,
}

impl Pam {
    fn install() -> Self {
        let name = format!("motmot-bench-{}", std::process::id());
        let lines =
            "account required pam_permit.so\nsession required pam_loginuid.so\nsession required pam_limits.so\n";
        fs::write(Path::new("/etc/pam.d").join(&name), lines).expect("a service of PAM");
        Self { name }
    }
}

impl Drop for Pam {
    fn drop(&mut self) {
        let _ = fs::remove_file(Path::new("/etc/pam.d").join(&self.name));
    }
}

impl World {
    fn new(accounts: &str) -> Self {
        let accounts = accounts.to_owned();
        let user = nix::unistd::User::from_name(ACCOUNT).expect("lookup").expect("nobody");
        let dir = tempfile::Builder::new().prefix("motmot-bench-").tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("chmod");
        let bins = Path::new(env!("CARGO_BIN_EXE_motmot")).parent().expect("a directory").to_owned();
        let log = dir.path().join("audit.log").display().to_string().into();
        let world = Self { log, bins, uid: user.uid.as_raw(), gid: user.gid.as_raw(), dir, accounts };
        for (name, uid) in [("state", 0), ("tmp", 0), ("data", world.uid)] {
            fs::create_dir(world.path(name)).expect("a directory");
            fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o700)).expect("chmod");
            std::os::unix::fs::chown(world.path(name), Some(uid), Some(0)).expect("chown");
        }
        let made =
            Command::new(world.bins.join("motmot")).args(["keys", "init", "--dir"]).arg(world.path("keys")).output();
        assert!(made.expect("motmot").status.success());
        world.configure("http://127.0.0.1:9", "");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configure(&self, url: &str, jobs: &str) {
        let (dir, accounts, log) = (self.dir.path().display(), &self.accounts, self.log.borrow());
        let text = format!(
            "[gitlab]\nurl = \"{url}\"\n[jobs]\ndata_dir = \"{dir}/data\"\nstate_dir = \"{dir}/state\"\n{jobs}\n[token]\nissuer = \"https://ci.example\"\naudience = \"https://a.example\"\nkeys = \"{dir}/keys\"\n[accounts]\nshells = [\"/usr/sbin/nologin\", \"/bin/false\"]\n{accounts}\n[log]\nfile = \"{log}\"\n[[map]]\nrun_as = \"{ACCOUNT}\"\n"
        );
        fs::write(self.path("config.toml"), text).expect("config");
    }

    fn log_to(&self, file: &str) {
        self.log.replace(file.to_owned());
    }

    fn stage(&self, stage: &str) -> Command {
        let mut command = Command::new(self.bins.join(format!("motmot-{stage}")));
        command
            .arg("--config")
            .arg(self.path("config.toml"))
            .stdin(Stdio::null())
            .env("JOB_RESPONSE_FILE", self.path("tmp/response.json"))
            .env("BUILD_EXIT_CODE_FILE", self.path("tmp/code"));
        command
    }

    /// The run stage of a session.
    fn run_stage(&self, session: &str, script: &Path) -> Command {
        let mut command = self.stage("run");
        command.arg(script).arg("build_script").env("MOTMOT_SESSION", session);
        command
    }

    /// A session for single stages.
    fn session(&self, jobs: &str) -> String {
        let (server, url) = gitlab();
        self.configure(&url, jobs);
        self.write_payload();
        let output = self.stage("config").output().expect("config");
        server.join().expect("the server");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        answer["job_env"]["MOTMOT_SESSION"].as_str().expect("a session").to_owned()
    }

    fn write_payload(&self) {
        let payload =
            json!({"id": 1, "token": "t", "job_info": {"project_id": 7, "project_full_path": "g/p", "user_id": 42}});
        fs::write(self.path("tmp/response.json"), payload.to_string()).expect("payload");
    }

    fn script(&self, body: &str) -> PathBuf {
        let path = self.path("tmp/script");
        fs::write(&path, format!("#!/usr/bin/env bash\nset -o errexit\n(eval $'{body}\\n') < /dev/null\nexit 0\n"))
            .expect("script");
        path
    }

    /// The same script as the same account, and nothing else.
    fn bare(&self, script: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", self.uid))
            .arg(format!("--regid={}", self.gid))
            .args(["--clear-groups", "bash"]);
        command.stdin(fs::File::open(script).expect("script")).env_clear().env("PATH", "/usr/bin:/bin");
        command
    }

    /// A configuration of many rules beside one of one rule. The last rule is the one that decides.
    fn rules_cost(&self, count: usize) {
        let rules: Vec<String> = (1..count)
            .map(|i| format!("[[map]]\nwhen = {{ user = \"user{i}\" }}\nrun_as = \"account{i}\"\n\n"))
            .collect();
        let (mut one, mut many) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS / 4 {
            one.push(self.config_stage(""));
            many.push(self.config_stage(&rules.concat()));
        }
        let (one, many) = (median(one), median(many));
        println!("{count} rules: config stage beside 1 rule");
        println!("  1 rule                {:>7.2} ms wall  {:>7.2} ms CPU", ms(one.0), ms(one.1));
        println!("  {count} rules           {:>7.2} ms wall  {:>7.2} ms CPU", ms(many.0), ms(many.1));
        println!(
            "  added                 {:>7.2} ms wall  {:>7.2} ms CPU   (aim: under 20 ms)\n",
            ms(many.0) - ms(one.0),
            ms(many.1) - ms(one.1)
        );
    }

    /// A table that does not have the user, before the rule that decides: read, and looked through to its end.
    fn table_cost(&self, count: usize) {
        let table = self.path("users.map");
        let lines: Vec<String> = (0..count).map(|i| format!("user{i} account{i}\n")).collect();
        fs::write(&table, lines.concat()).expect("a table");
        let rule = format!("[[map]]\nrun_as = \"table:{}\"\n\n", table.display());
        let (mut none, mut read) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS / 4 {
            none.push(self.config_stage(""));
            read.push(self.config_stage(&rule));
        }
        let (none, read) = (median(none), median(read));
        println!(
            "a table of {count} lines: config stage with it {:>7.2} ms wall, beside none {:>7.2} ms",
            ms(read.0),
            ms(none.0)
        );
        println!(
            "  added                 {:>7.2} ms wall  {:>7.2} ms CPU   (aim: under 5 ms to look up, 20 to load)\n",
            ms(read.0) - ms(none.0),
            ms(read.1) - ms(none.1)
        );
    }

    /// One config stage, with these rules for others before the one that decides.
    fn config_stage(&self, rules: &str) -> (Duration, Duration) {
        let (server, url) = gitlab();
        self.configure(&url, "");
        let path = self.path("config.toml");
        let text = fs::read_to_string(&path).expect("config");
        let (before, last) = text.split_once("[[map]]").expect("a rule");
        fs::write(&path, format!("{before}{rules}[[map]]{last}")).expect("config");
        self.write_payload();
        let output = self.path("tmp/answer");
        let cost = measure(self.stage("config").stdout(fs::File::create(&output).expect("a file")));
        server.join().expect("the server");
        let answer: Value = serde_json::from_slice(&fs::read(&output).expect("an answer")).expect("JSON");
        self.clean_up(answer["job_env"]["MOTMOT_SESSION"].as_str().expect("a session"));
        cost
    }

    fn clean_up(&self, session: &str) {
        assert!(self.stage("cleanup").env("MOTMOT_SESSION", session).status().expect("cleanup").success());
    }

    /// One whole job.
    fn job(&self, script: &Path) -> (Duration, Duration) {
        let start = (Instant::now(), cpu());
        let session = self.session("");
        let stage = |name: &str| {
            let mut command = self.stage(name);
            command.env("MOTMOT_SESSION", &session).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        assert!(stage("prepare").status().expect("prepare").success());
        for _ in 0..6 {
            assert!(stage("run").arg(script).arg("build_script").status().expect("run").success());
        }
        self.clean_up(&session);
        (start.0.elapsed(), cpu().saturating_sub(start.1))
    }

    /// Config, prepare, six run stages, cleanup, beside six bare scripts.
    fn job_cost(&self) {
        let script = self.script("true");
        let (mut bare, mut whole) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS / 4 {
            let start = (Instant::now(), cpu());
            for _ in 0..6 {
                assert!(self.bare(&script).stdout(Stdio::null()).status().expect("bash").success());
            }
            bare.push((start.0.elapsed(), cpu().saturating_sub(start.1)));
            whole.push(self.job(&script));
        }
        let (bare, whole) = (median(bare), median(whole));
        println!("a whole job: config, prepare, six run stages, cleanup");
        println!("  six bare scripts      {:>7.2} ms wall  {:>7.2} ms CPU", ms(bare.0), ms(bare.1));
        println!("  motmot                {:>7.2} ms wall  {:>7.2} ms CPU\n", ms(whole.0), ms(whole.1));
    }

    /// A whole job with a file of the audit log and without, beside as many lines that are written to the same disk and waited for.
    fn audit_cost(&self) {
        let (script, log) = (self.script("true"), self.path("audit.log"));
        let records = || fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        let before = records();
        self.job(&script);
        let records = records() - before;
        let mut bare_file = fs::File::create(self.path("bare.log")).expect("a file");
        let (mut with, mut without, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS / 4 {
            self.log_to(&log.display().to_string());
            with.push(self.job(&script));
            self.log_to("");
            without.push(self.job(&script));
            let start = Instant::now();
            for _ in 0..records {
                std::io::Write::write_all(&mut bare_file, &[b'x'; 512]).expect("written");
                bare_file.sync_data().expect("synced");
            }
            bare.push((start.elapsed(), Duration::ZERO));
        }
        self.log_to(&log.display().to_string());
        let (with, without, bare) = (median(with), median(without), median(bare));
        println!("the audit log of a whole job: {records} records, each on the disk before what it is about");
        println!("  without a file        {:>7.2} ms wall  {:>7.2} ms CPU", ms(without.0), ms(without.1));
        println!("  with it               {:>7.2} ms wall  {:>7.2} ms CPU", ms(with.0), ms(with.1));
        println!(
            "  a record              {:>7.2} ms wall  {:>7.2} ms CPU   (a line written and waited for: {:.2} ms)\n",
            (ms(with.0) - ms(without.0)) / records as f64,
            (ms(with.1) - ms(without.1)) / records as f64,
            ms(bare.0) / records as f64
        );
    }

    /// While a job runs: the stage binary and its worker, as the kernel counts them.
    fn memory(&self) {
        let session = self.session("");
        let script = self.script("echo ready; sleep 1000");
        let mut child = self.run_stage(&session, &script).stdout(Stdio::piped()).spawn().expect("run");
        let mut ready = [0; 6];
        child.stdout.as_mut().expect("stdout").read_exact(&mut ready).expect("ready");
        let stage = child.id();
        let worker: u32 = fs::read_to_string(format!("/proc/{stage}/task/{stage}/children"))
            .expect("children")
            .trim()
            .parse()
            .expect("one worker");
        let (a, b) = (memory_of(stage), memory_of(worker));
        println!("memory while a job runs (resident; proportional share; private)");
        println!("  motmot-run            {:>7} KiB {:>7} KiB {:>7} KiB", a.0, a.1, a.2);
        println!("  motmot-worker         {:>7} KiB {:>7} KiB {:>7} KiB", b.0, b.1, b.2);
        println!(
            "  both                  {:>7} KiB {:>7} KiB {:>7} KiB   (aim: under 8192 KiB resident)\n",
            a.0 + b.0,
            a.1 + b.1,
            a.2 + b.2
        );
        let _ = Command::new("kill").arg(stage.to_string()).status();
        let _ = child.wait();
        self.clean_up(&session);
    }

    /// A gibibyte of log, with a token to mask, beside the same through a bare pipe.
    fn throughput(&self) {
        const BYTES: u64 = 1 << 30;
        let session = self.session("");
        let script = self
            .script(&format!("yes 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde | head -c {BYTES}"));
        let (mut bare, mut run) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            bare.push((drain(&mut self.bare(&script), BYTES), Duration::ZERO));
            run.push((drain(&mut self.run_stage(&session, &script), BYTES), Duration::ZERO));
        }
        let speed = |time: Duration| BYTES as f64 / 1e6 / time.as_secs_f64();
        println!("log throughput, 1 GiB, `yes | head`");
        println!("  setpriv bash script   {:>7.0} MB/s", speed(median(bare).0));
        println!("  motmot-run, masked    {:>7.0} MB/s   (aim: over 500 MB/s)\n", speed(median(run).0));
        self.clean_up(&session);
    }

    /// From a line's writing to its arrival at the runner.
    fn latency(&self) {
        use std::io::BufRead;
        let session = self.session("");
        let script = self.script("for i in $(seq 40); do date +%s%N; sleep 0.02; done");
        let mut child = self.run_stage(&session, &script).stdout(Stdio::piped()).spawn().expect("run");
        let mut delays = Vec::new();
        for line in std::io::BufReader::new(child.stdout.take().expect("stdout")).lines() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            delays.push((
                now.saturating_sub(Duration::from_nanos(line.expect("a line").parse().expect("nanoseconds"))),
                Duration::ZERO,
            ));
        }
        let _ = child.wait();
        println!("a line of the log: {:.2} ms from `date` to the runner (aim: under 50 ms)", ms(median(delays).0));
        self.clean_up(&session);
    }
}

/// One run stage, with PAM's phases and without, beside the same script without a driver.
fn stages(plain: &World) {
    let pam = Pam::install();
    let account = World::new(&format!("pam_service = \"{}\"", pam.name));
    let session = World::new(&format!("pam_service = \"{}\"\npam_session = true", pam.name));
    let worlds =
        [("motmot-run", plain), ("  and PAM's account phase", &account), ("  and its session phase", &session)];
    let script = plain.script("true");
    for jobs in ["login_shell = true", "login_shell = false"] {
        let sessions: Vec<String> = worlds.iter().map(|(_, world)| world.session(jobs)).collect();
        let mut rows = vec![("setpriv bash script", Vec::new()), ("su - account -c script", Vec::new())];
        rows.extend(worlds.iter().map(|(name, _)| (*name, Vec::new())));
        for _ in 0..ROUNDS {
            let mut commands = vec![plain.bare(&script), login(&script)];
            commands
                .extend(worlds.iter().zip(&sessions).map(|((_, world), session)| world.run_stage(session, &script)));
            for ((_, samples), command) in rows.iter_mut().zip(&mut commands) {
                samples.push(measure(command.stdout(Stdio::null())));
            }
        }
        let rows: Vec<_> = rows.into_iter().map(|(name, samples)| (name, median(samples))).collect();
        println!(
            "one run stage ({jobs}; pam_limits and pam_loginuid; aims: under 15 ms more, and no more than `su -`)"
        );
        let bare = rows[0].1;
        for (name, (wall, cpu)) in &rows {
            println!(
                "  {name:<28}{:>7.2} ms wall  {:>7.2} ms CPU  {:>+7.2} ms",
                ms(*wall),
                ms(*cpu),
                ms(*wall) - ms(bare.0)
            );
        }
        println!();
        worlds.iter().zip(&sessions).for_each(|((_, world), session)| world.clean_up(session));
    }
}

/// The script behind a login of the same account: what people are used to wait for.
fn login(script: &Path) -> Command {
    let mut command = Command::new("su");
    command.args(["-", ACCOUNT, "-s", "/bin/bash", "-c", &fs::read_to_string(script).expect("script")]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Minting in one process, self-check included, beside a bare signature and its verification.
fn tokens(ring: &Path) {
    let Minting { bare, token, ring, first } = motmot::probe::minting(ring, 2000).expect("tokens");
    let times = |of: Duration| token.as_secs_f64() / of.as_secs_f64();
    println!("\na token, on one core");
    println!("  the library's bare signature and verification   {:>6.3} ms", ms(bare));
    println!(
        "  minted and verified                             {:>6.3} ms  {:.1} times that (aim: at most 3)",
        ms(token),
        times(bare)
    );
    println!("  the ring of keys, read and checked              {:>6.3} ms  (aim: under 0.5 ms)", ms(ring));
    println!("  first ring and first token of a process         {:>6.3} ms", ms(first));
    match openssl() {
        Some(bare) => println!(
            "  openssl's bare signature and verification       {:>6.3} ms  a token takes {:.1} times that (aim: at most 3)",
            ms(bare),
            times(bare)
        ),
        None => println!("  openssl speed: not here"),
    }
}

/// What openssl takes for a bare signature and its verification.
fn openssl() -> Option<Duration> {
    let output = Command::new("openssl").args(["speed", "-seconds", "2", "ecdsap256"]).stderr(Stdio::null()).output();
    let output = String::from_utf8_lossy(&output.ok()?.stdout).into_owned();
    // Its last line ends in signatures and verifications a second.
    let mut speeds = output.lines().last()?.split_whitespace().rev().map_while(|word| word.parse::<f64>().ok());
    let (verified, signed) = (speeds.next()?, speeds.next()?);
    Some(Duration::from_secs_f64(1.0 / signed + 1.0 / verified))
}

/// A GitLab of a few lines: it answers one question.
fn gitlab() -> (std::thread::JoinHandle<()>, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let _ = stream.read(&mut [0; 4096]);
        let (user, pipeline) = (json!({"id": 42, "username": "adent"}), json!({"id": 55, "source": "push"}));
        let body = json!({"id": 1, "status": "running", "user": user, "pipeline": pipeline}).to_string();
        let _ = std::io::Write::write_all(
            &mut stream,
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
        );
    });
    (server, url)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// CPU time of all children that have been waited for, and of theirs.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("rusage");
    let time = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0))
    };
    time(usage.user_time()) + time(usage.system_time())
}

fn measure(command: &mut Command) -> (Duration, Duration) {
    let (start, before) = (Instant::now(), cpu());
    assert!(command.status().expect("started").success());
    (start.elapsed(), cpu().saturating_sub(before))
}

fn median(mut samples: Vec<(Duration, Duration)>) -> (Duration, Duration) {
    let middle = samples.len() / 2;
    samples.sort_by_key(|sample| sample.0);
    let wall = samples[middle].0;
    samples.sort_by_key(|sample| sample.1);
    (wall, samples[middle].1)
}

fn drain(command: &mut Command, expected: u64) -> Duration {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let mut stdout = child.stdout.take().expect("stdout");
    let (mut piece, mut total) = (vec![0; 1 << 20], 0);
    while let Ok(length) = stdout.read(&mut piece) {
        if length == 0 {
            break;
        }
        total += length as u64;
    }
    let _ = child.wait();
    assert_eq!(total, expected);
    start.elapsed()
}

/// Resident, proportional and private memory in KiB (`/proc/PID/smaps_rollup`).
fn memory_of(pid: u32) -> (u64, u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    (value("Rss:"), value("Pss:"), value("Private_Clean:") + value("Private_Dirty:"))
}
