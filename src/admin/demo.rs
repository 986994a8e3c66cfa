//! `motmot demo`: one complete job on a bare machine, with a throw-away key and configuration.
//!
//! Nothing is pretended: the four stage binaries are the real ones, as root the job really runs as another account, and
//! the token is verified with nothing but the public keys.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use jose::{KeySet, Verifier};
use motmot_emulator::{GitLabJob, JobApi, Simulation, Status, Variable};
use nix::unistd::geteuid;

use super::simulate::{self, AskedGitLab};
use super::terminal::Patient;
use crate::issuer::keys::{self, KeyRing};
use crate::sys::accounts::{AccountDb, Nss, PasswdEntry};
use crate::sys::files::Owner;
use crate::token::Ttl;

const ISSUER: &str = "https://ci.demo.example";
const AUDIENCE: &str = "https://service.demo.example";

/// Options of `motmot demo`.
#[derive(clap::Args)]
pub struct DemoArgs {
    /// As root: the account that the job runs as [default: nobody]
    #[arg(long, value_name = "ACCOUNT")]
    run_as: Option<String>,
}

/// The demo. Exit code 0 if the job ran and its token verified, else 1.
pub fn main(args: &DemoArgs) -> ExitCode {
    match demo(args, &mut Patient(std::io::stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "motmot demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(args: &DemoArgs, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let bins = stage_binaries()?;
    let account = account(args)?;
    let world = DemoSite::build(&account)?;
    writeln!(
        out,
        "A job of GitLab user {0:?} runs as the local account {0:?}, in {1}\n",
        account.name(),
        world.dir.path().display()
    )?;
    let mut runner_log = Vec::new();
    let gitlab = AskedGitLab::Played(JobApi::default());
    let result = simulate::play(&world.job(&account), gitlab, None, &bins, &world.config(), out, &mut runner_log)
        .context("the job could not be simulated")?;
    ensure!(
        result.status == Status::Success,
        "the job failed: {}\n{}",
        result.message.unwrap_or_default(),
        String::from_utf8_lossy(&runner_log)
    );
    let token = world.token()?;
    let keys = KeySet::from_jwks(&world.keys.jwks()).context("the public keys are not usable")?;
    let verified = Verifier::new(keys, ISSUER, AUDIENCE, Ttl::MAX.signed())
        .verify(&token, jiff::Timestamp::now())
        .context("the token does not verify")?;
    writeln!(out, "\nWhat a service learns from the job's token, with nothing but the public keys:")?;
    writeln!(out, "{}\n", serde_json::to_string_pretty(verified.claims())?)?;
    writeln!(out, "token verified")?;
    out.flush()?;
    Ok(())
}

/// Where the stage binaries are: beside this program. `cargo run --bin motmot` builds no others, so under cargo they are
/// built now.
fn stage_binaries() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let dir = own.parent().context("this program is nowhere")?.to_owned();
    if let (Some(cargo), Some(manifest)) = (std::env::var_os("CARGO"), std::env::var_os("CARGO_MANIFEST_DIR"))
        && own.starts_with(Path::new(&manifest).join("target")) | std::env::var_os("CARGO_TARGET_DIR").is_some()
    {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--bins"]).current_dir(manifest);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        writeln!(std::io::stderr(), "motmot demo: building the stage binaries")?;
        ensure!(build.status().context("cannot run cargo")?.success(), "the stage binaries cannot be built");
    }
    Ok(dir)
}

/// Whom the job runs as: as root somebody else, otherwise whoever runs this.
fn account(args: &DemoArgs) -> anyhow::Result<PasswdEntry> {
    if !geteuid().is_root() {
        ensure!(args.run_as.is_none(), "--run-as needs root: only root can run a job as somebody else");
        return Nss.by_uid(geteuid())?.context("this account has no entry in the password database");
    }
    let name = args.run_as.as_deref().unwrap_or("nobody");
    let entry = Nss.by_name(name)?;
    let entry = entry.with_context(|| format!("there is no account {name:?}; choose one with --run-as"))?;
    ensure!(!entry.uid().is_root(), "a job never runs as root; choose another account with --run-as");
    Ok(entry)
}

/// The throw-away surroundings of the demo.
struct DemoSite {
    dir: tempfile::TempDir,
    keys: KeyRing,
}

impl DemoSite {
    fn build(account: &PasswdEntry) -> anyhow::Result<Self> {
        let dir =
            tempfile::Builder::new().prefix("motmot-demo-").tempdir().context("cannot make a temporary directory")?;
        let path = |name: &str| dir.path().join(name);
        // The account must get through to its own directories, and see nothing on the way.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711))?;
        for name in ["data", "inbox"] {
            fs::create_dir(path(name))?;
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o700))?;
            // Nobody else has been able to put anything there yet.
            std::os::unix::fs::lchown(path(name), Some(account.uid().as_raw()), Some(account.gid().as_raw()))?;
        }
        fs::create_dir(path("state"))?;
        fs::set_permissions(path("state"), fs::Permissions::from_mode(0o700))?;
        keys::init(&path("keys"), Owner::RootOrSelf, jiff::Timestamp::now()).context("cannot make a key")?;
        let keys = KeyRing::load(&path("keys"), Owner::RootOrSelf).context("cannot load the key")?;
        let downscope = if geteuid().is_root() { "setuid" } else { "none" };
        let config = format!(
            "[gitlab]\nurl = \"http://127.0.0.1:1\"\n\n[jobs]\ndownscope = \"{downscope}\"\ndata_dir = {data:?}\nstate_dir = {state:?}\nmessage = \"This is a demonstration.\"\n\n\
             [token]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nkeys = {keys:?}\ncluster = \"demo\"\n\n[accounts]\nshells = [{shell:?}]\n\n[log]\nfile = {log:?}\n\n[[map]]\nrun_as = \"{{gitlab_user}}\"\n",
            data = path("data"),
            state = path("state"),
            keys = path("keys"),
            shell = account.shell(),
            log = path("audit.log"),
        );
        fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path("config.toml"))?
            .write_all(config.as_bytes())?;
        Ok(Self { dir, keys })
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    fn job(&self, account: &PasswdEntry) -> Simulation {
        let text = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let inbox = self.dir.path().join("inbox");
        Simulation {
            job: GitLabJob {
                user_login: account.name().to_owned(),
                project_path: "demo/hello".into(),
                ..GitLabJob::default()
            },
            script: text(&[
                "id",
                "echo \"HOME=$HOME TMPDIR=$TMPDIR\"",
                "echo \"this stage's token: $CI_JOB_JWT\"",
                "ls -l \"$CI_JOB_JWT_FILE\"",
                // Stands for a request to a service: the token leaves the job on a way that is not its log.
                "cat \"$CI_JOB_JWT_FILE\" > \"$DEMO_INBOX/token\"",
            ]),
            after_script: text(&[
                "echo \"after_script has a token of its own: $CI_JOB_JWT\"",
                "cmp -s \"$CI_JOB_JWT_FILE\" \"$DEMO_INBOX/token\" || echo \"not the one of the script\"",
            ]),
            variables: vec![
                Variable::new("DEMO_INBOX", inbox.to_string_lossy()),
                // There is no repository here.
                Variable::new("GIT_STRATEGY", "none"),
            ],
            ..Simulation::default()
        }
    }

    /// What the job has handed over. It comes from another account's directory: no link is followed, and not much is read.
    fn token(&self) -> anyhow::Result<String> {
        let path = self.dir.path().join("inbox/token");
        let file = fs::File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)
            .context("the job handed over no token")?;
        let mut token = String::new();
        file.take(64 << 10).read_to_string(&mut token)?;
        Ok(token)
    }
}
