//! `motmot keys`: make and list the keys that sign tokens.

use std::borrow::Cow;
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use nix::unistd::{Uid, geteuid};
use serde_json::json;

use super::terminal::{answer, complain};
use crate::issuer::keys::{self, KeyRing};
use crate::issuer::{KeyError, KeyState};
use crate::sys::accounts::{AccountDb, Nss};
use crate::sys::files::Owner;

/// Whose keys an admin command works with. A stage reads them by the rule of its configuration, which may be stricter.
const OWNER: Owner = Owner::RootOrSelf;

/// `init` where there are keys already: nothing was changed.
const EXISTS: u8 = 8;

/// Arguments of `motmot keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    verb: KeysVerb,
}

#[derive(Debug, Subcommand)]
enum KeysVerb {
    /// Make the first signing key (ES256); never replaces one
    Init {
        /// The directory of keys [default: token.keys of the configuration]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// List the keys, without anything secret
    List {
        /// The directory of keys [default: token.keys of the configuration]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs `motmot keys`. The configuration is asked for the directory only if the command line does not name one.
///
/// Exit codes: 0 done, 7 no usable keys, 8 there are keys already.
pub fn run(args: KeysArgs, configured_dir: impl FnOnce() -> anyhow::Result<PathBuf>) -> ExitCode {
    let text = match args.verb {
        KeysVerb::Init { dir } => {
            let named = dir.clone();
            chosen(dir, configured_dir).and_then(|dir| init(&dir, named.as_deref()))
        }
        KeysVerb::List { dir, json } => chosen(dir, configured_dir).and_then(|dir| list(&dir, json)),
    };
    match text {
        Ok(text) => answer(&text, ExitCode::SUCCESS),
        Err(error) => {
            // For scripts that set up a machine, and may do it twice.
            let exists = matches!(error.downcast_ref(), Some(KeyError::Exists(_)));
            complain(&error, ExitCode::from(if exists { EXISTS } else { super::verify::KEYS_UNAVAILABLE }))
        }
    }
}

/// The directory of the command line, else that of the configuration.
pub(super) fn chosen(
    dir: Option<PathBuf>,
    configured_dir: impl FnOnce() -> anyhow::Result<PathBuf>,
) -> anyhow::Result<PathBuf> {
    dir.map_or_else(|| configured_dir().context("no --dir given, and the configuration does not help"), Ok)
}

/// The ring of a directory, as admin commands read it.
pub(super) fn ring(dir: &Path) -> anyhow::Result<KeyRing> {
    KeyRing::load(dir, OWNER).map_err(whose)
}

/// Root believes root's files only. Where the runner is an ordinary account, the keys are that account's, and what is wrong is
/// who looks: nothing has to be given to root.
fn whose(error: KeyError) -> anyhow::Error {
    let KeyError::Trust(why) = &error else { return error.into() };
    let owner = std::fs::metadata(&why.path).map_or(0, |meta| meta.uid());
    if !geteuid().is_root() || owner == 0 {
        return error.into();
    }
    let name = Nss.by_uid(Uid::from_raw(owner)).ok().flatten();
    let name = name.map_or_else(|| format!("#{owner}"), |account| account.name().to_owned());
    anyhow::anyhow!(
        "{} belongs to {name}, and this runs as root, who believes nobody else's keys; if the runner runs as {name}, run it as that account: runuser -u {name} -- {}",
        why.path.display(),
        this_command()
    )
}

/// As it was typed, for whoever types it again.
fn this_command() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| "motmot".to_owned())
}

/// `named`: the directory, if the command line has it.
fn init(dir: &Path, named: Option<&Path>) -> anyhow::Result<String> {
    let made = keys::init(dir, OWNER, Timestamp::now()).map_err(whose)?;
    // Read it back the way a stage will: what is announced works.
    let ring = ring(dir)?;
    let option = named.map(|dir| dir.to_string_lossy()).map_or_else(String::new, |dir| {
        let quoted = shlex::try_quote(&dir).unwrap_or(Cow::Borrowed("DIR"));
        format!(" --dir {quoted}")
    });
    Ok(format!(
        "made {}\nactive key: {}\npublish its public half with `motmot jwks{option}`\n",
        made.path.display(),
        ring.active().kid()
    ))
}

fn list(dir: &Path, json: bool) -> anyhow::Result<String> {
    let ring = ring(dir)?;
    if json {
        let keys: Vec<_> = ring
            .entries()
            .iter()
            .map(|entry| json!({"kid": entry.public.kid(), "alg": "ES256", "state": entry.state, "since": entry.since}))
            .collect();
        return Ok(serde_json::to_string_pretty(&keys)? + "\n");
    }
    let mut text = format!("{:<43}  {:<7}  SINCE\n", "KEY", "STATE");
    for entry in ring.entries() {
        let state = match entry.state {
            KeyState::Next => "next",
            KeyState::Active => "active",
            KeyState::Retired => "retired",
        };
        let since = entry.since.map_or_else(|| "unknown".to_owned(), |since| format!("{since:.0}"));
        writeln!(text, "{:<43}  {state:<7}  {since}", entry.public.kid().as_str())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_listed_as_the_active_one() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("keys");
        let said = init(&dir, None).unwrap();
        assert!(said.ends_with("`motmot jwks`\n"), "{said}");
        let kid = ring(&dir).unwrap().active().kid().to_string();
        assert!(said.contains(&format!("active key: {kid}\n")), "{said}");
        let table = list(&dir, false).unwrap();
        assert!(table.lines().nth(1).unwrap().starts_with(&format!("{kid}  active   20")), "{table}");
        let list: serde_json::Value = serde_json::from_str(&list(&dir, true).unwrap()).unwrap();
        assert_eq!(list[0]["kid"], kid);
        assert_eq!(list[0]["state"], "active");
    }

    #[test]
    fn a_problem_is_told_once() {
        let place = tempfile::tempdir().unwrap();
        let said = init(place.path(), Some(place.path())).unwrap();
        assert!(said.ends_with(&format!("`motmot jwks --dir {}`\n", place.path().display())), "{said}");
        let kid = ring(place.path()).unwrap().active().kid().to_string();
        let path = place.path().join(format!("{kid}.pem"));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(path, mode).unwrap();
        let said = format!("{:#}", list(place.path(), false).unwrap_err());
        assert_eq!(said.matches("chmod 0400").count(), 1, "{said}");
    }

    #[test]
    fn the_configuration_is_asked_only_without_a_directory_on_the_command_line() {
        assert_eq!(chosen(Some("x".into()), || unreachable!()).unwrap(), Path::new("x"));
        assert_eq!(chosen(None, || Ok("y".into())).unwrap(), Path::new("y"));
        assert!(chosen(None, || anyhow::bail!("no file")).is_err());
    }
}
