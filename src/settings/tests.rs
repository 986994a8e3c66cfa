use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    Settings::parse(Path::new("/etc/motmot/config.toml"), text).map_err(|error| error.to_string())
}

const MINIMAL: &str = "[gitlab]\nurl = \"https://gitlab.example.com/\"\n";

#[test]
fn a_minimal_file_gets_safe_defaults() {
    let settings = parse(MINIMAL).expect("valid");
    assert_eq!(settings.gitlab.url.as_str(), "https://gitlab.example.com");
    assert_eq!(settings.jobs.downscope, Downscope::Setuid);
    assert_eq!(settings.accounts.min_uid, 1000);
    assert_eq!(settings.jobs.kill_timeout, Duration::from_mins(1));
    assert!(settings.token.is_none());
    assert!(settings.map.is_empty(), "without a rule nobody is mapped");
}

#[test]
fn all_problems_are_told_at_once() {
    let error = parse("[gitlab]\nurl = \"http://gitlab.example.com\"\nidentity = \"guess\"\n[jobs]\nkill_timeout = \"9m\"\n[token]\nttl = \"10s\"\n[[map]]\nrun_as = \"root\"\n").unwrap_err();
    for part in [
        "7 problems",
        ":2:7: `gitlab.url` must be https",
        ":3:12: `gitlab.identity`",
        ":5:16: `jobs.kill_timeout` must be 3m",
        "`token.issuer` is missing",
        "`token.audience` is missing",
        ":7:7: `token.ttl`: a token's life of 10s is too short",
        ":9:10: `map.run_as` must not be root",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn sessions_of_slurm_jobs_outlive_a_reboot_of_the_login_node() {
    let state = |jobs: &str| parse(&format!("{MINIMAL}{jobs}")).expect("valid").jobs.state_dir.as_str().to_owned();
    assert_eq!(state("[jobs]\nexecutor = \"slurm\"\n"), "/var/lib/motmot");
    assert_eq!(state("[jobs]\nexecutor = \"shell\"\n"), "/run/motmot");
    assert_eq!(state("[jobs]\nexecutor = \"slurm\"\ndownscope = \"none\"\n"), "{home}/.local/state/motmot");
}

#[test]
fn problems_of_a_schedulers_section_carry_their_places() {
    for (text, wanted) in [
        ("[slurm]\nbin_dir = \"usr\"\n", "4:11: `slurm.bin_dir` must be an absolute path"),
        ("[slurm]\ndefaults = [\"--time=1\", \"-o\", \"x\"]\n", "4:25: `slurm.defaults`: `-o` cannot be set"),
        ("[slurm]\nparameters = [\"A-B\"]\n", "4:15: `slurm.parameters` is not the name of a variable"),
        ("[slurm]\nallow = [\"time\", \"partiton\"]\n", "is not an option of sbatch (did you mean \"partition\"?)"),
        ("[slurm]\nallow = [\"--time\"]\n", "(did you mean \"time\"?)"),
        ("[slurm]\nallow = [\"uid\"]\n", "4:10: `slurm.allow` cannot have \"uid\""),
        ("[slurm]\nstages = [\"*\"]\n", "`slurm.stages` is not the name of a stage"),
        ("[slurm]\nstages = [\"a*b\"]\n", "`slurm.stages` is not the name of a stage"),
        ("[slurm]\nallocation = \"both\"\n", "`slurm.allocation` is \"both\""),
        ("[slurm]\nlimit = 1\n", "unknown key `slurm.limit` (did you mean `limits`?)"),
        ("[slurm.limits]\nmem = \"lots\"\n", "4:7: `slurm.limits.mem` is not an amount of memory"),
        ("[slurm.limits]\nnodes = 0\n", "`slurm.limits.nodes` must be at least 1"),
        ("[slurm.limits]\ngres = { gpu = \"4\" }\n", "must be a whole number"),
        ("[slurm.limits]\npartitions = [\"a,b\"]\n", "not a name: \"a,b\""),
        ("[[map]]\nrun_as = \"x\"\nslurm = [\"--uid=0\"]\n", "5:10: `map.slurm`: `--uid=0` cannot be set"),
    ] {
        let error = parse(&format!("{MINIMAL}{text}")).expect_err(text);
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn all_wrong_words_for_sbatch_are_told_at_once_and_nobody_is_asked_for_a_name_that_is_only_as_short() {
    let text = "[slurm]\ndefaults = [\"--tim=3\", \"--output=x\", \"time=3\", \"--uid\", \"0\", \"--time=3\", \"--frob\", \"x\"]\nallow = [\"t\", \"foo\", \"part\"]\n";
    let error = parse(&format!("{MINIMAL}{text}")).expect_err("refused");
    let of = |part: &str| error.lines().filter(|line| line.contains(part)).count();
    for part in [
        "`--tim=3` can mean --time, --time-min",
        "`--output=x` cannot be set",
        "`time=3` is not an option",
        "`--uid` cannot be set",
        "`--frob` is not an option",
    ] {
        assert_eq!(of(part), 1, "{part}: {error}");
    }
    assert_eq!(of("`slurm.defaults`"), 5, "no value of a wrong option, and none of a good one: {error}");
    for part in ["\"t\" is not an option of sbatch (did you mean \"time\"?)", "(did you mean \"partition\"?)"] {
        assert_eq!(of(part), 1, "{part}: {error}");
    }
    assert!(error.contains("\"foo\" is not an option of sbatch (write full names"), "{error}");
    let error = parse(&format!("{MINIMAL}[slurm.limits]\nfoo = 1\n")).expect_err("refused");
    assert!(error.contains("allowed here: ") && !error.contains("did you mean"), "{error}");
}

#[test]
fn what_others_would_write_is_told_in_our_words() {
    for (text, wanted) in [
        ("[jobs]\nkill_timeout = 60\n", "4:16: `jobs.kill_timeout` needs a unit: write \"60s\" for seconds"),
        ("[jobs]\nkill_timeout = \"60\"\n", "4:16: `jobs.kill_timeout` needs a unit: write \"60s\""),
        ("[jobs]\ndata_dir = \"$HOME/ci\"\n", "does not know $HOME: \"$HOME/ci\"; write \"{home}/ci\""),
        ("[jobs]\ndata_dir = \"~/ci\"\n", "write \"{home}/ci\""),
        ("[jobs]\ndata_dir = \"/scratch/${USER}/ci\"\n", "write \"/scratch/{user}/ci\""),
        (
            "[jobs]\nmessage = \"a\"\nmessage = \"b\"\n",
            "5:1: duplicate key (the first one is in line 4; leave one of them)",
        ),
        ("[jobs]\nmessage = \"a\"\n[log]\n[jobs]\n", "the first one is in line 3"),
        (
            "[[map]]\nrun_as = \"a\"\n[[map]]\nrun_as = \"a\"\nrun_as = \"b\"\n",
            "7:1: duplicate key (the first one is in line 6;",
        ),
        (
            "[log]\n[map]\n[accounts]\n",
            "`map` must be an array of tables ([[map]]), not a table (write [[map]], in two brackets, at the head of each",
        ),
        ("[accounts]\nmin_uid = -1\n", "`accounts.min_uid` must be a whole number that is not negative, not -1"),
        ("[slurm.limits]\ngres = { gpu = -4 }\n", "must be a whole number that is not negative, not -4"),
        ("[accounts]\nmin_uid = 1.5\n", "must be a whole number that is not negative, not a float"),
        (
            "[token]\nissuer = \"\"\naudience = \"a\"\n",
            "4:10: `token.issuer` must not be empty: services trust tokens by this address",
        ),
    ] {
        let error = parse(&format!("{MINIMAL}{text}")).expect_err(text);
        assert!(error.contains(wanted), "{text}: {error}");
    }
    let jacamar = "[general]\nname = \"x\"\nexecutor = \"slurm\"\n[auth]\ndownscope = \"setuid\"\n[batch]\n";
    let error = parse(jacamar).expect_err("Jacamar's");
    assert!(error.contains("1 problem") && error.contains("Jacamar CI") && error.contains("[[map]]"), "{error}");
}

#[test]
fn another_encoding_is_told_with_its_line() {
    let read = |bytes: &[u8]| text(Path::new("c.toml"), bytes).map_err(|error| error.to_string());
    for (bytes, wanted) in [
        (&b"\xff\xfe[\0g\0"[..], "c.toml:1: is not UTF-8 but seems to be UTF-16;"),
        (b"[\0g\0i\0", "seems to be UTF-16"),
        (
            b"a\nb = \"J\xfcrgen\"\n",
            "c.toml:2: is not UTF-8 but seems to be Latin-1 (ISO 8859-1); save the file as UTF-8",
        ),
        (b"a\n\nb = \"\x93x\x94\"\n", "c.toml:3: is not UTF-8 but seems to be Windows-1252"),
    ] {
        let error = read(bytes).expect_err(wanted);
        assert!(error.contains(wanted), "{error}");
    }
    assert_eq!(read("# Jürgen".as_bytes()).as_deref(), Ok("# Jürgen"));
}

fn page(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = std::fs::read_to_string(&path).expect(name);
    (path, text)
}

#[test]
fn the_sample_configuration_is_valid() {
    let (path, text) = page("packaging/config.toml");
    // What is commented out has to be valid, too.
    let all: String = text.lines().flat_map(|line| [line.strip_prefix("#: ").unwrap_or(line), "\n"]).collect();
    for text in [text, all] {
        Settings::parse(&path, text).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn what_the_page_on_slurm_configures_is_valid() {
    let (path, text) = page("packaging/doc/slurm.md");
    let (_, section) = text.split_once("\n## Set it up\n").expect("the section");
    let begun = section.lines().skip_while(|line| !line.starts_with("    "));
    let sample = begun.take_while(|line| line.is_empty() || line.starts_with("    "));
    let text: String = sample.flat_map(|line| [line.trim_start(), "\n"]).collect();
    let whole = format!("[gitlab]\nurl = \"https://gitlab.example.com\"\n{text}");
    assert!(whole.contains("executor = \"slurm\"") && whole.contains("[[map]]"), "{whole}");
    for whole in [whole.clone(), whole.replace("#: ", "")] {
        Settings::parse(&path, whole).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The sample with all that is commented out in it, and with the batch scheduler switched on.
fn sample_of_a_site() -> String {
    let (_, text) = page("packaging/config.toml");
    let all: String = text.lines().flat_map(|line| [line.strip_prefix("#: ").unwrap_or(line), "\n"]).collect();
    all.replace("executor = \"shell\"", "executor = \"slurm\"")
}

#[test]
fn what_the_pages_tell_authors_to_ask_for_is_what_the_pages_tell_admins_to_allow() {
    let mut sites = vec![sample_of_a_site()];
    for name in ["packaging/doc/slurm.md", "README.md"] {
        let (_, text) = page(name);
        let block = text.split("\n\n").find(|block| block.starts_with("    [jobs]\n    executor = \"slurm\""));
        let begun = text.split_once(block.expect(name)).map(|(_, rest)| format!("{}{rest}", block.unwrap_or_default()));
        let begun = begun.unwrap_or_default();
        let sample = begun.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
        let lines: String = sample.flat_map(|line| [line.trim_start(), "\n"]).collect();
        sites.push(format!("{MINIMAL}{lines}"));
    }
    let mut asked = 0;
    for name in ["README.md", "packaging/doc/slurm.md"] {
        for line in page(name).1.lines().filter_map(|line| line.trim().strip_prefix("SCHEDULER_PARAMETERS: ")) {
            asked += 1;
            let words = line.trim_matches('"').to_owned();
            for site in &sites {
                let settings = parse(site).expect("valid");
                let job = [("SCHEDULER_PARAMETERS".to_owned(), words.clone())];
                let granted = settings.batch().expect("a scheduler").resources(None, &job);
                assert!(granted.is_ok(), "{name}: {words}: {}", granted.expect_err("refused"));
            }
        }
    }
    assert!(asked >= 2, "{asked} examples");
}

#[test]
fn of_several_gitlabs_each_has_a_name_and_each_rule_names_one() {
    let server = |name: &str, host: &str| format!("[[gitlab]]\n{name}url = \"https://{host}.example\"\n");
    let two = server("name = \"one\"\n", "a") + &server("name = \"two\"\n", "b");
    let rule = |gitlab: &str| format!("[[map]]\n{gitlab}run_as = \"arthur\"\n");
    let read = |text: &str| Settings::parse(Path::new("c.toml"), text).map_err(|error| error.to_string());
    let good = two.clone() + &rule("gitlab = \"one\"\n") + &rule("gitlab = \"two\"\n") + &rule("gitlab = \"one\"\n");
    let settings = read(&good).expect("valid");
    for (name, host, rules) in [("one", "a", 2), ("two", "b", 1)] {
        let chosen = settings.clone().for_gitlab(Path::new("c.toml"), Some(name)).expect("there");
        assert_eq!((chosen.gitlab.url.as_str(), chosen.map.len()), (format!("https://{host}.example").as_str(), rules));
        assert!(chosen.map.iter().all(|rule| rule.gitlab.as_deref() == Some(name)));
    }
    for name in [None, Some("three"), Some("One"), Some("")] {
        let error = settings.clone().for_gitlab(Path::new("c.toml"), name).expect_err("none").to_string();
        assert!(error.contains("one, two"), "{error}");
    }
    for (text, said) in [
        (two.clone() + &rule(""), "`map.gitlab` is missing, and there are several servers"),
        (two.clone() + &rule("gitlab = \"three\"\n"), "`map.gitlab` is \"three\", and no server has this name"),
        (two + &server("", "c"), "`gitlab.name` is missing"),
        (
            server("name = \"one\"\n", "a") + &server("name = \"one\"\n", "b"),
            "is the name or the address of a server above",
        ),
        (
            server("name = \"one\"\n", "a") + &server("name = \"two\"\n", "a"),
            "is the name or the address of a server above",
        ),
        (server("name = \"7\"\n", "a"), "`gitlab.name` must be a word"),
        (server("name = \"../x\"\n", "a"), "`gitlab.name` must be a word"),
        ("gitlab = []\n".to_owned(), "`gitlab` is a list of none"),
        ("[gitlab]\nurl = \"https://a.example\"\n".to_owned() + &rule("gitlab = \"one\"\n"), "no server has this name"),
    ] {
        let error = read(&text).expect_err(&text);
        assert!(error.contains(said), "{text}{error}");
    }
    // Nobody who trusts a token takes a project of the one for that of the other.
    let token = "[token]\nissuer = \"https://ci.example\"\naudience = \"x\"\n";
    let issuers = |one: &str, other: &str| {
        let of = |issuer: &str| if issuer.is_empty() { String::new() } else { format!("token_issuer = {issuer:?}\n") };
        server(&format!("name = \"one\"\n{}", of(one)), "a")
            + &server(&format!("name = \"two\"\n{}", of(other)), "b")
            + token
    };
    for (one, other) in [("", ""), ("https://ci.example", ""), ("https://ci.example/x", "https://ci.example/x")] {
        let error = read(&issuers(one, other)).expect_err("one issuer");
        assert!(error.contains("would have tokens of one issuer"), "{error}");
    }
    let settings = read(&issuers("", "https://ci.example/two")).expect("valid");
    for (name, issuer) in [("one", "https://ci.example"), ("two", "https://ci.example/two")] {
        let chosen = settings.clone().for_gitlab(Path::new("c.toml"), Some(name)).expect("there");
        assert_eq!(chosen.token.expect("a section").issuer.as_str(), issuer);
    }
    // The only one needs no name, and may have one.
    let only =
        read("[gitlab]\nname = \"one\"\nurl = \"https://a.example\"\n[[map]]\nrun_as = \"arthur\"\n").expect("valid");
    for name in [None, Some("one")] {
        assert_eq!(only.clone().for_gitlab(Path::new("c.toml"), name).expect("it").map.len(), 1);
    }
    assert!(only.for_gitlab(Path::new("c.toml"), Some("two")).is_err());
}

#[test]
fn a_rule_of_an_included_file_is_judged_like_one_of_the_configuration_and_told_by_its_own_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let included = dir.path().join("a.toml");
    let said = |base: &str, rule: &str| {
        std::fs::write(&included, format!("# ours\n\n{rule}")).expect("written");
        let text = format!("include = [\"a.toml\"]\n{base}");
        Settings::parse(&dir.path().join("c.toml"), text).expect_err("refused").to_string()
    };
    let one = "[gitlab]\nurl = \"https://a.example\"\n";
    let two = "[[gitlab]]\nname = \"one\"\nurl = \"https://a.example\"\n[[gitlab]]\nname = \"two\"\nurl = \"https://b.example\"\n";
    for (base, rule, words) in [
        (two, "[[map]]\nrun_as = \"arthur\"\n", "`map.gitlab` is missing, and there are several servers"),
        (
            two,
            "[[map]]\ngitlab = \"three\"\nrun_as = \"arthur\"\n",
            "`map.gitlab` is \"three\", and no server has this name",
        ),
        (
            one,
            "[[map]]\nrun_as = \"arthur\"\napproved_by = \"ada\"\n",
            "this rule has `approved_by`, and there is no [approvals] section",
        ),
    ] {
        let error = said(base, rule);
        let place = format!("{}:3:1: ", included.display());
        assert!(error.contains(&format!("{place}{words}")), "{error}");
    }
}

/// A site with bounds, and a rule that grants this.
fn granting(rule: &str) -> String {
    format!(
        "[gitlab]\nurl = \"https://a.example\"\n[jobs]\nexecutor = \"slurm\"\nmessage = \"the site\"\n[token]\nissuer = \"https://ci.example\"\naudience = \"all\"\nttl = \"10m\"\n[slurm.limits]\nnodes = 2\ntime = \"1h\"\n[[map]]\nrun_as = \"arthur\"\n{rule}\n"
    )
}

#[test]
fn a_rule_that_grants_more_than_the_site_is_refused_with_its_line() {
    let read = |text: &str| Settings::parse(Path::new("c.toml"), text).map_err(|error| error.to_string());
    for (rule, said) in [
        ("slurm_limits = { nodes = 3 }", "`map.slurm_limits.nodes` is 3, but slurm.limits.nodes (line 11) admits 2"),
        ("slurm_limits = { time = \"2h\", nodes = 3 }", "`map.slurm_limits.time` is "),
        ("slurm_limits = { nodes = 0 }", "`map.slurm_limits.nodes` must be at least 1"),
        ("slurm_limits = { nods = 1 }", "nods"),
        ("token_ttl = \"11m\"", "`map.token_ttl` is longer than token.ttl, which is 10m"),
        ("token_ttl = \"1s\"", "is too short"),
        ("executor = \"ssh\"", "`map.executor`"),
    ] {
        let error = read(&granting(rule)).expect_err(rule);
        assert!(error.contains(said) && error.contains("c.toml:1"), "{rule}: {error}");
    }
    let without = granting("token_audience = \"x\"").replace("[token]", "[was]");
    let error = read(
        &without
            .split("[was]")
            .next()
            .map(|head| {
                head.to_owned() + "[[map]]\nrun_as = \"arthur\"\nexecutor = \"slurm\"\ntoken_audience = \"x\"\n"
            })
            .expect("text")
            .replace("executor = \"slurm\"\nmessage", "message"),
    );
    let error = error.expect_err("no tokens, and no scheduler");
    assert!(error.contains("`map.token_audience` is there, and no [token]"), "{error}");
    assert!(error.contains("`map.executor` is \"slurm\", and jobs.executor is not"), "{error}");
}

/// Nothing would hold them against the rule: only what a job sets is judged when it is submitted.
#[test]
fn a_job_that_asks_for_nothing_has_no_more_than_its_rule_grants() {
    let read = |rule: &str, defaults: &str| {
        let text =
            granting(rule).replace("[slurm.limits]", &format!("[slurm]\ndefaults = [{defaults}]\n[slurm.limits]"));
        Settings::parse(Path::new("c.toml"), &text).map_err(|error| error.to_string())
    };
    let wide = "\"--time=45\", \"--partition=gpu\", \"--mem-per-cpu=8G\", \"--cpus-per-task=2\"";
    for (rule, said) in [
        (
            "slurm_limits = { time = \"30m\" }",
            "slurm.defaults has `--time=45`, but `map.slurm_limits.time` admits at most 30m",
        ),
        (
            "slurm_limits = { partitions = [\"batch\"] }",
            "has `--partition=gpu`, but `map.slurm_limits.partitions` admits batch",
        ),
        ("slurm_limits = { cpus_per_task = 1 }", "has `--cpus-per-task=2`, but"),
        ("slurm_limits = { mem = \"9G\" }", "but `map.slurm_limits.mem` admits"),
        ("slurm_limits = { time = \"30m\" }\nslurm = [\"--account=x\"]", "has `--time=45`, but"),
    ] {
        let error = read(rule, wide).map(|_| ()).expect_err(rule);
        assert!(error.contains(said) && error.contains("c.toml:1"), "{rule}: {error}");
    }
    for (rule, defaults) in [
        ("slurm_limits = { time = \"45m\", partitions = [\"gpu\"], mem = \"16G\" }", wide),
        ("slurm_limits = { time = \"30m\" }", "\"--time=30\""),
        // What the rule fixes is instead of the default, and so is another word for the same thing.
        ("slurm_limits = { time = \"30m\", mem = \"1G\" }\nslurm = [\"--time=20\", \"--mem=1G\"]", wide),
    ] {
        assert!(read(rule, defaults).is_ok(), "{rule}: {:?}", read(rule, defaults).map(|_| ()));
    }
}

#[test]
fn what_a_rule_grants_is_never_more_than_the_site_has_by_then() {
    let read = |text: &str| Settings::parse(Path::new("c.toml"), text).expect("valid");
    let rule = "slurm_limits = { nodes = 1 }\ntoken_ttl = \"5m\"\ntoken_audience = \"vault\"\nmessage = \"the rule\"";
    let settings = read(&granting(rule));
    // As the session keeps them.
    let terms = serde_json::to_string(&settings.map[0].terms).expect("JSON");
    let terms: Terms = serde_json::from_str(&terms).expect("its own words");
    assert_eq!(terms, settings.map[0].terms);
    let wanted = |nodes: u64| [("SCHEDULER_PARAMETERS".to_owned(), format!("--nodes={nodes}"))];
    let of_rule = settings.clone().under(&terms).expect("terms");
    let token = of_rule.token.as_ref().expect("a section");
    assert_eq!((token.ttl.as_secs(), token.audience.as_str()), (300, "vault"));
    assert_eq!(of_rule.jobs.message.as_deref(), Some("the site\nthe rule"));
    let batch = of_rule.batch().expect("a scheduler");
    assert!(batch.resources(None, &wanted(1)).is_ok());
    let refused = batch.resources(None, &wanted(2)).expect_err("more than the rule").to_string();
    assert!(refused.contains("map.slurm_limits.nodes (c.toml line 15) admits at most 1"), "{refused}");
    assert!(settings.batch().expect("a scheduler").resources(None, &wanted(2)).is_ok(), "and so may others");
    // A site that has become stricter since the job began.
    let strict = granting("").replace("ttl = \"10m\"", "ttl = \"2m\"").replace("nodes = 2", "nodes = 1");
    let wide = Terms { limits: read(&granting("slurm_limits = { nodes = 2 }")).map[0].terms.limits.clone(), ..terms };
    let stricter = read(&strict).under(&wide).expect("terms");
    assert_eq!(stricter.token.as_ref().expect("a section").ttl.as_secs(), 120);
    assert!(stricter.batch().expect("a scheduler").resources(None, &wanted(2)).is_err());
    // Where nobody says how many nodes, the smaller bound does.
    let granted = batch.resources(None, &[("SCHEDULER_PARAMETERS".to_owned(), "--ntasks=4".to_owned())]);
    assert!(granted.expect("granted").options.iter().any(|option| option == "--nodes=1"));
    // What cannot be kept is no permission for more.
    let kind = kinds().next().expect("a scheduler");
    let elsewhere = Terms { executor: Some(RuleExecutor::Batch(kind)), ..Terms::default() };
    let here = read("[gitlab]\nurl = \"https://a.example\"\n[[map]]\nrun_as = \"arthur\"\n");
    assert!(here.under(&elsewhere).expect_err("no scheduler any more").contains("no longer does"));
    let lives_for_ever = Terms { token_ttl: Some(Duration::from_hours(100)), ..Terms::default() };
    assert!(settings.clone().under(&lives_for_ever).is_err());
    let unread = serde_json::from_str::<Terms>("{\"limits\":{\"slurm\":\"\"}}").expect("terms");
    assert!(settings.clone().under(&unread).is_err());
    let in_a_shell = Terms { executor: Some(RuleExecutor::Shell), ..Terms::default() };
    assert!(settings.under(&in_a_shell).expect("terms").batch().is_none());
}
