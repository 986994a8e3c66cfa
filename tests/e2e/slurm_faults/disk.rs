//! The disk that jobs write to is full, at every moment of a job.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::world::batch::{COUNT, IN_QUEUE, assert_nothing_left, release, runs};
use crate::world::stage::Stage;
use crate::world::{Cluster, Single, World, cases, chown, make_dir};

cases!(
    fn a_disk_that_is_full_before_a_stage_is_said_and_nothing_is_submitted(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let disk = Disk::below(&world);
        let single = Single::new(&world, 5);
        disk.fill(&world);
        let end = Stage::run(&world, &single, COUNT).end();
        assert_ne!(end.code, 0, "{}", end.log);
        end.assert_log("No space left on device");
        assert!(!end.log.contains("submitted as"), "{}", end.log);
        assert_eq!(cluster.jobs_of(&world.user.name), []);
        assert_eq!(runs(&world), 0);
        single.clean_up();
        assert_nothing_left(&world, cluster);
        // And when there is room again the next stage goes through.
        disk.empty();
        let single = Single::new(&world, 6);
        Stage::run(&world, &single, "echo done").end().assert_success().assert_log("done");
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn a_disk_that_a_script_fills_does_not_cost_its_result(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        for code in [0, 5] {
            let world = World::root(slurm).at(cluster).build();
            let _disk = Disk::below(&world);
            let single = Single::new(&world, 5);
            // What has been said is on the disk a moment later.
            let said = "until grep -q begun \"$TMPDIR\"/../batch/*/run-*/output; do sleep 0.05; done";
            let body = format!(
                "echo begun; {said}; head -c 2000000 /dev/zero >\"$TMPDIR/fill\" || echo full >\"$HOME/said\"; exit {code}"
            );
            let end = Stage::run(&world, &single, &body).end();
            if code == 0 {
                end.assert_success()
            } else {
                end.assert_job(code)
            };
            end.assert_log("begun");
            assert_eq!(fs::read_to_string(world.user.home.join("said")).expect("said"), "full\n");
            single.clean_up();
            assert_nothing_left(&world, cluster);
        }
    },
    fn output_that_no_disk_takes_is_told_and_does_not_cost_a_result(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).build();
        let _disk = Disk::below(&world);
        let single = Single::new(&world, 5);
        let body = "echo begun; until grep -q begun \"$TMPDIR\"/../batch/*/run-*/output; do sleep 0.05; done; head -c 3000000 /dev/zero | tr '\\0' x; echo; exit 5";
        let end = Stage::run(&world, &single, body).end();
        end.assert_job(5).assert_log("begun").assert_once("could not be written on its node, and is missing here");
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn a_script_on_a_disk_that_is_full_when_its_job_starts_runs_once_at_most(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        for login in [true, false] {
            let world = World::root(slurm)
                .at(cluster)
                .slurm(|section| section.defaults(IN_QUEUE))
                .jobs(|jobs| jobs.login_shell(login))
                .no_tokens()
                .build();
            let disk = Disk::below(&world);
            let single = Single::new(&world, 5);
            let mut stage = Stage::run(&world, &single, &format!("{COUNT}; exit 6"));
            let id = stage.job();
            disk.fill(&world);
            release(cluster, id);
            let end = stage.end();
            assert_ne!(end.code, 0, "{}", end.log);
            assert_eq!((runs(&world), end.script.as_deref()), (1, Some("6")), "login shell {login}: {}", end.log);
            single.clean_up();
            assert_nothing_left(&world, cluster);
        }
    },
    /// A quota of files.
    fn a_disk_without_room_for_one_more_file_when_a_job_starts_is_said(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).slurm(|section| section.defaults(IN_QUEUE)).no_tokens().build();
        let disk = Disk::below(&world);
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, &format!("{COUNT}; exit 6"));
        let id = stage.job();
        let status = Command::new("mount").args(["-o", "remount,nr_inodes=1"]).arg(&disk.0).status().expect("mount");
        if !status.success() {
            // No fewer than there are: so these are used up.
            (0..10_000).find(|number| fs::write(disk.0.join(number.to_string()), "").is_err()).expect("it is full");
        }
        release(cluster, id);
        let end = stage.end();
        assert_ne!(end.code, 0, "{}", end.log);
        assert!(end.log.contains(&format!("Slurm job {id};")) || end.script.as_deref() == Some("6"), "{}", end.log);
        assert!(runs(&world) <= 1, "{}", end.log);
        single.clean_up();
        assert_nothing_left(&world, cluster);
    },
    fn a_script_that_gets_no_token_on_a_full_disk_is_not_run(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world =
            World::root(slurm).at(cluster).slurm(|section| section.defaults(IN_QUEUE).token_timeout("5s")).build();
        let disk = Disk::below(&world);
        let single = Single::new(&world, 5);
        let mut stage = Stage::run(&world, &single, COUNT);
        let id = stage.job();
        disk.fill(&world);
        release(cluster, id);
        let end = stage.end();
        end.assert_site().assert_log("the token file cannot be written").assert_log("the script was not started");
        assert_eq!(runs(&world), 0);
        single.clean_up();
        assert_nothing_left(&world, cluster);
    }
);

/// A small disk where the jobs of a world write.
struct Disk(PathBuf);

impl Disk {
    fn below(world: &World) -> Self {
        let at = world.data_dir();
        make_dir(&at, 0o700);
        let options = format!("size=1m,nr_inodes=400,mode=700,uid={},gid={}", world.user.uid, world.user.gid);
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&at).status();
        assert!(status.expect("mount").success());
        Self(at)
    }

    /// Not a byte is left.
    fn fill(&self, world: &World) {
        let path = self.0.join("fill");
        let mut size = 1 << 20;
        let mut content = Vec::new();
        while size >= 1 {
            // What does not fit is written as far as it does.
            content.resize(content.len() + size, b'x');
            if fs::write(&path, &content).is_err() {
                content.truncate(content.len() - size);
            }
            size /= 2;
        }
        let _ = fs::write(&path, vec![b'x'; 2 << 20]);
        chown(&path, world.user.uid, world.user.gid);
        assert!(fs::write(self.0.join("more"), "x").is_err(), "it is full");
        let _ = fs::remove_file(self.0.join("more"));
    }

    fn empty(&self) {
        let _ = fs::remove_file(self.0.join("fill"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
