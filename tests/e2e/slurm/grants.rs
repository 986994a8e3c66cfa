//! What a rule grants besides the account: less than the site, and nothing more by asking.

use crate::world::batch::until_nothing_left;
use crate::world::{Cluster, JobEnd, World, cases};

const RULES: &str = r#"
[[map]]
name = "small"
when = { project = "small/**" }
run_as = "{gitlab_user}"
message = "this project is small"
token_ttl = "2m"
token_audience = "https://vault.example"
slurm_limits = { nodes = 1, time = "5m", partitions = ["other"] }
[[map]]
name = "here"
when = { project = "here/**" }
run_as = "{gitlab_user}"
executor = "shell"
[[map]]
when = {}
run_as = "{gitlab_user}"
"#;

/// Whose job it is, where it runs, and what its token says.
const SHOW: &str = "echo slurm=${SLURM_JOB_ID:+yes}; c=$(cut -d. -f2 \"$CI_JOB_JWT_FILE\" | tr _- /+ | base64 -d 2>/dev/null || :); echo aud=$(grep -o '\"aud\":\"[^\"]*' <<< \"$c\" | cut -d'\"' -f4); echo life=$(( $(grep -o '\"exp\":[0-9]*' <<< \"$c\" | cut -d: -f2) - $(grep -o '\"iat\":[0-9]*' <<< \"$c\" | cut -d: -f2) ))";

fn run(world: &World, project: &str, parameters: &str) -> JobEnd {
    let simulate = world.simulate().option("--project", project);
    simulate.option("--variable", format!("SCHEDULER_PARAMETERS={parameters}")).script(SHOW).run()
}

cases!(
    fn what_a_rule_bounds_no_variable_of_a_job_widens(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm)
            .at(cluster)
            .slurm(|section| section.limits(|limits| limits.nodes(2).time("10m").partitions(["debug", "other"])))
            .rules([])
            .raw(RULES)
            .build();
        for (parameters, limit) in
            [("-N 2", "nodes"), ("-t 6", "time"), ("-p debug", "partitions"), ("-p other,debug", "partitions")]
        {
            let end = run(&world, "small/x", parameters);
            end.assert_failed("script_failure")
                .assert_log(&format!("is refused: map.slurm_limits.{limit} (config.toml line "));
            // The site's own bounds are wider, and those of a rule are its jobs' alone.
            run(&world, "large/x", parameters).assert_success();
        }
        run(&world, "small/x", "-t 11").assert_failed("script_failure").assert_log("slurm.limits.time");
        let end = run(&world, "small/x", "-N 1 -t 5 -p other");
        end.assert_success().assert_log("this project is small");
        assert_eq!([end.value("slurm"), end.value("aud"), end.value("life")], ["yes", "https://vault.example", "120"]);
        until_nothing_left(&world, cluster);
    },
    fn jobs_of_a_rule_can_stay_on_this_machine_where_others_go_to_slurm(slurm: Slurm) {
        let cluster = Cluster::shared(slurm);
        let world = World::root(slurm).at(cluster).rules([]).raw(RULES).build();
        let end = run(&world, "here/x", "");
        end.assert_success().assert_log("in a shell").assert_not_in_log("this project is small");
        assert_eq!(end.value("slurm"), "");
        assert_eq!(run(&world, "large/x", "").value("slurm"), "yes");
        until_nothing_left(&world, cluster);
    }
);
