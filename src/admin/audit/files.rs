//! Which files a log is in, and what is in them: the one of the configuration, and those that logrotate has renamed.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, anyhow, bail};

use super::lines::{Line, Lines};
use crate::report::audit::chain::{Chained, Head};
use crate::report::audit::{PATIENCE, head_of, when_free};
use crate::settings::Settings;

/// So many lines of a file are looked at for what it begins with.
const BEGINNING: usize = 16;
/// More files than that are no log of years.
const MOST_FILES: usize = 512;
/// What unpacks a file with this ending.
const PACKED: [(&str, &str); 3] = [("gz", "gzip"), ("xz", "xz"), ("zst", "zstd")];

/// A file of a log.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    /// So much of it is read: what stages add meanwhile is not in the head that it is held against.
    length: Option<u64>,
}

/// All files of a log, the oldest first.
#[derive(Debug)]
pub(super) struct LogFiles {
    pub(super) files: Vec<LogFile>,
    /// The end of its chain, where that is kept.
    pub(super) end: KnownEnd,
}

/// What is known of the end of a log.
#[derive(Clone, Debug)]
pub(super) enum KnownEnd {
    /// Its head.
    Head(Head),
    /// The log of a configuration, without its head.
    HeadMissing(PathBuf),
    /// Files that somebody has named, the last of which has no head.
    Open,
}

impl LogFiles {
    /// Those that are named; else those of the configuration.
    pub(super) fn find(named: &[PathBuf], config: &Path) -> anyhow::Result<Self> {
        if named.is_empty() {
            return Self::of_configuration(config);
        }
        let mut files: Vec<_> = named.iter().map(|path| LogFile { path: path.clone(), length: None }).collect();
        // What comes through a pipe can be looked at once.
        if named.iter().all(|path| path.is_file()) {
            sort(&mut files)?;
        }
        let live = files.last().map(|file| head_of(&file.path)).filter(|head| head.is_file());
        let Some(head) = live else { return Ok(Self { files, end: KnownEnd::Open }) };
        Self::held(files, &head)
    }

    fn of_configuration(config: &Path) -> anyhow::Result<Self> {
        let settings = Settings::load(config)
            .map_err(|error| anyhow!("{}\nname the files of the log: --file FILE", error.render()))?;
        let Some(log) = settings.log.file else {
            bail!(
                "{} names no file for the log (log.file, log.audit); what is in the journal shows: journalctl -t motmot",
                config.display()
            );
        };
        let mut files: Vec<_> = renamed(&log)?.into_iter().map(|path| LogFile { path, length: None }).collect();
        sort(&mut files)?;
        if log.exists() {
            files.push(LogFile { path: log.clone(), length: None });
        }
        if files.is_empty() {
            bail!("{} does not exist: no job has begun yet", log.display());
        }
        let head = head_of(&log);
        if head.is_file() { Self::held(files, &head) } else { Ok(Self { files, end: KnownEnd::HeadMissing(head) }) }
    }

    /// Head and length of the last file, as they belong together.
    fn held(mut files: Vec<LogFile>, head: &Path) -> anyhow::Result<Self> {
        let failed = || format!("{} cannot be read", head.display());
        let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(head);
        let file = file.with_context(failed)?;
        // Whoever holds it for longer is stopped: then what it was about to write may be told as missing.
        let _ = when_free(&file, PATIENCE, File::try_lock_shared);
        if let Some(last) = files.last_mut() {
            last.length = fs::metadata(&last.path).ok().map(|meta| meta.len());
        }
        let end = Head::read(&file).map_or_else(|| KnownEnd::HeadMissing(head.to_owned()), KnownEnd::Head);
        Ok(Self { files, end })
    }
}

/// Files of the same directory whose names begin like the log's, as logrotate makes them: `audit.log.1`, `audit.log-20270101.gz`.
fn renamed(log: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (Some(dir), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("{} cannot be read", dir.display()))?,
    };
    let is_renamed = |path: &PathBuf| {
        let rest = path.file_name().and_then(|found| found.to_str()).and_then(|found| found.strip_prefix(name));
        rest.is_some_and(|rest| {
            rest.starts_with(['-', '.']) && rest != ".head" && rest[1..].starts_with(|c: char| c.is_ascii_digit())
        }) && fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
    };
    let found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_renamed).take(MOST_FILES + 1).collect();
    if found.len() > MOST_FILES {
        bail!("{} has more than {MOST_FILES} files of this log: name those that are meant", dir.display());
    }
    Ok(found)
}

/// By what they begin with: their names and times may be anything.
fn sort(files: &mut Vec<LogFile>) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for file in files.drain(..) {
        let mut lines = Lines::of(file.open()?);
        let (mut seq, mut time) = (None, None);
        for _ in 0..BEGINNING {
            let Some(line) = lines.next().with_context(|| file.failed())? else { break };
            let Line::Whole(line) = line else { continue };
            if let Ok(serde_json::Value::Object(record)) = serde_json::from_slice(line) {
                time = time.or_else(|| record.get("timestamp").and_then(|time| time.as_str().map(str::to_owned)));
                seq = Chained::of(line).map(|chained| chained.seq);
            }
            if seq.is_some() {
                break;
            }
        }
        found.push((seq.unwrap_or(0), time, file));
    }
    found.sort_by(|(seq, time, _), (other_seq, other_time, _)| (seq, time).cmp(&(other_seq, other_time)));
    files.extend(found.into_iter().map(|(_, _, file)| file));
    Ok(())
}

impl LogFile {
    /// What is in it.
    pub(super) fn open(&self) -> anyhow::Result<Content> {
        if self.path == Path::new("-") {
            return Ok(Content::Plain(Box::new(io::stdin())));
        }
        let file =
            File::options().read(true).custom_flags(libc::O_CLOEXEC).open(&self.path).with_context(|| self.failed())?;
        let ending = self.path.extension().and_then(|ending| ending.to_str());
        match PACKED.iter().find(|(packed, _)| Some(*packed) == ending) {
            None => Ok(Content::Plain(match self.length {
                Some(length) => Box::new(file.take(length)),
                None => Box::new(file),
            })),
            Some((_, program)) => {
                let child = Command::new(program).arg("-dc").stdin(file).stdout(Stdio::piped()).spawn();
                let child = child.with_context(|| format!("{self} cannot be unpacked: {program} cannot be started"))?;
                Ok(Content::Unpacked(Unpacked { child, program }))
            }
        }
    }

    pub(super) fn failed(&self) -> String {
        format!("{self} cannot be read")
    }
}

impl fmt::Display for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path == Path::new("-") { f.write_str("standard input") } else { write!(f, "{}", self.path.display()) }
    }
}

/// What is in a file.
pub(super) enum Content {
    /// As it is.
    Plain(Box<dyn Read>),
    /// Through another program.
    Unpacked(Unpacked),
}

pub(super) struct Unpacked {
    child: Child,
    program: &'static str,
}

impl Read for Content {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(bytes),
            Self::Unpacked(Unpacked { child, program }) => {
                let read = child.stdout.as_mut().map_or(Ok(0), |out| out.read(bytes))?;
                // What it has not unpacked would pass for the end.
                if read == 0 && !child.wait()?.success() {
                    return Err(io::Error::other(format!("{program} has failed")));
                }
                Ok(read)
            }
        }
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // Whoever has seen enough leaves it behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
