//! Where motmot's own programs lie: whoever can exchange them there decides what the runner executes.

use std::path::PathBuf;

use crate::world::check::{Checked, check, check_for_runner};
use crate::world::{World, cases, chmod, chown, copy_programs, make_dir};

cases!(
    fn programs_that_others_can_exchange_run_nothing(root: Root) {
        let mut world = World::root(root).build();
        let (above, bins) = install(&mut world);
        runs(&world);
        for dir in [&bins, &above] {
            for mode in [0o777, 0o775, 0o2775] {
                chmod(dir, mode);
                let why = format!("{}: is a directory with mode {mode:04o}", dir.display());
                runs_nothing(&world, &why);
                says(&check(&world), &why);
                chmod(dir, 0o755);
            }
            chown(dir, world.user.uid, world.user.gid);
            let why = format!("{}: is a directory of {}", dir.display(), world.user.name);
            runs_nothing(&world, &why);
            says(&check(&world), &why);
            chown(dir, 0, 0);
        }
        // Others may add something there, and exchange nothing.
        chmod(&above, 0o1777);
        runs(&world);
    },
    fn programs_that_others_can_exchange_run_nothing_for_a_runner_with_capabilities(root: Root) {
        let world = World::with_capabilities(root).build();
        chmod(&world.bins, 0o775);
        let why = format!("{}: is a directory with mode 0775", world.bins.display());
        runs_nothing(&world, &why);
        says(&check_for_runner(&world), &why);
        chmod(&world.bins, 0o755);
        runs(&world);
    },
    fn one_users_own_programs_may_be_his_groups_and_not_everybodys() {
        let mut world = World::one_user().build();
        let (above, bins) = install(&mut world);
        for dir in [&above, &bins] {
            chown(dir, world.user.uid, world.user.gid);
            chmod(dir, 0o2775);
        }
        runs(&world);
        check(&world).says(&["ok       stage programs: "]).says(&["ok       worker: "]);
        chmod(&above, 0o777);
        let why = format!("{}: is a directory with mode 0777", above.display());
        runs_nothing(&world, &why);
        says(&check(&world), &why);
    }
);

/// In a directory of their own: the one above it, and itself.
fn install(world: &mut World) -> (PathBuf, PathBuf) {
    let above = world.dir.join("libexec");
    make_dir(&above, 0o755);
    let bins = above.join("motmot");
    copy_programs(&bins);
    world.bins.clone_from(&bins);
    (above, bins)
}

#[track_caller]
fn runs(world: &World) {
    world.simulate().script("echo ran=yes").run().assert_success().assert_log("ran=yes");
}

#[track_caller]
fn runs_nothing(world: &World, why: &str) {
    let end = world.simulate().option("--retry-interval", "10ms").script("echo ran=yes").run();
    end.assert_failed("runner_system_failure").assert_log("is not trusted").assert_log(why).assert_no_line("ran=yes");
}

#[track_caller]
fn says(checked: &Checked, why: &str) {
    checked.is_good(false).says(&["PROBLEM  stage programs: ", why]).says(&["PROBLEM  worker: ", why]);
    for command in ["chmod", "chown"] {
        checked.does_not_say(command);
    }
}
