//! `[gitlab]`: whom we ask who a job is.

pub mod manual;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Section;
use crate::config::values::{self, BaseUrl, Issuer};

/// The variable of a job that carries its id token, unless the file names another.
pub const DEFAULT_VARIABLE: &str = "MOTMOT_ID_TOKEN";

/// `[gitlab]`
#[derive(Clone, Debug)]
pub struct GitLabSettings {
    /// What the runner's own configuration calls it (`--gitlab`); always there where there are several.
    pub name: Option<String>,
    /// Address of the GitLab that this runner belongs to. Never taken from a job.
    pub url: BaseUrl,
    /// Certificates (PEM) that its TLS certificate must lead to; otherwise the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest time for one question to it.
    pub timeout: Duration,
    /// Who says whose job one is.
    pub identity: Sources,
    /// `iss` of the tokens of its jobs, where it is not that of all.
    pub token_issuer: Option<Issuer>,
    /// A file with a token that GitLab is asked with who is in a group.
    pub groups_token: Option<PathBuf>,
    /// What the file says of id tokens, whether one is asked for or not. Who judges a token takes it from [`Sources`].
    pub id_token: UnjudgedIdToken,
}

/// Who says whose job one is. Where there are several they have to agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// GitLab's job API, asked with the job's own token.
    JobApi,
    /// The id token that GitLab has signed for the job.
    IdToken(IdTokenSettings),
    /// Both.
    JobApiAndIdToken(IdTokenSettings),
    /// The payload alone: numbers, no names.
    Payload,
}

impl Sources {
    /// What an id token has to be, if one is asked for.
    pub fn id_token(&self) -> Option<&IdTokenSettings> {
        match self {
            Self::IdToken(settings) | Self::JobApiAndIdToken(settings) => Some(settings),
            Self::JobApi | Self::Payload => None,
        }
    }
}

/// What can be known of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knowable<'s> {
    /// Who says whose job one is.
    pub sources: &'s Sources,
    /// Whether it is asked who is in a group.
    pub groups: Groups,
}

/// Whether GitLab is asked who is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// With a token of the site's.
    Asked,
    /// It is not.
    NotAsked,
}

impl GitLabSettings {
    /// What can be known of jobs of this server.
    pub fn knowable(&self) -> Knowable<'_> {
        let groups = if self.groups_token.is_some() { Groups::Asked } else { Groups::NotAsked };
        Knowable { sources: &self.identity, groups }
    }
}

/// What an id token has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTokenSettings {
    /// The variable of the job that it comes in.
    pub variable: String,
    /// `aud`: this site, and nobody else.
    pub audience: String,
}

/// What the file says of id tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnjudgedIdToken {
    variable: String,
    audience: Option<String>,
}

impl UnjudgedIdToken {
    /// Whether somebody who names an audience seems to rely on id tokens.
    pub fn has_audience(&self) -> bool {
        self.audience.is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    JobApi,
    IdToken,
    Payload,
}

/// Reads `[gitlab]`, or each `[[gitlab]]`: never none of them.
pub fn read_gitlabs(root: &mut Section<'_>) -> Option<Vec<GitLabSettings>> {
    if !root.is_list("gitlab") {
        return read_gitlab(root.section("gitlab")).map(|only| vec![only]);
    }
    let mut seen: Vec<GitLabSettings> = Vec::new();
    let all = root.tables("gitlab", |section| {
        let (place, is_named) = (section.place(), section.has("name"));
        let read = read_gitlab(section);
        seen.extend(read.clone());
        (place, is_named, read.is_some())
    });
    let read_all = !all.is_empty() && all.iter().all(|(_, _, read)| *read);
    for (place, ..) in all.iter().filter(|(_, is_named, _)| !is_named) {
        let help = "for example: name = \"prod\"; the runner names it with --gitlab";
        root.problem_with_help(place, "`gitlab.name` is missing: of several servers each has one", help);
    }
    for (number, (place, ..)) in all.iter().enumerate().filter(|_| read_all) {
        let one = &seen[number];
        let twice = |other: &GitLabSettings| other.url == one.url || (one.name.is_some() && other.name == one.name);
        if seen[..number].iter().any(twice) {
            root.problem(place, "this is the name or the address of a server above; each is there once");
        }
    }
    if all.is_empty() {
        root.problem(&root.place(), "`gitlab` is a list of none; name a server in [gitlab]");
    }
    Some(seen).filter(|_| read_all)
}

/// Reads the section.
pub fn read_gitlab(mut section: Section<'_>) -> Option<GitLabSettings> {
    if !section.is_present() {
        let help = "add [gitlab] with url = \"https://gitlab.example.com\"";
        section.problem_with_help(&section.place(), "the section [gitlab] is missing", help);
    }
    let name = section.parsed("name", server_name);
    let url = section.required("url", "\"https://gitlab.example.com\"", front_page);
    let (identity, id_token) = read_identity(&mut section);
    let ca_file = section.parsed("ca_file", values::absolute_path);
    let groups_token = section.parsed("groups_token", values::absolute_path);
    let timeout = section.duration_up_to("timeout", 1, "the runner waits meanwhile");
    let token_issuer = section.parsed("token_issuer", Issuer::parse);
    section.finish();
    Some(GitLabSettings {
        name,
        url: url?,
        ca_file,
        timeout: timeout.unwrap_or(Duration::from_secs(10)),
        identity: identity?,
        token_issuer,
        groups_token,
        id_token,
    })
}

fn read_identity(section: &mut Section<'_>) -> (Option<Sources>, UnjudgedIdToken) {
    let named = section.has("identity");
    let sources = section.one_or_more("identity", |word| match word {
        "job-api" => Ok(Source::JobApi),
        "id-token" => Ok(Source::IdToken),
        "payload" => Ok(Source::Payload),
        _ => Err(format!("is {word:?}, but must be \"job-api\" or \"id-token\" or \"payload\"")),
    });
    let sources = sources.unwrap_or_else(|| if named { Vec::new() } else { vec![Source::JobApi] });
    let has = |source| sources.contains(&source);
    let place = section.place();
    if has(Source::Payload) && sources.iter().any(|source| *source != Source::Payload) {
        section.problem_with_help(
            &place,
            "`gitlab.identity` names \"payload\" beside others",
            "whatever else is asked has to fit the payload anyway: leave \"payload\" out",
        );
    }
    let id_token = UnjudgedIdToken {
        variable: section.parsed("id_token_variable", variable_name).unwrap_or_else(|| DEFAULT_VARIABLE.to_owned()),
        audience: section.parsed("id_token_audience", values::visible_text),
    };
    if has(Source::IdToken) && !section.has("id_token_audience") {
        section.problem_with_help(
            &place,
            "`gitlab.id_token_audience` is missing, and identity asks for an id token",
            "for example: id_token_audience = \"https://ci.hpc.example\"; jobs name it in `id_tokens:`",
        );
    }
    let settings = || {
        let UnjudgedIdToken { variable, audience } = id_token.clone();
        Some(IdTokenSettings { variable, audience: audience? })
    };
    let identity = match (has(Source::JobApi), has(Source::IdToken), has(Source::Payload)) {
        (true, false, _) => Some(Sources::JobApi),
        (false, true, _) => settings().map(Sources::IdToken),
        (true, true, _) => settings().map(Sources::JobApiAndIdToken),
        (false, false, true) => Some(Sources::Payload),
        (false, false, false) => None,
    };
    (identity, id_token)
}

/// As GitLab accepts it below `id_tokens:`.
fn variable_name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.is_empty() || text.len() > 255 || !text.bytes().all(allowed) || text.as_bytes()[0].is_ascii_digit() {
        return Err(format!("is not the name of a variable: {text:?}; write \"MOTMOT_ID_TOKEN\""));
    }
    Ok(text.to_owned())
}

/// It becomes part of paths, beside numbers of projects.
fn server_name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = text.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    if !begins || text.len() > 32 || !text.bytes().all(allowed) {
        return Err(format!("must be a word of at most 32 of a-z, 0-9 and -, that begins with a letter: {text:?}"));
    }
    Ok(text.to_owned())
}

/// The address of GitLab itself: what is below it is ours to add.
fn front_page(text: &str) -> Result<BaseUrl, String> {
    let url = BaseUrl::parse(text)?;
    match url.as_str().split_once("/api/v4") {
        Some((front, "")) => {
            Err(format!("must be the address of GitLab itself, not of its API: {text:?}; write {front:?}"))
        }
        Some((front, rest)) if rest.starts_with('/') => {
            Err(format!("must be the address of GitLab itself, not of a part of its API: {text:?}; write {front:?}"))
        }
        _ => Ok(url),
    }
}

#[cfg(test)]
mod tests;
