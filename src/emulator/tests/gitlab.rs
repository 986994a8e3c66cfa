//! The little GitLab, and messages about the set-up.

use std::fs;

use motmot_emulator::{Cancel, CancelMode, CancelWhen, GitLabServer, JobApi, JobPayload};

use crate::world::World;

#[test]
fn the_little_gitlab_knows_the_job_only_by_its_token_and_while_it_runs() {
    let mut world = World::with(|simulation| {
        simulation.job.user_login = "bob".into();
        let when = CancelWhen::InSubStage("build_script".into());
        simulation.faults.cancel = Some(Cancel { mode: CancelMode::Graceful, when });
    });
    world.job_api.changes = vec![("user.state".into(), "blocked".into())];
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
    world.on(
        "prepare",
        &format!("{ask}ask \"${{CUSTOM_ENV_CI_JOB_TOKEN}}\" \"$2\" >\"$dir/right\"; ask wrong \"$2\" >\"$dir/wrong\""),
    );
    world.on("build_script", "exec sleep 30");
    world.on("cleanup", &format!("{ask}ask \"${{CUSTOM_ENV_CI_JOB_TOKEN}}\" \"$2\" >\"$dir/late\""));
    let played = world.play();
    let right = world.read("right");
    assert!(
        right.starts_with("HTTP/1.0 200") && right.contains(r#""username":"bob""#) && right.contains("blocked"),
        "{right}{}",
        played.log
    );
    assert!(right.contains(&format!("\"id\":{}", played.result.job_id)));
    assert!(world.read("wrong").starts_with("HTTP/1.0 401"));
    assert!(world.read("late").starts_with("HTTP/1.0 401"));
}

#[test]
fn problems_of_the_set_up_are_explained() {
    let world = World::new();
    let error = || world.run(&world.simulation, &mut std::io::sink(), &mut std::io::sink()).unwrap_err().to_string();
    fs::remove_file(world.path("motmot-run")).unwrap();
    assert!(error().ends_with("motmot-run is not an executable file"), "{}", error());
    fs::write(world.path("motmot-run"), "").unwrap();
    assert!(error().ends_with("motmot-run may not be executed by this account"), "{}", error());
    let no_status = JobApi { status: Some(99), ..JobApi::default() };
    assert_eq!(GitLabServer::on_loopback(no_status).unwrap_err().to_string(), "99 is not an HTTP status");
    let words = JobPayload::from_json("{\n  \"id\": x}", "job.json").unwrap_err().to_string();
    assert!(words.contains("job.json") && words.contains("line 2 column"), "{words}");
}
