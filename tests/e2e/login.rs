//! Accounts that may not log in, by the machine's own rules, run no job.

use std::fs;
use std::process::{Command, Stdio};

use crate::world::check::{check, check_for_runner};
use crate::world::pam::{self, Service};
use crate::world::{JobEnd, World, cases, change_accounts};

fn ask_pam(world: &mut World, service: &str) {
    world.change(|config| config.accounts(|accounts| accounts.pam_service(service)));
}

/// The reason in the audit log for the last job that was not accepted.
fn reason(world: &World) -> String {
    pam::reason(world, "refused")
}

fn runs(world: &World) -> JobEnd {
    world.simulate().script("echo ran=yes").run()
}

cases!(
    fn an_account_that_has_expired_or_was_locked_runs_no_job_where_pam_is_not_asked(root: Root) {
        let mut world = World::root(root).build();
        ask_pam(&mut world, "none");
        runs(&world).assert_success();
        let name = world.user.name.clone();
        change_accounts(Command::new("chage").args(["-E", "2020-01-01", &name]));
        runs(&world).assert_failed("script_failure").assert_not_in_log("ran=yes").assert_not_in_log("expired");
        assert!(reason(&world).contains("it has expired"), "{}", reason(&world));
        change_accounts(Command::new("chage").args(["-E", "-1", &name]));
        runs(&world).assert_success();
        // Whoever has a password can have it locked; the accounts of the other tests have none.
        change_accounts(Command::new("usermod").args(["-p", "$6$salt$hash", &name]));
        runs(&world).assert_success();
        change_accounts(Command::new("usermod").args(["-L", &name]));
        runs(&world).assert_failed("script_failure");
        assert!(reason(&world).contains("its password is locked"), "{}", reason(&world));
    },
    fn check_does_not_promise_what_a_runner_that_is_not_root_cannot_see(root: Root) {
        let mut world = World::with_capabilities(root).build();
        let name = world.user.name.clone();
        change_accounts(Command::new("chage").args(["-E", "2020-01-01", &name]));
        for service in [None, Some("none")] {
            if let Some(service) = service {
                ask_pam(&mut world, service);
            }
            runs(&world).assert_success();
            check_for_runner(&world)
                .says(&["warning  accounts.pam_service: ", "not root", "expired or are locked run jobs"])
                .does_not_say("still runs none");
        }
    },
    fn a_locked_password_refuses_jobs_with_pam_too_and_an_account_with_keys_alone_has_none_to_lock(root: Root) {
        let mut world = World::root(root).build();
        let service = Service::new(&world, "account required pam_unix.so\n");
        let name = world.user.name.clone();
        let usermod = |args: &[&str]| change_accounts(Command::new("usermod").args(args).arg(&name));
        for rules in [service.name.as_str(), "none"] {
            ask_pam(&mut world, rules);
            usermod(&["-p", "$6$salt$hash"]);
            usermod(&["-L"]);
            runs(&world).assert_failed("script_failure").assert_not_in_log("ran=yes");
            assert!(reason(&world).contains("its password is locked"), "{rules}: {}", reason(&world));
            // As the pages say it for accounts with SSH keys alone; and as accounts are that never had a password.
            for password in ["*", "!"] {
                usermod(&["-p", password]);
                runs(&world).assert_success();
            }
        }
    },
    fn pam_says_who_may_begin_a_job(root: Root) {
        let mut world = World::root(root).build();
        let access = world.dir.join("access.conf");
        let lines =
            format!("account required pam_access.so accessfile={}\naccount required pam_unix.so\n", access.display());
        let service = Service::new(&world, &lines);
        ask_pam(&mut world, &service.name);
        let name = world.user.name.clone();
        fs::write(&access, "").expect("write");
        runs(&world).assert_success();
        fs::write(&access, format!("- : {name} : ALL\n")).expect("write");
        runs(&world).assert_failed("script_failure").assert_not_in_log("ran=yes").assert_not_in_log("PAM");
        assert!(
            reason(&world).contains("PAM (service ") && reason(&world).contains("Permission denied"),
            "{}",
            reason(&world)
        );
        fs::write(&access, "").expect("write");
        change_accounts(Command::new("chage").args(["-E", "2020-01-01", &name]));
        runs(&world).assert_failed("script_failure");
        assert!(reason(&world).contains("User account has expired"), "{}", reason(&world));
    },
    fn what_a_module_of_pam_asks_is_not_answered_and_what_it_says_reaches_the_admin(root: Root) {
        let mut world = World::root(root).build();
        let lines = "account optional pam_echo.so words for %u\naccount required pam_deny.so\n";
        let service = Service::new(&world, lines);
        ask_pam(&mut world, &service.name);
        runs(&world).assert_failed("script_failure").assert_not_in_log("words for");
        assert!(reason(&world).contains(&format!("words for {}", world.user.name)), "{}", reason(&world));
    },
    fn a_pam_that_cannot_answer_is_a_fault_of_the_site_and_admits_nobody(root: Root) {
        let mut world = World::root(root).build();
        let service = Service::new(&world, "account required pam_of_no_package.so\n");
        ask_pam(&mut world, &service.name);
        runs(&world).assert_failed("runner_system_failure").assert_not_in_log("ran=yes");
        check(&world).is_good(false).says(&[
            "PROBLEM  accounts.pam_service: every job fails: the account phase of /etc/pam.d/motmot-",
            " needs the module pam_of_no_package.so, which is not there",
        ]);
        // As the file of another system has it.
        fs::write(&service.file, "account required pam_permit.so\naccount include of-no-package\n").expect("write");
        check(&world).is_good(false).says(&["needs the service of-no-package, which it includes"]);
        fs::write(
            &service.file,
            "account required pam_permit.so\n-account [success=ok  default=ignore] pam_of_no_package.so\naccount optional pam_of_no_package.so\n",
        )
        .expect("write");
        check(&world).says(&["ok       accounts.pam_service: "]);
        fs::write(&service.file, "account required pam_permit.so\n").expect("write");
        check(&world).says(&["ok       accounts.pam_service: the account phase of /etc/pam.d/motmot-"]);
        drop(service);
        runs(&world)
            .assert_failed("runner_system_failure")
            .assert_log("install it from packaging/pam.d")
            .assert_not_in_log("ran=yes");
        check(&world).is_good(false).says(&["PROBLEM  accounts.pam_service: there is no /etc/pam.d/motmot-"]);
    },
    fn a_machine_that_is_closed_takes_no_job_and_says_why(root: Root) {
        let mut world = World::root(root).build();
        // Many a service asks for it only where a password is asked for.
        let service = Service::new(&world, "auth required pam_nologin.so\naccount required pam_permit.so\n");
        for rules in ["none", &service.name] {
            ask_pam(&mut world, rules);
            let (command, log, runner_log) = world.simulate().script("echo ran=yes").command();
            // In a mount namespace, since other tests have jobs on this machine.
            let mut closed = Command::new("unshare");
            closed.args(["--mount", "sh", "-c"]);
            closed.arg("mount -t tmpfs tmpfs /run && echo 'Back at 8.' >/run/nologin && ln -s /run /run/run && exec \"$@\"").arg("sh");
            closed.arg(command.get_program()).args(command.get_args());
            closed.stdin(Stdio::null());
            let end = JobEnd::read(&closed.output().expect("unshare"), &log, &runner_log);
            end.assert_failed("runner_system_failure")
                .assert_log("takes no new jobs now: Back at 8.")
                .assert_not_in_log("ran=yes");
        }
        runs(&world).assert_success();
    },
    fn check_says_which_phases_of_pam_run(root: Root) {
        let mut world = World::root(root).build();
        if !std::path::Path::new("/etc/pam.d/motmot").exists() {
            check(&world).says(&["warning  accounts.pam_service: PAM is not asked", "install it from packaging/pam.d"]);
        }
        ask_pam(&mut world, "none");
        check(&world).says(&["ok       accounts.pam_service: PAM is not asked"]);
    }
);
