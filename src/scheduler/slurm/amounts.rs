//! Amounts as Slurm writes them. What is not understood here for sure is not understood: a value that Slurm reads
//! differently would pass a limit.

use std::collections::BTreeMap;

/// Units of counts of generic resources.
const GRES_UNITS: &str = "kmgtp";

/// Digits, and nothing of what C's strtol takes besides.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A number that is not 0.
pub(super) fn count(text: &str) -> Option<u64> {
    digits(text).filter(|count| *count > 0)
}

/// A number with one of these letters behind it, each worth 1024 times the one before.
fn suffixed(text: &str, letters: &str) -> Option<u64> {
    let last = text.chars().last()?.to_ascii_lowercase();
    match letters.find(last) {
        Some(place) => {
            let unit = 1024_u64.checked_pow(u32::try_from(place).ok()? + 1)?;
            digits(&text[..text.len() - 1])?.checked_mul(unit)
        }
        None => digits(text),
    }
}

/// The fewest and the most nodes of `N` or `MIN-MAX`.
pub(super) fn nodes(text: &str) -> Option<(u64, u64)> {
    let number = |text| suffixed(text, "km").filter(|nodes| *nodes > 0);
    let (least, most) = match text.split_once('-') {
        None => (number(text)?, number(text)?),
        Some((least, most)) => (number(least)?, number(most)?),
    };
    Some((least.min(most), least.max(most)))
}

/// Memory in KiB; a number alone is MiB.
pub(super) fn memory(text: &str) -> Option<u64> {
    if text.ends_with(|last: char| last.is_ascii_digit()) {
        return digits(text)?.checked_mul(1024);
    }
    Some(suffixed(text, "kmgt")? / 1024)
}

/// A limit of time.
pub(super) enum Time {
    /// In seconds.
    Bounded(u64),
    /// None at all.
    Endless,
}

/// Slurm's times: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`.
pub(super) fn time(text: &str) -> Option<Time> {
    if ["unlimited", "infinite", "-1"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Some(Time::Endless);
    }
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(digits(days)?), clock),
        None => (None, text),
    };
    let parts = clock.split(':').map(digits).collect::<Option<Vec<u64>>>()?;
    let (hours, minutes, seconds) = match (days, parts.as_slice()) {
        (None, [minutes]) => (0, *minutes, 0),
        (None, [minutes, seconds]) => (0, *minutes, *seconds),
        (Some(_), [hours]) => (*hours, 0, 0),
        (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return None,
    };
    let hours = days.unwrap_or(0).checked_mul(24)?.checked_add(hours)?;
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    let seconds = minutes.checked_mul(60)?.checked_add(seconds)?;
    // "A time limit of zero requests that no time limit be imposed."
    Some(if seconds == 0 { Time::Endless } else { Time::Bounded(seconds) })
}

/// Some of a generic resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind<'t> {
    /// Its name.
    pub(super) name: &'t str,
    /// Which ones, if only these will do.
    pub(super) of: Option<&'t str>,
}

/// `NAME[:TYPE][:COUNT]`, separated by commas: how many of each. Slurm believes the last one of two that are the same; here
/// they are added up.
pub(super) fn gres<'t>(text: &'t str, prefix: &'t str) -> Option<BTreeMap<Kind<'t>, u64>> {
    let mut counts: BTreeMap<Kind<'_>, u64> = BTreeMap::new();
    for part in text.split(',') {
        let bare = part.strip_prefix("gres:").or_else(|| part.strip_prefix("gres/")).unwrap_or(part);
        if bare == "none" && prefix.is_empty() {
            continue;
        }
        let words: Vec<&str> = prefix.split_terminator(':').chain(bare.split(':')).collect();
        let (name, of, number) = match words.as_slice() {
            [name] => (*name, None, 1),
            [name, last] if last.starts_with(|first: char| first.is_ascii_digit()) => {
                (*name, None, suffixed(last, GRES_UNITS)?)
            }
            [name, kind] if is_word(kind) => (*name, Some(*kind), 1),
            // A type may begin with a digit (1g.5gb), but must not be taken for a count.
            [name, kind, last] if is_word(kind) && suffixed(kind, GRES_UNITS).is_none() => {
                (*name, Some(*kind), suffixed(last, GRES_UNITS)?)
            }
            _ => return None,
        };
        if !is_word(name) || name.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        let sum = counts.entry(Kind { name, of }).or_default();
        *sum = sum.checked_add(number)?;
    }
    Some(counts)
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// For a message.
pub(super) fn show_memory(kib: u64) -> String {
    let units = [(30, "T"), (20, "G"), (10, "M")];
    let unit = units.iter().find(|(bits, _)| kib.is_multiple_of(1 << bits));
    unit.map_or_else(|| format!("{kib}K"), |(bits, letter)| format!("{}{letter}", kib >> bits))
}
