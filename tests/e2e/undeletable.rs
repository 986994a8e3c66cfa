//! What a job makes that its account cannot remove as it removes other files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::{Signal, kill};

use crate::world::stage::{Stage, worker_of};
use crate::world::{Poison, Single, World, cases, until};

/// Within a user namespace of the account with its subordinate ids: as a rootless container does.
const NAMESPACE: &str = r#"
unshare --user sleep 1000 & holder=$!
until [ "$(cat /proc/$holder/comm)" = sleep ]; do sleep 0.02; done
# Without its own number, which a test account may happen to have in its range: the kernel maps nothing twice.
range() { awk -F: -v name="$(id -un)" -v own="$2" '$1 == name { first = $2; end = $2 + $3
    if (own >= first && own < end) { if (own - first > end - own) { end = own } else { first = own + 1 } }
    print first, end - first; exit }' "$1"; }
newuidmap $holder 0 $(id -u) 1 1 $(range /etc/subuid $(id -u))
newgidmap $holder 0 $(id -g) 1 1 $(range /etc/subgid $(id -g))
inside() { nsenter --user --target $holder --setuid 0 --setgid 0 -- "$@"; }
"#;

cases!(
    fn a_dead_file_system_of_the_accounts_own_in_a_jobs_directory_goes(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        assert!(run(&single, "mkdir \"$TMPDIR/a b\""));
        let dirs = ["tmp/a b", "tmp/two"].map(|dir| world.data_dir().join("jobs").join(&single.session).join(dir));
        let Some(mut dead) = Poison::of_its_own(&world.user, dirs.to_vec()) else { return };
        dead.die();
        let look = world.user.command("/bin/ls".as_ref()).arg(&dirs[0]).env("LC_ALL", "C").output().expect("ls");
        assert!(String::from_utf8_lossy(&look.stderr).contains("Transport endpoint is not connected"), "{look:?}");
        single.clean_up();
        assert_eq!(jobs(&world), Vec::<PathBuf>::new());
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    },
    fn a_file_system_of_the_accounts_own_that_never_answers_is_unmounted_too(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        assert!(run(&single, "true"));
        let dir = world.data_dir().join("jobs").join(&single.session).join("tmp/mount");
        let Some(_hangs) = Poison::of_its_own(&world.user, vec![dir]) else { return };
        single.clean_up();
        assert_eq!(jobs(&world), Vec::<PathBuf>::new());
    },
    fn files_of_subordinate_ids_of_the_account_go(lent: SubordinateIds) {
        let world = World::root(lent).build();
        let single = Single::new(&world, 5);
        let body = "inside sh -c 'mkdir -p \"$TMPDIR/layer/d\"; echo x >\"$TMPDIR/layer/d/f\"; chown -R 1000:1000 \"$TMPDIR/layer\"; chmod 0700 \"$TMPDIR/layer/d\"'; kill $holder";
        assert!(run(&single, &format!("{NAMESPACE}{body}")));
        let layer = world.data_dir().join("jobs").join(&single.session).join("tmp/layer");
        assert_ne!(fs::metadata(&layer).expect("made").uid(), world.user.uid);
        single.clean_up();
        assert_eq!(jobs(&world), Vec::<PathBuf>::new());
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    },
    fn a_daemon_with_a_subordinate_id_ends_at_cleanup(lent: SubordinateIds) {
        let world = World::with_capabilities(lent).build();
        let single = Single::new(&world, 5);
        let body = "inside env -i /usr/bin/setpriv --reuid=1000 --regid=1000 --clear-groups -- /usr/bin/setsid -f /usr/bin/sleep 1009 && echo daemon=yes; while :; do sleep 0.1; done";
        let mut stage = Stage::run(&world, &single, &format!("{NAMESPACE}{body}"));
        stage.until_says("daemon=yes");
        until("it has become what it is", || daemon_of(&world).is_some());
        let worker = worker_of(&world).expect("a worker");
        kill(worker, Signal::SIGSTOP).expect("stopped");
        stage.signal(Signal::SIGKILL);
        kill(worker, Signal::SIGKILL).expect("killed");
        stage.end();
        single.clean_up();
        assert_eq!(daemon_of(&world), None);
    }
);

fn run(single: &Single<'_>, body: &str) -> bool {
    let script = single.script(body);
    let output = single.stage("run").arg(&script).arg("build_script").output().expect("run");
    if !output.status.success() {
        eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

fn jobs(world: &World) -> Vec<PathBuf> {
    fs::read_dir(world.data_dir().join("jobs")).expect("jobs").flatten().map(|entry| entry.path()).collect()
}

/// A `sleep 1009` of a number that was lent to the world's account.
fn daemon_of(world: &World) -> Option<String> {
    let ranges = fs::read_to_string("/etc/subuid").expect("subuid");
    let line = ranges.lines().find_map(|line| line.strip_prefix(&format!("{}:", world.user.name))).expect("a range");
    let mut numbers = line.split(':').map(|number| number.parse::<u32>().expect("a number"));
    let (first, count) = (numbers.next().expect("the first"), numbers.next().expect("how many"));
    let output = Command::new("pgrep").args(["-f", "^/usr/bin/sleep 1009"]).output().expect("pgrep");
    let pids = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_lent = |pid: &&str| {
        fs::metadata(format!("/proc/{pid}"))
            .is_ok_and(|process| (first..first + count).contains(&process.uid()) && process.uid() != world.user.uid)
    };
    pids.lines().find(is_lent).map(str::to_owned)
}
