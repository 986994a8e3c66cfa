//! `motmot check`: what it finds, and in which words.

mod accounts;
mod place;
mod slurm;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::world::check::{check, check_for_runner, finish, first_rule};
use crate::world::gitlab::GitLab;
use crate::world::{Rule, World, cases, change_accounts, chmod, chown, make_dir, make_script};

cases!(
    fn check_tells_what_is_wrong_before_a_job_does() {
        let world = World::one_user().build();
        check(&world).is_good(true).says(&["ok       configuration: ", "(1 rule)"]).does_not_say("PROBLEM");
        fs::rename(world.keys(), world.dir.join("state/elsewhere")).expect("rename");
        check(&world).is_good(false).says(&["PROBLEM  tokens: ", "motmot keys init"]);
    },
    fn a_configuration_that_is_not_there_is_told_in_one_line() {
        let world = World::one_user().build();
        let path = world.dir.join("none.toml");
        let said = finish(world.as_driver(&world.bins.join("motmot")), &path, &["--offline"]);
        said.is_good(false);
        assert_eq!(
            said.words,
            format!(
                "PROBLEM  configuration: {}: does not exist; copy packaging/config.toml there, or name another with --config\n1 problem, no warning, 0 ok\n",
                path.display()
            )
        );
    },
    fn an_invalid_configuration_is_shown_with_its_lines() {
        let world = World::one_user().raw("\n[jbos]\n").build();
        check(&world)
            .is_good(false)
            .says(&["PROBLEM  configuration: 1 problem in "])
            .says(&["config.toml:"])
            .says(&["did you mean `jobs`"]);
    },
    fn a_gitlab_that_refuses_who_has_no_token_is_one_and_none_is_a_problem() {
        let mut world = World::one_user().build();
        let run = |world: &World| finish(world.as_driver(&world.bins.join("motmot")), &world.config_file(), &[]);
        run(&world)
            .is_good(false)
            .says(&["PROBLEM  GitLab: http://127.0.0.1:9 cannot be reached from here", "refused"]);
        let server = GitLab::new(|_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
        });
        world.change(|config| config.gitlab(|gitlab| gitlab.url(&server.url)));
        run(&world).is_good(true).says(&["ok       GitLab: ", "answers"]);
        let asked = server.requests.lock().expect("requests").join("\n").to_lowercase();
        assert!(asked.starts_with("get /api/v4/job ") && !asked.contains("job-token"), "{asked}");
        check(&world).says(&["--offline"]);
        assert_eq!(server.count(), 1, "--offline asks nobody");
    },
    fn directories_that_come_first_on_the_path_are_judged_and_searched(root: Root) {
        let mut world = World::root(root).build();
        let tools = world.dir.join("tools");
        let bin = tools.join("bin");
        world.change(|config| config.jobs(|jobs| jobs.path_prepend([&bin]).environment([("PATH", "/nonexistent")])));
        let missing = format!("is not in {}:/nonexistent; ", bin.display());
        check(&world)
            .is_good(false)
            .says(&["PROBLEM  jobs.path_prepend: ", "does not exist"])
            .says(&["warning  git: ", &missing])
            .says(&["warning  gitlab-runner: ", &missing, "jobs.path_prepend"]);
        make_dir(&tools, 0o755);
        make_dir(&bin, 0o755);
        make_script(&bin.join("gitlab-runner"), "#!/bin/sh\n");
        make_script(&bin.join("git"), "#!/bin/sh\n");
        // The base of all worlds is root's, and so is the directory above it, which is sticky.
        let good = || check(&world);
        good()
            .is_good(true)
            .says(&["ok       jobs.path_prepend: ", "(has git and gitlab-runner)"])
            .does_not_say("warning  git");
        for (path, mode, who) in [
            (&bin, 0o775, "its group can put commands there"),
            (&bin, 0o1777, "everybody can put commands there"),
            (&tools, 0o777, "everybody can replace what is in"),
            (&tools, 0o770, "its group can replace what is in"),
        ] {
            chmod(path, mode);
            good().is_good(false).says(&["PROBLEM  jobs.path_prepend: ", who]);
            chmod(path, 0o755);
        }
        chown(&tools, world.user.uid, world.user.gid);
        let who = format!("uid {} can replace", world.user.uid);
        good().is_good(false).says(&["PROBLEM  jobs.path_prepend: ", &who]);
        chown(&tools, 0, 0);
        chmod(&bin, 0o700);
        good().is_good(false).says(&["PROBLEM  jobs.path_prepend: ", "is closed to the accounts of jobs"]);
    },
    fn what_has_no_effect_or_too_much_of_it_is_a_warning(root: Root) {
        let mut world = World::root(root).build();
        let line = first_rule(&world);
        check(&world)
            .is_good(true)
            .says(&[
                &format!("warning  rule at {}:{line}: ", world.config_file().display()),
                "everybody in GitLab becomes the account of the same name",
            ])
            .does_not_say("warning  slurm")
            .does_not_say("ring.json");
        fs::remove_file(world.keys().join("ring.json")).expect("rm");
        let rule = Rule::user("adent").run_as(&world.user.name);
        world.change(|config| config.rules([rule]).raw("\n[slurm]\nrequeue = true\n"));
        check(&world)
            .is_good(true)
            .says(&["warning  slurm: the section has no effect", "jobs.executor = \"slurm\""])
            .says(&["warning  tokens: ", "ring.json is missing"])
            .says(&["ok       tokens: "])
            .does_not_say("everybody in GitLab");
    },
    fn a_rule_for_everybody_that_says_so_is_no_warning(root: Root) {
        let mut world = World::root(root).build();
        world.change(|config| config.rules([]).raw("\n[[map]]\nwhen = {}\nrun_as = \"{gitlab_user}\"\n"));
        check(&world).is_good(true).says(&["ok       rule at /", "as it says itself (when = {})"]);
    },
    fn the_sample_configuration_hands_out_no_account_that_it_does_not_name(root: Root) {
        let world = World::root(root).build();
        let sample = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/config.toml"));
        let sample = sample.expect("the sample").replace("\"arthur\"", &format!("{:?}", world.user.name));
        fs::write(world.config_file(), sample).expect("written");
        check(&world).says(&["ok       rules: 1 rule"]).does_not_say("rule at");
    },
    fn an_audit_log_that_others_can_read_or_change_is_told(root: Root) {
        let world = World::root(root).build();
        world.simulate().script("true").run().assert_success();
        let (log, shown) = (world.audit_file(), world.audit_file().display().to_string());
        check(&world).is_good(true).says(&[&format!("ok       log: {shown}")]);
        let mend = format!("chmod 0600 {shown}");
        for mode in [0o644, 0o604] {
            chmod(&log, mode);
            check(&world).is_good(true).says(&["warning  log: ", "everybody can read who runs what", &mend]);
        }
        for mode in [0o620, 0o602, 0o666] {
            chmod(&log, mode);
            check(&world).is_good(false).says(&["PROBLEM  log: ", "others than its owner can change", &mend]);
        }
        // A site may let a group read it.
        chmod(&log, 0o640);
        check(&world).is_good(true).says(&[&format!("ok       log: {shown}")]);
        chown(&log, world.user.uid, world.user.gid);
        check(&world).is_good(false).says(&["PROBLEM  log: ", &format!("belongs to {}", world.user.name)]);
        chown(&log, 0, 0);
        chmod(&log, 0o600);
        // A file that motmot has not made is nobody's to change by our advice.
        fs::write(&log, "somebody's notes\n").expect("written");
        chmod(&log, 0o666);
        check(&world).is_good(false).says(&["PROBLEM  log: ", "name a file in a directory"]).does_not_say("chmod");
        chmod(&log, 0o600);
        chown(log.parent().expect("a directory"), world.user.uid, 0);
        check(&world).is_good(false).says(&["PROBLEM  log: "]);
    },
    fn what_answers_and_is_no_gitlab_is_a_problem() {
        let mut world = World::one_user().build();
        let html = "text/html; charset=utf-8";
        for (status, kind, headers, word) in [
            ("200 OK", html, "", "a web page"),
            ("401 Unauthorized", html, "WWW-Authenticate: Basic\r\n", "a web page"),
            ("403 Forbidden", "TEXT/HTML", "", "a web page"),
            ("200 OK", "application/json", "", "no GitLab does"),
            ("302 Found", html, "Location: /users/sign_in\r\n", "redirects"),
            ("404 Not Found", "application/json", "", "no job API"),
        ] {
            let server = GitLab::new(move |_, stream| {
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
                );
                let _ = stream.write_all(head.as_bytes());
            });
            world.change(|config| config.gitlab(|gitlab| gitlab.url(&server.url)));
            finish(world.as_driver(&world.bins.join("motmot")), &world.config_file(), &[])
                .is_good(false)
                .says(&["PROBLEM  GitLab: ", word]);
        }
        world.change(|config| config.gitlab(|gitlab| gitlab.url("https://gitlab.example/api/v4")));
        check(&world).is_good(false).says(&["write \"https://gitlab.example\""]);
    },
    fn warnings_count_when_somebody_is_strict_and_the_last_line_counts_them() {
        let world = World::one_user().accounts(|accounts| accounts.deny_users(["nosuchbody"])).build();
        check(&world).is_good(true).says(&["no problem, ", " warning", " ok"]).does_not_say("\x1b[");
        let strict = |args: &[&str]| finish(world.as_driver(&world.bins.join("motmot")), &world.config_file(), args);
        strict(&["--offline", "--strict"]).is_good(false).says(&["no problem, ", "with --strict that is not good"]);
        let said = strict(&["--offline", "--strict", "--json"]);
        said.is_good(false);
        let json: serde_json::Value = serde_json::from_str(&said.words).expect("one document");
        assert_eq!((&json["good"], &json["problems"]), (&false.into(), &0.into()), "{json}");
        let listed = json["findings"].as_array().expect("a list");
        let warnings: Vec<_> = listed.iter().filter(|finding| finding["level"] == "warning").collect();
        assert_eq!(json["warnings"], warnings.len(), "{json}");
        assert!(warnings.iter().any(|finding| finding["what"] == "accounts.deny_users"), "{json}");
    },
    fn twenty_thousand_rules_of_one_mistake_are_a_few_lines() {
        let mut world = World::one_user().build();
        let name = world.user.name.clone();
        let rules = |first: Rule| {
            std::iter::once(first).chain((1..20_000).map(Rule::user_id).map(|rule| rule.run_as("nosuchbody")))
        };
        // Otherwise the others would be for merge requests.
        world.change(|config| config.rules(rules(Rule::everybody().run_as(&name))).raw(ALLOWED));
        let said = check(&world);
        said.is_good(false).says(&["PROBLEM  rule at /", "is never reached", "so are 19998 rules behind it"]);
        assert_eq!(said.words.matches("PROBLEM").count(), 1, "{}", said.words);
        // One line for each, if each has a mistake of its own.
        world.change(|config| config.rules(rules(Rule::user("adent").run_as(&name)).take(60)));
        let said = check(&world);
        said.is_good(false).says(&["config.toml: 39 more lines like these; --json has them all"]);
        assert!(said.words.matches("PROBLEM  rule at ").count() <= 21, "{}", said.words);
    },
    fn ones_own_runner_needs_a_rule_that_maps_to_its_account() {
        let mut world = World::one_user().rules([Rule::user("adent").run_as("nobody")]).build();
        check(&world).is_good(false).says(&["PROBLEM  rules: no rule maps to", &world.user.name]);
        if world.user.uid != 0 {
            let rule = Rule::everybody().run_as(&world.user.name);
            world.change(|config| config.rules([rule]));
            check(&world).is_good(true).says(&["warning  rule at ", "whoever starts a pipeline"]);
        }
    },
    fn a_shell_that_is_not_there_is_told_in_words() {
        let world = World::one_user().jobs(|jobs| jobs.shell_path("/no-such/bash")).build();
        check(&world)
            .is_good(false)
            .says(&["PROBLEM  shell: /no-such/bash", "does not exist"])
            .does_not_say("os error");
    },
    fn a_ca_file_without_a_certificate_is_a_problem() {
        let mut world = World::one_user().build();
        let path = world.dir.join("ca.pem");
        fs::write(&path, "no certificate\n").expect("write");
        world.change(|config| config.gitlab(|gitlab| gitlab.ca_file(&path)));
        finish(world.as_driver(&world.bins.join("motmot")), &world.config_file(), &[]).is_good(false).says(&[
            "PROBLEM  GitLab: ",
            "gitlab.ca_file",
            "no PEM certificate",
        ]);
        check(&world).is_good(false).says(&["PROBLEM  ", "gitlab.ca_file"]);
    },
    fn check_makes_no_directory() {
        let world = World::one_user().build();
        let (state, log) = (world.dir.join("state/motmot"), world.dir.join("audit"));
        fs::remove_dir(&log).expect("rmdir");
        check(&world).says(&["state directory: ", "does not exist yet"]).says(&["log: ", &log.display().to_string()]);
        assert!(!state.exists() && !log.exists());
    },
    fn the_running_sessions_are_counted() {
        let world = World::one_user().build();
        world.simulate().script("true").run().assert_success();
        check(&world).is_good(true).says(&["ok       sessions: none"]);
        for name in ["1-a", "2-b"] {
            make_dir(&world.sessions().join(name), 0o700);
            chown(&world.sessions().join(name), world.user.uid, world.user.gid);
        }
        check(&world).is_good(true).says(&["ok       sessions: 2 sessions, the oldest begun ", " ago"]);
    },
    fn a_rule_whose_account_is_refused_or_missing_is_named_by_its_line(root: Root) {
        let world = World::root(root)
            .rules([Rule::user("a").run_as("nosuchbody"), Rule::user("b").run_as("daemon"), Rule::everybody()])
            .build();
        let (file, line) = (world.config_file().display().to_string(), first_rule(&world));
        check(&world)
            .is_good(false)
            .says(&[&format!("PROBLEM  rule at {file}:{line}: "), "there is no local account \"nosuchbody\""])
            .says(&[&format!("PROBLEM  rule at {file}:{}: ", line + 3), "below accounts.min_uid"])
            .does_not_say(&format!("PROBLEM  rule at {file}:{}:", line + 6));
    },
    fn a_rule_that_is_never_reached_is_told_with_the_one_before_it(root: Root) {
        let mut world = World::root(root).build();
        let rules = [Rule::user_id(1), Rule::user_id(1), Rule::everybody(), Rule::user_id(2)];
        let rules = rules.map(|rule| rule.run_as(&world.user.name));
        world.change(|config| config.rules(rules).raw(ALLOWED));
        let (file, line) = (world.config_file().display().to_string(), first_rule(&world));
        let never = |at: usize, by: usize, why: &str| {
            format!("PROBLEM  rule at {file}:{}: is never reached, the rule at line {} has {why}", line + at, line + by)
        };
        check(&world)
            .is_good(false)
            .says(&[&never(3, 0, "the same conditions")])
            .says(&[&never(8, 6, "no conditions")])
            .does_not_say(&format!("rule at {file}:{}: is", line + 6));
    },
    fn limits_that_name_nobody_are_warnings(root: Root) {
        let world = World::root(root)
            .accounts(|accounts| {
                accounts.deny_users(["daemon", "slurmm"]).deny_groups(["whele", "daemon"]);
                accounts.shells(["/bin/bash", "/bin/bsah", "/usr/bin/env"])
            })
            .build();
        check(&world)
            .is_good(true)
            .says(&["warning  accounts.deny_users: ", "\"slurmm\""])
            .says(&["warning  accounts.deny_groups: ", "\"whele\""])
            .says(&["warning  accounts.shells: /bin/bsah does not exist"])
            .says(&["warning  accounts.shells: /usr/bin/env is not in /etc/shells"])
            .does_not_say("\"daemon\"");
    },
    fn a_worker_that_jobs_cannot_use_is_told_with_its_chmod(root: Root) {
        let world = World::with_capabilities(root).build();
        let path = world.bins.join("motmot-worker");
        let mend = format!("chmod 0711 {}", path.display());
        for mode in [0o700, 0o722, 0o777] {
            chmod(&path, mode);
            check_for_runner(&world).is_good(false).says(&["PROBLEM  worker: ", &mend]);
        }
        chmod(&path, 0o711);
        check_for_runner(&world).is_good(true).says(&["ok       worker: "]);
        // Good enough to run, but the kernel lets its account trace what that can read.
        for mode in [0o755, 0o751, 0o715] {
            chmod(&path, mode);
            check_for_runner(&world).is_good(true).says(&["warning  worker: ", "can trace it", &mend]);
        }
        chmod(&path, 0o711);
        chown(&path, world.user.uid, 0);
        check_for_runner(&world).is_good(false).says(&["PROBLEM  worker: ", "chown root"]);
        fs::remove_file(&path).expect("rm");
        check_for_runner(&world).is_good(false).says(&["PROBLEM  worker: ", "does not exist", "in one directory"]);
    },
    fn a_good_installation_for_an_ordinary_runner_has_no_problem(root: Root) {
        let world = World::with_capabilities(root).build();
        check_for_runner(&world)
            .is_good(true)
            .does_not_say("PROBLEM")
            .says(&["ok       stage programs: four"])
            .says(&["ok       tokens: ", "signs for"]);
        let made = fs::read_dir(world.dir.join("state/motmot")).expect("root has made it").count();
        assert_eq!(made, 0, "nothing is made");
    },
    fn a_state_directory_that_does_not_tell_who_the_runner_is_is_told(root: Root) {
        let mut world = World::with_capabilities(root).build();
        let runner = world.runner.as_ref().expect("a runner");
        let own = runner.home.join("motmot");
        make_dir(&own, 0o700);
        chown(&own, runner.uid, runner.gid);
        for (state, why) in
            [(own.to_string_lossy().into_owned(), "a directory of"), ("{home}/motmot".into(), "without braces")]
        {
            world.change(|config| config.jobs(|jobs| jobs.state_dir(&*state)));
            check_for_runner(&world).is_good(false).says(&["PROBLEM  state directory: ", why]);
        }
    },
    fn stage_programs_are_told_with_the_command_that_mends_them(root: Root) {
        let world = World::with_capabilities(root).build();
        let path = world.bins.join("motmot-run");
        let shown = path.display().to_string();
        let setcap = format!("setcap cap_setuid,cap_setgid,cap_kill+ep {shown}");
        chmod(&path, 0o755);
        check_for_runner(&world).is_good(false).says(&["PROBLEM  motmot-run: ", &format!("chmod 0750 {shown}")]);
        chmod(&path, 0o750);
        let set = |caps: &str| assert!(Command::new("setcap").arg(caps).arg(&path).status().expect("setcap").success());
        set("cap_setuid,cap_setgid+ep");
        check_for_runner(&world).is_good(false).says(&["PROBLEM  motmot-run: ", "other capabilities", &setcap]);
        // A change of owner takes them away.
        chown(&path, 0, world.runner.as_ref().expect("a runner").gid);
        check_for_runner(&world).is_good(false).says(&["PROBLEM  motmot-run: ", "no capabilities", &setcap]);
        chown(&path, 0, world.user.gid);
        let group = format!("chown root:{} {shown}", world.runner.as_ref().expect("a runner").name);
        check_for_runner(&world).is_good(false).says(&["PROBLEM  motmot-run: ", &group, &setcap]);
    },
    fn a_group_that_the_runner_shares_is_a_warning(root: Root) {
        let world = World::with_capabilities(root).build();
        check_for_runner(&world).does_not_say("a group of its own");
        let group = &world.runner.as_ref().expect("a runner").name;
        change_accounts(Command::new("gpasswd").args(["-a", &world.user.name, group]));
        check_for_runner(&world).is_good(true).says(&["warning  stage programs: the group ", "a group of its own"]);
    },
    fn what_belongs_to_the_runner_is_explained_to_root(root: Root) {
        let world = World::with_capabilities(root).build();
        let runner = world.runner.as_ref().expect("a runner");
        let state = world.dir.join("state/motmot");
        for dir in [&state, &state.join("sessions")] {
            make_dir(dir, 0o700);
            chown(dir, runner.uid, runner.gid);
        }
        let name = &runner.name;
        let advice = format!(
            "{0} belongs to {name}, and this check runs as root. If the runner runs as {name}: motmot check --runner-account {name}; if it runs as root: chown -R root {0}",
            state.display()
        );
        finish(Command::new(world.bins.join("motmot")), &world.config_file(), &["--offline"])
            .is_good(false)
            .says(&["PROBLEM  state directory: ", &advice])
            .says(&["PROBLEM  tokens: ", "--runner-account", "chown -R root"]);
        check_for_runner(&world).is_good(true);
        chown(&world.keys(), 0, 0);
        check_for_runner(&world).is_good(false).says(&[
            "PROBLEM  tokens: ",
            &format!("as {name} finds it"),
            "ermission denied",
        ]);
    },
    fn a_runner_that_cannot_make_its_directories_is_told_how_to(root: Root) {
        let world = World::with_capabilities(root).build();
        let name = &world.runner.as_ref().expect("a runner").name;
        chown(&world.dir.join("audit"), 0, 0);
        chmod(&world.dir.join("audit"), 0o755);
        fs::remove_dir(world.dir.join("state/motmot")).expect("rmdir");
        let install = |dir: &str| format!("install -d -o {name} -m 0700 {}", world.dir.join(dir).display());
        check_for_runner(&world)
            .is_good(false)
            .says(&["PROBLEM  state directory: ", "does not exist", &install("state/motmot")])
            .says(&["PROBLEM  log: ", "cannot make", "that is not there yet"])
            .does_not_say(&install("audit"));
        fs::remove_dir(world.dir.join("audit")).expect("rmdir");
        check_for_runner(&world).is_good(false).says(&["PROBLEM  log: ", &install("audit")]);
    },
    fn no_directory_that_motmot_has_not_made_is_proposed_to_be_changed(root: Root) {
        let mut world = World::with_capabilities(root).build();
        let home = world.user.home.clone();
        chmod(&home, 0o755);
        let scratch = world.dir.join("scratch");
        make_dir(&scratch, 0o777);
        // Each names a directory that is somebody's: everybody's, or a user's.
        for dir in [scratch.as_path(), home.as_path(), Path::new("/tmp"), Path::new("/etc")] {
            world.change(|config| {
                config.jobs(|jobs| jobs.state_dir(dir).data_dir(format!("{}/{{user}}", dir.display())));
                config.token(|token| token.keys(dir)).log(&dir.join("audit.log"))
            });
            for said in [
                check_for_runner(&world),
                finish(Command::new(world.bins.join("motmot")), &world.config_file(), &["--offline"]),
            ] {
                said.is_good(false);
                for word in ["chmod", "chown", "install -d"] {
                    for line in said.words.lines().filter(|line| line.contains(word)) {
                        let (_, command) = line.split_once(word).expect("found");
                        let changes = command.split([' ', ';']).any(|part| Path::new(part) == dir);
                        assert!(!changes, "{}: {line}", dir.display());
                    }
                }
            }
        }
    },
    fn an_ordinary_user_is_told_to_check_as_root(root: Root) {
        let world = World::root(root).build();
        finish(world.user.command(&world.bins.join("motmot")), &world.config_file(), &["--offline"])
            .is_good(false)
            .says(&["PROBLEM  accounts: ", "run this check as root", "--runner-account"])
            .does_not_say("state directory:");
        finish(
            world.user.command(&world.bins.join("motmot")),
            &world.config_file(),
            &["--offline", "--runner-account", "daemon"],
        )
        .is_good(false)
        .says(&["PROBLEM  runner: only root"]);
    },
    fn jobs_as_root_are_a_warning(root: Root) {
        let world = World::root(root).jobs(|jobs| jobs.downscope("none")).build();
        check(&world).is_good(true).says(&["warning  accounts: all jobs run as root"]);
    },
    fn a_data_dir_that_cannot_work_is_told(root: Root) {
        let mut world = World::root(root).build();
        let scratch = world.dir.join("scratch");
        let mut with = |path: &str| {
            world.change(|config| config.jobs(|jobs| jobs.data_dir(path)));
            check(&world)
        };
        let template = format!("{}/{{user}}/ci", scratch.display());
        let install = format!("install -d -m 1777 {}", scratch.display());
        with(&template).is_good(false).says(&["PROBLEM  jobs.data_dir: ", &install]);
        make_dir(&scratch, 0o777);
        with(&template)
            .is_good(false)
            .says(&["PROBLEM  jobs.data_dir: ", "not sticky", "name a place"])
            .does_not_say("chmod");
        make_dir(&scratch, 0o1777);
        with(&template).is_good(true).says(&["ok       jobs.data_dir: "]);
        make_dir(&scratch, 0o775);
        with(&template)
            .is_good(false)
            .says(&["PROBLEM  jobs.data_dir: the group of ", "data_dir_group_writable"])
            .does_not_say("chmod");
        make_dir(&scratch, 0o755);
        with(&scratch.display().to_string()).is_good(false).says(&["PROBLEM  jobs.data_dir: ", "{user}"]);
        make_dir(&scratch, 0o700);
        with(&template)
            .is_good(false)
            .says(&["PROBLEM  jobs.data_dir: ", "no other account can pass it"])
            .does_not_say("chmod");
        make_dir(&scratch, 0o775);
        world.change(|config| {
            config
                .jobs(|jobs| jobs.data_dir(&template).data_dir_group_writable([scratch.as_path(), Path::new("/none")]))
        });
        check(&world)
            .is_good(true)
            .says(&["ok       jobs.data_dir: "])
            .says(&["ok       jobs.data_dir_group_writable: whoever may write"])
            .says(&["warning  jobs.data_dir_group_writable: /none"]);
    }
);

/// Rules do not ask whose code it is.
const ALLOWED: &str = "[policy]\nmerge_requests_of_forks = \"allow\"\n";
