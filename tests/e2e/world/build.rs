//! How a world is made.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::account::TestAccount;
use super::cluster::Cluster;
use super::config::{AccountsSection, Config, GitlabSection, JobsSection, Rule, SlurmSection, TokenSection};
use super::files::{base, chmod, chown, is_root, make_dir};
use super::gitlab::{GitLab, answer_about};
use super::needs::Root;
use super::programs::copy_programs;
use super::{World, next_number};

/// What the driver may do in a world.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The runner is root.
    Root,
    /// One user's own runner.
    OneUser,
    /// The runner is an ordinary account, and the stage binaries have file capabilities.
    Capabilities,
}

/// A world to be. [`Builder::build`] makes it.
#[must_use]
pub struct Builder {
    kind: Kind,
    config: Config,
    conf: Option<PathBuf>,
}

impl World {
    /// The runner is root, and jobs run as an account made for this test.
    pub fn root(_: impl Into<Root>) -> Builder {
        Builder::new(Kind::Root)
    }

    /// One user's own runner: nobody changes user. As root the whole of it runs as an account made for this test.
    pub fn one_user() -> Builder {
        Builder::new(Kind::OneUser)
    }

    /// The runner is an ordinary account, and the stage binaries carry capabilities.
    pub fn with_capabilities(_: impl Into<Root>) -> Builder {
        Builder::new(Kind::Capabilities)
    }
}

/// The sections of the configuration, as in [`Config`].
macro_rules! sections {
    ($($name:ident: $Section:ident),*) => {
        $(
            pub fn $name(mut self, edit: impl FnOnce(&mut $Section) -> &mut $Section) -> Self {
                self.config.$name(edit);
                self
            }
        )*
    };
}

impl Builder {
    fn new(kind: Kind) -> Self {
        Self { kind, config: Config::new(), conf: None }
    }

    #[allow(dead_code)] // for benchmarks
    pub fn gitlab(mut self, edit: impl FnOnce(&mut GitlabSection) -> &mut GitlabSection) -> Self {
        self.config.gitlab(edit);
        self
    }

    sections! {
        jobs: JobsSection, token: TokenSection, accounts: AccountsSection, slurm: SlurmSection
    }

    pub fn no_tokens(mut self) -> Self {
        self.config.no_tokens();
        self
    }

    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.config.rules(rules);
        self
    }

    pub fn raw(mut self, text: &str) -> Self {
        self.config.raw(text);
        self
    }

    /// Jobs go to this cluster.
    pub fn at(mut self, cluster: &Cluster) -> Self {
        self.config.slurm(|slurm| slurm.conf(cluster.conf()));
        self.conf = Some(cluster.conf());
        self
    }

    /// Makes accounts, directories, programs, keys and the configuration.
    pub fn build(self) -> World {
        let Self { kind, mut config, conf } = self;
        let number = next_number();
        let dir = base().join(number.to_string());
        make_dir(&dir, 0o755);
        let user = if is_root() { TestAccount::make_as_root(&dir, "u", number) } else { TestAccount::own() };
        let runner = (kind == Kind::Capabilities).then(|| TestAccount::make_as_root(&dir, "r", number));
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
        let mut own = vec!["tmp", "audit"];
        match kind {
            // What is in there tells whom the capable programs work for, so root makes it.
            Kind::Capabilities => {
                make_dir(&dir.join("state"), 0o755);
                own.extend(["state/motmot", "state/keys"]);
            }
            Kind::Root | Kind::OneUser => own.push("state"),
        }
        for name in own {
            make_dir(&dir.join(name), 0o700);
            chown(&dir.join(name), uid, gid);
        }
        let own_gitlab = runner.is_some().then(|| GitLab::answering(answer_about(&user.name)));
        let mut standard = Config::new();
        standard.log(&dir.join("audit/audit.log"));
        standard.gitlab(|gitlab| match &own_gitlab {
            Some(own) => gitlab.url(&own.url),
            None => gitlab.url("http://127.0.0.1:9"), // nobody
        });
        standard.jobs(|jobs| {
            jobs.downscope(if kind == Kind::OneUser { "none" } else { "setuid" });
            jobs.state_dir(dir.join("state/motmot"));
            // Not in the home directory of whoever runs these tests.
            if user.made { jobs } else { jobs.data_dir(dir.join("data")) }
        });
        standard.token(|token| {
            token.issuer("https://ci.hpc.example").audience("https://hpc.example").site("hpc.example").cluster("deep");
            token.keys(dir.join("state/keys"))
        });
        config.complete(standard);
        let world = World { kind, dir, user, runner, bins, config, conf, own_gitlab };
        let init = world.motmot(&["keys".as_ref(), "init".as_ref(), "--dir".as_ref(), world.keys().as_os_str()]);
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        world.write_config();
        world
    }
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
        chmod(&path, 0o750);
        let set = Command::new("setcap")
            .arg("cap_setuid,cap_setgid,cap_kill+ep")
            .arg(&path)
            .output()
            .expect("setcap (package libcap2-bin)");
        assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    }
    to
}
