//! `sub`: who a token speaks for, as one line that rules can be written on.
//!
//! Its form is the one that GitLab's own tokens have, `project_path:{p}:ref_type:{t}:ref:{r}`, so that rules written for
//! those carry over; where GitLab has signed whose code it is, `{p}` is that project, perhaps a fork. Where the code may be that of a fork, project and ref of the code are not known, and GitLab's form would
//! claim that they are the project's own: then it is `job_project_path:{p}:pipeline:merge_request`, which no such rule matches.
//!
//! Branch names are chosen by whoever pushes, so the encoding must not let one job's facts spell
//! another job's subject: values are percent-encoded (`%` itself first), a component is never empty and never cut off,
//! and a different choice of components has different keys. The tests invert it to hold that.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::evidence::{Code, JobFacts, PipelineKind, RefType};

/// Longest subject in bytes: OpenID Connect Core 1.0, section 2.
pub const MAX_SUBJECT: usize = 255;

/// The project a subject begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectName {
    /// `project_path:`, the full path.
    Path(String),
    /// `project_id:`, where GitLab did not tell the path.
    Id(u64),
}

/// The git ref in a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefName {
    /// `ref:`, the name.
    Name(String),
    /// `ref_sha256:`, the digest of a name that is too long to be spelled out. The other key keeps both apart.
    Digest([u8; 32]),
}

/// The facts in a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    project: ProjectName,
    ref_type: Option<RefType>,
    git_ref: Option<RefName>,
    pipeline: PipelineKind,
}

/// Why there is no subject.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// An empty value would make two components look like one.
    #[error("the {0} of the job is empty, so no subject can be made")]
    Empty(&'static str),
    /// Longer than verifiers accept, even with the ref's digest in place of its name.
    #[error(
        "the subject would have {0} bytes, more than the {MAX_SUBJECT} that verifiers accept: shorten the project's path"
    )]
    TooLong(usize),
}

impl Subject {
    /// The subject of a job. What is unknown is left out, key and all.
    pub fn of(facts: &JobFacts) -> Result<Self, SubjectError> {
        let named =
            |path: Option<&str>, id| path.map_or(ProjectName::Id(id), |path| ProjectName::Path(path.to_owned()));
        match facts.code() {
            Code::Of(code) => {
                let project = named(code.project_path, code.project_id);
                Self::new(project, code.ref_type, code.git_ref.map(ToOwned::to_owned))
            }
            Code::Unknown(pipeline) => Self::of_foreign_code(named(facts.project_path(), facts.project_id()), pipeline),
        }
    }

    /// The subject of a job that runs in this project, with code that may not be the project's.
    fn of_foreign_code(project: ProjectName, pipeline: PipelineKind) -> Result<Self, SubjectError> {
        Self { pipeline, ..Self::new(project, None, None)? }.of_bounded_length()
    }

    /// The subject with these components; a ref that makes it too long is replaced by its digest.
    pub fn new(project: ProjectName, ref_type: Option<RefType>, git_ref: Option<String>) -> Result<Self, SubjectError> {
        match (&project, git_ref.as_deref()) {
            (ProjectName::Path(path), _) if path.is_empty() => {
                return Err(SubjectError::Empty("project path"));
            }
            (ProjectName::Id(0), _) => return Err(SubjectError::Empty("project id")),
            (_, Some("")) => return Err(SubjectError::Empty("ref")),
            _ => {}
        }
        let mut subject = Self { project, ref_type, git_ref: git_ref.map(RefName::Name), pipeline: PipelineKind::Ref };
        if let (true, Some(RefName::Name(name))) = (subject.encode().len() > MAX_SUBJECT, &subject.git_ref) {
            subject.git_ref = Some(RefName::Digest(Sha256::digest(name).into()));
        }
        subject.of_bounded_length()
    }

    fn of_bounded_length(self) -> Result<Self, SubjectError> {
        match self.encode().len() {
            0..=MAX_SUBJECT => Ok(self),
            length => Err(SubjectError::TooLong(length)),
        }
    }

    /// The line itself: ASCII, at most [`MAX_SUBJECT`] bytes.
    pub fn encode(&self) -> String {
        let (whose, pipeline) = match self.pipeline {
            PipelineKind::Ref => ("", ""),
            PipelineKind::MergeRequest => ("job_", ":pipeline:merge_request"),
            PipelineKind::Unknown => ("job_", ":pipeline:unknown"),
        };
        let mut line = match &self.project {
            ProjectName::Path(path) => format!("{whose}project_path:{}{pipeline}", escaped(path)),
            ProjectName::Id(id) => format!("{whose}project_id:{id}{pipeline}"),
        };
        match self.ref_type {
            Some(RefType::Branch) => line.push_str(":ref_type:branch"),
            Some(RefType::Tag) => line.push_str(":ref_type:tag"),
            None => {}
        }
        match &self.git_ref {
            Some(RefName::Name(name)) => {
                line.push_str(":ref:");
                line.push_str(&escaped(name));
            }
            Some(RefName::Digest(digest)) => {
                line.push_str(":ref_sha256:");
                line.push_str(&hex(digest));
            }
            None => {}
        }
        line
    }
}

/// `%`, `:`, space, control characters and everything beyond ASCII become `%XX`; `/` stays.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'%' | b':' | 0..=b' ' | 0x7f.. => {
                let _ = write!(out, "%{byte:02X}"); // a String takes everything
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a subject back. Only what [`Subject::encode`] writes is accepted, byte for byte: other spellings of the same
    /// facts (`%41` for `A`, `%3a` for `%3A`) are no subjects. That there is such a reader is what makes the encoding
    /// injective.
    fn parse(line: &str) -> Option<Subject> {
        read(line).filter(|subject| subject.encode() == line && line.len() <= MAX_SUBJECT)
    }

    fn read(line: &str) -> Option<Subject> {
        let mut parts = line.split(':').peekable();
        let (key, name) = (parts.next()?, parts.next()?);
        let project = match key.strip_prefix("job_").unwrap_or(key) {
            "project_path" => ProjectName::Path(unescaped(name)?),
            "project_id" => ProjectName::Id(name.parse().ok().filter(|id| *id != 0)?),
            _ => return None,
        };
        if key.starts_with("job_") {
            let pipeline = match (parts.next()?, parts.next()?, parts.next()) {
                ("pipeline", "merge_request", None) => PipelineKind::MergeRequest,
                ("pipeline", "unknown", None) => PipelineKind::Unknown,
                _ => return None,
            };
            return Some(Subject { project, ref_type: None, git_ref: None, pipeline });
        }
        let ref_type = match parts.next_if_eq(&"ref_type").and_then(|_| parts.next()) {
            Some("branch") => Some(RefType::Branch),
            Some("tag") => Some(RefType::Tag),
            Some(_) => return None,
            None => None,
        };
        let git_ref = match (parts.next(), parts.next()) {
            (Some("ref"), Some(name)) => Some(RefName::Name(unescaped(name)?)),
            (Some("ref_sha256"), Some(digest)) => Some(RefName::Digest(unhex(digest)?)),
            (None, None) => None,
            _ => return None,
        };
        parts.next().is_none().then_some(Subject { project, ref_type, git_ref, pipeline: PipelineKind::Ref })
    }

    fn unescaped(value: &str) -> Option<String> {
        let mut bytes = Vec::with_capacity(value.len());
        let mut rest = value.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(if byte == b'%' { nibble(rest.next()?)? << 4 | nibble(rest.next()?)? } else { byte });
        }
        String::from_utf8(bytes).ok().filter(|value| !value.is_empty())
    }

    fn nibble(digit: u8) -> Option<u8> {
        char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
    }

    fn unhex(text: &str) -> Option<[u8; 32]> {
        let digits: Vec<u8> = text.bytes().map(nibble).collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        if digits.len() == 64 { bytes.try_into().ok() } else { None }
    }

    fn line(path: &str, kind: Option<RefType>, git_ref: Option<&str>) -> String {
        Subject::new(ProjectName::Path(path.into()), kind, git_ref.map(Into::into)).unwrap().encode()
    }

    #[test]
    fn an_ordinary_branch_reads_as_in_gitlabs_own_tokens() {
        let sub = line("climate/model", Some(RefType::Branch), Some("feature/x"));
        assert_eq!(sub, "project_path:climate/model:ref_type:branch:ref:feature/x");
    }

    #[test]
    fn unknown_facts_leave_their_key_out() {
        assert_eq!(line("a/b", None, Some("main")), "project_path:a/b:ref:main");
        assert_eq!(line("a/b", Some(RefType::Tag), None), "project_path:a/b:ref_type:tag");
        assert_eq!(line("a/b", None, None), "project_path:a/b");
        assert_eq!(Subject::new(ProjectName::Id(7), None, None).unwrap().encode(), "project_id:7");
    }

    #[test]
    fn separators_and_escapes_in_a_value_are_escaped() {
        let sub = line("a/b", Some(RefType::Branch), Some("x:ref:main%3A é\n"));
        assert_eq!(sub, "project_path:a/b:ref_type:branch:ref:x%3Aref%3Amain%253A%20%C3%A9%0A");
    }

    #[test]
    fn an_empty_component_is_refused() {
        let path = |path: &str| ProjectName::Path(path.into());
        assert_eq!(Subject::new(path(""), None, None), Err(SubjectError::Empty("project path")));
        assert_eq!(Subject::new(path("a"), None, Some(String::new())), Err(SubjectError::Empty("ref")));
        assert_eq!(Subject::new(ProjectName::Id(0), None, None), Err(SubjectError::Empty("project id")));
    }

    #[test]
    fn a_long_ref_becomes_its_digest_under_another_key_and_is_never_cut() {
        let fits = "r".repeat(MAX_SUBJECT - "project_path:a/b:ref_type:branch:ref:".len());
        assert_eq!(line("a/b", Some(RefType::Branch), Some(&fits)).len(), MAX_SUBJECT);
        let long = format!("{fits}r");
        let sub = line("a/b", Some(RefType::Branch), Some(&long));
        let digest = hex(&Sha256::digest(&long).into());
        assert_eq!(sub, format!("project_path:a/b:ref_type:branch:ref_sha256:{digest}"));
        assert_ne!(sub, line("a/b", Some(RefType::Branch), Some(&digest)));
        assert_ne!(sub, line("a/b", Some(RefType::Branch), Some(&format!("{long}r"))));
    }

    #[test]
    fn a_project_path_that_is_too_long_by_itself_is_refused() {
        let path = ProjectName::Path("p".repeat(250));
        assert!(matches!(Subject::new(path, None, Some("main".into())), Err(SubjectError::TooLong(_))));
    }

    #[test]
    fn code_that_may_be_a_strangers_has_a_subject_that_no_branch_has() {
        let of = |name, pipeline| Subject::of_foreign_code(name, pipeline).unwrap();
        let path = || ProjectName::Path("a/b:pipeline".into());
        for (subject, line) in [
            (of(path(), PipelineKind::MergeRequest), "job_project_path:a/b%3Apipeline:pipeline:merge_request"),
            (of(ProjectName::Id(7), PipelineKind::MergeRequest), "job_project_id:7:pipeline:merge_request"),
            (of(path(), PipelineKind::Unknown), "job_project_path:a/b%3Apipeline:pipeline:unknown"),
        ] {
            assert_eq!(subject.encode(), line);
            assert_eq!(parse(line), Some(subject));
        }
        let long = ProjectName::Path("p".repeat(MAX_SUBJECT - "project_path:".len()));
        assert!(Subject::new(long.clone(), None, None).is_ok());
        assert!(matches!(Subject::of_foreign_code(long, PipelineKind::MergeRequest), Err(SubjectError::TooLong(_))));
    }

    #[test]
    fn only_the_canonical_spelling_is_read() {
        for bad in [
            "",
            "project_path",
            "project_path:",
            "project_path:a:",
            "project_path:a:ref:",
            "project_path:a:ref:x:y",
            "project_path:%41",
            "project_path:a%3a",
            "project_path:a%",
            "project_path:a%2",
            "project_path:%FF",
            "project_path:a:ref:x:ref_type:tag",
            "project_path:a:ref_type:Tag",
            "project_path:a:ref_type",
            "project_id:0",
            "project_id:07",
            "project_id:+7",
            "job:1",
            "job_project_id:7",
            "job_project_path:a:pipeline:push",
            "job_project_path:a:pipeline:merge_request:ref:main",
            "project_path:a:pipeline:merge_request",
            "project_path:a b",
            "project_path:é",
            "project_path:a:ref_sha256:00",
            " project_path:a",
            "project_path:a:ref_type:tag:ref_type:tag",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    fn facts() -> impl Strategy<Value = (ProjectName, Option<RefType>, Option<String>)> {
        let tricky = "([a-c/:% \u{e9}]|%3A|:ref:|:ref_type:tag|ref_sha256|\\PC|\n){1,60}";
        let project = prop_oneof![tricky.prop_map(ProjectName::Path), (1..9_u64).prop_map(ProjectName::Id)];
        let kind = prop_oneof![Just(None), Just(Some(RefType::Branch)), Just(Some(RefType::Tag))];
        (project, kind, proptest::option::of(tricky))
    }

    proptest! {
        #[test]
        fn a_subject_is_read_back_as_it_was_written((project, kind, git_ref) in facts()) {
            if let Ok(subject) = Subject::new(project, kind, git_ref) {
                let line = subject.encode();
                prop_assert!(line.is_ascii() && line.len() <= MAX_SUBJECT && !line.contains(['\n', ' ']));
                prop_assert_eq!(parse(&line), Some(subject));
            }
        }

        #[test]
        fn different_facts_have_different_subjects(one in facts(), two in facts()) {
            let subject = |(project, kind, git_ref)| Subject::new(project, kind, git_ref).ok().map(|s| s.encode());
            if let (Some(first), Some(second)) = (subject(one.clone()), subject(two.clone())) {
                prop_assert_eq!(first == second, one == two);
            }
        }

        #[test]
        fn no_input_makes_the_parser_fail_otherwise_than_by_refusing(line in "\\PC{0,80}") {
            if let Some(subject) = parse(&line) {
                prop_assert_eq!(subject.encode(), line);
            }
        }
    }
}
