//! A job that tries to get more than its account's rights, or at what belongs to the driver or to others.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use crate::world::{
    JobEnd, Running, Single, TestAccount, World, cases, change_accounts, chown, copy_programs, is_root, make_dir,
    payload, until,
};

cases!(
    fn a_job_has_exactly_its_accounts_ids_and_no_capabilities(root: Root) {
        let world = World::root(root).build();
        let extra = format!("{}x", world.user.name);
        change_accounts(Command::new("groupadd").arg(&extra));
        change_accounts(Command::new("usermod").args(["-aG", &extra, &world.user.name]));
        let end = world.simulate().script("id").script("cat /proc/self/status").run();
        let gid = nix::unistd::Group::from_name(&extra).expect("lookup").expect("the group").gid.as_raw();
        change_accounts(Command::new("groupdel").arg(&extra));
        end.assert_success();
        let line = |name: &str| {
            end.log.lines().find_map(|line| line.strip_prefix(name)).map_or_else(
                || panic!("no {name}"),
                |rest| rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            )
        };
        assert_eq!(line("Uid:"), vec![world.user.uid.to_string(); 4], "real, effective, saved and file-system id");
        assert_eq!(line("Gid:"), vec![world.user.gid.to_string(); 4]);
        let mut groups = line("Groups:");
        groups.sort();
        let mut expected = vec![world.user.gid.to_string(), gid.to_string()];
        expected.sort();
        assert_eq!(groups, expected, "no group of the runner's, and not gid 0");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(line(set), ["0000000000000000"], "{set}");
        }
    },
    fn a_job_cannot_become_root_again(root: Root) {
        let world = World::root(root).build();
        // perl is in every Debian; each of these calls must fail.
        let end = world
        .simulate()
        .script("perl -e 'use POSIX; for my $try (sub { POSIX::setuid(0) }, sub { $> = 0; $> == 0 }, sub { $< = 0; $< == 0 }, sub { ($<,$>) = (0,0); $> == 0 }, sub { POSIX::setgid(0) }, sub { $) = \"0 0\"; $) =~ /^0/ }) { my $r = $try->(); print \"climbed=\", ($r && $r ne \"\" ? $r : \"no\"), \"\\n\"; }'")
        .script("id -u")
        .run();
        end.assert_success();
        let climbed: Vec<&str> = end.log.lines().filter_map(|line| line.strip_prefix("climbed=")).collect();
        assert_eq!(climbed.len(), 6, "{}", end.log);
        assert!(climbed.iter().all(|result| *result == "no"), "{climbed:?}");
    },
    fn a_job_inherits_no_descriptors(root: Root) {
        let world = World::root(root).build();
        let single = Single::new(&world, 5);
        let script = single.script("ls -l /proc/$$/fd /proc/$PPID/fd 2>/dev/null | grep -e SECRET -e response.json || echo clean=yes\nls /proc/$BASHPID/fd | tr \"\\n\" \" \"");
        // A runner that leaks a descriptor to a file of root's.
        let secret = world.dir.join("SECRET");
        fs::write(&secret, "hush").expect("write");
        let mut command = Command::new("bash");
        command.arg("-c").arg(format!("exec 7<{} 63<{0}; exec \"$@\"", secret.display())).arg("runner");
        let stage = single.stage("run");
        command.arg(stage.get_program()).args(stage.get_args()).arg(&script).arg("build_script");
        command.envs(stage.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        let output = command.output().expect("run");
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && log.contains("clean=yes"), "{log}");
        let open: Vec<u32> =
            log.lines().last().expect("a line").split_whitespace().map(|fd| fd.parse().expect("a number")).collect();
        assert!(open.iter().all(|fd| [0, 1, 2, 255].contains(fd) || *fd == 3), "{open:?}");
    },
    fn a_job_cannot_look_into_the_driver(root: Root) {
        let world = World::root(root).build();
        // The worker is the parent of the shell, the stage binary the parent of the worker.
        let end = world
        .simulate()
        .script("worker=$(ps -o ppid= -p $$ | tr -d ' '); worker=$(ps -o ppid= -p $worker | tr -d ' '); for pid in $PPID $(ps -o ppid= -p $PPID) $(pgrep motmot); do if grep -q '^State:.Z' /proc/$pid/status; then continue; fi; for what in environ mem maps fd/0 fd/1 cwd exe root; do if head -c1 /proc/$pid/$what >/dev/null 2>&1 || ls -l /proc/$pid/$what 2>/dev/null | grep -q -- '->'; then name=$(cat /proc/$pid/comm); case $name in motmot*) echo \"open=$name $what\";; esac; fi; done; done; echo looked=yes; pgrep -c motmot")
        .run();
        end.assert_success().assert_log("looked=yes").assert_no_line("open=");
        let seen: u32 = end.log.lines().last_number(&end.log);
        assert!(seen >= 2, "the test saw the driver's processes: {}", end.log);
    },
    fn a_job_cannot_read_sessions_keys_or_the_audit_log(root: Root) {
        let world = World::root(root).build();
        let look = |path: &std::path::Path| {
            format!("if ls {0} >/dev/null 2>&1 || cat {0} >/dev/null 2>&1; then echo open={0}; fi", path.display())
        };
        let end = world
            .simulate()
            .script(look(&world.sessions()))
            .script(look(&world.keys()))
            .script(look(&world.dir.join("state/motmot/slots")))
            .script(look(&world.audit_file()))
            .script(look(&world.dir.join("tmp")))
            .script("echo looked=yes")
            .run();
        end.assert_success().assert_log("looked=yes").assert_no_line("open=");
    },
    fn a_job_cannot_read_another_users_token(root: Root) {
        let (victim, thief) = (World::root(root).build(), World::root(root).build());
        let wait = "while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done";
        let path = "echo \"$CI_JOB_JWT_FILE\" > \"$HOME/path\"";
        let running = Running::start(&victim.simulate().script(path).script(wait));
        until("the victim has a token", || {
            fs::read_to_string(victim.user.home.join("path")).is_ok_and(|path| path.ends_with('\n'))
        });
        let path = fs::read_to_string(victim.user.home.join("path")).expect("path").trim_end().to_owned();
        assert!(fs::metadata(&path).is_ok(), "the token is there: {path}");
        let end = thief.simulate().script(format!("cat {path} && echo stolen=yes || echo stolen=no")).script(format!("for pid in $(pgrep -U {}); do if grep -q . /proc/$pid/environ 2>/dev/null; then echo foreign=$pid; fi; done; true", victim.user.uid)).run();
        victim.user_file("go", "");
        running.end().assert_success();
        end.assert_success().assert_no_line("foreign=");
        assert_eq!(end.value("stolen"), "no");
    },
    fn no_secret_is_on_a_command_line_or_in_a_foreign_environment(root: Root) {
        let world = World::root(root).build();
        let running = Running::start(&world.simulate().script("cp \"$CI_JOB_JWT_FILE\" \"$HOME/token\"; sh -c 'touch \"$HOME/ready\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done'"));
        until("the job runs", || world.user.home.join("ready").exists());
        let token = fs::read(world.user.home.join("token")).expect("the token");
        let signature = token.rsplit(|byte| *byte == b'.').next().expect("a signature").to_vec();
        let finder = memchr::memmem::Finder::new(&signature);
        let (mut looked, mut holders) = (0, Vec::new());
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let path = entry.path();
            if let Ok(argv) = fs::read(path.join("cmdline")) {
                looked += 1;
                assert!(finder.find(&argv).is_none(), "{}", String::from_utf8_lossy(&argv));
            }
            if fs::read(path.join("environ")).is_ok_and(|environ| finder.find(&environ).is_some()) {
                // It may have ended since.
                let Ok(meta) = fs::metadata(&path) else { continue };
                let uid = std::os::unix::fs::MetadataExt::uid(&meta);
                holders.push((fs::read_to_string(path.join("comm")).unwrap_or_default(), uid));
            }
        }
        world.user_file("go", "");
        running.end().assert_success();
        assert!(looked > 5);
        assert!(
            !holders.is_empty() && holders.iter().all(|(_, uid)| *uid == world.user.uid),
            "only the job's own processes: {holders:?}"
        );
    },
    fn links_planted_in_the_data_directory_hurt_nobody_else(root: Root) {
        let world = World::root(root).build();
        let (victim, secret) = (world.dir.join("victim"), world.dir.join("victim/shadow"));
        make_dir(&victim, 0o755);
        fs::write(&secret, "precious").expect("write");
        let plant = |name: &str, target: &std::path::Path| {
            let path = world.data_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&path);
            symlink(target, &path).expect("link");
            chown(&path, world.user.uid, world.user.gid);
        };
        world.simulate().script("true").run().assert_success();
        // Root's directory under the names that the driver uses.
        for name in ["jobs", "builds", "cache"] {
            plant(name, &victim);
            let end = world.simulate().option("--retry-interval", "10ms").script("true").run();
            assert!(!end.succeeded(), "{name}");
            end.assert_log("is not safe to run a job in");
            assert_eq!(fs::read_dir(&victim).expect("victim").count(), 1, "{name}: nothing was made or removed there");
            fs::remove_file(world.data_dir().join(name)).expect("unlink");
        }
        // Links that the job itself leaves for cleanup to follow.
        let end = world
        .simulate()
        .script(format!("rm -rf \"$TMPDIR\"; ln -s {} \"$TMPDIR\"; ln -s {} \"$(dirname \"$CI_JOB_JWT_FILE\")/extra\"; rm -rf \"$(pwd).tmp\"; ln -s {} \"$(pwd).tmp\"", victim.display(), victim.display(), victim.display()))
        .run();
        assert_eq!(end.code_of("cleanup_exec"), 0, "{}", end.runner_log);
        // A hard link to somebody else's file under the token's name.
        let own = world.user_file("precious", "mine");
        let end = world
            .simulate()
            .script(format!(
                "chmod u+w \"$(dirname \"$CI_JOB_JWT_FILE\")\"; rm -f \"$CI_JOB_JWT_FILE\"; ln {} \"$CI_JOB_JWT_FILE\"",
                own.display()
            ))
            .option("--after-script", "[ \"$(cat \"$CI_JOB_JWT_FILE\")\" = \"$CI_JOB_JWT\" ] && echo own=yes")
            .run();
        end.assert_success();
        assert_eq!(end.value("own"), "yes");
        assert_eq!(fs::read_to_string(own).expect("read"), "mine", "replaced, not written through");
        assert_eq!(fs::read_to_string(&secret).expect("read"), "precious");
    },
    fn a_data_directory_of_somebody_else_is_refused(root: Root) {
        let mut world = World::root(root).build();
        let data = world.dir.join("data");
        make_dir(&data, 0o700);
        world.change(|config| config.jobs(|jobs| jobs.data_dir(&data)));
        for (uid, mode) in [(0, 0o755), (65_534, 0o755)] {
            chown(&data, uid, 0);
            fs::set_permissions(&data, fs::Permissions::from_mode(mode)).expect("chmod");
            let end = world.simulate().option("--retry-interval", "10ms").script("id").run();
            end.assert_failed("script_failure").assert_log("belongs to uid").assert_no_line("uid=");
            assert_eq!(end.calls("prepare_exec").len(), 1, "final: not tried again");
            assert_eq!(fs::read_dir(&data).expect("data").count(), 0);
        }
    },
    fn a_data_directory_that_others_may_write_to_is_refused(root: Root) {
        let mut world = World::root(root).build();
        let open = world.dir.join("open");
        make_dir(&open, 0o777);
        world.change(|config| config.jobs(|jobs| jobs.data_dir(open.join("{user}"))));
        world
            .simulate()
            .script("id")
            .run()
            .assert_failed("script_failure")
            .assert_log("not sticky")
            .assert_no_line("uid=");
        // Sticky, as /tmp: fine for a directory that is the account's own, not for one that somebody else made first.
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).expect("chmod");
        world.simulate().script("id").run().assert_success();
        let data = open.join(&world.user.name);
        fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).expect("chmod");
        world
            .simulate()
            .script("id")
            .run()
            .assert_failed("script_failure")
            .assert_log("others may write to it")
            .assert_no_line("uid=");
        fs::remove_dir_all(&data).expect("remove");
        let elsewhere = world.dir.join("elsewhere");
        make_dir(&elsewhere, 0o700);
        chown(&elsewhere, world.user.uid, world.user.gid);
        symlink(&elsewhere, &data).expect("link");
        std::os::unix::fs::lchown(&data, Some(65_534), Some(65_534)).expect("chown");
        world
            .simulate()
            .script("id")
            .run()
            .assert_failed("script_failure")
            .assert_log("symbolic link")
            .assert_no_line("uid=");
    },
    fn a_configuration_that_others_may_write_is_refused(root: Root) {
        let world = World::root(root).build();
        for mode in [0o666, 0o664, 0o602] {
            fs::set_permissions(world.config_file(), fs::Permissions::from_mode(mode)).expect("chmod");
            let words = refused_config(&world);
            assert!(words.contains("config.toml") && words.contains("chmod"), "{words}");
        }
        fs::set_permissions(world.config_file(), fs::Permissions::from_mode(0o644)).expect("chmod");
        fs::set_permissions(&world.dir, fs::Permissions::from_mode(0o777)).expect("chmod");
        let words = refused_config(&world);
        assert!(words.contains(world.dir.to_str().expect("utf-8")), "a directory above is as bad: {words}");
        fs::set_permissions(&world.dir, fs::Permissions::from_mode(0o755)).expect("chmod");
        let link = world.dir.join("link.toml");
        symlink(world.config_file(), &link).expect("link");
    },
    fn a_configuration_of_an_ordinary_account_is_refused_for_a_driver_that_changes_user(root: Root) {
        let world = World::root(root).build();
        chown(&world.config_file(), world.user.uid, world.user.gid);
        let words = refused_config(&world);
        assert!(words.contains(&world.user.name), "{words}");
    },
    fn a_worker_program_that_others_may_write_is_refused(root: Root) {
        let world = World::root(root).build();
        let bins = world.dir.join("own-bin");
        copy_programs(&bins);
        let single = Single::new(&world, 5);
        let script = single.script("id");
        let run = || {
            let stage = single.stage("run");
            let mut command = Command::new(bins.join("motmot-run"));
            command
                .args(stage.get_args())
                .arg(&script)
                .arg("build_script")
                .envs(stage.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
            command.output().expect("run")
        };
        assert!(run().status.success());
        fs::set_permissions(bins.join("motmot-worker"), fs::Permissions::from_mode(0o777)).expect("chmod");
        let output = run();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("chmod go-w"));
        fs::set_permissions(bins.join("motmot-worker"), fs::Permissions::from_mode(0o755)).expect("chmod");
        chown(&bins.join("motmot-worker"), world.user.uid, world.user.gid);
        let output = run();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("belongs to uid"));
    },
    fn a_state_directory_that_others_can_read_is_refused(root: Root) {
        let world = World::root(root).build();
        world.simulate().script("true").run().assert_success();
        fs::set_permissions(world.dir.join("state/motmot"), fs::Permissions::from_mode(0o755)).expect("chmod");
        let end = world.simulate().option("--retry-interval", "10ms").script("true").run();
        end.assert_failed("runner_system_failure").assert_log("chmod 0700");
    },
    fn no_new_privs_can_be_asked_for() {
        let mut world = World::one_user().build();
        let asked = |world: &World| {
            world.simulate().script("grep NoNewPrivs /proc/self/status | tr -d '\\t' | sed s/:/=/").run()
        };
        assert_eq!(asked(&world).value("NoNewPrivs"), "0", "sudo and apptainer work as the site set them up");
        world.change(|config| config.jobs(|jobs| jobs.no_new_privs(true)));
        assert_eq!(asked(&world).value("NoNewPrivs"), "1");
    },
    fn a_driver_without_the_right_to_change_user_says_so() {
        let world = World::one_user().build();
        world.write_config_with(|config| config.jobs(|jobs| jobs.downscope("setuid")));
        let output = world
            .as_driver(&world.bins.join("motmot-config"))
            .arg("--config")
            .arg(world.config_file())
            .stdin(Stdio::null())
            .output()
            .expect("config");
        assert_eq!(output.status.code(), Some(2));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if is_root() {
            assert!(words.contains("downscope"), "{words}");
        }
        assert_eq!(output.stdout, b"{}\n");
    },
    fn a_job_that_kills_its_worker_is_a_failure_of_the_site_and_leaves_nothing(_root: Root) {
        let world = World::one_user().build();
        let end = world.simulate().script(format!("setsid sleep 1000 & kill -9 $({WORKER}); sleep 1000")).run();
        end.assert_failed("runner_system_failure").assert_log("was killed");
        until("nothing runs any more", || !world.processes_of_user().contains(&"sleep".to_owned()));
    },
    fn a_job_that_stops_its_worker_can_still_be_ended(_root: Root) {
        let world = World::one_user().jobs(|jobs| jobs.kill_timeout("1s")).build();
        let end = world
            .simulate()
            .option("--cancel", "graceful")
            .option("--cancel-on", "stopped now")
            .script(format!("kill -STOP $({WORKER}); echo stop\"\"ped now; sleep 1000"))
            .run();
        assert!(!end.succeeded());
        assert_eq!(end.code_of("build_script"), 2);
        until("nothing runs any more", || !world.processes_of_user().contains(&"sleep".to_owned()));
    },
    fn a_job_that_kills_everything_it_can_does_not_hold_the_stage(root: Root) {
        let world = World::root(root).build();
        let end = world.simulate().script("kill -9 -1; sleep 1000").run();
        end.assert_log("was killed (signal 9");
        assert!(!end.succeeded());
        assert_eq!(end.code_of("cleanup_exec"), 0, "{}", end.runner_log);
        assert_eq!(world.processes_of_user(), Vec::<String>::new());
    },
    /// add_key(2), keyctl(2) by number: the tools for them are rarely installed.
    fn a_job_possesses_none_of_the_runners_keys(root: Root) {
        let world = World::root(root).build();
        let (add_key, keyctl) = KEY_CALLS;
        let search = format!(
            "perl -e 'my $id = syscall({keyctl}, 10, -3, my $t = \"user\", my $n = \"motmot-test\", 0); print \"key=\", ($id > 0 ? \"found\" : \"none\"), \"\\n\"'"
        );
        let (command, log, runner_log) = world.simulate().script(search.clone()).command();
        // A runner, or whoever has started it, with a secret in its session keyring.
        let mut runner = Command::new("perl");
        runner.arg("-e").arg(format!(
        "syscall({keyctl}, 1, 0) > 0 or die; syscall({add_key}, my $t = 'user', my $n = 'motmot-test', my $s = 'secret', 6, -3) > 0 or die; system(q({search})); exec @ARGV"
    ));
        runner.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        let output = runner.output().expect("perl");
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        let (first, json) = words.split_once('\n').expect("two lines");
        assert_eq!(first, "key=found", "the runner itself has it");
        let output = std::process::Output { stdout: json.as_bytes().to_vec(), ..output };
        let end = JobEnd::read(&output, &log, &runner_log);
        end.assert_success();
        assert_eq!(end.value("key"), "none");
    },
    fn the_keyring_of_a_job_is_its_accounts_own_and_the_runners_quota_is_as_before(root: Root) {
        let world = World::with_capabilities(root).build();
        let (_, keyctl) = KEY_CALLS;
        let keep = format!(
            "perl -e 'my $b = \"\\0\" x 99; syscall({keyctl}, 6, -3, $b, 99); print \"owner=\", (split /;/, $b)[1], \"\\n\"; syscall({keyctl}, 8, -3, -4)'"
        );
        let runner = world.runner.as_ref().expect("an account").uid;
        let before = keys_of(runner);
        for _ in 0..3 {
            let end = world.simulate().script(keep.clone()).run();
            end.assert_success();
            assert_eq!(end.value("owner"), world.user.uid.to_string());
        }
        // The kernel clears them away when it has time.
        until("no keyring of the runner is left", || keys_of(runner) <= before);
        clear_keys(&world.user);
    },
    fn an_account_with_a_full_key_quota_still_gets_cleaned_up(root: Root) {
        let world = World::root(root).build();
        let (add_key, keyctl) = KEY_CALLS;
        // Until it stays full: keyrings of stages that are over are cleared away when the kernel has time, and nothing tells of it.
        let fill = format!(
            "perl -e 'syscall({keyctl}, 8, -3, -4); my $t = \"user\"; my $s = \"x\"; my $full = 0; for (1 .. 100000) {{ my $n = \"k$_\"; next if syscall({add_key}, $t, $n, $s, 1, -4) > 0; last if ++$full > 20; select(undef, undef, undef, 0.05) }}; print \"full=yes\\n\"'"
        );
        // There is no room for a keyring of its own, and the driver's can neither be kept by a link nor be filled.
        let after = format!(
            "perl -e 'syscall({keyctl}, 8, -3, -4); print \"keep=\", $! + 0, \"\\n\"; syscall({keyctl}, 8, -4, -3); print \"fill=\", $! + 0, \"\\n\"'; echo after=yes"
        );
        let (command, log, runner_log) = world.simulate().script(fill).option("--after-script", after).command();
        // As a service or a login has it: with a session keyring to inherit.
        let mut runner = Command::new("perl");
        runner.arg("-e").arg(format!("syscall({keyctl}, 1, 0) > 0 or die; exec @ARGV"));
        runner.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        let end = JobEnd::read(&runner.output().expect("perl"), &log, &runner_log);
        end.assert_success();
        assert_eq!((end.value("full"), end.value("after")), ("yes", "yes"));
        let refused = libc::EACCES.to_string();
        assert_eq!((end.value("keep"), end.value("fill")), (refused.as_str(), refused.as_str()));
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
        // They outlive the account, and the kernel walks through all keys whenever a keyring goes.
        clear_keys(&world.user);
    },
    fn somebody_who_stops_every_process_of_the_driver_does_not_hold_it_for_ever(root: Root) {
        // With the default of a minute it ends all the same, but later.
        let world = World::root(root).jobs(|jobs| jobs.kill_timeout("1s")).build();
        let single = Single::new(&world, 5);
        let stopper = world.user.home.join("stopper");
        fs::write(&stopper, "while :; do pkill -STOP -f motmot; done").expect("write");
        let mut stopper = world.user.command(std::path::Path::new("bash")).arg(&stopper).spawn().expect("the attacker");
        let start = std::time::Instant::now();
        let mut cleanup = single.stage("cleanup").stderr(Stdio::null()).spawn().expect("cleanup");
        let term_after = std::time::Duration::from_secs(5);
        until("some time has passed, or cleanup was quicker", || {
            start.elapsed() > term_after || cleanup.try_wait().expect("asked").is_some()
        });
        let _ = Command::new("kill").arg(cleanup.id().to_string()).status();
        until("cleanup has ended", || cleanup.try_wait().expect("asked").is_some());
        let _ = stopper.kill();
        let _ = stopper.wait();
        let output = single.stage("cleanup").output().expect("cleanup");
        assert!(output.status.success(), "a later cleanup does it: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(world.sessions().read_dir().expect("sessions").count(), 0);
    },
    fn one_users_own_runner_of_root_says_so(root: Root) {
        let world = World::root(root).build();
        let data = world.dir.join("root-data");
        world.write_config_with(|config| config.jobs(|jobs| jobs.downscope("none").data_dir(&data)));
        let run = |user: &str| {
            let output = Command::new(world.bins.join("motmot"))
                .arg("--config")
                .arg(world.config_file())
                .args(["simulate", "--user", user, "--script", "echo me=$(id -un)"])
                .output()
                .expect("simulate");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let log = run("root");
        assert!(log.contains("me=root") && log.contains("warning: this runner runs its jobs as root"), "{log}");
        assert!(!run(&world.user.name).contains("me="), "and nobody else's");
    }
);

/// The last line of a log that is a number.
trait LastNumber {
    fn last_number(self, log: &str) -> u32;
}

impl<'l, I: Iterator<Item = &'l str>> LastNumber for I {
    fn last_number(self, log: &str) -> u32 {
        self.filter_map(|line| line.trim().parse().ok()).last().unwrap_or_else(|| panic!("no number in {log}"))
    }
}

/// A stage with the configuration as it stands; its words.
fn refused_config(world: &World) -> String {
    world.write_payload(&payload(1));
    let output = world.stage("config").output().expect("config");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How many keys count against an account's quota (`/proc/key-users`, proc(5)).
fn keys_of(uid: u32) -> u32 {
    let users = fs::read_to_string("/proc/key-users").expect("key-users");
    let line = users.lines().find_map(|line| line.trim_start().strip_prefix(&format!("{uid}:")));
    let counted = line.and_then(|line| line.split_whitespace().nth(2)).and_then(|field| field.split_once('/'));
    counted.map_or(0, |(keys, _)| keys.parse().expect("a number"))
}

const WORKER: &str = "pgrep -u $(id -u) motmot-worker";

/// Of the account.
fn clear_keys(account: &TestAccount) {
    let clear = format!("syscall({}, 7, -4)", KEY_CALLS.1);
    let perl = account.command(std::path::Path::new("perl")).arg("-e").arg(clear).status();
    assert!(perl.expect("perl").success());
}

#[cfg(target_arch = "x86_64")]
const KEY_CALLS: (u32, u32) = (248, 250);
#[cfg(not(target_arch = "x86_64"))]
const KEY_CALLS: (u32, u32) = (217, 219);
