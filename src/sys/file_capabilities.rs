//! The capabilities that a program file carries (capabilities(7), "File capabilities").
#![allow(unsafe_code)] // getxattr(2), which neither std nor nix wraps

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::privilege::{CAP_KILL, CAP_SETGID, CAP_SETUID};

/// What the kernel keeps in `security.capability`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCapabilities {
    permitted: u64,
    inheritable: u64,
    effective: bool,
    /// The user namespace that they hold in; 0: this machine's own.
    namespace_root: u32,
}

impl FileCapabilities {
    /// Those of a file, or nothing where it has none.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mut bytes = [0_u8; 24];
        // SAFETY: two C strings, and a buffer of the length that is given with it.
        let length = unsafe {
            libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), bytes.as_mut_ptr().cast(), bytes.len())
        };
        let Ok(length) = usize::try_from(length) else {
            let error = io::Error::last_os_error();
            let none = matches!(error.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP));
            return if none { Ok(None) } else { Err(error) };
        };
        Self::parse(&bytes[..length]).map(Some).ok_or_else(|| io::Error::other("they are in a form unknown to motmot"))
    }

    /// Reads `struct vfs_cap_data` of revision 2 or `vfs_ns_cap_data` of revision 3 (linux/capability.h).
    fn parse(bytes: &[u8]) -> Option<Self> {
        const REVISION: u32 = 0xff00_0000;
        let (words, rest) = bytes.as_chunks::<4>();
        let word = |index: usize| words.get(index).map(|word| u32::from_le_bytes(*word));
        let magic = word(0)?;
        let namespace_root = match (magic & REVISION, words.len(), rest.len()) {
            (0x0200_0000, 5, 0) => 0,
            (0x0300_0000, 6, 0) => word(5)?,
            _ => return None,
        };
        let both = |low, high| Some(u64::from(word(low)?) | u64::from(word(high)?) << 32);
        Some(Self { permitted: both(1, 3)?, inheritable: both(2, 4)?, effective: magic & 1 == 1, namespace_root })
    }

    /// Whether they are exactly those with which a stage program can change user: `cap_setuid,cap_setgid,cap_kill+ep`.
    pub fn are_those_of_a_stage(self) -> bool {
        let permitted = 1 << CAP_SETUID | 1 << CAP_SETGID | 1 << CAP_KILL;
        self == Self { permitted, inheritable: 0, effective: true, namespace_root: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn what_setcap_writes_for_a_stage_is_recognised_and_nothing_else() {
        let stage = |words: &[u32]| FileCapabilities::parse(&bytes(words)).map(FileCapabilities::are_those_of_a_stage);
        assert_eq!(stage(&[0x0200_0001, 0xe0, 0, 0, 0]), Some(true));
        assert_eq!(stage(&[0x0300_0001, 0xe0, 0, 0, 0, 0]), Some(true));
        for other in [
            [0x0200_0000, 0xe0, 0, 0, 0].as_slice(),
            &[0x0200_0001, 0x60, 0, 0, 0],
            &[0x0200_0001, 0xe1, 0, 0, 0],
            &[0x0200_0001, 0xe0, 1, 0, 0],
            &[0x0200_0001, 0xe0, 0, 1, 0],
            &[0x0300_0001, 0xe0, 0, 0, 0, 1000],
        ] {
            assert_eq!(stage(other), Some(false), "{other:x?}");
        }
    }

    #[test]
    fn other_forms_are_not_guessed_at() {
        for other in [[].as_slice(), &[0x0100_0001, 0xe0, 0], &[0x0200_0001, 0xe0, 0], &[0x0400_0001, 0xe0, 0, 0, 0]] {
            assert_eq!(FileCapabilities::parse(&bytes(other)), None, "{other:x?}");
        }
    }

    #[test]
    fn an_ordinary_file_has_none() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(FileCapabilities::of(file.path()).expect("asked"), None);
    }
}
