//! `motmot check` about where things are: who could exchange them, who made them, and what to do.

use std::fs;
use std::os::unix::fs::symlink;

use crate::world::check::check;
use crate::world::{World, cases, chmod, chown, make_dir};

cases!(
    fn a_state_directory_in_somebodys_home_is_refused_before_he_puts_another_in_its_place(root: Root) {
        let mut world = World::root(root).build();
        let (uid, gid, home) = (world.user.uid, world.user.gid, world.user.home.clone());
        chmod(&home, 0o755);
        let (state, own) = (home.join("state"), home.join("own"));
        world.change(|config| config.jobs(|jobs| jobs.state_dir(&state)));
        let refused = |made: bool| {
            check(&world)
                .is_good(false)
                .says(&["PROBLEM  state directory: ", &format!("{}: is a directory of ", home.display())])
                .does_not_say("chown");
            let end = world.simulate().option("--retry-interval", "10ms").script("true").run();
            end.assert_failed("runner_system_failure").assert_log("is in no safe place");
            assert_eq!(state.exists(), made, "nothing is made there");
        };
        refused(false);
        // As an earlier root has made it; and as its owner then exchanges it.
        make_dir(&state, 0o700);
        chown(&state, 0, 0);
        refused(true);
        fs::rename(&state, home.join("moved")).expect("moved");
        make_dir(&own, 0o700);
        chown(&own, uid, gid);
        symlink(&own, &state).expect("linked");
        refused(true);
        let output = world
            .as_driver(&world.bins.join("motmot"))
            .arg("--config")
            .arg(world.config_file())
            .arg("reap")
            .output()
            .expect("reap");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && words.contains("a directory of"), "nor does reap follow him: {words}");
        assert_eq!(fs::read_dir(&own).expect("listed").count(), 0, "root writes nothing where he likes");
    }
);
