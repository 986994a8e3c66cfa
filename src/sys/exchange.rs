//! Who may exchange what lies in a directory: put another file or tree in its place.
//!
//! One judgement for all who pass directories: on the way to files that decide over privileges ([`super::files`]), to a job's
//! directories (the worker), and beforehand for an administrator (`motmot check`). What they say about it is their own.

const STICKY: u32 = 0o1000;
const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_ALL: u32 = 0o002;

/// Who is believed not to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believed {
    /// Root alone.
    Root,
    /// Root, and the account of this number.
    RootAnd(u32),
    /// The same, and the group of each directory.
    RootAndGroups(u32),
    /// Whoever owns a directory, and its group: a site has said so. Never everybody.
    OwnersAndGroups,
}

/// Who may do it, and is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanger {
    /// Its owner.
    Owner,
    /// Everybody.
    Everybody,
    /// Its group; with a POSIX ACL, all whom that names (acl(5): the group's bits are its mask).
    Group,
}

/// The first who may, of a directory with this owner and mode.
///
/// In a sticky directory (`/tmp`) others may add what they like, but touch nothing that is not theirs; its owner may. So the
/// owner is judged first, and each entry's owner is for its user to judge.
pub fn exchanger(uid: u32, mode: u32, believed: Believed) -> Option<Exchanger> {
    let owner = match believed {
        Believed::Root => uid == 0,
        Believed::RootAnd(own) | Believed::RootAndGroups(own) => uid == 0 || uid == own,
        Believed::OwnersAndGroups => true,
    };
    if !owner {
        return Some(Exchanger::Owner);
    }
    let open_to = |bit| mode & bit != 0 && mode & STICKY == 0;
    if open_to(WRITABLE_BY_ALL) {
        return Some(Exchanger::Everybody);
    }
    let group = matches!(believed, Believed::RootAndGroups(_) | Believed::OwnersAndGroups);
    (open_to(WRITABLE_BY_GROUP) && !group).then_some(Exchanger::Group)
}

/// The first who may add something to a directory that is itself relied upon: there the sticky bit is no help.
pub fn adder(uid: u32, mode: u32, believed: Believed) -> Option<Exchanger> {
    exchanger(uid, mode & !STICKY, believed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_are_believed_can_exchange_what_is_in_a_directory_that_is_passed() {
        use Believed::{OwnersAndGroups, Root, RootAnd, RootAndGroups};
        use Exchanger::{Everybody, Group, Owner};
        for (uid, mode, believed, who) in [
            (0, 0o755, Root, None),
            (0, 0o1777, Root, None),
            (0, 0o777, Root, Some(Everybody)),
            (0, 0o775, Root, Some(Group)),
            (7, 0o755, Root, Some(Owner)),
            (7, 0o1777, Root, Some(Owner)),
            (7, 0o700, RootAnd(7), None),
            (7, 0o1775, RootAnd(7), None),
            (7, 0o2775, RootAnd(7), Some(Group)),
            (7, 0o2777, RootAnd(7), Some(Everybody)),
            (8, 0o700, RootAnd(7), Some(Owner)),
            (8, 0o1777, RootAnd(7), Some(Owner)),
            (0, 0o770, RootAnd(7), Some(Group)),
            (7, 0o2775, RootAndGroups(7), None),
            (0, 0o775, RootAndGroups(7), None),
            (8, 0o2775, RootAndGroups(7), Some(Owner)),
            (7, 0o2777, RootAndGroups(7), Some(Everybody)),
            (8, 0o2775, OwnersAndGroups, None),
            (8, 0o1777, OwnersAndGroups, None),
            (8, 0o2777, OwnersAndGroups, Some(Everybody)),
            (0, 0o777, OwnersAndGroups, Some(Everybody)),
        ] {
            // What kind of file it is says nothing.
            for mode in [mode, mode | 0o040_000] {
                assert_eq!(exchanger(uid, mode, believed), who, "{uid} {mode:o} {believed:?}");
            }
        }
    }
}
