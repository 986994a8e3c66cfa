//! Approved commits, with the signatures of the real ssh-keygen and ssh-agent.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::world::check::check;
use crate::world::gitlab::GitLab;
use crate::world::{Root, Single, Stranger, TestAccount, World, cases, chmod, chown, make_dir, payload};

const ISSUER: &str = "https://ci.example";
const NAMESPACE: &str = "motmot-approve@https://ci.example";
const COMMIT: &str = "5eedc0de5eedc0de5eedc0de5eedc0de5eedc0de";
const OTHER_COMMIT: &str = "0123456789012345678901234567890123456789";

/// A key pair of an approver, made by ssh-keygen.
struct Approver {
    key: PathBuf,
}

impl Approver {
    fn new(world: &World, name: &str, kind: &[&str]) -> Self {
        let key = world.dir.join(name);
        let made =
            Command::new("ssh-keygen").args(["-q", "-N", "", "-C", name, "-t"]).args(kind).arg("-f").arg(&key).status();
        assert!(made.expect("ssh-keygen").success());
        Self { key }
    }

    fn public(&self) -> PathBuf {
        self.key.with_extension("pub")
    }

    fn line(&self, names: &str) -> String {
        format!("{names} {}", fs::read_to_string(self.public()).expect("a key"))
    }
}

/// `motmot approve`, as an approver on a machine without configuration.
fn approve(world: &World, args: &[&str]) -> Output {
    let mut command = Command::new(world.bins.join("motmot"));
    command.args(["--config", "/nonexistent", "approve"]).args(args);
    command.stdin(Stdio::null()).env_remove("SSH_AUTH_SOCK").output().expect("motmot approve")
}

/// What an approver types for a job of this world.
fn words<'w>(gitlab: &'w str, project: &'w str, commit: &'w str, account: &'w str) -> Vec<&'w str> {
    let mut words = vec!["--gitlab", gitlab, "--project-id", project, "--commit", commit, "--account", account];
    words.extend(["--expires", "7d", "--issuer", ISSUER, "--yes"]);
    words
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The text of an approval by this key.
fn approval(world: &World, by: &Approver, words: &[&str]) -> String {
    let key = by.key.to_str().expect("UTF-8");
    let output = approve(world, &[words, &["--key", key]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn openssh_verifies(world: &World, approval: &str, signers: &Path, name: &str) -> bool {
    let (line, armor) = approval.split_once('\n').expect("a statement");
    let [statement, signature] = ["statement", "statement.sig"].map(|name| world.dir.join(name));
    fs::write(&statement, format!("{line}\n")).expect("written");
    fs::write(&signature, armor).expect("written");
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-n", NAMESPACE, "-I", name, "-f"]).arg(signers).arg("-s").arg(signature);
    command.stdin(fs::File::open(statement).expect("a statement")).output().expect("ssh-keygen").status.success()
}

/// Whether it counts by these keys, and what is said.
fn judged(world: &World, approval: &str, signers: &Path) -> (Option<i32>, String) {
    let file = world.dir.join("judged");
    fs::write(&file, approval).expect("written");
    let [file, signers] = [&file, signers].map(|path| path.to_str().expect("UTF-8"));
    let output = approve(world, &["--verify", file, "--allowed-signers", signers, "--issuer", ISSUER]);
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// A site that gives an account of its own to approved commits of project 7, and to others whoever they are of.
struct Site {
    world: World,
    service: Stranger,
    maintainer: Approver,
    stranger: Approver,
}

impl Site {
    fn new(root: Root) -> Self {
        let mut world = World::root(root).build();
        let service = TestAccount::stranger(root, &world.dir);
        let [maintainer, stranger] = ["maintainer", "stranger"].map(|name| Approver::new(&world, name, &["ed25519"]));
        let [signers, dir] = ["signers", "approvals"].map(|name| world.dir.join(name));
        fs::write(&signers, maintainer.line("climate-maintainers") + &stranger.line("strangers")).expect("written");
        chmod(&signers, 0o644);
        make_dir(&dir, 0o755);
        let raw = format!(
            "[approvals]\nallowed_signers = {signers:?}\ndir = {dir:?}\nissuer = \"{ISSUER}\"\n\
             [[map]]\nwhen = {{ project_id = 7 }}\nrun_as = \"{}\"\napproved_by = \"climate-maintainers\"\n\
             [[map]]\nwhen = {{}}\nrun_as = \"{{gitlab_user}}\"\n",
            service.name
        );
        world.change(|config| config.rules([]).raw(&raw));
        Self { world, service, maintainer, stranger }
    }

    /// A job that will come, with the GitLab that it comes from.
    fn coming(&self) -> Coming<'_> {
        let user = self.world.user.name.clone();
        let gitlab = GitLab::answering(
            json!({"id": 5, "status": "running", "user": {"id": 42, "username": user}, "pipeline": {"id": 55, "project_id": 7, "source": "push"}}),
        );
        self.world.write_config_with(|config| config.gitlab(|section| section.url(&gitlab.url)));
        Coming { site: self, gitlab }
    }
}

struct Coming<'s> {
    site: &'s Site,
    gitlab: GitLab,
}

impl<'s> Coming<'s> {
    fn approval(&self, by: &Approver, commit: &str) -> String {
        approval(&self.site.world, by, &words(&self.gitlab.url, "7", commit, &self.site.service.name))
    }

    fn admin(&self, args: &[&str], input: &str) -> Output {
        let mut command = Command::new(self.site.world.bins.join("motmot"));
        command.arg("--config").arg(self.site.world.config_file()).arg("approve").args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("motmot approve");
        // It may have ended without a look.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        child.wait_with_output().expect("motmot approve")
    }

    /// Its config stage, with these values of the variable.
    fn begins(self, commit: &str, values: &[&str]) -> (Single<'s>, serde_json::Value) {
        let mut payload = payload(5);
        payload["git_info"]["sha"] = commit.into();
        payload["variables"] = values.iter().map(|value| json!({"key": "MOTMOT_APPROVAL", "value": value})).collect();
        let single = Single::at(&self.site.world, self.gitlab, &payload);
        let mut lines = self.site.world.audit();
        lines.retain(|line| line["event"] == "accepted");
        (single, lines.pop().expect("an accepted job"))
    }

    /// As whom it would run; the job is over then.
    fn runs_as(self, commit: &str, values: &[&str]) -> String {
        let (single, accepted) = self.begins(commit, values);
        single.clean_up();
        accepted["account"].as_str().expect("an account").to_owned()
    }
}

cases!(
    fn a_signature_of_ssh_keygen_verifies_here_and_one_made_here_verifies_there() {
        let world = World::one_user().build();
        let signers = world.dir.join("signers");
        let kinds: [&[&str]; 6] = [
            &["ed25519"],
            &["ecdsa", "-b", "256"],
            &["ecdsa", "-b", "384"],
            &["ecdsa", "-b", "521"],
            &["rsa", "-b", "2048"],
            &["rsa", "-b", "3072"],
        ];
        for (number, kind) in kinds.into_iter().enumerate() {
            let approver = Approver::new(&world, &format!("key-{number}"), kind);
            let options = format!(
                "arthur,climate namespaces=\"git,{NAMESPACE}\",valid-after=\"20200101Z\",valid-before=\"29990101Z\""
            );
            fs::write(&signers, approver.line(&options)).expect("written");
            let ours = approval(&world, &approver, &words("https://gitlab.example.com/", "22", COMMIT, "svc-climate"));
            for name in ["arthur", "climate"] {
                assert!(openssh_verifies(&world, &ours, &signers, name), "{kind:?}:\n{ours}");
            }
            assert!(!openssh_verifies(&world, &ours, &signers, "ford"));
            let (code, said) = judged(&world, &ours, &signers);
            assert!(code == Some(0) && said.contains("by       arthur, climate with key SHA256:"), "{kind:?}: {said}");
            // By hand, from the statement alone.
            let statement = world.dir.join("by-hand");
            let (line, _) = ours.split_once('\n').expect("a statement");
            let line = line.replace("svc-climate", "svc-weather");
            for hash in ["sha256", "sha512"] {
                fs::write(&statement, format!("{line}\n")).expect("written");
                let mut sign = Command::new("ssh-keygen");
                sign.args(["-q", "-Y", "sign", "-n", NAMESPACE, "-O", &format!("hashalg={hash}"), "-f"])
                    .arg(&approver.key);
                assert!(sign.arg(&statement).stderr(Stdio::null()).status().expect("ssh-keygen").success());
                let signature = statement.with_extension("sig");
                let theirs = format!("{line}\n{}", fs::read_to_string(&signature).expect("a signature"));
                fs::remove_file(&signature).expect("removed");
                let (code, said) = judged(&world, &theirs, &signers);
                assert!(code == Some(0) && said.contains("account  svc-weather"), "{kind:?} {hash}: {said}");
                // Neither takes it for another statement.
                let forged = theirs.replace("svc-weather", "svc-climate");
                assert_eq!(judged(&world, &forged, &signers).0, Some(3));
                assert!(!openssh_verifies(&world, &forged, &signers, "arthur"));
            }
        }
    },
    fn the_signature_of_a_git_commit_approves_nothing() {
        let world = World::one_user().build();
        let approver = Approver::new(&world, "key", &["ed25519"]);
        let signers = world.dir.join("signers");
        fs::write(&signers, approver.line("arthur")).expect("written");
        let ours = approval(&world, &approver, &words("https://gitlab.example.com", "22", COMMIT, "svc-climate"));
        let (line, _) = ours.split_once('\n').expect("a statement");
        let statement = world.dir.join("commit");
        fs::write(&statement, format!("{line}\n")).expect("written");
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-q", "-Y", "sign", "-n", "git", "-f"]).arg(&approver.key).arg(&statement);
        assert!(sign.stderr(Stdio::null()).status().expect("ssh-keygen").success());
        let forged = format!("{line}\n{}", fs::read_to_string(statement.with_extension("sig")).expect("a signature"));
        let (code, said) = judged(&world, &forged, &signers);
        assert!(code == Some(3) && said.contains("made for something else than approvals of this site"), "{said}");
    },
    fn the_only_key_of_an_agent_signs_and_of_several_none_is_taken() {
        let world = World::one_user().build();
        let (one, two) = (Approver::new(&world, "one", &["ed25519"]), Approver::new(&world, "two", &["ed25519"]));
        let socket = world.dir.join("agent");
        let mut agent = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent");
        crate::world::until("the agent listens", || socket.exists());
        let with_agent = |args: &[&str]| {
            let mut command = Command::new(world.bins.join("motmot"));
            command.arg("approve").args(words("https://gitlab.example.com", "22", COMMIT, "svc")).args(args);
            command.stdin(Stdio::null()).env("SSH_AUTH_SOCK", &socket).output().expect("motmot approve")
        };
        let add = |approver: &Approver| {
            let mut add = Command::new("ssh-add");
            assert!(
                add.arg("-q").arg(&approver.key).env("SSH_AUTH_SOCK", &socket).status().expect("ssh-add").success()
            );
            // The agent alone has it.
            fs::remove_file(&approver.key).expect("removed");
        };
        let none = with_agent(&[]);
        assert!(
            none.status.code() == Some(1) && text(&none.stderr).contains("no key in an SSH agent"),
            "{}",
            text(&none.stderr)
        );
        add(&one);
        let signed = with_agent(&[]);
        let signers = world.dir.join("signers");
        fs::write(&signers, one.line("one") + &two.line("two")).expect("written");
        let (code, said) = judged(&world, &text(&signed.stdout), &signers);
        assert!(code == Some(0) && said.contains("by       one with"), "{said}{}", text(&signed.stderr));
        add(&two);
        let several = with_agent(&[]);
        assert!(
            several.status.code() == Some(1) && text(&several.stderr).contains("several keys"),
            "{}",
            text(&several.stderr)
        );
        let named = with_agent(&["--key", two.public().to_str().expect("UTF-8")]);
        assert!(
            judged(&world, &text(&named.stdout), &signers).1.contains("by       two with"),
            "{}",
            text(&named.stderr)
        );
        agent.kill().expect("ended");
        agent.wait().expect("ended");
    },
    fn an_approver_reads_what_he_signs_and_nothing_is_signed_without_his_yes() {
        let world = World::one_user().build();
        let approver = Approver::new(&world, "key", &["ed25519"]);
        let key = approver.key.to_str().expect("UTF-8");
        let sure = words("https://gitlab.example.com", "22", COMMIT, "svc-climate");
        let unsure: Vec<&str> = sure.iter().copied().filter(|word| *word != "--yes").chain(["--key", key]).collect();
        let output = approve(&world, &unsure);
        let said = text(&output.stderr);
        for part in ["https://gitlab.example.com", "number 22", COMMIT, "svc-climate", ISSUER, "--yes"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{said}");
        // A new file, and never in place of another.
        let file = world.dir.join("approval");
        let to_file = [&sure[..], &["--key", key, "-o", file.to_str().expect("UTF-8")]].concat();
        assert!(approve(&world, &to_file).status.success() && file.exists());
        assert_eq!(approve(&world, &to_file).status.code(), Some(1));
        for (wrong, right) in [
            ("main", COMMIT),
            ("5eedc0de", COMMIT),
            ("svc/climate", "svc-climate"),
            ("0", "22"),
            ("400d", "7d"),
            ("0s", "7d"),
        ] {
            let args: Vec<&str> =
                sure.iter().map(|word| if *word == right { wrong } else { word }).chain(["--key", key]).collect();
            let output = approve(&world, &args);
            assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{wrong}: {}", text(&output.stderr));
        }
    },
    fn an_approved_commit_runs_as_the_account_of_the_rule_and_any_other_does_not(root: Root) {
        let site = Site::new(root);
        let (own, service) = (site.world.user.name.clone(), site.service.name.clone());
        let job = site.coming();
        let good = job.approval(&site.maintainer, COMMIT);
        let (single, accepted) = job.begins(COMMIT, &["an earlier one", &good]);
        assert_eq!((&accepted["account"], &accepted["approved_by"]), (&json!(service), &json!("climate-maintainers")));
        assert!(accepted["approval_key"].as_str().is_some_and(|key| key.starts_with("SHA256:")), "{accepted}");
        // It was decided then: what becomes of the key or the approval later does not split a job in two.
        fs::write(site.world.dir.join("signers"), "").expect("written");
        assert!(single.stage("prepare").status().expect("prepare").success());
        let script = single.script("echo me=$(id -un)");
        let output = single.stage("run").arg(script).arg("build_script").output().expect("run");
        assert!(
            text(&output.stdout).contains(&format!("me={service}\n")),
            "{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        single.clean_up();
        fs::write(site.world.dir.join("signers"), site.maintainer.line("climate-maintainers")).expect("written");
        // That of another GitLab's job, of another commit, by a stranger, none.
        assert_eq!(site.coming().runs_as(COMMIT, &[&good]), own);
        let job = site.coming();
        let (other, strange) = (job.approval(&site.maintainer, OTHER_COMMIT), job.approval(&site.stranger, COMMIT));
        let (single, accepted) = job.begins(COMMIT, &[&other, &strange, ""]);
        assert_eq!((&accepted["account"], &accepted["approved_by"]), (&json!(own), &json!(null)));
        single.clean_up();
        assert_eq!(site.coming().runs_as(COMMIT, &[]), own);
    },
    fn an_approval_that_is_installed_counts_until_it_is_taken_back(root: Root) {
        let site = Site::new(root);
        let (own, service) = (site.world.user.name.clone(), site.service.name.clone());
        let job = site.coming();
        let good = job.approval(&site.maintainer, COMMIT);
        let strange = job.approval(&Approver::new(&site.world, "nobody", &["ed25519"]), COMMIT);
        for (input, why) in
            [(strange.as_str(), "is nobody's here"), ("x\n", "line 1 is not a statement"), ("", "no approval")]
        {
            let output = job.admin(&["--install", "-"], input);
            assert!(output.status.code() == Some(3) && text(&output.stderr).contains(why), "{}", text(&output.stderr));
        }
        let kept = || fs::read_dir(site.world.dir.join("approvals")).expect("dir").flatten().collect::<Vec<_>>();
        assert!(kept().is_empty());
        let output = job.admin(&["--install", "-"], &good);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(kept().len(), 1);
        let list = text(&job.admin(&["--list"], "").stdout);
        let name = list.lines().next().expect("a name").to_owned();
        assert!(list.contains(COMMIT) && list.contains("by climate-maintainers with key SHA256:"), "{list}");
        let url = job.gitlab.url.clone();
        let (single, accepted) = job.begins(COMMIT, &[]);
        assert_eq!(accepted["account"], json!(service));
        single.clean_up();
        // It is of the GitLab that is gone by now; the directory stays.
        let job = site.coming();
        assert_ne!(job.gitlab.url, url);
        let output = job.admin(&["--revoke", "../signers"], "");
        assert_eq!(output.status.code(), Some(1));
        let again = job.approval(&site.maintainer, COMMIT);
        assert!(job.admin(&["--install", "-"], &again).status.success());
        assert_eq!(kept().len(), 2);
        for name in text(&job.admin(&["--list"], "").stdout).lines().filter(|line| !line.starts_with(' ')) {
            assert!(job.admin(&["--revoke", name], "").status.success());
        }
        assert!(kept().is_empty() && !name.is_empty());
        assert_eq!(job.runs_as(COMMIT, &[]), own);
    },
    fn approvals_that_others_could_write_fail_the_job_instead_of_giving_it_another_account(root: Root) {
        let site = Site::new(root);
        let (signers, dir) = (site.world.dir.join("signers"), site.world.dir.join("approvals"));
        let fails = || {
            let job = site.coming();
            site.world.write_payload(&payload(5));
            let output = site.world.stage("config").output().expect("config");
            assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
            assert!(
                text(&output.stderr).contains("not usable") && !text(&output.stderr).contains("signers"),
                "{}",
                text(&output.stderr)
            );
            drop(job);
            site.world.audit().pop().expect("a line")["reason"].as_str().expect("a reason").to_owned()
        };
        chmod(&signers, 0o664);
        assert!(fails().contains("others than the owner can change it"));
        check(&site.world).is_good(false).says(&["PROBLEM", "approvals.allowed_signers", "0664"]);
        chmod(&signers, 0o644);
        chmod(&dir, 0o775);
        assert!(fails().contains("others can exchange what is in it"));
        check(&site.world).is_good(false).says(&["PROBLEM", "approvals.dir", "0775"]);
        // A link in the place of the directory's file.
        chmod(&dir, 0o755);
        let job = site.coming();
        let good = job.approval(&site.maintainer, COMMIT);
        assert!(job.admin(&["--install", "-"], &good).status.success());
        let file = fs::read_dir(&dir).expect("dir").flatten().next().expect("a file").path();
        let elsewhere = site.world.dir.join("elsewhere");
        fs::rename(&file, &elsewhere).expect("moved");
        symlink(&elsewhere, &file).expect("a link");
        let mut of_commit = payload(5);
        of_commit["git_info"]["sha"] = COMMIT.into();
        site.world.write_payload(&of_commit);
        assert_eq!(site.world.stage("config").output().expect("config").status.code(), Some(2));
        assert!(
            site.world.audit().pop().expect("a line")["reason"]
                .as_str()
                .is_some_and(|why| why.contains("is a symbolic link"))
        );
    },
    fn the_runners_account_cannot_write_the_approvers_of_its_own_driver(root: Root) {
        let mut world = World::with_capabilities(root).build();
        let runner = world.runner.as_ref().expect("a runner");
        let (uid, gid) = (runner.uid, runner.gid);
        let approver = Approver::new(&world, "key", &["ed25519"]);
        let signers = world.dir.join("signers");
        fs::write(&signers, approver.line("climate")).expect("written");
        chmod(&signers, 0o644);
        let rule = format!(
            "[[map]]\nwhen = {{ project_id = 7 }}\nrun_as = \"{}\"\napproved_by = \"climate\"\n",
            world.user.name
        );
        let raw = format!("[approvals]\nallowed_signers = {signers:?}\nissuer = \"{ISSUER}\"\n{rule}");
        world.change(|config| config.rules([]).raw(&raw));
        let ends = || {
            let user = world.user.name.clone();
            let gitlab = GitLab::answering(
                json!({"id": 5, "status": "running", "user": {"id": 42, "username": user}, "pipeline": {"id": 55, "project_id": 7, "source": "push"}}),
            );
            world.write_payload(&payload(5));
            world.write_config_with(|config| config.gitlab(|section| section.url(&gitlab.url)));
            let code = world.stage("config").output().expect("config").status.code();
            (code, world.audit().pop().expect("a line")["reason"].as_str().expect("a reason").to_owned())
        };
        // Root's: it is judged, and there is no approval.
        let (code, reason) = ends();
        assert!(code == Some(1) && reason.contains("there is no approval of this commit"), "{reason}");
        chown(&signers, uid, gid);
        let (code, reason) = ends();
        assert!(code == Some(2) && reason.contains("must belong to root"), "{reason}");
    },
    fn check_names_approvers_who_are_nobody_and_a_section_that_is_missing() {
        let mut world = World::one_user().build();
        let own = world.user.name.clone();
        let approver = Approver::new(&world, "key", &["ed25519"]);
        let [signers, dir] = ["signers", "approvals"].map(|name| world.dir.join(name));
        let rule = |by: &str| format!("[[map]]\nwhen = {{ project_id = 7 }}\nrun_as = \"{own}\"\napproved_by = {by}\n");
        world.change(|config| config.rules([]).raw(&rule("\"climate\"")));
        world.write_config();
        check(&world).is_good(false).says(&["this rule has `approved_by`, and there is no [approvals] section"]);
        let section = format!(
            "[groups]\nempty = []\n[approvals]\nallowed_signers = {signers:?}\ndir = {dir:?}\nissuer = \"{ISSUER}\"\n"
        );
        let rules = [rule("[\"climate\", \"ford\"]"), rule("\"@empty\""), rule("\"git\""), rule("\"late\"")].concat();
        world.change(|config| config.raw(&(section + &rules)));
        world.write_config();
        let lines = [
            approver.line("climate"),
            approver.line("git namespaces=\"git\""),
            approver.line("late valid-before=\"20200101Z\""),
        ];
        fs::write(&signers, lines.concat()).expect("written");
        chmod(&signers, 0o644);
        let checked = check(&world);
        checked.is_good(false).says(&["PROBLEM", "approvals.dir", "does not exist"]).does_not_say("never reached");
        checked.says(&["approver \"ford\" is nobody there"]).does_not_say("approver \"climate\"");
        checked.says(&["a group without members"]).says(&["namespaces lacks", NAMESPACE]).says(&["valid still"]);
        fs::write(&signers, "climate cert-authority ssh-ed25519 AAAA\n").expect("written");
        check(&world).says(&["approvals.allowed_signers", "signers:1: has a certificate authority"]);
    }
);
