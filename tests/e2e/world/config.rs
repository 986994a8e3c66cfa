//! The configuration of a world: sections of typed keys, and rules. A key that does not exist does not compile; text that is
//! to be odd goes through [`Config::raw`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::Value;

/// What can stand behind a key.
pub trait Term {
    fn term(self) -> Value;
}

macro_rules! terms {
    ($($kind:ty: $value:ident => $term:expr;)*) => {
        $(impl Term for $kind {
            fn term(self) -> Value {
                let $value = self;
                $term
            }
        })*
    };
}

terms! {
    &str: text => Value::from(text);
    String: text => Value::from(text);
    &String: text => Value::from(text.as_str());
    bool: truth => Value::from(truth);
    u32: number => Value::from(i64::from(number));
    &Path: path => Value::from(path.to_str().expect("UTF-8"));
    PathBuf: path => path.as_path().term();
    &PathBuf: path => path.as_path().term();
}

impl<T: Term, const N: usize> Term for [T; N] {
    fn term(self) -> Value {
        Value::Array(self.into_iter().map(Term::term).collect())
    }
}

impl Term for &[&str] {
    fn term(self) -> Value {
        Value::Array(self.iter().map(|text| text.term()).collect())
    }
}

/// A table of names and texts, such as an environment.
impl<const N: usize> Term for [(&str, &str); N] {
    fn term(self) -> Value {
        Value::Table(self.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text))).collect())
    }
}

/// A table of names and numbers, such as limits.
impl<const N: usize> Term for [(&str, u32); N] {
    fn term(self) -> Value {
        Value::Table(self.into_iter().map(|(name, number)| (name.to_owned(), number.term())).collect())
    }
}

/// Keys and values.
#[derive(Clone, Default)]
struct Keys(BTreeMap<&'static str, Value>);

impl Keys {
    fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "{key} = {value}");
            text
        })
    }
}

macro_rules! sections {
    ($($(#[$meta:meta])* $Section:ident: $($key:ident)*;)*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Default)]
            pub struct $Section(Keys);

            impl $Section {
                $(
                    pub fn $key(&mut self, value: impl Term) -> &mut Self {
                        self.0.0.insert(stringify!($key), value.term());
                        self
                    }
                )*
            }
        )*
    };
}

sections! {
    /// `[gitlab]`
    GitlabSection: url timeout ca_file identity id_token_variable id_token_audience groups_token;
    /// `[jobs]`
    JobsSection: downscope executor state_dir data_dir data_dir_group_writable kill_timeout shell_path login_shell no_new_privs message environment path_prepend image services limits;
    /// `[token]`
    TokenSection: issuer audience site cluster keys ttl variable;
    /// `[accounts]`
    AccountsSection: min_uid deny_users deny_groups shells pam_service pam_session;
    /// `[log]`, but for the file
    LogSection: audit syslog_socket on_failure;
    /// `[slurm]`
    SlurmSection: conf bin_dir test_only defaults parameters allow stages allocation requeue token_timeout output_timeout unknown_timeout;
    /// `[slurm.limits]`
    LimitsSection: time nodes ntasks cpus_per_task partitions mem gres;
}

impl SlurmSection {
    /// `[slurm.limits]`
    pub fn limits(&mut self, edit: impl FnOnce(&mut LimitsSection) -> &mut LimitsSection) -> &mut Self {
        let mut limits = LimitsSection::default();
        edit(&mut limits);
        let table = limits.0.0.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        self.0.0.insert("limits", Value::Table(table));
        self
    }
}

/// A `[[map]]`: whose jobs run as whom.
#[derive(Clone)]
pub struct Rule {
    name: Option<String>,
    when: Vec<(&'static str, Value)>,
    run_as: String,
    slurm: Option<Value>,
}

impl Rule {
    /// Without conditions. Runs jobs as the account that is called as the GitLab user.
    pub fn everybody() -> Self {
        Self { name: None, when: Vec::new(), run_as: "{gitlab_user}".into(), slurm: None }
    }

    /// For the GitLab user of this name.
    pub fn user(login: &str) -> Self {
        Self { when: vec![("user", Value::from(login))], ..Self::everybody() }
    }

    /// For the GitLab user of this number.
    pub fn user_id(id: u32) -> Self {
        Self { when: vec![("user_id", id.term())], ..Self::everybody() }
    }

    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    pub fn run_as(mut self, account: &str) -> Self {
        self.run_as = account.into();
        self
    }

    /// Options for Slurm.
    pub fn slurm(mut self, options: impl Term) -> Self {
        self.slurm = Some(options.term());
        self
    }

    fn text(&self) -> String {
        let mut text = String::from("[[map]]\n");
        if let Some(name) = &self.name {
            let _ = writeln!(text, "name = {}", Value::from(name.as_str()));
        }
        if !self.when.is_empty() {
            let when = self.when.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            let _ = writeln!(text, "when = {}", Value::Table(when));
        }
        let _ = writeln!(text, "run_as = {}", Value::from(self.run_as.as_str()));
        if let Some(options) = &self.slurm {
            let _ = writeln!(text, "slurm = {options}");
        }
        text
    }
}

/// A whole configuration.
#[derive(Clone)]
pub struct Config {
    gitlab: GitlabSection,
    jobs: JobsSection,
    token: Option<TokenSection>,
    accounts: AccountsSection,
    slurm: Option<SlurmSection>,
    log: PathBuf,
    log_section: LogSection,
    rules: Vec<Rule>,
    raw: String,
    above: String,
}

impl Config {
    /// Nothing said yet: everybody's jobs run as the account of their name, with tokens.
    pub(super) fn new() -> Self {
        Self {
            gitlab: GitlabSection::default(),
            jobs: JobsSection::default(),
            token: Some(TokenSection::default()),
            accounts: AccountsSection::default(),
            slurm: None,
            log: PathBuf::new(),
            log_section: LogSection::default(),
            rules: vec![Rule::everybody().name("same name")],
            raw: String::new(),
            above: String::new(),
        }
    }

    pub fn gitlab(&mut self, edit: impl FnOnce(&mut GitlabSection) -> &mut GitlabSection) -> &mut Self {
        edit(&mut self.gitlab);
        self
    }

    pub fn jobs(&mut self, edit: impl FnOnce(&mut JobsSection) -> &mut JobsSection) -> &mut Self {
        edit(&mut self.jobs);
        self
    }

    pub fn token(&mut self, edit: impl FnOnce(&mut TokenSection) -> &mut TokenSection) -> &mut Self {
        edit(self.token.get_or_insert_default());
        self
    }

    /// A site without tokens.
    pub fn no_tokens(&mut self) -> &mut Self {
        self.token = None;
        self
    }

    pub fn accounts(&mut self, edit: impl FnOnce(&mut AccountsSection) -> &mut AccountsSection) -> &mut Self {
        edit(&mut self.accounts);
        self
    }

    /// Nothing is said in `[accounts]` any more.
    pub fn no_limits(&mut self) -> &mut Self {
        self.accounts = AccountsSection::default();
        self
    }

    /// Jobs go to Slurm.
    pub fn slurm(&mut self, edit: impl FnOnce(&mut SlurmSection) -> &mut SlurmSection) -> &mut Self {
        edit(self.slurm.get_or_insert_default());
        self
    }

    /// What was said about Slurm is forgotten but for this cluster.
    pub fn only_cluster(&mut self, conf: &Path) -> &mut Self {
        self.slurm = None;
        self.slurm(|slurm| slurm.conf(conf))
    }

    /// These rules in place of all others.
    pub fn rules(&mut self, rules: impl IntoIterator<Item = Rule>) -> &mut Self {
        self.rules = rules.into_iter().collect();
        self
    }

    /// Text for the end of the file, whatever it is.
    pub fn raw(&mut self, text: &str) -> &mut Self {
        self.raw.push_str(text);
        self
    }

    /// Text above all sections.
    pub fn above(&mut self, text: &str) -> &mut Self {
        self.above.push_str(text);
        self
    }

    /// What nobody has said is as in this one.
    pub(super) fn complete(&mut self, standard: Self) {
        let fill = |keys: &mut Keys, from: Keys| {
            for (key, value) in from.0 {
                keys.0.entry(key).or_insert(value);
            }
        };
        fill(&mut self.gitlab.0, standard.gitlab.0);
        fill(&mut self.jobs.0, standard.jobs.0);
        if let (Some(token), Some(from)) = (&mut self.token, standard.token) {
            fill(&mut token.0, from.0);
        }
        self.log = standard.log;
    }

    /// `log.file`
    pub fn log(&mut self, file: &Path) -> &mut Self {
        file.clone_into(&mut self.log);
        self
    }

    /// The rest of `[log]`.
    pub fn logging(&mut self, edit: impl FnOnce(&mut LogSection) -> &mut LogSection) -> &mut Self {
        edit(&mut self.log_section);
        self
    }

    pub(super) fn text(&self) -> String {
        let mut jobs = self.jobs.clone();
        if self.slurm.is_some() {
            jobs.executor("slurm");
        }
        let mut text = format!("{}[gitlab]\n{}\n[jobs]\n{}\n", self.above, self.gitlab.0.text(), jobs.0.text());
        for (name, keys) in [
            ("slurm", self.slurm.as_ref().map(|slurm| &slurm.0)),
            ("token", self.token.as_ref().map(|token| &token.0)),
            ("accounts", Some(&self.accounts.0)),
        ] {
            if let Some(keys) = keys {
                let _ = write!(text, "[{name}]\n{}\n", keys.text());
            }
        }
        let _ = write!(text, "[log]\nfile = {}\n{}\n", self.log.as_path().term(), self.log_section.0.text());
        text.extend(self.rules.iter().map(Rule::text));
        text + &self.raw
    }
}
