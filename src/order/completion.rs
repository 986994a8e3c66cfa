//! What the wrapper on the node writes: that a script starts, and how it has ended.
//!
//! Lines of `name=value` and then `end`; a file without `end` is not complete. The job's account can write anything there, so
//! nothing in it grants anything; it can only spoil its own job.

use serde::{Deserialize, Serialize};

/// Longest file that is looked at.
pub const MOST: u64 = 4 << 10;

/// A script is about to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// How often the job was started before.
    pub restarts: u32,
    /// The node.
    pub node: String,
}

/// A script has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// How.
    pub end: ScriptEnd,
    /// Bytes of output in all.
    pub bytes: u64,
    /// Whether some of the output could not be written, and is lost.
    pub spilled: bool,
    /// Whether the scheduler has told the whole job to end: then only the scheduler knows why the script has ended.
    pub terminated: bool,
    /// How often the job was started before.
    pub restarts: u32,
    /// The node.
    pub node: String,
}

/// How a script has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptEnd {
    /// With this exit status; above 128 as a rule by a signal.
    Exited(u8),
    /// It did not begin: its token did not come.
    NoToken,
    /// It did not begin: it had begun before, and must not run twice.
    RanBefore,
    /// It did not begin: its output file could not be opened.
    NoOutput,
    /// It did not begin: what runs before it could not be read.
    NoLauncher,
}

/// The complete lines of a file, or `None`.
fn lines(bytes: &[u8]) -> Option<std::collections::BTreeMap<&str, &str>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (body, _) = text.split_once("\nend\n")?;
    Some(body.lines().filter_map(|line| line.split_once('=')).collect())
}

fn node(lines: &std::collections::BTreeMap<&str, &str>) -> String {
    let name = lines.get("node").copied().unwrap_or_default();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(64).collect();
    if name.is_empty() { "?".into() } else { name }
}

impl Started {
    /// From the file.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = lines(bytes)?;
        Some(Self { restarts: lines.get("restarts")?.parse().ok()?, node: node(&lines) })
    }
}

impl Completion {
    /// From the file.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = lines(bytes)?;
        let end = match *lines.get("end-of-script")? {
            "no-token" => ScriptEnd::NoToken,
            "ran-before" => ScriptEnd::RanBefore,
            "no-output" => ScriptEnd::NoOutput,
            "no-launcher" => ScriptEnd::NoLauncher,
            status => ScriptEnd::Exited(status.parse().ok()?),
        };
        Some(Self {
            end,
            bytes: lines.get("bytes")?.parse().ok()?,
            spilled: lines.get("spilled").is_some_and(|word| *word == "yes"),
            terminated: *lines.get("terminated")? == "yes",
            restarts: lines.get("restarts")?.parse().ok()?,
            node: node(&lines),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_complete_or_none() {
        let text = "end-of-script=3\nbytes=12\nterminated=no\nrestarts=0\nnode=n1\nend\n      ";
        let record = Completion::parse(text.as_bytes()).expect("complete");
        assert_eq!((record.end, record.bytes, record.node.as_str()), (ScriptEnd::Exited(3), 12, "n1"));
        assert!(!record.spilled, "only where the node says so");
        let spilled = text.replace("restarts", "spilled=yes\nrestarts");
        assert!(Completion::parse(spilled.as_bytes()).is_some_and(|record| record.spilled));
        for length in 0..text.len() - 7 {
            assert_eq!(Completion::parse(&text.as_bytes()[..length]), None, "{length}");
        }
        for bad in ["end-of-script=300", "end-of-script=", "end-of-script=-1", "x"] {
            assert_eq!(Completion::parse(text.replace("end-of-script=3", bad).as_bytes()), None, "{bad}");
        }
        assert_eq!(Completion::parse(&[b' '; 512]), None, "the room kept for it");
        assert_eq!(Completion::parse(b"\xff\nend\n"), None);
    }

    #[test]
    fn a_nodes_name_cannot_carry_anything_else() {
        let started = Started::parse(b"restarts=1\nnode=n1\x1b[31m;/x\nend\n").expect("complete");
        assert_eq!((started.restarts, started.node.as_str()), (1, "n131mx"));
    }
}
