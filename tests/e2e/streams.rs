//! A job's standard streams, opened again by their names: each line arrives, once, and none is lost by it.

use crate::world::batch::until_nothing_left;
use crate::world::{Cluster, JobEnd, World, cases, until};

/// As people write it. The numbers come in this order where both streams are one.
const AGAIN: [&str; 11] = [
    "echo line=$((1+0))",
    "echo line=$((1+1)) > /dev/stderr",
    "echo line=$((1+2)) > /dev/stdout",
    "echo line=$((1+3)) >> /dev/stderr",
    "echo line=$((1+4)) | tee /dev/stderr >/dev/null",
    "echo line=$((1+5)) | tee -a /dev/stderr >/dev/null",
    "echo line=$((1+6)) > /proc/self/fd/1",
    "echo line=$((1+7)) 1<> /dev/stderr",
    "( exec 3> /dev/stderr; echo line=$((1+8)) >&3 )",
    "perl -e 'open(my $f, q(>), q(/dev/stderr)) or die; print $f q(line=), 9 + 1, qq(\\n)'",
    "echo line=$((1+10))",
];

cases!(
    fn streams_that_are_opened_again_by_name_lose_nothing_under_any_runner(root: Root) {
        for world in [World::root(root).build(), World::with_capabilities(root).build(), World::one_user().build()] {
            let end = AGAIN.iter().fold(world.simulate(), |job, line| job.script(*line)).run();
            let mut lines = all_lines(&end);
            // Two streams, which come as they come.
            lines.sort_unstable();
            assert_eq!(lines, (1..=11).collect::<Vec<_>>(), "{}", end.log);
        }
    },
    fn streams_that_are_opened_again_by_name_lose_nothing_in_slurm(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        for world in [World::root(slurm), World::with_capabilities(slurm), World::one_user()] {
            let world = world.at(cluster).build();
            let end = AGAIN.iter().fold(world.simulate(), |job, line| job.script(*line)).run();
            assert_eq!(all_lines(&end), (1..=11).collect::<Vec<_>>(), "{}", end.log);
            end.assert_not_in_log("was cut");
            until_nothing_left(&world, cluster);
        }
    },
    fn a_job_that_reads_its_own_output_back_neither_holds_its_stage_nor_fails(root: Root) {
        let world = World::root(root).build();
        let end = world
            .simulate()
            .script("for i in 1 2 3; do setsid sh -c 'exec cat /proc/self/fd/1 >/dev/null' & done")
            .script("for i in $(seq 2000); do echo filler; done")
            .script("sleep 0.2; exit 4")
            .run();
        end.assert_failed("script_failure");
        assert_eq!(end.json["exit_code"], 4);
        let call = end.calls("build_script")[0];
        assert!(call["duration"].as_f64().expect("seconds") < 20.0, "{call}");
        until("nothing runs any more", || world.processes_of_user().is_empty());
    }
);

#[track_caller]
fn all_lines(end: &JobEnd) -> Vec<u32> {
    end.assert_success();
    end.log.lines().filter_map(|line| line.strip_prefix("line=")?.parse().ok()).collect()
}
