//! What belongs to the runner's account: state directory, sessions, log, keys. Nothing of it is made here.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::statvfs::statvfs;
use nix::unistd::AccessFlags;

use super::findings::{Findings, plain, without_number};
use super::runner::{Remedy, Runner};
use crate::issuer::KeyError;
use crate::issuer::keys::{KeyRing, has_ring, is_for_keys};
use crate::launch::settings::Downscope;
use crate::report::audit::is_audit_log;
use crate::report::counted;
use crate::session::{NAME_ANOTHER, Session, SessionError, Sessions, Whose};
use crate::settings::Settings;
use crate::stage::caller::runner_by;
use crate::stage::configuration;
use crate::sys::files::{Owner, trusted_directory};
use crate::sys::installed::Prize;
use crate::token::settings::TokenSettings;

const LOG_ELSEWHERE: &str =
    "name a file in a directory in log.file that is not there yet, and that the runner's account can make";
/// Less than this is as good as full.
const ROOM: u64 = 1 << 20;
/// The timer of `motmot reap` has had its time by then.
const UNNOTICED: Duration = Duration::from_hours(1);
const KEYS_ELSEWHERE: &str = "name a directory in token.keys that is the runner's own, and not there yet";

/// All of it.
pub(super) fn judge(config: &Path, settings: &Settings, runner: &Runner, findings: &mut Findings) {
    let account = &runner.account;
    let state = settings.jobs.state_dir.expand(account.home(), account.name(), account.uid().as_raw());
    let open = || Sessions::open(&state, configuration(config, settings));
    let judged = whose(settings, runner).and_then(|()| state_directory(&state, runner.prize(settings), runner, open));
    let good = judged.is_ok();
    findings.judged("state directory", judged);
    if good {
        findings.ok("sessions", sessions(&state.join("sessions")));
        // Where something is missing, opening it would make that.
        if ["sessions", "slots"].iter().all(|part| state.join(part).is_dir())
            && let Ok(Ok((left, others))) =
                runner.act(|| open().map(|sessions| (left_for_long(&sessions), of_others(&sessions))))
        {
            if let Some(words) = left {
                findings.warning("sessions", words);
            }
            for words in others {
                findings.warning("jobs.state_dir", format!("{} has {words}", state.display()));
            }
        }
    }
    match &settings.log.file {
        None => findings.ok("log", "the journal only (log.file = \"\")"),
        Some(file) => {
            let judged = log(file, runner);
            if judged.is_ok()
                && let Some(words) = readable_by_all(file)
            {
                findings.warning("log", words);
            }
            if judged.is_ok()
                && let Some(words) = little_room(file, runner)
            {
                findings.warning("log", words);
            }
            findings.judged("log", judged);
        }
    }
    match &settings.token {
        None => findings.ok("tokens", "none: the configuration has no [token] section"),
        Some(token) => {
            let judged = keys(token, runner);
            if judged.is_ok() && !has_ring(&token.keys) {
                let dir = token.keys.display();
                findings.warning(
                    "tokens",
                    format!("{dir}/ring.json is missing, which says which key signs and which are still published: restore it, unless the site has brought its only key itself"),
                );
            }
            findings.judged("tokens", judged);
        }
    }
}

fn look(path: &Path) -> Result<Option<Metadata>, String> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {}", path.display(), plain(&error))),
    }
}

/// Where capable programs learn from the directory who may call them.
fn whose(settings: &Settings, runner: &Runner) -> Result<(), String> {
    if settings.jobs.downscope == Downscope::None || runner.account.uid().is_root() {
        return Ok(());
    }
    let text = settings.jobs.state_dir.as_str();
    // A missing one, and another's, is told below.
    let is_missing = text.starts_with('/') && !text.contains('{') && look(Path::new(text))?.is_none();
    if is_missing { Ok(()) } else { runner_by(text).map(drop) }
}

fn state_directory(
    dir: &Path,
    prize: Prize,
    runner: &Runner,
    open: impl FnOnce() -> Result<Sessions, SessionError>,
) -> Result<String, String> {
    // By the store's own judgement: whoever can exchange what is in a directory above it can put another in its place.
    runner.act(|| Sessions::may_be_in(dir, prize))?.map_err(|error| error.to_string())?;
    let mut complete = true;
    let is_made = Sessions::are_in(dir);
    for part in [dir.to_owned(), dir.join("sessions"), dir.join("slots")] {
        let Some(meta) = look(&part)? else {
            complete = false;
            continue;
        };
        let shown = part.display();
        if !meta.is_dir() {
            return Err(format!("{shown} is not a directory; name one in jobs.state_dir"));
        }
        let remedy = if is_made { Remedy::ChownAll(dir) } else { Remedy::Elsewhere(NAME_ANOTHER) };
        if let Some(words) = runner.not_ours(&part, meta.uid(), remedy) {
            return Err(words);
        }
        if meta.mode() & 0o077 != 0 {
            let remedy = if is_made { format!("chmod 0700 {shown}") } else { NAME_ANOTHER.to_owned() };
            return Err(format!("{shown} has mode {:04o}, others can look into it: {remedy}", meta.mode() & 0o7777));
        }
    }
    // What root has left in there while it was trying things.
    for part in Sessions::PARTS.iter().filter(|_| is_made) {
        let part = dir.join(part);
        if let Some(meta) = look(&part)?
            && let Some(words) = runner.not_ours(&part, meta.uid(), Remedy::ChownAll(dir))
        {
            return Err(words);
        }
    }
    let shown = dir.display();
    if look(dir)?.is_none() {
        return to_be_made(dir, runner);
    }
    if complete {
        // Nothing is left for it to make.
        runner.act(open)?.map_err(|error| error.to_string())?;
    }
    if !runner.may(dir, AccessFlags::W_OK | AccessFlags::X_OK) {
        return Err(format!(
            "{} cannot reach {shown}; every directory above it must let that account pass",
            runner.name()
        ));
    }
    Ok(shown.to_string())
}

/// A missing directory that the first job makes, if it may.
fn to_be_made(dir: &Path, runner: &Runner) -> Result<String, String> {
    let (shown, name) = (dir.display(), runner.name());
    let above = dir.ancestors().skip(1).find(|above| above.exists()).unwrap_or(Path::new("/"));
    if runner.may(above, AccessFlags::W_OK | AccessFlags::X_OK) {
        return Ok(format!("{shown} does not exist yet; the first job makes it"));
    }
    let boot = if dir.starts_with("/run") {
        format!(" (and for every boot, in /etc/tmpfiles.d/motmot.conf: d {shown} 0700 {name} - -)")
    } else {
        String::new()
    };
    Err(format!("{shown} does not exist, and {name} cannot make it: install -d -o {name} -m 0700 {shown}{boot}"))
}

fn sessions(dir: &Path) -> String {
    let entries: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().collect();
    let begun = entries.iter().filter_map(|entry| {
        let record = entry.path().join("session.json");
        fs::metadata(record).or_else(|_| entry.metadata()).and_then(|meta| meta.modified()).ok()
    });
    let age = |oldest| age_in_words(SystemTime::now().duration_since(oldest).unwrap_or_default());
    match (entries.len(), begun.min().map(age)) {
        (0, _) | (_, None) => "none".to_owned(),
        (1, Some(age)) => format!("1 session, begun {age} ago"),
        (count, Some(age)) => format!("{}, the oldest begun {age} ago", counted(count, "session")),
    }
}

/// Sessions that wait for a cleanup and do not get one. Nobody may have noticed.
fn left_for_long(sessions: &Sessions) -> Option<String> {
    let left = sessions.left_behind().ours;
    let trouble = |session: &Session| session.trouble().read();
    let waits = |session: &&Session| trouble(session).is_some() || session.age().is_some_and(|age| age > UNNOTICED);
    let waiting: Vec<&Session> = left.iter().filter(waits).collect();
    let first = waiting.first()?;
    let why = trouble(first).map_or_else(
        || "its runner is gone, or its cleanup has not come to its end".to_owned(),
        |trouble| trouble.why().to_owned(),
    );
    Some(format!(
        "{} of jobs that are over: of {}, {why}; see motmot reap --dry-run, and whether its timer runs",
        counted(waiting.len(), "session"),
        first.name()
    ))
}

/// Two configurations in one directory: each leaves alone what is the other's, so that a crash of one of them is nobody's.
fn of_others(sessions: &Sessions) -> Vec<String> {
    let mut count = BTreeMap::<Whose, usize>::new();
    for session in sessions.of_others() {
        *count.entry(session.whose()).or_default() += 1;
    }
    let words = |(whose, count): (Whose, usize)| match whose {
        Whose::OtherConfiguration(path) => Some(format!(
            "{} of another configuration, {}, which `motmot reap` leaves alone under this one: name another jobs.state_dir in one of the two",
            counted(count, "session"),
            path.display()
        )),
        Whose::OtherCluster(made) => Some(format!(
            "{} of the configuration {} with batch jobs in {}, which this configuration does not ask, and which `motmot reap` leaves alone: name another jobs.state_dir for each cluster",
            counted(count, "session"),
            made.config().display(),
            made.cluster().map(ToString::to_string).unwrap_or_default()
        )),
        Whose::Ours | Whose::NotSaid => None,
    };
    count.into_iter().filter_map(words).collect()
}

fn age_in_words(age: Duration) -> String {
    let seconds = usize::try_from(age.as_secs()).unwrap_or(usize::MAX);
    match seconds {
        0..120 => counted(seconds, "second"),
        120..7200 => counted(seconds / 60, "minute"),
        7200..172_800 => counted(seconds / 3600, "hour"),
        _ => counted(seconds / 86_400, "day"),
    }
}

fn log(file: &Path, runner: &Runner) -> Result<String, String> {
    let (shown, name) = (file.display(), runner.name());
    let dir = file.parent().unwrap_or(Path::new("/"));
    if let Ok(meta) = fs::metadata(dir)
        && meta.uid() != 0
        && let Some(words) = runner.not_ours(dir, meta.uid(), Remedy::Elsewhere(LOG_ELSEWHERE))
    {
        return Err(words);
    }
    if let Some(meta) = look(file)? {
        // Devices are somebody's choice.
        if meta.is_symlink() || meta.is_dir() {
            return Err(format!("{shown} is not a file; name another one in log.file"));
        }
        if !meta.file_type().is_char_device()
            && let Some(words) = runner.not_ours(
                file,
                meta.uid(),
                if is_audit_log(file) { Remedy::Chown } else { Remedy::Elsewhere(LOG_ELSEWHERE) },
            )
        {
            return Err(words);
        }
        if meta.is_file() && meta.mode() & 0o022 != 0 {
            return Err(format!(
                "{shown} has mode {:04o}, others than its owner can change what is in it: {}",
                meta.mode() & 0o7777,
                closed(file)
            ));
        }
        if !runner.may(file, AccessFlags::W_OK) {
            let own = meta.uid() == runner.uid().as_raw() && meta.mode() & 0o200 != 0;
            return Err(if own {
                format!(
                    "{name} cannot write {shown}, though it is its own: every directory above it must let that account pass; or {LOG_ELSEWHERE}"
                )
            } else if is_audit_log(file) {
                format!("{name} cannot write {shown}: chown {name} {shown} && chmod 0600 {shown}")
            } else {
                format!("{name} cannot write {shown}: {LOG_ELSEWHERE}")
            });
        }
        trusted(dir, runner)?;
        return Ok(shown.to_string());
    }
    // The first job makes one directory, and none above it.
    let above = if dir.exists() { dir } else { dir.parent().unwrap_or(dir) };
    if !runner.may(above, AccessFlags::W_OK | AccessFlags::X_OK) {
        let here = dir.display();
        return Err(if dir.exists() {
            // Somebody else's work, and perhaps of others: /var/log.
            format!("{name} cannot make {shown}: {LOG_ELSEWHERE}")
        } else {
            format!("{here} does not exist, and {name} cannot make {shown}: install -d -o {name} -m 0700 {here}")
        });
    }
    trusted(above, runner)?;
    Ok(format!("{shown} does not exist yet; the first job makes it"))
}

/// By the stages' own judgement: in a directory of somebody else the file may be his already, or become it.
fn trusted(dir: &Path, runner: &Runner) -> Result<(), String> {
    runner.act(|| trusted_directory(dir, Owner::RootOrSelf))?.map(drop).map_err(|error| without_number(&error))
}

/// It says who runs what, as whom, and when.
fn readable_by_all(file: &Path) -> Option<String> {
    let meta = look(file).ok().flatten().filter(|meta| meta.is_file() && meta.mode() & 0o004 != 0)?;
    let (shown, mode) = (file.display(), meta.mode() & 0o7777);
    Some(format!("{shown} has mode {mode:04o}, everybody can read who runs what: {}", closed(file)))
}

/// What its disk does not take is lost.
fn little_room(file: &Path, runner: &Runner) -> Option<String> {
    let there = look(file).ok().flatten();
    if there.is_some_and(|meta| !meta.is_file()) {
        return None;
    }
    // Of the first directory that is there: the first job may make it.
    let dir = file.ancestors().skip(1).find(|dir| dir.exists())?;
    let disk = statvfs(dir).ok()?;
    let free = if runner.uid().is_root() { disk.blocks_free() } else { disk.blocks_available() };
    let free = free.saturating_mul(disk.fragment_size());
    // A file system that does not say how large it is has no limit.
    let little = disk.blocks() > 0 && free < ROOM;
    little.then(|| {
        let (shown, left) = (file.display(), free / 1024);
        format!(
            "the file system of {shown} has {left} KiB left, and without a record no job begins (log.on_failure): make room"
        )
    })
}

/// How it is closed to others. Only what motmot has made is told to be changed.
fn closed(file: &Path) -> String {
    if is_audit_log(file) { format!("chmod 0600 {}", file.display()) } else { LOG_ELSEWHERE.to_owned() }
}

fn keys(token: &TokenSettings, runner: &Runner) -> Result<String, String> {
    if let Some(meta) = look(&token.keys)?
        && meta.uid() != 0
        && let Some(words) = runner.not_ours(
            &token.keys,
            meta.uid(),
            if is_for_keys(&token.keys) { Remedy::ChownAll(&token.keys) } else { Remedy::Elsewhere(KEYS_ELSEWHERE) },
        )
    {
        return Err(words);
    }
    match runner.act(|| KeyRing::load(&token.keys, Owner::RootOrSelf))? {
        Ok(ring) => Ok(format!("{} signs for {}", ring.active().kid().as_str(), token.issuer.as_str())),
        Err(KeyError::Empty(dir)) if runner.named => {
            let (shown, name) = (dir.display(), runner.name());
            let init = format!("runuser -u {name} -- motmot keys init --dir {shown}");
            let remedy = match (dir.exists(), runner.may(&dir, AccessFlags::W_OK | AccessFlags::X_OK)) {
                (false, _) => format!("install -d -o {name} -m 0700 {shown} && {init}"),
                (true, true) => init,
                (true, false) => KEYS_ELSEWHERE.to_owned(),
            };
            Err(format!("{shown}: there is no signing key here: {remedy}"))
        }
        Err(error) => {
            let words = without_number(&error);
            Err(if runner.named { format!("as {} finds it, {words}", runner.name()) } else { words })
        }
    }
}
