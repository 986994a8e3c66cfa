//! `motmot approve`: say by a signature that a commit may run as an account, and keep what others have said.
//!
//! Whoever approves does it on his own machine, as himself: no configuration is read for that, and the key stays with
//! `ssh-keygen` or the agent.

mod keep;
mod sign;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use jiff::{SignedDuration, Span, SpanRelativeTo};

use super::terminal::{answer, complain};
use crate::approval::settings::site;
use crate::approval::{Approval, LONGEST, NotApprovals, Unapproved};
use crate::config::values::BaseUrl;

/// Not an approval, or not one that counts here.
const NOT_APPROVED: u8 = 3;
/// More than any text with approvals.
const MOST: u64 = 1 << 20;

/// Arguments of `motmot approve`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("kept").args(["install", "verify", "list", "revoke"]),
    after_help = "Exit codes: 0 done, 1 not done, 2 usage, 3 not an approval that counts"
)]
pub struct ApproveArgs {
    /// The GitLab of the project
    #[arg(long, value_name = "URL", value_parser = BaseUrl::parse, required_unless_present = "kept", conflicts_with = "kept")]
    gitlab: Option<BaseUrl>,
    /// The number of the project there (Settings, General)
    #[arg(long, value_name = "N", required_unless_present = "kept", conflicts_with = "kept")]
    project_id: Option<u64>,
    /// The commit, all digits of its number
    #[arg(long, value_name = "SHA", required_unless_present = "kept", conflicts_with = "kept")]
    commit: Option<String>,
    /// The local account that jobs of this commit may run as
    #[arg(long, value_name = "NAME", required_unless_present = "kept", conflicts_with = "kept")]
    account: Option<String>,
    /// How long from now it is good, such as 12h or 7d; a year at most
    #[arg(long, value_name = "DURATION", value_parser = life, required_unless_present = "kept", conflicts_with = "kept")]
    expires: Option<SignedDuration>,
    /// The site, as its administrators call it (approvals.issuer, or token.issuer)
    #[arg(long, value_name = "URL", value_parser = site, required_unless_present = "kept")]
    issuer: Option<String>,
    /// The SSH key to sign with; its public half is enough where an agent has the other [default: the agent's only key]
    #[arg(long, value_name = "FILE", conflicts_with = "kept")]
    key: Option<PathBuf>,
    /// Do not ask before signing
    #[arg(long, conflicts_with = "kept")]
    yes: bool,
    /// Write the approval to a new file [default: standard output]
    #[arg(long, short, value_name = "FILE", conflicts_with = "kept")]
    output: Option<PathBuf>,
    /// Put the approvals of a file, if they count here, into approvals.dir; `-` is standard input
    #[arg(long, value_name = "FILE")]
    install: Option<PathBuf>,
    /// Say what the approvals of a file are for, who has signed them, and whether they count here; `-` is standard input
    #[arg(long, value_name = "FILE")]
    verify: Option<PathBuf>,
    /// For --verify: the approvers' keys, instead of the configuration's; needs --issuer
    #[arg(long, value_name = "FILE", requires = "verify", requires = "issuer")]
    allowed_signers: Option<PathBuf>,
    /// List the approvals in approvals.dir
    #[arg(long)]
    list: bool,
    /// Take the approvals of one name of that list back
    #[arg(long, value_name = "NAME")]
    revoke: Option<String>,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum NotDone {
    #[error("{0}")]
    Input(String),
    #[error("{0} is not an approval: {1}")]
    Form(String, NotApprovals),
    #[error("{0}")]
    NoApproval(String),
    #[error("{0}")]
    Failed(String),
}

impl NotDone {
    fn failed(words: impl std::fmt::Display) -> Self {
        Self::Failed(words.to_string())
    }

    fn judged(name: &str, why: Unapproved) -> Self {
        Self::NoApproval(format!("{name}: {why}"))
    }

    fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Input(_) => 2,
            Self::Form(..) | Self::NoApproval(_) => NOT_APPROVED,
        }
    }
}

/// Runs `motmot approve`.
pub fn main(args: &ApproveArgs, config: &Path) -> ExitCode {
    let done = if let Some(file) = &args.install {
        keep::install(file, config)
    } else if let Some(file) = &args.verify {
        keep::verify(file, args.allowed_signers.as_deref(), args.issuer.as_deref(), config)
    } else if args.list {
        keep::list(config)
    } else if let Some(name) = &args.revoke {
        keep::revoke(name, config)
    } else {
        sign::run(args)
    };
    match done {
        Ok(text) => answer(&text, ExitCode::SUCCESS),
        Err(why) => complain(&why, ExitCode::from(why.code())),
    }
}

/// Days are of 24 hours here: nobody means the one of the change of clocks.
fn life(text: &str) -> Result<SignedDuration, String> {
    let span: Result<Span, _> = text.parse();
    let life = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    match life {
        Err(_) => Err("write a duration such as 12h or 7d".to_owned()),
        Ok(life) if life.as_secs() < 1 => Err("must be at least 1s".to_owned()),
        Ok(life) if life > LONGEST => {
            Err("must be 366d or less: nobody knows what the account will be good for then".to_owned())
        }
        Ok(life) => Ok(life),
    }
}

/// The approvals of a file, and how messages call it. Of what is no plain file nothing is read: this may be root.
fn read(file: &Path) -> Result<(String, Vec<Approval>), NotDone> {
    let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let text = if file == Path::new("-") { read_text(io::stdin().lock()) } else { open(file).and_then(read_text) };
    let text = text.map_err(|error| NotDone::Input(format!("{name}: {error}")))?;
    let all = Approval::parse_all(&text).map_err(|why| NotDone::Form(name.clone(), why))?;
    Ok((name, all))
}

fn open(file: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(file)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("is not a regular file")) }
}

fn read_text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}
