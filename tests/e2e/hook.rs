//! A program of the site that has a say in who runs as whom, and what becomes of jobs whatever it does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::world::check::check;
use crate::world::gitlab::GitLab;
use crate::world::{
    Config, JobEnd, Root, Stranger, TestAccount, World, cases, chmod, chown, copy_program, make_dir, payload, until,
};

const ACCEPTS: &str = "#!/bin/sh\necho '{\"answer\": \"accept\"}'\n";

/// A machine with a hook, and an account for it.
struct Site {
    world: World,
    /// What is said but for the hook and the rules.
    base: Config,
    account: Stranger,
    /// Another account that jobs can have.
    service: Stranger,
    hook: PathBuf,
    /// Which says of a job that it is the user's.
    _gitlab: GitLab,
    /// That one.
    job_id: u64,
}

impl Site {
    fn new(root: Root) -> Self {
        Self::of(root, World::root(root).build())
    }

    fn of(root: Root, mut world: World) -> Self {
        let hooks = world.dir.join("hooks");
        make_dir(&hooks, 0o755);
        // Their homes have the same name.
        let (account, service) = (TestAccount::stranger(root, &hooks), TestAccount::stranger(root, &world.dir));
        let mut base = None;
        world.change(|config| {
            base = Some(config.clone());
            config
        });
        // An ordinary runner's world has a GitLab already, which knows one job.
        let job_id = if world.runner.is_some() { 101 } else { 5 };
        let user = json!({"id": 42, "username": world.user.name});
        let pipeline = json!({"id": 55, "project_id": 7, "source": "push"});
        let job = json!({"id": job_id, "status": "running", "user": user, "pipeline": pipeline});
        let (gitlab, mut base) = (GitLab::answering(job), base.expect("a configuration"));
        if world.runner.is_none() {
            base.gitlab(|section| section.url(&gitlab.url));
        }
        Self { world, base, account, service, hook: hooks.join("hook"), _gitlab: gitlab, job_id }
    }

    /// Puts a script there, without a word to the configuration.
    fn write(&self, script: &str) {
        fs::write(&self.hook, script).expect("a hook");
        chmod(&self.hook, 0o755);
    }

    fn digest(&self) -> String {
        let output = Command::new("sha256sum").arg(&self.hook).output().expect("sha256sum");
        String::from_utf8(output.stdout).expect("a digest").split(' ').next().expect("a digest").to_owned()
    }

    /// The configuration anew: the hook that is there, as this account, with these lines in its section; and the account of a rule.
    fn configure_all(&mut self, account: &str, more: &str, run_as: &str) {
        let (hook, digest, service, base) = (&self.hook, self.digest(), &self.service.name, self.base.clone());
        let raw = format!(
            "[hook]\nprogram = {hook:?}\nsha256 = \"{digest}\"\naccount = \"{account}\"\n{more}\n\
             [[map]]\nname = \"all\"\nwhen = {{}}\nrun_as = \"{run_as}\"\nmay_request = [\"{service}\"]\n"
        );
        self.world.change(|config| {
            *config = base;
            config.rules([]).raw(&raw)
        });
    }

    fn configure(&mut self, more: &str) {
        let (account, user) = (self.account.name.clone(), self.world.user.name.clone());
        self.configure_all(&account, more, &user);
    }

    fn pin(&mut self, script: &str) -> &Self {
        self.write(script);
        self.configure("");
        self
    }

    fn run(&self) -> JobEnd {
        self.world.simulate().script("echo me=$(id -un)").run()
    }

    /// The last record of what the hook has answered.
    fn answered(&self) -> Value {
        let mut lines = self.world.audit();
        lines.retain(|line| line["event"] == "hook answered");
        lines.pop().expect("a record")
    }

    /// A job fails as a failure of the site when it begins, and its author knows no more than that. What the admin knows.
    #[track_caller]
    fn fails(&self) -> String {
        self.world.write_payload(&payload(self.job_id));
        let output = self.world.stage("config").output().expect("config");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && !told.contains("hooks/hook"), "{told}");
        assert!(told.contains("is not usable; its administrators find the reason in their audit log"), "{told}");
        let answered = self.answered();
        assert_eq!(answered["answer"], "none", "{answered}");
        let last = self.world.audit().into_iter().rfind(|line| line["event"] == "unavailable").expect("a record");
        assert_eq!(last["reason"], answered["reason"], "{last}");
        assert_eq!(self.processes(), Vec::<String>::new());
        answered["reason"].as_str().expect("a reason").to_owned()
    }

    /// What runs as the hook's account.
    fn processes(&self) -> Vec<String> {
        let output = Command::new("ps").args(["-o", "args=", "-u", &self.account.name]).output().expect("ps");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

cases!(
    fn a_hook_is_asked_as_an_account_of_its_own_with_nothing_but_the_question(root: Root) {
        let mut site = Site::new(root);
        let seen = site.world.dir.join("seen");
        make_dir(&seen, 0o777);
        let state = site.world.dir.join("state");
        let script = format!(
            "#!/bin/bash\ncat > {seen}/question\nid > {seen}/id\nenv | cut -d= -f1 | sort > {seen}/env\nls /proc/$$/fd > {seen}/fds\n\
             (pwd; umask; grep -E '^(NoNewPrivs|Cap(Amb|Eff|Inh|Prm)):' /proc/self/status | sort) > {seen}/state\n\
             (cat /proc/$PPID/environ /proc/$PPID/maps; ls {state}; kill -0 $PPID; cat {audit}; sudo -n id) > {seen}/theirs 2> /dev/null\n\
             echo '{{\"answer\": \"accept\", \"reason\": \"knows him\"}}'\n",
            seen = seen.display(),
            state = state.display(),
            audit = site.world.audit_file().display(),
        );
        let end = site.pin(&script).run();
        end.assert_success();
        assert_eq!(end.value("me"), site.world.user.name);
        let seen = |name: &str| fs::read_to_string(seen.join(name)).expect(name);
        let question: Value = serde_json::from_str(&seen("question")).expect("JSON");
        let identity = &question["identity"];
        assert_eq!(
            (&identity["user_login"], &identity["assurance"], &question["account"], &question["rule"]["may_request"]),
            (
                &json!(site.world.user.name),
                &json!("simulated"),
                &json!({"name": site.world.user.name, "uid": site.world.user.uid}),
                &json!([site.service.name])
            )
        );
        let account = &site.account;
        let id = format!("uid={0}({1}) gid={2}({1}) groups={2}({1})", account.uid, account.name, account.gid);
        assert_eq!(seen("id").trim(), id);
        // Of these the shell has made three.
        assert_eq!(seen("env"), "LC_ALL\nPATH\nPWD\nSHLVL\n_\n");
        let none = "0".repeat(16);
        let capabilities: String = ["Amb", "Eff", "Inh", "Prm"].map(|set| format!("Cap{set}:\t{none}\n")).concat();
        assert_eq!(seen("state"), format!("/\n0077\n{capabilities}NoNewPrivs:\t1\n"));
        // Its three, and the script: as the kernel has handed it over, and as bash reads it (255).
        let open = seen("fds");
        assert!(["0", "1", "2", "255"].iter().all(|fd| open.lines().any(|line| line == *fd)), "{open}");
        assert_eq!(open.lines().count(), 5, "{open}");
        assert_eq!(seen("theirs"), "");
        let answered = site.answered();
        assert_eq!(
            (&answered["answer"], &answered["account"], &answered["reason"], &answered["simulated"]),
            (&json!("accept"), &json!(site.world.user.name), &json!("knows him"), &json!(true))
        );
        assert!(answered["rule"].as_str().is_some_and(|rule| rule.starts_with("\"all\" (line ")), "{answered}");
        assert_eq!(site.processes(), Vec::<String>::new());
    },
    fn a_hook_refuses_with_words_for_the_author_and_names_another_account_of_the_rule(root: Root) {
        let mut site = Site::new(root);
        let service = site.service.name.clone();
        let named = format!("#!/bin/sh\necho '{{\"answer\": \"accept\", \"account\": \"{service}\"}}'\n");
        let end = site.pin(&named).run();
        end.assert_success();
        assert_eq!((end.value("me"), &site.answered()["named"]), (service.as_str(), &json!(service)));
        let refuses = "#!/bin/sh\nprintf '%s' '{\"answer\": \"refuse\", \"message\": \"ask your\\u001b[2K PI\\nmotmot: forged\", \"reason\": \"contract is over\"}'\n";
        let end = site.pin(refuses).run();
        end.assert_failed("script_failure").assert_log("The site says: ask your\u{fffd}[2K PI\u{fffd}motmot: forged");
        end.assert_not_in_log("contract").assert_not_in_log("me=").assert_not_in_log("\u{1b}[2K PI");
        let silent = site.pin("#!/bin/sh\necho '{\"answer\": \"refuse\"}'\n").run();
        silent.assert_failed("script_failure").assert_not_in_log("The site says");
        // As all others are refused.
        let words = |end: &JobEnd| {
            let line = end.log.lines().find(|line| line.contains("may not run jobs on this machine"));
            line.expect("a refusal").to_owned()
        };
        let rule = "[[map]]\nwhen = { user = \"nobody\" }\nrun_as = \"nobody\"\n";
        let base = site.base.clone();
        site.world.change(|config| {
            *config = base;
            config.rules([]).raw(rule)
        });
        assert_eq!(words(&silent), words(&site.run()));
        let records = site
            .world
            .audit()
            .into_iter()
            .filter(|line| line["event"] == "refused")
            .map(|line| line["reason"].as_str().expect("a reason").to_owned());
        let reasons: Vec<String> = records.collect();
        assert!(
            reasons[0].contains("the hook refuses it: contract is over; it tells the author: ask your"),
            "{reasons:?}"
        );
        assert!(reasons[1].contains("the hook refuses it: it does not say why"), "{reasons:?}");
    },
    fn a_hook_lifts_no_limit_by_the_account_that_it_names(root: Root) {
        let mut site = Site::new(root);
        for name in ["root".to_owned(), site.account.name.clone(), "0".to_owned(), "../../etc/passwd".to_owned()] {
            let end =
                site.pin(&format!("#!/bin/sh\necho '{{\"answer\": \"accept\", \"account\": \"{name}\"}}'\n")).run();
            end.assert_failed("script_failure").assert_not_in_log("me=").assert_not_in_log("may_request");
            let refused = site.world.audit().into_iter().rfind(|line| line["event"] == "refused").expect("refused");
            assert!(
                refused["reason"].as_str().is_some_and(|reason| reason.contains("which is not in may_request")),
                "{name}: {refused}"
            );
        }
        // In may_request, and still not.
        let service = site.service.name.clone();
        site.write(&format!("#!/bin/sh\necho '{{\"answer\": \"accept\", \"account\": \"{service}\"}}'\n"));
        site.base.accounts(|accounts| accounts.deny_users([&service]));
        site.configure("");
        site.run().assert_failed("script_failure").assert_not_in_log("me=");
        let refused = site.world.audit().into_iter().rfind(|line| line["event"] == "refused").expect("refused");
        assert!(
            refused["reason"].as_str().is_some_and(|reason| reason.contains("is in accounts.deny_users")),
            "{refused}"
        );
    },
    fn no_job_runs_as_the_account_of_the_hook(root: Root) {
        let mut site = Site::new(root);
        site.write(ACCEPTS);
        let own = site.account.name.clone();
        site.configure_all(&own, "", &own);
        site.run().assert_failed("script_failure").assert_not_in_log("me=");
        let refused = site.world.audit().into_iter().rfind(|line| line["event"] == "refused").expect("refused");
        assert!(
            refused["reason"].as_str().is_some_and(|reason| reason.contains("the site's hook runs as")),
            "{refused}"
        );
        check(&site.world).is_good(false).says(&["PROBLEM", "the site's hook runs as"]);
    },
    fn a_hook_that_hangs_forks_talks_without_end_crashes_or_babbles_admits_nobody_and_leaves_nothing(root: Root) {
        let mut site = Site::new(root);
        let timed = |site: &mut Site, script: &str| {
            site.write(script);
            site.configure("timeout = \"2s\"");
            site.fails()
        };
        let accept = "echo '{\"answer\": \"accept\"}'";
        // It says yes first, and then does not end; nor when it is asked to; nor what it has started.
        let hangs = format!(
            "#!/bin/bash\n{accept}\ntrap '' TERM INT HUP\nsetsid sleep 1000 &\nexec >&- 2>&-\nwhile :; do sleep 1000; done\n"
        );
        assert!(timed(&mut site, &hangs).ends_with("has given no answer: no answer within 2 s"), "{}", site.answered());
        // A fork bomb, in new sessions, and it says yes.
        let forks = format!(
            "#!/bin/bash\n{accept}\nf() {{ setsid \"$BASH\" -c \"$(declare -f f); f\" & f & }} 2> /dev/null\nf 2> /dev/null\nwhile :; do :; done\n"
        );
        let said = timed(&mut site, &forks);
        assert!(said.contains("has given no answer"), "{said}");
        for (script, words) in [
            (format!("#!/bin/sh\n{accept}\nhead -c 1000000000 /dev/zero\n"), "more words than any answer has"),
            (format!("#!/bin/sh\n{accept}\nexec yes >&2\n"), "more words than any answer has"),
            (format!("#!/bin/sh\n{accept}\nkill -SEGV $$\n"), "ended by signal 11"),
            (format!("#!/bin/sh\n{accept}\necho broken >&2\nexit 7\n"), "it has ended with status 7: broken"),
            (format!("#!/bin/sh\n{accept}\n{accept}\n"), "its answer is not understood"),
            ("#!/bin/sh\necho yes\n".to_owned(), "its answer is no JSON object: \"yes\""),
            ("#!/bin/sh\n".to_owned(), "its answer is no JSON object"),
            (
                "#!/bin/sh\necho '{\"answer\": \"accept\", \"acount\": \"x\"}'\n".to_owned(),
                "its answer is not understood: unknown field",
            ),
            ("#!/nonexistent/interpreter\n".to_owned(), "the interpreter in its first line (#!) does not exist"),
            ("echo '{\"answer\": \"accept\"}'\n".to_owned(), "it is no program"),
        ] {
            site.pin(&script);
            let said = site.fails();
            assert!(said.contains(words), "{script}: {said}");
        }
        // One that leaves something behind has answered, and it ends all the same.
        let leaves = format!("#!/bin/bash\nsetsid sleep 1000 &\ndisown\n{accept}\n");
        site.pin(&leaves).run().assert_success();
        assert_eq!(site.processes(), Vec::<String>::new());
    },
    fn a_hook_that_has_changed_since_it_was_pinned_or_that_others_can_change_is_not_executed(root: Root) {
        let mut site = Site::new(root);
        let mark = site.world.dir.join("marks");
        make_dir(&mark, 0o777);
        let evil = format!("#!/bin/sh\ntouch {}/ran\necho '{{\"answer\": \"accept\"}}'\n", mark.display());
        let ran = || mark.join("ran").exists();
        site.pin(ACCEPTS).run().assert_success();
        // Other bytes under the same name, in the same file, and some more of them.
        site.write(&evil);
        let said = site.fails();
        assert!(said.contains(&format!("has the SHA-256 digest {}, and hook.sha256 is ", site.digest())), "{said}");
        check(&site.world).is_good(false).says(&["PROBLEM", "hook.program", &site.digest()]);
        site.write(&format!("{ACCEPTS}\n"));
        assert!(site.fails().contains("it is not executed"));
        // The right bytes, where others could put others.
        site.pin(&evil);
        chmod(&site.hook, 0o775);
        assert!(site.fails().contains("others than the owner can change it"));
        check(&site.world).is_good(false).says(&["PROBLEM", "hook.program", "0775"]);
        chmod(&site.hook, 0o755);
        chown(&site.hook, site.world.user.uid, site.world.user.gid);
        assert!(site.fails().contains("must belong to root"));
        check(&site.world).is_good(false).says(&["PROBLEM", "hook.program", "must belong to root"]);
        chown(&site.hook, 0, 0);
        let dir = site.world.dir.join("hooks");
        chmod(&dir, 0o777);
        assert!(site.fails().contains("others can exchange what is in it"));
        check(&site.world).is_good(false).says(&["PROBLEM", "hook.program", "0777"]);
        chmod(&dir, 0o755);
        let elsewhere = site.world.dir.join("elsewhere");
        fs::rename(&site.hook, &elsewhere).expect("moved");
        symlink(&elsewhere, &site.hook).expect("a link");
        assert!(site.fails().contains("is a symbolic link"));
        fs::remove_file(&site.hook).expect("removed");
        assert!(site.fails().contains("does not exist"));
        assert!(!ran(), "it was executed");
        fs::rename(&elsewhere, &site.hook).expect("moved back");
        site.run().assert_success();
        assert!(ran());
        check(&site.world).is_good(true).says(&["ok", "hook.program"]).says(&["ok", "hook.account"]);
    },
    fn a_hook_cannot_change_what_the_next_job_is_judged_by(root: Root) {
        let mut site = Site::new(root);
        // It writes to itself wherever it finds itself, and to the question.
        let script = "#!/bin/bash\nfor file in \"$0\" /proc/self/fd/* /proc/$$/exe /proc/$PPID/exe; do (echo 'echo evil' >> \"$file\") 2> /dev/null; done > /dev/null\necho '{\"answer\": \"accept\"}'\n";
        let script = script.replace("/proc/self/fd/*", "/proc/$$/fd/255");
        site.pin(&script);
        for _ in 0..2 {
            site.run().assert_success();
        }
        assert_eq!(fs::read_to_string(&site.hook).expect("the hook"), script);
    },
    fn a_hook_without_a_fitting_account_is_not_executed_and_check_says_so(root: Root) {
        let mut site = Site::new(root);
        let mark = site.world.dir.join("marks");
        make_dir(&mark, 0o777);
        site.pin(&format!("#!/bin/sh\ntouch {}/ran\necho '{{\"answer\": \"accept\"}}'\n", mark.display()));
        let user = site.world.user.name.clone();
        site.configure_all("motmot-no-such-account", "", &user);
        assert!(site.fails().contains("there is no local account \"motmot-no-such-account\" (hook.account)"));
        check(&site.world).is_good(false).says(&["PROBLEM", "hook.account", "there is no local account"]);
        site.configure_all("root", "", &user);
        check(&site.world).is_good(false).says(&["must not be root"]);
        assert!(!mark.join("ran").exists());
    },
    fn a_hook_ends_when_its_job_is_cancelled(root: Root) {
        let mut site = Site::new(root);
        let seen = site.world.dir.join("seen");
        make_dir(&seen, 0o777);
        site.write(&format!(
            "#!/bin/sh\ntrap '' TERM\nsleep 1000 &\ntouch {}/begun\nwhile :; do sleep 1000; done\n",
            seen.display()
        ));
        site.world.write_payload(&payload(5));
        site.configure("timeout = \"1m\"");
        let mut stage = site.world.stage("config");
        let mut stage = stage.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("config");
        until("the hook runs", || seen.join("begun").exists());
        let pid = nix::unistd::Pid::from_raw(stage.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("asked to end");
        assert_eq!(stage.wait().expect("ended").code(), Some(2));
        until("nothing of the hook is left", || site.processes().is_empty());
    },
    fn a_hook_runs_as_its_account_under_an_ordinary_runner(root: Root) {
        let world = World::with_capabilities(root).build();
        let runner = world.runner.as_ref().expect("a runner").name.clone();
        let mut site = Site::of(root, world);
        let script = "#!/bin/sh\nprintf '{\"answer\": \"accept\", \"reason\": \"%s %s\"}\\n' \"$(id -un)\" \"$(grep CapEff /proc/self/status | tr '\\t' ' ')\"\n";
        site.pin(script).run().assert_success();
        assert_eq!(site.answered()["reason"], format!("{} CapEff: {}", site.account.name, "0".repeat(16)));
        // It would have the keys.
        let user = site.world.user.name.clone();
        site.configure_all(&runner, "", &user);
        assert!(site.fails().contains("is the one that the driver runs as"));
        // And the runner's own program is not believed.
        site.pin(script);
        let runner = site.world.runner.as_ref().expect("a runner");
        chown(&site.hook, runner.uid, runner.gid);
        assert!(site.fails().contains("must belong to root"));
    },
    fn one_users_own_runner_runs_a_hook_as_that_user_and_as_nobody_else() {
        let mut world = World::one_user().build();
        let hook = world.dir.join("hook");
        fs::write(&hook, "#!/bin/sh\nprintf '{\"answer\": \"accept\", \"reason\": \"%s\"}\\n' \"$(id -un)\"\n")
            .expect("a hook");
        chmod(&hook, 0o755);
        let output = Command::new("sha256sum").arg(&hook).output().expect("sha256sum");
        let digest =
            String::from_utf8(output.stdout).expect("a digest").split(' ').next().expect("a digest").to_owned();
        let raw = format!("[hook]\nprogram = {hook:?}\nsha256 = \"{digest}\"\naccount = ");
        let mut base = None;
        world.change(|config| {
            base = Some(config.clone());
            config.raw(&raw).raw("\"nobody\"\n")
        });
        let end = world.simulate().script("echo ran=yes").run();
        end.assert_failed("runner_system_failure").assert_no_line("ran=yes");
        check(&world).is_good(false).says(&["PROBLEM", "hook.account", "cannot run the hook as \"nobody\""]);
        let own = world.user.name.clone();
        world.change(|config| {
            *config = base.expect("a configuration");
            config.raw(&format!("{raw}\"{own}\"\n"))
        });
        world.simulate().script("echo ran=yes").run().assert_success();
        let answered = world.audit().into_iter().rfind(|line| line["event"] == "hook answered").expect("a record");
        assert_eq!(answered["reason"], own.as_str());
    },
    fn a_script_for_run_as_of_jacamar_chooses_among_what_the_rule_has(root: Root) {
        let mut site = Site::new(root);
        let list = site.world.dir.join("runas.list");
        fs::write(&list, format!("{} {}\n", site.world.user.name, site.service.name)).expect("a list");
        chmod(&list, 0o644);
        // That of the page.
        let script = example("#!/bin/sh").replace("/etc/motmot/runas.list", list.to_str().expect("UTF-8"));
        site.write(&script);
        site.configure("form = \"argv\"");
        let run = |requested: Option<&str>| {
            let job = site.world.simulate().script("echo me=$(id -un)");
            match requested {
                Some(name) => job.option("--variable", format!("MOTMOT_RUN_AS={name}")).run(),
                None => job.run(),
            }
        };
        assert_eq!(run(None).value("me"), site.world.user.name);
        assert_eq!(run(Some(&site.service.name)).value("me"), site.service.name);
        fs::write(&list, "").expect("nobody");
        let end = run(Some(&site.service.name));
        end.assert_failed("script_failure")
            .assert_log(&format!("The site says: ask the owners of {}", site.service.name));
        assert_eq!(site.answered()["answer"], "refuse");
        // What it cannot know is whether a script has crashed; a signal and a time-out it does.
        site.write("#!/bin/sh\nkill -9 $$\n");
        site.configure("form = \"argv\"");
        assert!(site.fails().contains("ended by signal 9"));
    },
    fn the_example_of_the_page_answers_as_it_says(root: Root) {
        let mut site = Site::new(root);
        site.pin(&example("#!/usr/bin/python3"));
        if fs::metadata("/usr/bin/python3").is_err() {
            assert!(site.fails().contains("does not exist"));
            return;
        }
        site.run().assert_success();
        check(&site.world).is_good(true).says(&["ok", "hook.program"]);
        let config = site.world.config_file();
        let explained = Command::new(site.world.bins.join("motmot"))
            .arg("--config")
            .arg(config)
            .args(["explain", "--user", &site.world.user.name])
            .output();
        let explained = String::from_utf8(explained.expect("explain").stdout).expect("text");
        assert!(explained.contains("hooks/hook is asked then, and not here"), "{explained}");
    },
    fn check_names_an_interpreter_that_others_can_exchange(root: Root) {
        let mut site = Site::new(root);
        let bin = site.world.dir.join("bin-of-hook");
        make_dir(&bin, 0o755);
        let shell = bin.join("shell");
        copy_program("/bin/sh".as_ref(), &shell, 0o755);
        site.pin(&format!("#!{} -e\necho '{{\"answer\": \"accept\"}}'\n", shell.display()));
        check(&site.world).is_good(true).says(&["ok", "hook.program"]);
        chmod(&shell, 0o777);
        check(&site.world).is_good(false).says(&["PROBLEM", "hook.program", "can be changed by others"]);
        chmod(&shell, 0o755);
        chmod(&bin, 0o777);
        check(&site.world).is_good(false).says(&["PROBLEM", "hook.program", "can be exchanged"]);
        chmod(&bin, 0o755);
        fs::remove_file(&shell).expect("removed");
        check(&site.world).is_good(false).says(&["PROBLEM", "hook.program", "does not exist"]);
        site.pin("echo no program\n");
        check(&site.world).is_good(false).says(&["PROBLEM", "hook.program", "is no program"]);
    }
);

/// The program that the page shows and that begins so.
fn example(first: &str) -> String {
    let page = include_str!("../../packaging/doc/hook.md");
    let lines = page.lines().skip_while(|line| !line.trim_start().starts_with(first));
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.flat_map(|line| [line.strip_prefix("    ").unwrap_or_default(), "\n"]).collect()
}
