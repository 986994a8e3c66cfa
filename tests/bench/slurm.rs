//! Jobs in Slurm, beside `sbatch --wait` of the same scripts on the same private cluster. Prints figures; fails only when
//! a result is wrong or something is left behind, never on time.
//!
//! `cargo bench --bench slurm` (as root), or only a part of it: `cargo bench --bench slurm -- one questions many`.
//! `MOTMOT_BENCH_ROUNDS`, `_JOBS`, `_USERS` and `_SECONDS` set the sizes.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::cast_precision_loss)] // figures are its output

#[allow(dead_code, unused_imports, unused_macros)] // tests need more of it
#[path = "../e2e/world/mod.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use world::cluster::look::rpc_table;
use world::gitlab::GitLab;
use world::{Body, Cluster, Slurm, TestAccount, World, base, cluster, make_dir};

/// What nodes tell their controller, and what this program asks it itself.
const NOT_OURS: [&str; 9] = [
    "MESSAGE_NODE_REGISTRATION_STATUS",
    "MESSAGE_EPILOG_COMPLETE",
    "REQUEST_COMPLETE_BATCH_SCRIPT",
    "REQUEST_COMPLETE_PROLOG",
    "REQUEST_STEP_COMPLETE",
    "REQUEST_PING",
    "REQUEST_STATS_INFO",
    "REQUEST_STATS_RESET",
    "REQUEST_NODE_INFO",
];
/// How long the parent of a script has existed when the script begins: motmot's wrapper, or Slurm's own process.
const SINCE: &str = "read -r up _ </proc/uptime\nstat=$(</proc/$PPID/stat)\nset -- ${stat##*) }\necho \"up=$up\"\necho \"born=${20}\"\necho \"began=$EPOCHREALTIME\"\n";
/// Lines that each of many scripts writes.
const LINES: u64 = 100;

fn main() -> ExitCode {
    // Before there is another thread, so that all of them leave these to the one that waits for them.
    let mut asked = SigSet::empty();
    asked.add(Signal::SIGTERM);
    asked.add(Signal::SIGINT);
    asked.thread_block().expect("signals");
    let bench = Body::Slurm(bench);
    let mut missing = bench.missing();
    missing.extend(cluster::missing(&["sdiag", "squeue", "scancel"]));
    if !missing.is_empty() {
        println!("this benchmark makes accounts and a cluster of its own; missing: {}", missing.join(", "));
        return ExitCode::SUCCESS;
    }
    std::thread::spawn(move || {
        while asked.wait().is_ok() {
            stop();
        }
    });
    let done = catch_unwind(|| bench.run());
    cluster::tear_down(false);
    let _ = fs::remove_dir_all(base());
    if done.is_err() {
        println!("did not come to its end; all that it made is gone again");
    }
    if done.is_ok() && GOOD.load(Ordering::Acquire) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether all results were right.
static GOOD: AtomicBool = AtomicBool::new(true);

fn bench(slurm: Slurm) {
    let parts: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let chosen = |part: &str| parts.is_empty() || parts.iter().any(|name| name == part);
    if chosen("one") {
        one(slurm);
    }
    if chosen("questions") {
        questions(slurm);
    }
    if chosen("many") {
        GOOD.store(many(slurm), Ordering::Release);
    }
}

fn size(name: &str, default: u64) -> u64 {
    std::env::var(format!("MOTMOT_BENCH_{name}")).map_or(default, |text| text.parse().expect(name))
}

fn seconds() -> u64 {
    size("SECONDS", 60)
}

/// The processes that we wait for.
static CHILDREN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
static STOPPED: AtomicBool = AtomicBool::new(false);

fn children() -> BTreeSet<u32> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Nothing new begins, and what runs is killed, so that all threads come to their end.
fn stop() {
    STOPPED.store(true, Ordering::Release);
    for pid in CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = kill(Pid::from_raw(i32::try_from(*pid).expect("a pid")), Signal::SIGKILL);
    }
}

/// A process that does not outlive [`stop`].
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!STOPPED.load(Ordering::Acquire), "interrupted");
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        children.insert(child.id());
        Self(child)
    }

    fn end(mut self) -> ExitStatus {
        self.0.wait().expect("a child")
    }

    /// The lines of its standard output, each with the time of its arrival, and its exit status.
    fn lines(mut self, mut seen: impl FnMut(&str)) -> (Vec<(f64, String)>, ExitStatus) {
        let mut lines = Vec::new();
        for line in BufReader::new(self.0.stdout.take().expect("a pipe")).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            seen(&line);
            lines.push((now(), line));
        }
        (lines, self.end())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0.id());
    }
}

/// Threads that wait for jobs shall not wait for ever when somebody panics.
struct StopOnPanic;

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            stop();
        }
    }
}

/// Waits as long as it takes, unless somebody interrupts.
fn wait_until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        assert!(!STOPPED.load(Ordering::Acquire), "interrupted");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn pause(time: Duration) {
    let end = Instant::now() + time;
    wait_until(|| Instant::now() >= end);
}

/// A runner's machine with its users.
struct Site {
    world: World,
    users: Vec<TestAccount>,
    _gitlab: GitLab,
}

impl Site {
    fn new(slurm: Slurm, users: u32, cluster: &Cluster) -> Self {
        // GitLab knows from its token which job asks, and so does this one.
        let gitlab = GitLab::by_request(|request| {
            let token = request.lines().find_map(|line| line.split_once(": glcbt-")).expect("a token").1.trim();
            let (job, login) = token.split_once('-').expect("a job and a name");
            let job: u64 = job.parse().expect("a number");
            json!({"id": job, "status": "running", "user": {"id": 42, "username": login}, "pipeline": {"id": 55, "project_id": 7, "source": "push"}})
        });
        let world = World::root(slurm).at(cluster).gitlab(|section| section.url(&gitlab.url)).build();
        let mut site = Self { world, users: Vec::new(), _gitlab: gitlab };
        for number in 0..users {
            site.users.push(TestAccount::make(slurm, &site.world.dir, &format!("b{number}x"), 500 + number));
        }
        site
    }

    /// Config, with a directory of the job's own for what the runner writes.
    fn job<'s>(&'s self, number: u64, user: &'s TestAccount) -> Result<Job<'s>, String> {
        let temp = self.world.dir.join(format!("tmp/{number}"));
        make_dir(&temp, 0o700);
        let payload = json!({
            "id": number, "token": format!("glcbt-{number}-{}", user.name), "variables": [], "steps": [],
            "job_info": {"name": "j", "stage": "test", "project_id": 7, "project_full_path": "group/project", "user_id": 42, "pipeline_id": 55},
            "git_info": {"ref": "main", "ref_type": "branch", "sha": "0123456789012345678901234567890123456789", "protected": true},
        });
        fs::write(temp.join("response.json"), payload.to_string()).expect("payload");
        let mut job = Job { site: self, temp, session: String::new(), user };
        let (lines, status) = Running::start(job.stage("config").stdout(Stdio::piped())).lines(|_| ());
        if !status.success() {
            return Err(format!("config: {status}: {}", job.errors()));
        }
        let text: String = lines.into_iter().map(|(_, line)| line).collect();
        let answer: Value = serde_json::from_str(&text).map_err(|error| format!("config: {error}: {text}"))?;
        job.session = answer["job_env"]["MOTMOT_SESSION"].as_str().ok_or("no session")?.into();
        Ok(job)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.users.iter().for_each(TestAccount::remove);
    }
}

/// One CI job.
struct Job<'s> {
    site: &'s Site,
    temp: PathBuf,
    session: String,
    user: &'s TestAccount,
}

impl Job<'_> {
    fn stage(&self, name: &str) -> Command {
        let mut command = self.site.world.stage(name);
        command
            .current_dir(&self.temp)
            .env("TMPDIR", &self.temp)
            .env("BUILD_EXIT_CODE_FILE", self.temp.join("code"))
            .env("JOB_RESPONSE_FILE", self.temp.join("response.json"))
            .env("MOTMOT_SESSION", &self.session)
            .stdout(Stdio::null())
            .stderr(fs::File::options().append(true).create(true).open(self.temp.join("errors")).expect("a file"));
        command
    }

    /// What the stages have said on standard error.
    fn errors(&self) -> String {
        fs::read_to_string(self.temp.join("errors")).unwrap_or_default()
    }

    fn simple(&self, stage: &str) -> Result<(), String> {
        let status = Running::start(&mut self.stage(stage)).end();
        if status.success() { Ok(()) } else { Err(format!("{stage}: {status}: {}", self.errors())) }
    }

    /// A run stage, with the job's log in a pipe.
    fn run(&self, sub_stage: &str, script: &str) -> Running {
        let path = self.temp.join(sub_stage);
        fs::write(&path, script).expect("script");
        let mut command = self.stage("run");
        command.arg(path).arg(sub_stage).stdout(Stdio::piped());
        Running::start(&mut command)
    }

    /// The exit code of the script behind that of a run stage.
    fn code(&self, status: ExitStatus) -> Option<i32> {
        match status.code() {
            Some(1) => fs::read_to_string(self.temp.join("code")).ok()?.trim().parse().ok(),
            other => other,
        }
    }
}

/// `sbatch --wait` of a script, as an account.
fn sbatch(cluster: &Cluster, user: &TestAccount, script: &str, name: &str) -> (Command, PathBuf) {
    let (path, out) = (user.home.join(format!("{name}.sh")), user.home.join(format!("{name}.out")));
    fs::write(&path, script).expect("script");
    let _ = fs::remove_file(&out);
    let mut command = cluster.command_as(user, "sbatch");
    command.arg("--wait").arg("-o").arg(&out).arg(&path).stdin(Stdio::null()).stdout(Stdio::null());
    (command, out)
}

/// One script at a time.
fn one(slurm: Slurm) {
    let rounds = size("ROUNDS", 20);
    let cluster = Cluster::build(slurm).nodes(2).start();
    let site = Site::new(slurm, 0, &cluster);
    let job = site.job(1, &site.world.user).expect("config");
    job.simple("prepare").expect("prepare");
    let [mut sbatch_begin, mut sbatch_end, mut begin, mut first, mut end] = [const { Vec::new() }; 5];
    for round in 0..rounds {
        // Of different lengths: what asks at intervals is to be met everywhere between two of them.
        let length = 0.5 + 2.5 * round as f64 / rounds as f64;
        let script = format!("#!/bin/bash\necho begin=$EPOCHREALTIME\nsleep {length}\necho end=$EPOCHREALTIME\n");
        let (mut command, out) = sbatch(&cluster, job.user, &script, "one");
        let start = now();
        assert!(Running::start(&mut command).end().success(), "sbatch");
        let ended = now();
        let text = fs::read_to_string(out).expect("the output");
        sbatch_begin.push(value(text.lines(), "begin=") - start);
        sbatch_end.push(ended - value(text.lines(), "end="));

        let start = now();
        let (lines, status) = job.run("build_script", &script).lines(|_| ());
        let ended = now();
        assert!(status.success(), "{status}: {}", job.errors());
        let text = || lines.iter().map(|(_, line)| line.as_str());
        begin.push(value(text(), "begin=") - start);
        first.push(lines.iter().find(|(_, line)| line.starts_with("begin=")).expect("a line").0 - start);
        end.push(ended - value(text(), "end="));
    }
    println!("one script at a time, {rounds} rounds, taken in turn");
    println!("  from the script's end on the node to the end of what waits for it");
    println!("    sbatch --wait       {}", spread(sbatch_end));
    println!("    motmot-run          {}", spread(end));
    println!("  from the start of what submits");
    println!("    sbatch, to the first line of the script          {}", spread(sbatch_begin));
    println!("    motmot-run, to the first line of the script      {}", spread(begin));
    println!("    motmot-run, to the first line in the job's log   {}", spread(first));

    let script = "#!/bin/bash\nfor ((i = 0; i < 50; i++)); do echo at=$EPOCHREALTIME; sleep 0.02; done\n";
    let (lines, status) = job.run("build_script", script).lines(|_| ());
    assert!(status.success(), "{status}: {}", job.errors());
    let delays: Vec<f64> =
        lines.iter().filter_map(|(at, line)| Some(at - line.strip_prefix("at=")?.parse::<f64>().ok()?)).collect();
    assert_eq!(delays.len(), 50);
    println!("  a line of the log, from the node to the runner     {}", spread(delays));
    job.simple("cleanup").expect("cleanup");
    stage_costs(&site, rounds);
}

/// What each stage of a job with empty scripts costs, with all that it calls on this machine.
fn stage_costs(site: &Site, rounds: u64) {
    let mut costs = [const { Vec::new() }; 5];
    for round in 0..rounds {
        let mut before = cpu();
        let mut note = |stage: usize| {
            let now = cpu();
            costs[stage].push(now.saturating_sub(before).as_secs_f64());
            before = now;
        };
        let job = site.job(100 + round, &site.world.user).expect("config");
        note(0);
        job.simple("prepare").expect("prepare");
        note(1);
        for (number, sub_stage) in [(2, "get_sources"), (3, "build_script")] {
            assert!(job.run(sub_stage, "#!/bin/bash\n").lines(|_| ()).1.success(), "{}", job.errors());
            note(number);
        }
        job.simple("cleanup").expect("cleanup");
        note(4);
    }
    println!("  CPU time of the stages of a job with empty scripts, and of all that they call on this machine");
    let names = ["config", "prepare", "run, on this machine", "run, in Slurm", "cleanup"];
    for (name, times) in names.into_iter().zip(costs) {
        println!("    {name:<20}{}", spread(times));
    }
    println!();
}

/// What a job costs the controller.
fn questions(slurm: Slurm) {
    let script = format!("#!/bin/bash\nsleep {}\n", seconds());
    let (ours, theirs) = (Cluster::build(slurm).nodes(1).start(), Cluster::build(slurm).nodes(1).start());
    let site = Site::new(slurm, 0, &ours);
    let job = site.job(1, &site.world.user).expect("config");
    let (mut command, _) = sbatch(&theirs, job.user, &script, "questions");
    for cluster in [&ours, &theirs] {
        cluster.reset_rpc_counts();
    }
    let waiting = Running::start(&mut command);
    job.simple("prepare").expect("prepare");
    assert!(job.run("build_script", &script).end().success(), "{}", job.errors());
    let until_here = ours_of(&ours.rpc_counts());
    job.simple("cleanup").expect("cleanup");
    assert!(waiting.end().success(), "sbatch");
    let (of_motmot, of_sbatch) = (ours_of(&ours.rpc_counts()), ours_of(&theirs.rpc_counts()));
    println!("questions to the controller, a job of {} s", seconds());
    println!("  sbatch --wait         {:>3}  {of_sbatch:?}", of_sbatch.values().sum::<u64>());
    println!("  motmot                {:>3}  {of_motmot:?}   (at most 6)", of_motmot.values().sum::<u64>());
    println!("    before its cleanup  {:>3}\n", until_here.values().sum::<u64>());
}

fn ours_of(counts: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    counts.iter().filter(|(name, _)| !NOT_OURS.contains(&name.as_str())).map(|(name, n)| (name.clone(), *n)).collect()
}

/// Where all scripts wait until all of them run.
struct Gate(PathBuf);

impl Gate {
    fn new(dir: &Path) -> Self {
        let path = dir.join("gate");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o644)).expect("mkfifo");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("chmod");
        Self(path)
    }

    fn open(&self) {
        // For reading, too, so that this does not wait itself. Whoever reads gets the end of the file when we close it.
        let _held = fs::File::options().read(true).write(true).open(&self.0).expect("the gate");
        fs::remove_file(&self.0).expect("the gate");
        std::thread::sleep(Duration::from_secs(1)); // whoever was about to open it has done so now
    }
}

/// One of many scripts, and what it must come to.
struct Task {
    number: u64,
    user: usize,
    script: String,
    lines: Vec<String>,
    code: i32,
}

impl Task {
    fn new(number: u64, users: u64, gate: &Path) -> Self {
        let (shortest, code) = (seconds() / 3, i32::try_from(number % 4).expect("small"));
        let length = shortest + number * 7 % (seconds() - shortest + 1);
        let odd = number * 7919;
        let script = format!(
            "#!/bin/bash\n{SINCE}echo started\nread -r _ <{}\nsleep {length}\nfor ((i = 0; i < {LINES}; i++)); do echo \"out-{number}-$i-$(((i * 104729 + {odd}) % 1000003))\"; done\necho end=$EPOCHREALTIME\nexit {code}\n",
            gate.display()
        );
        let lines = (0..LINES).map(|i| format!("out-{number}-{i}-{}", (i * 104_729 + odd) % 1_000_003)).collect();
        Self { number, user: usize::try_from(number % users).expect("small"), script, lines, code }
    }

    fn judge(&self, text: &[&str], code: Option<i32>, submitted: f64, ended: f64) -> Result<Good, String> {
        let number = self.number;
        let lines: Vec<&str> = text.iter().copied().filter(|line| line.starts_with("out-")).collect();
        if code != Some(self.code) {
            return Err(format!("job {number}: exit code {code:?}, not {}", self.code));
        }
        if lines != self.lines {
            return Err(format!("job {number}: {} of {LINES} lines, or other ones", lines.len()));
        }
        let value = |name| value(text.iter().copied(), name);
        Ok(Good {
            submitted,
            began: value("began="),
            idle_node: value("up=") - value("born=") / ticks(),
            unnoticed: ended - value("end="),
        })
    }
}

/// Times of a task with the right result.
struct Good {
    /// When what submits it was started, and when the script began on its node.
    submitted: f64,
    began: f64,
    /// From the job's start on its node to the script's.
    idle_node: f64,
    /// From the script's end to the end of what waits for it.
    unnoticed: f64,
}

/// What does a task, with a word when its script runs.
type Way<'w> = dyn Fn(&Task, &AtomicUsize) -> Result<Good, String> + Sync + 'w;

/// What came of all of them.
struct Sum {
    wrong: Vec<String>,
    good: Vec<Good>,
    all_run: f64,
    total: f64,
    /// Resident and proportional, of all processes that wait for a script, in KiB.
    memory: [(u64, u64); 2],
    processes: usize,
    cpu: f64,
    /// CPU time of these processes in a minute in which all scripts run.
    idle: f64,
    rates: Rates,
}

/// Questions to the controller in a second.
struct Rates {
    peak: f64,
    mean: f64,
    steady: f64,
    steady_peak: f64,
    all: u64,
}

/// All tasks at the same time.
fn at_once(cluster: &Cluster, tasks: &[Task], gate: &Gate, way: &Way<'_>) -> Sum {
    let rpcs = base().join("questions");
    let mut sampler = cluster.command("sh");
    sampler
        .arg("-c")
        .arg("while date +%s.%N; do sdiag; sleep 1; done")
        .stdout(fs::File::create(&rpcs).expect("a file"));
    let sampler = Running::start(&mut sampler);
    pause(Duration::from_secs(2));
    let (start, cpu_before) = (now(), cpu());
    let started = AtomicUsize::new(0);
    let ended = AtomicUsize::new(0);
    let (mut all_run, mut held, mut memory, mut processes, mut idle) = (0.0, (0.0, 0.0), [(0, 0); 2], 0, 0.0);
    let results: Vec<Result<Good, String>> = std::thread::scope(|scope| {
        let _stop = StopOnPanic;
        let threads: Vec<_> = tasks
            .iter()
            .map(|task| {
                let (started, ended) = (&started, &ended);
                scope.spawn(move || {
                    let result = catch_unwind(AssertUnwindSafe(|| way(task, started)));
                    ended.fetch_add(1, Ordering::AcqRel);
                    result.unwrap_or_else(|_| Err(format!("job {}: panicked", task.number)))
                })
            })
            .collect();
        // One that could not begin has ended.
        wait_until(|| started.load(Ordering::Acquire) + ended.load(Ordering::Acquire) >= tasks.len());
        all_run = now() - start;
        pause(Duration::from_secs(2)); // the last ones still talk about their start
        let (before, from) = (cpu_of_waiting(), now());
        (memory, processes) = memory_of_waiting();
        pause(Duration::from_secs(seconds() / 2));
        let (after, to) = (cpu_of_waiting(), now());
        idle = (after - before) * 60.0 / (to - from);
        held = (from, to);
        gate.open();
        threads.into_iter().map(|thread| thread.join().expect("caught")).collect()
    });
    let (total, end) = (now() - start, now());
    let cpu = cpu().saturating_sub(cpu_before).as_secs_f64();
    drop(sampler);
    let rates = rates(&fs::read_to_string(&rpcs).expect("samples"), start..end, held.0..held.1);
    let (mut wrong, mut good) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(times) => good.push(times),
            Err(words) => wrong.push(words),
        }
    }
    Sum { wrong, good, all_run, total, memory, processes, cpu, idle, rates }
}

fn rates(samples: &str, all: std::ops::Range<f64>, steady: std::ops::Range<f64>) -> Rates {
    let mut counts: Vec<(f64, u64)> = Vec::new();
    let mut at = None;
    let mut text = String::new();
    for line in samples.lines() {
        if let Ok(time) = line.parse::<f64>() {
            push_sample(&mut counts, at, &text);
            (at, text) = (Some(time), String::new());
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    push_sample(&mut counts, at, &text);
    let between = |range: &std::ops::Range<f64>| -> (f64, f64, u64) {
        let inside: Vec<_> =
            counts.windows(2).filter(|pair| range.contains(&pair[1].0) || range.contains(&pair[0].0)).collect();
        let rate = |from: (f64, u64), to: (f64, u64)| (to.1 - from.1) as f64 / (to.0 - from.0);
        let peak = inside.iter().map(|pair| rate(pair[0], pair[1])).fold(0.0, f64::max);
        match (inside.first(), inside.last()) {
            (Some(first), Some(last)) => (peak, rate(first[0], last[1]), last[1].1 - first[0].1),
            _ => (0.0, 0.0, 0),
        }
    };
    let ((peak, mean, all), (steady_peak, steady, _)) = (between(&all), between(&steady));
    Rates { peak, mean, steady, steady_peak, all }
}

fn push_sample(counts: &mut Vec<(f64, u64)>, at: Option<f64>, text: &str) {
    let table = rpc_table(text, "message type");
    // A controller that is too busy to answer says nothing.
    if let (Some(at), false) = (at, table.is_empty()) {
        counts.push((at, ours_of(&table).values().sum()));
    }
}

/// Jobs of many users at the same time.
fn many(slurm: Slurm) -> bool {
    let (jobs, users) = (size("JOBS", 200), size("USERS", 20));
    let cpus = u32::try_from(jobs.div_ceil(4) + 1).expect("a number of processors");
    let cluster = Cluster::build(slurm).nodes(4).cpus(cpus).start();
    let site = Site::new(slurm, u32::try_from(users).expect("a number of users"), &cluster);
    println!(
        "{jobs} jobs of {users} users at the same time; all run for {} s, and then for {} to {} s more",
        seconds() / 2,
        seconds() / 3,
        seconds()
    );

    let gate = Gate::new(base());
    let tasks: Vec<Task> = (1..=jobs).map(|number| Task::new(number, users, &gate.0)).collect();
    let ready = Ready { of: tasks.len(), are: AtomicUsize::new(0) };
    let ours = at_once(&cluster, &tasks, &gate, &|task, started| through_stages(&site, task, started, &ready));
    let left = leftovers(&site, &cluster);

    let gate = Gate::new(base());
    let theirs = at_once(&cluster, &tasks, &gate, &|task, started| through_sbatch(&site, &cluster, task, started));

    for (name, sum) in [("sbatch --wait", &theirs), ("motmot", &ours)] {
        let each = |total: f64| total / jobs as f64;
        println!("  {name}: {} of {jobs} results are right", sum.good.len());
        println!("    until all scripts run      {:>8.1} s", sum.all_run);
        println!("    until all jobs have ended  {:>8.1} s", sum.total);
        let first = sum.good.iter().map(|good| good.submitted).fold(f64::INFINITY, f64::min);
        let last = sum.good.iter().map(|good| good.began).fold(0.0, f64::max);
        println!("    all scripts have begun     {:>8.1} s after the start of the first that submits", last - first);
        println!(
            "    start of what submits to script's  {}",
            spread(sum.good.iter().map(|good| good.began - good.submitted).collect())
        );
        println!("    job's start to script's    {}", spread(sum.good.iter().map(|good| good.idle_node).collect()));
        println!("    script's end to stage's    {}", spread(sum.good.iter().map(|good| good.unnoticed).collect()));
        let Rates { peak, mean, steady, steady_peak, all } = sum.rates;
        println!(
            "    questions to controller    {all:>8} in all, {:.1} a job; {mean:.1} a second, at most {peak:.1}",
            each(all as f64)
        );
        println!("      while all scripts run    {steady:>8.1} a second, at most {steady_peak:.1}   (at most 20)");
        let [stages, workers] = sum.memory;
        println!(
            "    memory, {} processes      {:>8} KiB resident, {} KiB proportional",
            sum.processes,
            stages.0 + workers.0,
            stages.1 + workers.1
        );
        println!(
            "      a job                    {:>8.0} KiB resident, {:.0} KiB proportional (workers: {:.0} and {:.0})",
            each((stages.0 + workers.0) as f64),
            each((stages.1 + workers.1) as f64),
            each(workers.0 as f64),
            each(workers.1 as f64)
        );
        println!("    CPU time                   {:>8.1} s, {:.0} ms a job", sum.cpu, each(sum.cpu) * 1e3);
        println!("      while all scripts run    {:>8.2} s a minute\n", sum.idle);
    }
    let question = cost_of_a_question(&site, &cluster);
    println!(
        "  one question (scontrol) takes {:.1} ms of CPU time; those of motmot while all scripts run take {:.2} s a minute\n",
        question * 1e3,
        question * ours.rates.steady * 60.0
    );
    for words in ours.wrong.iter().take(20).chain(&left) {
        println!("  WRONG: {words}");
    }
    for words in theirs.wrong.iter().take(5) {
        println!("  sbatch --wait: {words}");
    }
    ours.wrong.is_empty() && left.is_empty()
}

/// All jobs go to Slurm at the same time, as all `sbatch` do, however long it took one of them to come there.
struct Ready {
    of: usize,
    are: AtomicUsize,
}

fn until_submission<'s>(site: &'s Site, task: &Task) -> Result<Job<'s>, String> {
    let job = site.job(1000 + task.number, &site.users[task.user])?;
    job.simple("prepare")?;
    let (lines, status) = job.run("get_sources", "#!/bin/bash\necho Fetching\n").lines(|_| ());
    if !status.success() || !lines.iter().any(|(_, line)| line == "Fetching") {
        return Err(format!("get_sources: {status}: {lines:?} {}", job.errors()));
    }
    Ok(job)
}

fn through_stages(site: &Site, task: &Task, started: &AtomicUsize, ready: &Ready) -> Result<Good, String> {
    let told = |words: String| format!("job {}: {words}", task.number);
    let job = until_submission(site, task);
    ready.are.fetch_add(1, Ordering::AcqRel);
    let job = job.map_err(told)?;
    wait_until(|| ready.are.load(Ordering::Acquire) >= ready.of);
    let submitted = now();
    let saw = |line: &str| {
        started.fetch_add(usize::from(line == "started"), Ordering::AcqRel);
    };
    let (lines, status) = job.run("build_script", &task.script).lines(saw);
    let ended = now();
    let text: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
    let result =
        task.judge(&text, job.code(status), submitted, ended).map_err(|words| format!("{words}; {}", job.errors()));
    job.simple("cleanup").map_err(told)?;
    result
}

fn through_sbatch(site: &Site, cluster: &Cluster, task: &Task, started: &AtomicUsize) -> Result<Good, String> {
    let (mut command, out) = sbatch(cluster, &site.users[task.user], &task.script, &task.number.to_string());
    let submitted = now();
    let running = Running::start(&mut command);
    wait_until(|| fs::metadata(&out).is_ok_and(|meta| meta.len() > 0));
    started.fetch_add(1, Ordering::AcqRel);
    let status = running.end();
    let ended = now();
    let text = fs::read_to_string(&out).map_err(|error| error.to_string())?;
    task.judge(&text.lines().collect::<Vec<_>>(), status.code(), submitted, ended)
}

/// What is left when all jobs have been cleaned up.
fn leftovers(site: &Site, cluster: &Cluster) -> Vec<String> {
    let mut left = Vec::new();
    for user in &site.users {
        left.extend(cluster.jobs_of(&user.name).iter().map(|job| format!("left in the queue: {job:?}")));
        let jobs = fs::read_dir(user.home.join(".motmot/jobs")).into_iter().flatten().flatten();
        left.extend(jobs.map(|entry| format!("left: {}", entry.path().display())));
    }
    let sessions = fs::read_dir(site.world.sessions()).into_iter().flatten().flatten();
    left.extend(sessions.map(|entry| format!("left: {}", entry.path().display())));
    let uids: BTreeSet<u32> = site.users.iter().map(|user| user.uid).collect();
    for (pid, _) in processes() {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let ours = fs::metadata(&proc).is_ok_and(|meta| uids.contains(&meta.uid()));
        let line = fs::read(proc.join("cmdline")).unwrap_or_default();
        if ours && !line.is_empty() {
            left.push(format!("left: process {pid}, {}", String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    left
}

/// All processes, and the fields of their `stat` from the third on, the name before these.
fn processes() -> Vec<(u32, Vec<String>)> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (head, rest) = stat.rsplit_once(')')?;
            let name = head.split_once('(')?.1.to_owned();
            Some((pid, std::iter::once(name).chain(rest.split_whitespace().map(str::to_owned)).collect()))
        })
        .collect()
}

/// Those that wait for a script: our children, and the workers below them.
fn waiting() -> Vec<(u32, Vec<String>)> {
    let ours = children();
    let mut found = processes();
    found.retain(|(pid, stat)| {
        let child = ours.contains(pid) && ["motmot-run", "sbatch"].contains(&stat[0].as_str());
        child || (stat[0] == "motmot-worker" && stat[2].parse().is_ok_and(|parent| ours.contains(&parent)))
    });
    found
}

/// Resident and proportional memory in KiB, of the stages (or of sbatch) and of the workers; and how many there are.
fn memory_of_waiting() -> ([(u64, u64); 2], usize) {
    let (mut sums, all) = ([(0, 0); 2], waiting());
    for (pid, stat) in &all {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        let sum = &mut sums[usize::from(stat[0] == "motmot-worker")];
        *sum = (sum.0 + value("Rss:"), sum.1 + value("Pss:"));
    }
    (sums, all.len())
}

/// CPU seconds so far of the threads that wait. The programs that they call do not count.
fn cpu_of_waiting() -> f64 {
    let mut sum = 0.0;
    for (pid, _) in waiting() {
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            sum += text.split_whitespace().next().and_then(|time| time.parse::<f64>().ok()).unwrap_or(0.0) / 1e9;
        }
    }
    sum
}

/// CPU seconds of one question to the controller.
fn cost_of_a_question(site: &Site, cluster: &Cluster) -> f64 {
    const TIMES: u32 = 20;
    // Of those before none may be known any more.
    let job = cluster.submit(&site.users[0], &["-o", "/dev/null"], "true").to_string();
    let before = cpu();
    for _ in 0..TIMES {
        let asked =
            cluster.command("scontrol").args(["--oneliner", "show", "job", &job]).stdout(Stdio::null()).status();
        assert!(asked.expect("scontrol").success());
    }
    (cpu().saturating_sub(before) / TIMES).as_secs_f64()
}

/// Clock ticks in a second, as the files in `/proc` count.
fn ticks() -> f64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64
}

/// CPU time of all children that have been waited for, and of theirs.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("rusage");
    let time = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0))
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// Seconds since 1970, as scripts print them.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// The number behind `name=` on a line of its own.
fn value<'l>(mut lines: impl Iterator<Item = &'l str>, name: &str) -> f64 {
    let found = lines.find_map(|line| line.strip_prefix(name)?.parse().ok());
    found.unwrap_or_else(|| panic!("the script has not written {name}"))
}

/// Median, 95th percentile and maximum.
fn spread(mut times: Vec<f64>) -> String {
    if times.is_empty() {
        return "nothing".into();
    }
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1] * 1e3;
    format!("{:>8.1} ms median  {:>8.1} ms p95  {:>8.1} ms at most", at(50), at(95), at(100))
}
