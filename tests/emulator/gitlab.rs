//! The little GitLab, and messages about the set-up.

use std::fs;

use motmot::admin::simulate::{Cancel, CancelMode, CancelWhen, Payload, Simulation};

use crate::world::World;

#[test]
fn the_little_gitlab_knows_the_job_only_by_its_token_and_while_it_runs() {
    let world = World::with(|simulation| {
        simulation.identity.user_login = "bob".into();
        simulation.gitlab.answers = vec![("user.state".into(), "blocked".into())];
        let when = CancelWhen::InSubStage("build_script".into());
        simulation.faults.cancel = Some(Cancel { mode: CancelMode::Graceful, when });
    });
    // bash speaks enough HTTP for this.
    let ask = r#"
ask() {
    host=$(sed -n 's|^url = "http://\(.*\)"|\1|p' "$2")
    exec 3<>"/dev/tcp/${host%:*}/${host#*:}"
    printf 'GET /api/v4/job HTTP/1.0\r\nJOB-TOKEN: %s\r\n\r\n' "$1" >&3
    cat <&3
    exec 3>&-
}
token=$(sed 's/.*"token":"\([^"]*\)".*/\1/;q' response.json)
"#;
    world.on("prepare", &format!("{ask}cp \"$2\" \"$dir/config\"; stat -c %a \"$2\" \"${{2%/*}}\" >\"$dir/modes\"\nask \"${{CUSTOM_ENV_CI_JOB_TOKEN}}\" \"$2\" >\"$dir/right\"; ask wrong \"$2\" >\"$dir/wrong\""));
    world.on("build_script", "exec sleep 30");
    world.on("cleanup", &format!("{ask}ask \"${{CUSTOM_ENV_CI_JOB_TOKEN}}\" \"$2\" >\"$dir/late\""));
    let played = world.play();
    let right = world.read("right");
    assert!(
        right.starts_with("HTTP/1.0 200") && right.contains(r#""username":"bob""#) && right.contains("blocked"),
        "{right}{}",
        played.log
    );
    assert!(right.contains(&format!("\"id\":{}", played.outcome.job_id)));
    assert!(world.read("wrong").starts_with("HTTP/1.0 401"));
    assert!(world.read("late").starts_with("HTTP/1.0 401"));
    // Only the address is another: what the driver says of its lines holds for the original.
    let (original, copy) = (fs::read_to_string(world.path("config.toml")).unwrap(), world.read("config"));
    let others = |text: &str| text.lines().map(|line| !line.contains("url =")).collect::<Vec<_>>();
    assert_eq!(others(&original), others(&copy));
    assert!(copy.contains("url = \"http://127.0.0.1:"), "{copy}");
    assert_eq!(world.read("modes"), "600\n700\n");
}

#[test]
fn problems_of_the_set_up_are_explained() {
    let world = World::new();
    let error =
        |simulation: &Simulation| simulation.run(&mut std::io::sink(), &mut std::io::sink()).unwrap_err().to_string();
    fs::remove_file(world.path("motmot-run")).unwrap();
    let words = error(&world.simulation);
    assert!(words.contains("motmot-run is not an executable file") && words.contains("--bin-dir"), "{words}");
    let world = World::new();
    fs::write(world.path("config.toml"), "[gitlab\n").unwrap();
    assert!(error(&world.simulation).contains("cannot read the configuration"));
    let words = Payload::from_json("{\n  \"id\": x}", "job.json").unwrap_err().to_string();
    assert!(words.contains("job.json") && words.contains("line 2 column"), "{words}");
}
