//! `motmot keys`: make and list the keys that sign tokens.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::terminal::{answer, complain};
use crate::issuer::keys::{self, KeyRing};
use crate::issuer::{KeyError, KeyState};
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
        KeysVerb::Init { dir } => chosen(dir, configured_dir).and_then(|dir| init(&dir)),
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
pub(super) fn ring(dir: &Path) -> Result<KeyRing, KeyError> {
    KeyRing::load(dir, OWNER)
}

fn init(dir: &Path) -> anyhow::Result<String> {
    let made = keys::init(dir, OWNER, Timestamp::now())?;
    // Read it back the way a stage will: what is announced works.
    let ring = ring(dir)?;
    Ok(format!(
        "made {}\nactive key: {}\npublish its public half with `motmot jwks`\n",
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
        let said = init(&dir).unwrap();
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
        init(place.path()).unwrap();
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
