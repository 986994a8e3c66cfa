//! The way to a job's directories: whoever can exchange one of them could have a job run his code as its account.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use crate::world::check::check;
use crate::world::{JobEnd, Running, World, cases, chmod, chown, make_dir, until};

/// Somebody else's number, and that of a group that the job's account need not be in.
const NEIGHBOUR: u32 = 65_534;

/// A directory of a project, and the account's own in it, where jobs shall work.
fn project(world: &mut World, mode: u32) -> (PathBuf, PathBuf) {
    let project = world.dir.join("project");
    let own = project.join(&world.user.name);
    make_dir(&own, 0o700);
    chown(&own, world.user.uid, world.user.gid);
    chown(&project, 0, NEIGHBOUR);
    chmod(&project, mode);
    world.change(|config| config.jobs(|jobs| jobs.data_dir(own.join("ci"))));
    (project, own)
}

fn refused(world: &World, words: &str) -> JobEnd {
    let end = world.simulate().option("--retry-interval", "10ms").script("id").run();
    end.assert_failed("script_failure").assert_log("is not safe to have jobs below it").assert_log(words);
    end.assert_no_line("uid=");
    // Whoever copies a remedy may be root, and other people may work in that directory.
    for command in ["chmod", "chown", "rm -", "mv "] {
        end.assert_not_in_log(command);
    }
    assert_eq!(end.calls("prepare_exec").len(), 1, "final: not tried again");
    end
}

cases!(
    fn a_directory_above_that_its_group_may_write_to_is_refused_and_nobody_is_told_to_change_it(root: Root) {
        let mut world = World::root(root).build();
        for mode in [0o775, 0o2775, 0o2770] {
            let (project, _) = project(&mut world, mode);
            let end = refused(&world, &format!("the directory {} is not safe", project.display()));
            end.assert_log("its group may write to it").assert_log("ask its owner");
            end.assert_log("choose another jobs.data_dir").assert_log("jobs.data_dir_group_writable");
        }
        // Where nobody but its owner may write, or may not touch what is others'.
        for mode in [0o2755, 0o3775] {
            project(&mut world, mode);
            world.simulate().script("true").run().assert_success();
        }
    },
    fn a_site_can_trust_the_groups_of_its_project_directories(root: Root) {
        let mut world = World::root(root).build();
        let (project, own) = project(&mut world, 0o2775);
        world.change(|config| config.jobs(|jobs| jobs.data_dir_group_writable([&project])));
        let end = world.simulate().script("pwd").run();
        end.assert_success().assert_log(own.to_str().expect("UTF-8"));
        // The group, and not everybody; and that directory, and none that only begins with its name.
        chmod(&project, 0o2777);
        refused(&world, "everybody may write to it");
        chmod(&project, 0o2775);
        let shorter = PathBuf::from(project.to_str().expect("UTF-8").trim_end_matches("ject"));
        world.change(|config| config.jobs(|jobs| jobs.data_dir_group_writable([&shorter])));
        refused(&world, "its group may write to it");
    },
    fn the_first_job_closes_no_directory_to_the_others_since_it_makes_none_that_they_need(root: Root) {
        let mut world = World::root(root).build();
        let project = world.dir.join("climate");
        make_dir(&project, 0o700);
        chown(&project, 0, world.user.gid);
        chmod(&project, 0o2770);
        let ci = project.join("ci");
        world.change(|config| config.jobs(|jobs| jobs.data_dir(ci.join("{user}")).data_dir_group_writable([&project])));
        let end = world.simulate().option("--retry-interval", "10ms").script("true").run();
        end.assert_failed("runner_system_failure")
            .assert_log(&format!("{} does not exist, and no job makes it", ci.display()))
            .assert_log("owner root and mode 1777; in a directory of a project, with its group and mode 3770");
        assert!(!ci.exists(), "it would have been this account's alone");
        check(&world).is_good(false).says(&["PROBLEM  jobs.data_dir: ", "no job makes it", "-m 3770"]);
        // Somebody else's own.
        make_dir(&ci, 0o700);
        chown(&ci, NEIGHBOUR, NEIGHBOUR);
        check(&world).is_good(false).says(&["PROBLEM  jobs.data_dir: ", "no other account can pass it"]);
        let end = world.simulate().option("--retry-interval", "10ms").script("true").run();
        end.assert_failed("runner_system_failure").assert_log(&format!("belongs to uid {NEIGHBOUR} and has mode 0700"));
        // As the site makes it.
        chown(&ci, 0, world.user.gid);
        chmod(&ci, 0o3770);
        check(&world).is_good(true).says(&["ok       jobs.data_dir: ", "only those in the group"]);
        let end = world.simulate().script("pwd").run();
        end.assert_success().assert_log(ci.join(&world.user.name).to_str().expect("UTF-8"));
        assert_eq!(fs::metadata(ci.join(&world.user.name)).expect("made").mode() & 0o777, 0o700);
    },
    fn a_directory_above_of_somebody_else_is_refused(root: Root) {
        let mut world = World::root(root).build();
        let (project, _) = project(&mut world, 0o755);
        chown(&project, NEIGHBOUR, NEIGHBOUR);
        refused(&world, &format!("it belongs to uid {NEIGHBOUR}"));
    },
    fn a_home_directory_that_its_group_may_write_to_is_refused(root: Root) {
        let world = World::root(root).build();
        chmod(&world.user.home, 0o770);
        refused(&world, &format!("the directory {} is not safe", world.user.home.display()))
            .assert_log("its group may write to it");
    },
    fn a_link_of_the_accounts_own_is_judged_where_it_leads(root: Root) {
        let world = World::root(root).build();
        let open = world.dir.join("open");
        let target = open.join("target");
        make_dir(&target, 0o700);
        chown(&target, world.user.uid, world.user.gid);
        symlink(&target, world.data_dir()).expect("link");
        std::os::unix::fs::lchown(world.data_dir(), Some(world.user.uid), Some(world.user.gid)).expect("chown");
        for (mode, words) in
            [(0o777, "everybody may write to it, and it is not sticky"), (0o775, "its group may write to it")]
        {
            chmod(&open, mode);
            refused(&world, words);
        }
        // By detours, too: through a second link, and up again.
        let detour = world.user.home.join("detour");
        symlink("../open/../open/target", &detour).expect("link");
        std::os::unix::fs::lchown(&detour, Some(world.user.uid), Some(world.user.gid)).expect("chown");
        fs::remove_file(world.data_dir()).expect("unlink");
        symlink("detour", world.data_dir()).expect("link");
        std::os::unix::fs::lchown(world.data_dir(), Some(world.user.uid), Some(world.user.gid)).expect("chown");
        refused(&world, "its group may write to it");
        chmod(&open, 0o755);
        let end = world.simulate().script("true").run();
        end.assert_success();
        assert_eq!(end.code_of("cleanup_exec"), 0, "{}", end.runner_log);
        assert_eq!(fs::read_dir(target.join("jobs")).expect("jobs").count(), 0, "cleaned up through the links");
    },
    fn a_tree_that_is_swapped_while_a_job_runs_is_neither_used_nor_removed(root: Root) {
        let mut world = World::root(root).build();
        let (project, own) = project(&mut world, 0o2775);
        world.change(|config| config.jobs(|jobs| jobs.data_dir_group_writable([&project])));
        let (ready, go) = (world.user.home.join("ready"), world.user.home.join("go"));
        let wait = format!(
            "echo \"$CI_JOB_JWT_FILE\" > {}.new; mv {0}.new {0}; while [ ! -e {} ]; do sleep 0.02; done",
            ready.display(),
            go.display()
        );
        let running = Running::start(&world.simulate().script(wait));
        until("the job runs", || ready.exists());
        let token = PathBuf::from(fs::read_to_string(&ready).expect("the path").trim_end());
        // The neighbour's tree has all the names that the job's has.
        let moved = project.join("moved");
        fs::rename(&own, &moved).expect("rename");
        let planted = token.with_file_name("planted");
        let kept = |path: &Path| moved.join(path.strip_prefix(&own).expect("below"));
        make_dir(token.parent().expect("a directory"), 0o777);
        fs::write(&token, "").expect("a file where the token was");
        fs::write(&planted, "").expect("a file");
        for dir in token.ancestors().take_while(|dir| *dir != project) {
            chown(dir, NEIGHBOUR, NEIGHBOUR);
        }
        assert!(kept(&token).exists(), "the token is where it was written");
        world.user_file("go", "");
        let end = running.end();
        assert!(!kept(&token).exists(), "the stage has removed its own token");
        assert!(token.exists() && planted.exists(), "and the neighbour's tree is as it was");
        assert_eq!(fs::metadata(&token).expect("there").len(), 0, "no token has come there");
        assert!(end.runner_log.contains("is not removed"), "{}", end.runner_log);
    }
);
