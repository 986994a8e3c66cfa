//! What each page says besides its options: synopsis, examples, exit codes, files.

pub(super) const CONFIG_FILE: &str = "\
.TP
.I /etc/motmot/config.toml
The configuration, unless \\fB--config\\fR or \\fBMOTMOT_CONFIG\\fR names another: motmot-config.toml(5).
";

const KEYS_DIR: &str = "\
.TP
.I /etc/motmot/keys
The signing keys (\\fItoken.keys\\fR).
";

const STATE_AND_LOG: &str = "\
.TP
.I /run/motmot
State of running jobs (\\fIjobs.state_dir\\fR); with Slurm it is /var/lib/motmot, with \\fIjobs.downscope = \"none\"\\fR it is ~/.local/state/motmot.
.TP
.I /var/log/motmot/audit.log
The audit log (\\fIlog.file\\fR); with \\fIjobs.downscope = \"none\"\\fR there is none unless the configuration names one.
";

/// What a page has that the command line does not know.
pub(super) struct Words {
    pub(super) name: &'static str,
    /// The synopsis.
    pub(super) usage: &'static str,
    /// Instead of the one line that `--help` has.
    pub(super) description: &'static str,
    pub(super) examples: &'static [&'static str],
    /// Exit codes and what they mean.
    pub(super) exit: &'static [(&'static str, &'static str)],
    pub(super) files: &'static [&'static str],
    pub(super) see_also: &'static str,
}

const INIT_EXIT: &[(&str, &str)] = &[
    ("0", "Done."),
    ("2", "Wrong usage."),
    ("7", "The directory cannot be used."),
    ("8", "There are keys already; nothing was changed."),
];

const POLICY_EXIT: &[(&str, &str)] = &[
    ("0", "All is as it is said to be."),
    ("1", "Something is not, or cannot be decided."),
    ("2", "Wrong usage, or there is no usable configuration."),
];

const KEYS_EXIT: &[(&str, &str)] = &[("0", "Done."), ("2", "Wrong usage."), ("7", "No usable keys.")];

pub(super) const WORDS: &[Words] = &[
    Words {
        name: "motmot",
        usage: "motmot [--config FILE] COMMAND [OPTIONS]",
        description: "motmot is a custom executor for GitLab Runner on HPC sites. Every CI job runs as the right local account, \
            and every stage of it has a short-lived token of its own, which services verify with public keys. This program \
            is for the administrator. The programs that gitlab-runner starts are described in motmot-stages(8).",
        examples: &["motmot keys init", "motmot check", "motmot simulate --user adent --script 'id; env | sort'"],
        exit: &[("0", "Done."), ("2", "Wrong usage."), ("other", "See the page of the sub-command.")],
        files: &[CONFIG_FILE, KEYS_DIR, STATE_AND_LOG],
        see_also: "motmot-config.toml(5), motmot-stages(8)",
    },
    Words {
        name: "motmot-demo",
        usage: "motmot demo [--run-as ACCOUNT]",
        description: "Makes a throw-away key and configuration, runs one job through the four real stage programs, shows \
            its log and the claims of its token, and verifies the token. Needs no configuration. As root the job really \
            runs as another account.",
        examples: &["motmot demo", "motmot demo --run-as arthur"],
        exit: &[("0", "The job ran and its token verified."), ("1", "It did not."), ("2", "Wrong usage.")],
        files: &[],
        see_also: "motmot(1), motmot-simulate(1)",
    },
    Words {
        name: "motmot-check",
        usage: "motmot check [OPTIONS]",
        description: "Looks at everything that a job needs with the very code that the stages use, and writes a line for \
            each thing: ok, skipped (with --offline), warning, or PROBLEM and what to do about it, and a last one that counts them. Lines have colours on a terminal, \
            unless NO_COLOR is set or CLICOLOR is 0. Of many lines of one kind the first 20 are shown; --json has all of them: \
            an object with good, problems, warnings, skipped, and in findings for each its level (ok, skipped, warning, problem), what it is about, and words. \
            Of an account that a rule names it asks whether it may log in now, by /etc/shadow and nologin(5) (PAM's modules may keep count of \
            those they are asked about: motmot-simulate(1) asks them), and where its job would work; as root, of the first hundred. Run it after every change of the configuration, and first when jobs fail.",
        examples: &[
            "motmot check",
            "motmot check --strict --json",
            "motmot --config ~/.config/motmot/config.toml check",
        ],
        exit: &[("0", "All is well."), ("1", "There is a problem, or with --strict a warning."), ("2", "Wrong usage.")],
        files: &[CONFIG_FILE, KEYS_DIR, STATE_AND_LOG],
        see_also: "motmot(1), motmot-simulate(1), motmot-config.toml(5), motmot-stages(8)",
    },
    Words {
        name: "motmot-explain",
        usage: "motmot explain --user LOGIN [OPTIONS]\nmotmot explain --payload FILE [OPTIONS]",
        description: "Passes a job that need not exist through the code that decides about jobs, and says what would become of it: each rule \
            that is passed over, with its place and the first condition that does not hold; the rule that decides; the account \
            with its ids, groups, home and jobs.data_dir; and the claims of its token, which nobody signs. What is not given is \
            unknown, and so no condition on it holds; a pipeline counts as started by a push. Of a payload the structured fields are read as the stages read them; who \
            started the job, and what the pipeline, is taken from its variables. Expiry and locks are looked up in /etc/shadow; PAM is not asked (motmot-simulate(1) asks it).",
        examples: &[
            "motmot explain --user adent",
            "motmot explain --user adent --project climate/model --ref main --protected true --json",
            "motmot explain --payload job.json --user adent",
        ],
        exit: &[
            ("0", "The job would run."),
            ("1", "It would be refused; the words say why."),
            ("2", "Wrong usage."),
            ("3", "It cannot be said: the name service does not answer, or the machine is closed."),
        ],
        files: &[CONFIG_FILE],
        see_also: "motmot(1), motmot-simulate(1), motmot-check(1), motmot-config.toml(5)",
    },
    Words {
        name: "motmot-who-can",
        usage: "motmot who-can ACCOUNT [--json]",
        description: "Says every way to become an account: each rule that gives it to some job which no rule before it takes, whom it lets in, and \
            such a job as an example. Decided for all jobs that there could be, and not for some; if that takes more than some seconds, it is said. \
            The limits of [accounts] are not asked: they let in nobody else. With * in the name for any text it is asked about all such accounts together.",
        examples: &["motmot who-can svc-climate", "motmot who-can 'svc-*' --json"],
        exit: &[
            ("0", "That is all, also where nobody can."),
            ("1", "It cannot be decided; the words say why."),
            ("2", "Wrong usage."),
        ],
        files: &[CONFIG_FILE],
        see_also: "motmot(1), motmot-explain(1), motmot-policy(1), motmot-config.toml(5)",
    },
    Words {
        name: "motmot-policy",
        usage: "motmot policy test\nmotmot policy apply NEW [--dry-run]\nmotmot policy diff OLD NEW [--json]",
        description: "Judges the rules as a whole, compares them, and installs new ones.",
        examples: &[
            "motmot policy test",
            "motmot policy diff /etc/motmot/config.toml config.new",
            "motmot policy apply config.new",
        ],
        exit: POLICY_EXIT,
        files: &[CONFIG_FILE],
        see_also: "motmot-policy-test(1), motmot-policy-apply(1), motmot-policy-diff(1), motmot-who-can(1), motmot-explain(1)",
    },
    Words {
        name: "motmot-policy-test",
        usage: "motmot policy test",
        description: "Judges each [[test]] and each [[never]] of the configuration, a line for each: ok, or FAILED with what was expected, what came, \
            and by which rule. A never is proven for all jobs that there could be; where it is not so, a job is shown that has the account. What is \
            not decided in some seconds has failed, too. The limits of [accounts] are not asked.",
        examples: &["motmot policy test", "motmot --config config.new policy test"],
        exit: POLICY_EXIT,
        files: &[CONFIG_FILE],
        see_also: "motmot-policy(1), motmot-check(1), motmot-config.toml(5)",
    },
    Words {
        name: "motmot-policy-apply",
        usage: "motmot policy apply NEW [--dry-run]",
        description: "Installs a file as the configuration: if it is valid, and if all of its tests and nevers hold. It takes the place of the old one in \
            one step, with its owner and mode, so that a stage reads the one or the other; a copy of the old one, if that could be used, is kept beside \
            it (config.toml.last). NEW must be owned as the configuration. The text that was judged is the one that is installed.",
        examples: &[
            "motmot policy apply --dry-run /etc/motmot/config.new",
            "motmot policy apply /etc/motmot/config.new",
        ],
        exit: &[
            ("0", "Installed, or with --dry-run fit to be."),
            ("1", "Not valid, or a test or never does not hold. Nothing was changed."),
            ("2", "Wrong usage, or the file cannot be written."),
        ],
        files: &[
            CONFIG_FILE,
            "\
.TP
.I /etc/motmot/config.toml.last
The one before.
",
        ],
        see_also: "motmot-policy(1), motmot-check(1), motmot-config.toml(5)",
    },
    Words {
        name: "motmot-policy-diff",
        usage: "motmot policy diff OLD NEW [--json]",
        description: "Says whose account changes from one configuration to another, of all jobs that there could be: one example for each pair of a rule \
            that gave the old account and one that gives the new, where no rule and a refusal count as well. Two files of the same rules in another \
            order, or with other words for the same, have no changes if no job has another account. Limits of [accounts] are not compared. Jobs of which the two configurations know \
            other things are not compared either, or hear them in another way: where gitlab.url, gitlab.identity, policy.request_variable or [approvals] \
            has changed, that is said.",
        examples: &["motmot policy diff /etc/motmot/config.toml /etc/motmot/config.new"],
        exit: &[
            ("0", "No job has another account."),
            ("1", "Some have, or may have by what is not compared."),
            ("2", "Wrong usage, a configuration that is not usable, or it cannot be decided."),
        ],
        files: &[],
        see_also: "motmot-policy(1), motmot-explain(1)",
    },
    Words {
        name: "motmot-reap",
        usage: "motmot reap [--dry-run | --session NAME | --forget NAME]",
        description: "Finds sessions whose runner is gone: the runner or the machine crashed, or a cleanup failed. Cancels \
            their Slurm jobs, ends their processes, removes their files, and the directory that a killed runner has left. \
            Accounts are treated beside each other, so that a home directory that does not answer holds up its owner only; what \
            fails is tried again after 5 minutes, then 10, 20, and at most 6 hours. A cleanup stage does the same for earlier \
            jobs of its own account, for two seconds. Run it from a timer. Started by root, it works as the account of the runner. Sessions of another configuration, and \
            such as have Slurm jobs in a cluster that this one does not ask, are named and left alone.",
        examples: &["motmot reap --dry-run", "motmot reap", "motmot reap --forget 4711-0198c1d4a2b3"],
        exit: &[
            ("0", "Nothing is left of jobs whose runner is known to be gone."),
            ("2", "Something is left, also where it is another configuration's; or wrong usage. The words say what."),
        ],
        files: &[CONFIG_FILE, STATE_AND_LOG],
        see_also: "motmot(1), motmot-check(1), motmot-config.toml(5), motmot-stages(8)",
    },
    Words {
        name: "motmot-audit",
        usage: "motmot audit [OPTIONS]",
        description: "Reads the audit log of the configuration with all that logrotate has renamed, the oldest first, packed or not (gzip, xz, \
            zstd), and prints the records for which all conditions hold: in a table, with --json as they are, with --timeline all of each run of a \
            job of which one is wanted. A condition holds for records that have what it asks for: user and rule are in those that accept a job \
            and that refuse one, so --user with --timeline shows what has become of somebody's jobs. Times are UTC.",
        examples: &[
            "motmot audit --reference 98c1d4a2b3f0",
            "motmot audit --user adent --since 7d --timeline",
            "motmot audit --account arthur --since 2027-01-01 --until 2027-01-31 --json",
        ],
        exit: &[
            ("0", "Something was found."),
            ("1", "Nothing was found."),
            ("2", "Wrong usage."),
            ("3", "The log cannot be read."),
        ],
        files: &[CONFIG_FILE, STATE_AND_LOG],
        see_also: "motmot-audit-job(1), motmot-audit-verify(1), motmot-config.toml(5)",
    },
    Words {
        name: "motmot-audit-job",
        usage: "motmot audit job NUMBER [--file FILE ...]",
        description: "Prints what has become of a job, run by run, with the time between its events: the same as motmot audit --timeline --job NUMBER.",
        examples: &["motmot audit job 4711"],
        exit: &[
            ("0", "There is such a job."),
            ("1", "There is none."),
            ("2", "Wrong usage."),
            ("3", "The log cannot be read."),
        ],
        files: &[CONFIG_FILE, STATE_AND_LOG],
        see_also: "motmot-audit(1)",
    },
    Words {
        name: "motmot-audit-verify",
        usage: "motmot audit verify [FILE ...]",
        description: "Looks whether the lines of the audit log hang together, from the oldest file that logrotate has renamed to the \
            last line: it names file and line of what was changed, removed, moved or inserted, of a missing end, and of half a line that a full \
            disk has left. The chain has no signature: whoever is root can write the log anew as a whole; keep a copy on another machine \
            (log.audit).",
        examples: &["motmot audit verify", "motmot audit verify audit.log-20270101.gz"],
        exit: &[
            ("0", "It is whole."),
            ("1", "It is not, and the words say where."),
            ("2", "Wrong usage."),
            ("3", "The log cannot be read."),
        ],
        files: &[CONFIG_FILE, STATE_AND_LOG],
        see_also: "motmot-audit(1), motmot-config.toml(5)",
    },
    Words {
        name: "motmot-simulate",
        usage: "motmot simulate [OPTIONS]",
        description: "Plays GitLab and GitLab Runner for one job: the real stage programs run with the mapping, the accounts and \
            the keys of the configuration, and the job's commands really run as the account. Unless \
            --gitlab-from-config is given a built-in GitLab answers who the job is, and then the audit log and the job's tokens \
            say that it was played (assurance is simulated). Of production it touches what any job does: it reads the \
            configuration and the keys, writes to the audit log and to jobs.state_dir, makes the account's directories below \
            jobs.data_dir, may clean up after jobs whose runner is gone, and with Slurm submits a job. A copy of the configuration with the address of \
            the built-in GitLab is in the temporary directory meanwhile. Why a job was refused is told to whoever may read \
            the audit log.",
        examples: &[
            "motmot simulate --user adent --script 'id; env | sort'",
            "motmot simulate --user adent --project hpc/weather --ref main --protected true --script 'echo hello'",
            "motmot simulate --runner-account gitlab-runner --user adent --script id",
            "motmot simulate --user adent --script 'sleep 60' --cancel graceful --cancel-after 5s",
            "motmot simulate --user adent --run '[{\"name\": \"greet\", \"script\": \"echo hello\"}]'",
        ],
        exit: &[
            ("0", "The job succeeded."),
            ("1", "The job failed, or was refused."),
            ("2", "Wrong usage."),
            ("3", "The site failed: what GitLab calls a runner system failure."),
        ],
        files: &[CONFIG_FILE, KEYS_DIR, STATE_AND_LOG],
        see_also: "motmot(1), motmot-check(1), motmot-config.toml(5), motmot-stages(8)",
    },
    Words {
        name: "motmot-keys",
        usage: "motmot keys init [--dir DIR]\nmotmot keys list [--dir DIR] [--json]",
        description: "Makes and lists the keys that sign tokens. A private key never leaves its directory.",
        examples: &["motmot keys init", "motmot keys list"],
        exit: INIT_EXIT,
        files: &[CONFIG_FILE, KEYS_DIR],
        see_also: "motmot-keys-init(1), motmot-keys-list(1), motmot-jwks(1)",
    },
    Words {
        name: "motmot-keys-init",
        usage: "motmot keys init [--dir DIR]",
        description: "Makes the first signing key of a directory (ES256), and the directory if it is missing. Where there \
            are keys already nothing is changed. Run it as the account that gitlab-runner runs as.",
        examples: &["motmot keys init", "motmot keys init --dir /etc/motmot/keys-2"],
        exit: INIT_EXIT,
        files: &[CONFIG_FILE, KEYS_DIR],
        see_also: "motmot-keys(1), motmot-jwks(1)",
    },
    Words {
        name: "motmot-keys-list",
        usage: "motmot keys list [--dir DIR] [--json]",
        description: "Lists the keys of a directory, which of them signs, and since when. Nothing secret is shown.",
        examples: &["motmot keys list", "motmot keys list --json"],
        exit: KEYS_EXIT,
        files: &[CONFIG_FILE, KEYS_DIR],
        see_also: "motmot-keys(1), motmot-jwks(1)",
    },
    Words {
        name: "motmot-jwks",
        usage: "motmot jwks [--dir DIR]",
        description: "Prints the public keys as a JSON Web Key Set. Put it where services fetch it, by https.",
        examples: &["motmot jwks > jwks.json"],
        exit: KEYS_EXIT,
        files: &[CONFIG_FILE, KEYS_DIR],
        see_also: "motmot-keys(1), motmot-verify(1)",
    },
    Words {
        name: "motmot-verify",
        usage: "motmot verify --jwks-file FILE --issuer URL --audience AUDIENCE --token-file FILE [OPTIONS]\nmotmot verify --jwks-file FILE --issuer URL --audience AUDIENCE --token-env NAME [OPTIONS]",
        description: "Verifies a token with nothing but public keys, and prints the claims of a good one. Nothing is looked up \
            by what the token itself says. The token is never read from the command line, which other users can see, and \
            never printed, nor is a word in a wrong place that may be one. No configuration is read. With \
            --profile oidc tokens of other issuers are read as well, as long as they are signed with ES256: aud may be a list that \
            contains the audience, typ at+jwt or absent, nbf absent, and the key set may have other keys beside the usable one.",
        examples: &[
            "motmot verify --jwks-file jwks.json --issuer https://ci.hpc.example \\e",
            "    --audience https://hpc.example --token-env CI_JOB_JWT",
            "curl -sf https://ci.hpc.example/jwks.json | motmot verify --jwks-file - --profile oidc \\e",
            "    --issuer https://ci.hpc.example --audience https://hpc.example --token-file token",
        ],
        exit: &[
            ("0", "Verified."),
            ("2", "Wrong usage, or the token cannot be read."),
            ("3", "Not trusted: signature, algorithm, key or form."),
            ("4", "Expired, not yet valid, or living too long."),
            ("5", "Wrong issuer or audience."),
            ("6", "A claim is missing or different."),
            ("7", "The keys cannot be read or are not usable."),
        ],
        files: &[],
        see_also: "motmot(1), motmot-jwks(1)",
    },
    Words {
        name: "motmot-approve",
        usage: "motmot approve --gitlab URL --project-id N --commit SHA --account NAME --expires DURATION --issuer URL [--key FILE] [--yes] [-o FILE]\nmotmot approve --install FILE\nmotmot approve --verify FILE [--allowed-signers FILE --issuer URL]\nmotmot approve --list\nmotmot approve --revoke NAME",
        description: "Says by a signature that one commit may run as one account at one site, for rules with approved_by. That is done by the \
            approver, on his own machine and with his own SSH key or agent (ssh-keygen -Y sign), without any configuration; he is shown what he \
            signs. Whoever gets the approval to the site needs no trust: as the CI variable MOTMOT_APPROVAL of the job, or with --install, which \
            judges it and puts it where motmot-config looks (approvals.dir). An approval is a line of JSON and below it the signature, made in \
            the namespace motmot-approve@ISSUER; ssh-keygen -Y verify judges it, too. What runs is more than a commit: it does not pin \
            what the CI configuration includes from elsewhere, nor variables, artifacts, images, nor who starts the pipeline; and the \
            commands of a job come from GitLab.",
        examples: &[
            "motmot approve --gitlab https://gitlab.example.com --project-id 22 --commit \"$(git rev-parse HEAD)\" \\e",
            "    --account svc-climate --expires 7d --issuer https://ci.hpc.example -o approval",
            "motmot approve --verify approval --allowed-signers allowed_signers --issuer https://ci.hpc.example",
            "sudo motmot approve --install - < approval",
            "sudo motmot approve --list",
        ],
        exit: &[
            ("0", "Done."),
            ("1", "Not done: nothing was signed, or the site cannot judge or keep approvals."),
            ("2", "Wrong usage, or a file cannot be read."),
            ("3", "That is no approval, or none that counts here."),
        ],
        files: &[CONFIG_FILE],
        see_also: "motmot(1), motmot-config.toml(5), ssh-keygen(1)",
    },
    Words {
        name: "motmot-completions",
        usage: "motmot completions SHELL",
        description: "Prints a script that lets bash, zsh or fish complete the words of this program.",
        examples: &[
            "motmot completions bash > /etc/bash_completion.d/motmot",
            "motmot completions zsh > /usr/share/zsh/site-functions/_motmot",
            "motmot completions fish > /usr/share/fish/vendor_completions.d/motmot.fish",
        ],
        exit: &[("0", "Done."), ("1", "The script cannot be written."), ("2", "Wrong usage.")],
        files: &[],
        see_also: "motmot(1)",
    },
    Words {
        name: "motmot-stages",
        usage: "motmot-config [--config FILE]\nmotmot-prepare [--config FILE]\nmotmot-run [--config FILE] SCRIPT SUB_STAGE\nmotmot-cleanup [--config FILE]",
        description: "The four programs that gitlab-runner starts for a job, by [runners.custom] in its config.toml. \
            motmot-config asks GitLab whose job it is and decides as which account it runs. motmot-prepare makes the job's \
            directories. motmot-run runs one script of the job as that account, with a token of its own. motmot-cleanup \
            ends what is left and removes it. All need motmot-worker beside them, in one directory. A program in the line of \
            another ends with a failure of the system. Nobody starts them by hand; to try a job, use motmot-simulate(1).",
        examples: &[
            "[runners.custom]",
            "  config_exec = \"/usr/libexec/motmot/motmot-config\"",
            "  prepare_exec = \"/usr/libexec/motmot/motmot-prepare\"",
            "  run_exec = \"/usr/libexec/motmot/motmot-run\"",
            "  cleanup_exec = \"/usr/libexec/motmot/motmot-cleanup\"",
        ],
        exit: &[
            ("0", "Done."),
            (
                "$BUILD_FAILURE_EXIT_CODE",
                "The script failed, or the job was refused. The script's own code is in the file \
                that BUILD_EXIT_CODE_FILE names.",
            ),
            ("$SYSTEM_FAILURE_EXIT_CODE", "The site failed; the runner may try again."),
        ],
        files: &[CONFIG_FILE, KEYS_DIR, STATE_AND_LOG],
        see_also: "motmot(1), motmot-check(1), motmot-simulate(1), motmot-config.toml(5)",
    },
];
