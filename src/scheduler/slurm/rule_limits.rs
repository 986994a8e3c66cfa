//! Bounds that a rule has for its jobs, beside those of the site: tighter, never wider.
//!
//! The session keeps them as text until a job is submitted. Both are held against what a job asks for, so that nothing is gained by a
//! site that has become stricter meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amounts::show_memory;
use super::limits::{Limits, list};
use super::settings::read_limits;
use crate::config::{Place, Placed, Section};
use crate::report::time_in_words;

/// As the session keeps them.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    /// For messages; a name that is no text is told as well as it can be.
    file: String,
    line: usize,
    partitions: Option<Vec<String>>,
    accounts: Option<Vec<String>>,
    qos: Option<Vec<String>>,
    nodes: Option<u64>,
    ntasks: Option<u64>,
    cpus_per_task: Option<u64>,
    /// In seconds.
    time: Option<u64>,
    /// In KiB.
    mem: Option<u64>,
    gres: Option<BTreeMap<String, u64>>,
}

/// Reads them from the section of a rule; nothing if there is none.
pub(super) fn read(section: Section<'_>) -> Option<String> {
    if !section.is_present() {
        section.finish();
        return None;
    }
    let place = section.place();
    let limits = read_limits(section);
    let written = Written {
        file: place.path().to_string_lossy().into_owned(),
        line: place.line(),
        partitions: limits.partitions.map(Placed::into_value),
        accounts: limits.accounts.map(Placed::into_value),
        qos: limits.qos.map(Placed::into_value),
        nodes: limits.nodes.map(Placed::into_value),
        ntasks: limits.ntasks.map(Placed::into_value),
        cpus_per_task: limits.cpus_per_task.map(Placed::into_value),
        time: limits.time.map(|time| time.value.as_secs()),
        mem: limits.mem.map(Placed::into_value),
        gres: limits.gres.map(Placed::into_value),
    };
    // Nothing of it can fail. If it did, what is kept would be no limits, and no job would run by them.
    Some(serde_json::to_string(&written).unwrap_or_default())
}

fn at<T>(place: &Place, value: Option<T>) -> Option<Placed<T>> {
    Some(Placed { value: value?, place: place.clone() })
}

/// Reads what a session has kept. All of it is said to stand where the rule has it.
pub(super) fn parse(text: &str) -> Result<Limits, String> {
    let written: Written = serde_json::from_str(text).map_err(|error| format!("no limits of a rule: {error}"))?;
    let place = Place::of_line(Path::new(&written.file), written.line);
    Ok(Limits {
        partitions: at(&place, written.partitions),
        accounts: at(&place, written.accounts),
        qos: at(&place, written.qos),
        nodes: at(&place, written.nodes),
        ntasks: at(&place, written.ntasks),
        cpus_per_task: at(&place, written.cpus_per_task),
        time: at(&place, written.time.map(Duration::from_secs)),
        mem: at(&place, written.mem),
        gres: at(&place, written.gres),
    })
}

/// What in a rule's bounds is beyond those of the site, in words.
pub(super) fn wider(rule: &Limits, site: &Limits) -> Vec<String> {
    let number = |key: &str, rule: Option<&Placed<u64>>, site: Option<&Placed<u64>>, show: fn(u64) -> String| {
        beyond(key, rule, site, |rule, site| (rule > site).then(|| (show(*rule), show(*site))))
    };
    let plain = |number: u64| number.to_string();
    [
        names("partitions", rule.partitions.as_ref(), site.partitions.as_ref()),
        names("accounts", rule.accounts.as_ref(), site.accounts.as_ref()),
        names("qos", rule.qos.as_ref(), site.qos.as_ref()),
        number("nodes", rule.nodes.as_ref(), site.nodes.as_ref(), plain),
        number("ntasks", rule.ntasks.as_ref(), site.ntasks.as_ref(), plain),
        number("cpus_per_task", rule.cpus_per_task.as_ref(), site.cpus_per_task.as_ref(), plain),
        beyond("time", rule.time.as_ref(), site.time.as_ref(), |rule, site| {
            (rule > site).then(|| (time_in_words(*rule), time_in_words(*site)))
        }),
        number("mem", rule.mem.as_ref(), site.mem.as_ref(), show_memory),
        beyond("gres", rule.gres.as_ref(), site.gres.as_ref(), |rule, site| {
            let more = |(name, count): &(&String, &u64)| site.get(*name).is_none_or(|most| *count > most);
            let shown = |all: &BTreeMap<String, u64>| list(all.iter().map(|(name, count)| format!("{name} = {count}")));
            rule.iter().any(|one| more(&one)).then(|| (shown(rule), shown(site)))
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What bounds the nodes of a job where nobody has said how many: of both bounds the smaller one.
pub(super) fn smaller(site: &Limits, rule: &Limits) -> Limits {
    let least = |one: &Option<Placed<u64>>, other: &Option<Placed<u64>>| {
        [one, other].into_iter().flatten().min_by_key(|bound| bound.value).cloned()
    };
    Limits { nodes: least(&site.nodes, &rule.nodes), ntasks: least(&site.ntasks, &rule.ntasks), ..Limits::default() }
}

fn names(key: &str, rule: Option<&Placed<Vec<String>>>, site: Option<&Placed<Vec<String>>>) -> Option<String> {
    beyond(key, rule, site, |rule, site| rule.iter().any(|name| !site.contains(name)).then(|| (list(rule), list(site))))
}

/// Where the site has no bound a rule may have any.
fn beyond<T>(
    key: &str,
    rule: Option<&Placed<T>>,
    site: Option<&Placed<T>>,
    judge: impl FnOnce(&T, &T) -> Option<(String, String)>,
) -> Option<String> {
    let (rule, site) = (rule?, site?);
    let (wanted, admitted) = judge(&rule.value, &site.value)?;
    let line = site.place.line();
    Some(format!("`map.slurm_limits.{key}` is {wanted}, but slurm.limits.{key} (line {line}) admits {admitted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Limits {
        parse(&format!("{{\"file\":\"/c.toml\",\"line\":3,{text}}}")).expect("limits")
    }

    #[test]
    fn a_bound_of_a_rule_is_wider_where_it_admits_what_the_site_does_not() {
        let site = limits(r#""partitions":["a","b"],"nodes":4,"time":3600,"mem":1024,"gres":{"gpu":2}"#);
        for tighter in [
            r#""partitions":["b"],"nodes":4,"time":60,"mem":1,"gres":{"gpu":1}"#,
            r#""partitions":[],"gres":{}"#,
            r#""qos":["any"],"ntasks":1000,"accounts":["x"],"cpus_per_task":7"#,
        ] {
            assert_eq!(wider(&limits(tighter), &site), Vec::<String>::new(), "{tighter}");
        }
        for (wide, said) in [
            (
                r#""partitions":["a","c"]"#,
                "`map.slurm_limits.partitions` is a, c, but slurm.limits.partitions (line 3) admits a, b",
            ),
            (r#""nodes":5"#, "nodes` is 5, but slurm.limits.nodes (line 3) admits 4"),
            (r#""time":3601"#, "`map.slurm_limits.time` is "),
            (r#""mem":1025"#, "`map.slurm_limits.mem` is "),
            (r#""gres":{"gpu":3}"#, "admits gpu = 2"),
            (r#""gres":{"fpga":1}"#, "admits gpu = 2"),
        ] {
            let found = wider(&limits(wide), &site);
            assert!(found.len() == 1 && found[0].contains(said), "{wide}: {found:?}");
        }
    }

    #[test]
    fn what_a_session_has_kept_is_no_limit_unless_it_is_one() {
        for odd in ["", "{}", "{\"file\":\"x\",\"line\":\"1\"}", "[]"] {
            assert!(parse(odd).is_err(), "{odd}");
        }
    }
}
