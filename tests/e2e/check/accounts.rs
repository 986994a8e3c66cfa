//! `motmot check` about accounts: what a job of theirs would stumble over.

use std::fs;
use std::process::Command;

use crate::world::check::{check, first_rule};
use crate::world::pam::Service;
use crate::world::{Rule, World, cases, change_accounts, chmod, chown, make_dir, make_script};

/// A world with a rule that names its account.
fn with_a_rule_for_its_account(root: impl Into<crate::world::Root>) -> World {
    let mut world = World::root(root).accounts(|accounts| accounts.pam_service("none")).build();
    let rule = Rule::user("adent").run_as(&world.user.name);
    world.change(|config| config.rules([rule]));
    world
}

cases!(
    fn an_account_that_a_rule_names_is_asked_for_what_a_job_of_it_is_asked_for(root: Root) {
        let world = with_a_rule_for_its_account(root);
        let rule = format!("PROBLEM  rule at {}:{}: ", world.config_file().display(), first_rule(&world));
        let name = &world.user.name;
        check(&world).is_good(true);
        let change = |program: &str, args: &[&str]| change_accounts(Command::new(program).args(args).arg(name));
        change("chage", &["-E", "2020-01-01"]);
        check(&world).is_good(false).says(&[&rule, "may not begin a session here: it has expired"]);
        change("chage", &["-E", "-1"]);
        change("usermod", &["-p", "$6$salt$hash"]);
        check(&world).is_good(true);
        change("usermod", &["-L"]);
        check(&world).is_good(false).says(&[&rule, "may not begin a session here: its password is locked"]);
        change("usermod", &["-p", "*"]);
        check(&world).is_good(true);
    },
    fn where_an_account_that_a_rule_names_cannot_have_jobs_is_told_beforehand(root: Root) {
        let world = with_a_rule_for_its_account(root);
        let rule = format!("PROBLEM  rule at {}:{}: ", world.config_file().display(), first_rule(&world));
        let (home, data) = (&world.user.home, world.data_dir());
        let told = |words: &str| {
            check(&world).is_good(false).says(&[&rule, words]).does_not_say("chmod").does_not_say("chown");
        };
        chmod(home, 0o777);
        told("everybody can replace what is in");
        chmod(home, 0o700);
        check(&world).is_good(true);
        make_dir(&data, 0o700);
        chown(&data, 65_534, 65_534);
        told("belongs to uid 65534");
        chown(&data, world.user.uid, world.user.gid);
        chmod(&data, 0o770);
        told("others may write to");
        fs::remove_dir(&data).expect("rmdir");
        fs::rename(home, world.dir.join("moved")).expect("moved");
        told("does not exist, and no job makes it");
        fs::rename(world.dir.join("moved"), home).expect("back");
        check(&world).is_good(true);
        assert!(!data.exists(), "nothing is made");
    },
    fn a_closed_machine_is_told_and_pam_is_asked_of_no_account_that_a_rule_names(root: Root) {
        let mut world = with_a_rule_for_its_account(root);
        let service = Service::new(&world, "auth required pam_nologin.so\naccount required pam_permit.so\n");
        for rules in ["none", &service.name] {
            world.change(|config| config.accounts(|accounts| accounts.pam_service(rules)));
            // In a mount namespace, since other tests have jobs on this machine.
            let mut closed = Command::new("unshare");
            closed.args(["--mount", "sh", "-c"]);
            closed.arg("mount -t tmpfs tmpfs /run && echo 'Back at 8.' >/run/nologin && ln -s /run /run/run && exec \"$@\"").arg("sh");
            closed.arg(world.bins.join("motmot")).arg("--config").arg(world.config_file()).args(["check", "--offline"]);
            let words = String::from_utf8(closed.output().expect("unshare").stdout).expect("text");
            assert!(words.contains("PROBLEM  logins: ") && words.contains("Back at 8."), "{rules}: {words}");
            assert_eq!(words.matches("Back at 8.").count(), 1, "once, and not for each account: {words}");
            check(&world).is_good(true).does_not_say("logins: ");
        }
        // A module that keeps count would be told of a login that was none.
        let asked = world.dir.join("asked");
        let script = world.dir.join("count");
        make_script(&script, &format!("#!/bin/sh\necho \"$PAM_USER\" >>{}\n", asked.display()));
        fs::write(&service.file, format!("account required pam_exec.so {}\n", script.display())).expect("write");
        check(&world).is_good(true);
        let asked = fs::read_to_string(asked).expect("the service itself is tried");
        assert!(!asked.lines().any(|name| name == world.user.name), "{asked}");
    }
);
