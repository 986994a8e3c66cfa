//! Why a commit does not count as approved.

use std::fmt;

use super::signature::BadSignature;

/// Why a commit does not count as approved. Of several approvals none of which is good, the one is told that came closest: the
/// last of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unapproved {
    /// Which commit it is, or as what account, nobody can say.
    NoSubject,
    /// There is no approval at all.
    Nothing,
    /// What is there is none.
    Form,
    /// It is for another GitLab, ...
    OtherGitLab,
    /// project, ...
    OtherProject,
    /// commit, ...
    OtherCommit,
    /// or account.
    OtherAccount,
    /// Its signature is for something else: a git commit, or approvals of another site.
    Namespace,
    /// Nobody signs with such a key.
    KeyKind,
    /// A security key that nobody has touched.
    Untouched,
    /// It is not signed by the key that it names.
    WrongSignature,
    /// Nobody has that key.
    UnknownKey,
    /// Its owner is not among those whom the rule names.
    OtherApprover,
    /// The key may not sign approvals,
    KeyNotForThis,
    /// not yet,
    KeyNotYet,
    /// not any more.
    KeyExpired,
    /// It is for longer than an approval can be.
    TooLong,
    /// It is over.
    Expired,
}

impl fmt::Display for Unapproved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSubject => "GitLab does not say which commit this is",
            Self::Nothing => "there is no approval of this commit for this account",
            Self::Form => "what should be its approval is none",
            Self::OtherGitLab => "the approval is for another GitLab",
            Self::OtherProject => "the approval is for another project",
            Self::OtherCommit => "the approval is for another commit",
            Self::OtherAccount => "the approval is for another account",
            Self::Namespace => "the signature was made for something else than approvals of this site",
            Self::KeyKind => "the approval is signed with a key with which nobody approves here",
            Self::Untouched => "nobody has touched the security key that signed the approval",
            Self::WrongSignature => "the signature is not one of the approval",
            Self::UnknownKey => "the key that signed the approval is nobody's here",
            Self::OtherApprover => "the approval is by somebody else than the rule names",
            Self::KeyNotForThis => "the key that signed the approval may not sign approvals (namespaces)",
            Self::KeyNotYet => "the key that signed the approval is not valid yet (valid-after)",
            Self::KeyExpired => "the key that signed the approval is not valid any more (valid-before)",
            Self::TooLong => "the approval is for more than a year",
            Self::Expired => "the approval has expired",
        })
    }
}

impl From<BadSignature> for Unapproved {
    fn from(bad: BadSignature) -> Self {
        match bad {
            BadSignature::Form => Self::Form,
            BadSignature::Namespace => Self::Namespace,
            BadSignature::Key => Self::KeyKind,
            BadSignature::Untouched => Self::Untouched,
            BadSignature::Wrong => Self::WrongSignature,
        }
    }
}
