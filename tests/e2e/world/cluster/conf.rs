//! What a private cluster is to be like, and its slurm.conf.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::daemons::munge_socket;
use super::{Cluster, accounting};

/// How to make a cluster.
pub struct Builder {
    pub(super) nodes: u32,
    cpus: u32,
    more: String,
    gpus: u32,
    settings: BTreeMap<&'static str, String>,
    lines: Vec<String>,
    pub(super) accounting: bool,
    pub(super) views: Vec<(PathBuf, PathBuf)>,
}

/// Where a cluster listens and what it is called.
pub(super) struct Place<'c> {
    pub(super) name: &'c str,
    pub(super) dir: &'c Path,
    pub(super) accounting: u16,
    pub(super) controller: u16,
    pub(super) nodes: &'c [u16],
}

impl Builder {
    pub(super) fn new() -> Self {
        let settings = [
            ("AccountingStorageType", "accounting_storage/none"),
            ("AuthType", "auth/munge"),
            ("CredType", "cred/munge"),
            ("JobAcctGatherType", "jobacct_gather/none"),
            ("JobRequeue", "1"),
            // A job that ignores SIGTERM shall not hold a test for half a minute.
            ("KillWait", "5"),
            ("MailProg", "/bin/true"),
            ("MpiDefault", "none"),
            ("ProctrackType", "proctrack/linuxproc"),
            ("ReturnToService", "2"),
            // A job starts at the next tick of either scheduler. One second is the shortest that both know.
            ("SchedulerParameters", "batch_sched_delay=0,sched_interval=1,bf_interval=1"),
            ("SchedulerType", "sched/backfill"),
            ("SelectType", "select/cons_tres"),
            ("SelectTypeParameters", "CR_Core"),
            ("SlurmUser", "root"),
            ("SlurmdUser", "root"),
            // Nodes have as many processors as the file says, whatever the machine has.
            ("SlurmdParameters", "config_overrides"),
            ("SwitchType", "switch/none"),
            ("TaskPlugin", "task/none"),
        ];
        Self {
            nodes: 4,
            cpus: 64,
            more: String::new(),
            gpus: 0,
            settings: settings.map(|(key, value)| (key, value.to_owned())).into(),
            lines: [
                "PartitionName=DEFAULT Nodes=ALL State=UP MaxTime=INFINITE",
                "PartitionName=debug Default=YES",
                "PartitionName=other",
                "PartitionName=closed State=DOWN",
                "PartitionName=short MaxTime=1",
            ]
            .map(str::to_owned)
            .into(),
            accounting: false,
            views: Vec::new(),
        }
    }

    /// So many nodes, n1 and up.
    pub fn nodes(mut self, count: u32) -> Self {
        self.nodes = count;
        self
    }

    /// So many processors on each node, whether this machine has them or not.
    pub fn cpus(mut self, count: u32) -> Self {
        self.cpus = count;
        self
    }

    /// Cores with so many threads, in two sockets on each node.
    pub fn threads(mut self, count: u32) -> Self {
        self.more = format!(" Sockets=2 CoresPerSocket={} ThreadsPerCore={count}", self.cpus / 2 / count);
        self
    }

    /// So many GPUs on each node. They are counted, and there is nothing to use.
    pub fn gpus(mut self, count: u32) -> Self {
        self.gpus = count;
        self.set("GresTypes", "gpu")
    }

    /// One setting of slurm.conf, instead of the harness's own: `KillWait`, `MinJobAge`, `SlurmdTimeout`.
    pub fn set(mut self, key: &'static str, value: &str) -> Self {
        self.settings.insert(key, value.to_string());
        self
    }

    /// One more line for the end of slurm.conf, such as another partition.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// With a database of its own, so that `sacct` works, and with all stored in it that Slurm can store.
    pub fn accounting(mut self) -> Self {
        self.accounting = true;
        for (key, value) in accounting::SETTINGS {
            self = self.set(key, value);
        }
        self
    }

    /// On the nodes, `real` is what is seen at `at`. With a [`super::Delayed`] there, the nodes write what everybody
    /// else of this machine sees late, as with a network file system.
    pub fn nodes_see(mut self, real: &Path, at: &Path) -> Self {
        self.views.push((real.to_owned(), at.to_owned()));
        self
    }

    /// Starts it, and returns when all nodes are idle.
    pub fn start(self) -> Cluster {
        Cluster::start(&self)
    }

    /// Makes what gres.conf names, and the file itself. Without files for them slurmd counts no GPUs; any will do.
    pub(super) fn make_gpus(&self, dir: &Path) {
        for number in 0..self.gpus {
            fs::write(dir.join(format!("run/gpu{number}")), "").expect("a file for a GPU");
        }
        if let Some(last) = self.gpus.checked_sub(1) {
            let text = format!("Name=gpu File={}/run/gpu[0-{last}]\n", dir.display());
            fs::write(dir.join("gres.conf"), text).expect("gres.conf");
        }
    }

    pub(super) fn text(&self, place: &Place<'_>) -> String {
        let host = nix::unistd::gethostname().expect("a host name").into_string().expect("UTF-8");
        let host = host.split('.').next().unwrap_or_default();
        let dir = place.dir.display();
        let mut text = format!(
            "ClusterName={}\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\n\
             StateSaveLocation={dir}/state\nSlurmctldPidFile={dir}/run/slurmctld.pid\n\
             SlurmctldLogFile={dir}/log/slurmctld.log\nSlurmdSpoolDir={dir}/spool/%n\n\
             SlurmdPidFile={dir}/run/slurmd.%n.pid\nSlurmdLogFile={dir}/log/%n.log\nAuthInfo=socket={}\n",
            place.name,
            place.controller,
            munge_socket().display(),
        );
        if self.accounting {
            // What is called a password is the socket of munge, again: `AuthInfo` is not used towards this daemon.
            let (port, socket) = (place.accounting, munge_socket().display());
            let _ = writeln!(text, "AccountingStoragePort={port}\nAccountingStoragePass={socket}");
        }
        for (key, value) in &self.settings {
            let _ = writeln!(text, "{key}={value}");
        }
        for (number, port) in (1..).zip(place.nodes) {
            let _ = writeln!(
                text,
                "NodeName=n{number} NodeAddr=127.0.0.1 NodeHostname={host} Port={port} CPUs={} RealMemory=64000{}{}",
                self.cpus,
                self.more,
                if self.gpus > 0 { format!(" Gres=gpu:{}", self.gpus) } else { String::new() },
            );
        }
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}
