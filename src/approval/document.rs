//! An approval as it travels, in a file or a variable: the line that was signed, and below it the signature as `ssh-keygen`
//! writes it. Several of them may follow each other.

use super::statement::Statement;

/// Most of them that are looked at in one place.
pub const MOST: usize = 8;
/// Largest text: as many as that, each of them as long as it can be.
pub const MAX_BYTES: usize = 64 << 10;
/// Largest signature, as text: one by an RSA key of 8192 bits is some 3 kB.
pub const MAX_ARMOR: usize = 6 << 10;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// A statement and a signature. Nothing is known of it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    statement: Statement,
    armor: String,
}

/// A text is not a list of approvals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApprovals {
    /// Nothing is in it.
    #[error("there is no approval in it")]
    Empty,
    /// Longer than any honest one.
    #[error("it is larger than 64 KiB")]
    TooLarge,
    /// Too many.
    #[error("there are more than 8 approvals in it")]
    TooMany,
    /// This line should be a statement.
    #[error("line {0} is not a statement as motmot approve writes it")]
    Statement(usize),
    /// Below this line there should be a signature.
    #[error("the statement in line {0} is not followed by an SSH SIGNATURE")]
    Signature(usize),
}

impl Approval {
    /// Of its two parts.
    pub fn new(statement: Statement, armor: String) -> Self {
        Self { statement, armor }
    }

    /// Reads one after the other.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, NotApprovals> {
        if text.len() > MAX_BYTES {
            return Err(NotApprovals::TooLarge);
        }
        let mut all = Vec::new();
        // A form in a browser makes line ends of its own. What was signed is made anew, so nothing depends on them.
        let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        while let Some((line, number)) = lines.next() {
            if all.len() == MOST {
                return Err(NotApprovals::TooMany);
            }
            let statement = Statement::parse(line).map_err(|_| NotApprovals::Statement(number))?;
            let mut armor = String::new();
            for (line, _) in lines.by_ref() {
                // No more than ssh-keygen reads: whoever has somebody's approval could pad it else, until what root keeps together is
                // too large to be read.
                let is_part = if armor.is_empty() { line == BEGIN } else { line == END || is_base64(line) };
                if !is_part || armor.len() + line.len() >= MAX_ARMOR {
                    break;
                }
                armor += line;
                armor.push('\n');
                if line == END {
                    break;
                }
            }
            if armor.lines().last() != Some(END) {
                return Err(NotApprovals::Signature(number));
            }
            all.push(Self { statement, armor });
        }
        if all.is_empty() { Err(NotApprovals::Empty) } else { Ok(all) }
    }

    /// What it says.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The signature, as text.
    pub fn armor(&self) -> &str {
        &self.armor
    }

    /// As it is read.
    pub fn text(&self) -> String {
        format!("{}{}", self.statement.message(), self.armor)
    }
}

fn is_base64(line: &str) -> bool {
    line.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}
