//! A second reading of the rules, to hold the first one against. It knows nothing of that: a rule is what its text says, a job is
//! JSON, and a pattern is followed sign by sign.

use serde_json::Value;

/// What a table of the tests says: users by login name or number, and their accounts.
pub(crate) const TABLE: [(&str, &str); 3] = [("adent", "arthur"), ("id:7", "ford"), ("bob", "bob")];

/// What a rule gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    Nothing,
    Account(String),
    /// That of the user's own name, who has none.
    NoLogin,
}

/// What one rule of a configuration gives a job, if it need not be approved. `facts` are those of `JobFacts`.
pub(crate) fn gives(config: &Value, rule: &Value, facts: &Value, requested: Option<&str>) -> Gives {
    let when = &rule["when"];
    let (has, says) = (|key: &str| !when[key].is_null(), |key: &str| when[key] == true);
    let hold = |written: &Value, wanted: bool| {
        let conditions = written.as_object().into_iter().flatten().filter(|(key, _)| *key != "not");
        conditions.into_iter().all(|(key, values)| condition(config, key, &listed(values), facts) == Some(wanted))
    };
    let (login, acting) = (facts["user_login"].as_str(), !facts["scoped_user_id"].is_null());
    let run_as = rule["run_as"].as_str().unwrap_or_default();
    let of_a_table = run_as.starts_with("table:");
    let asked = requested.filter(|name| listed(&rule["may_request"]).contains(&&Value::from(*name)));
    let personal = asked.is_none() && (run_as == "{gitlab_user}" || of_a_table || has("user") || has("user_id"));
    let foreign = match config["policy"]["merge_requests_of_forks"].as_str() {
        Some("allow") => true,
        Some("refuse") => false,
        _ => personal,
    };
    let matches = hold(when, true)
        && hold(&when["not"], false)
        && (!acting || says("acting_for"))
        && match login {
            Some(login) => !bot(login) || has("user") || says("bot"),
            None => has("user_id") || of_a_table,
        }
        && (foreign || says("from_fork") || from_fork(facts) == Some(false));
    if !matches {
        return Gives::Nothing;
    }
    let login = login.filter(|_| !acting);
    let in_table = |user: &str| TABLE.iter().find(|(name, _)| *name == user).map(|(_, account)| (*account).to_owned());
    let own = if of_a_table {
        let Some(account) = in_table(&format!("id:{}", human(facts))).or_else(|| in_table(login?)) else {
            return Gives::Nothing;
        };
        Gives::Account(account)
    } else if run_as == "{gitlab_user}" {
        login.map_or(Gives::NoLogin, |login| Gives::Account(login.to_owned()))
    } else if run_as.is_empty() {
        Gives::Nothing
    } else {
        Gives::Account(run_as.to_owned())
    };
    asked.map_or(own, |name| Gives::Account(name.to_owned()))
}

/// One value is a list of one.
fn listed(values: &Value) -> Vec<&Value> {
    match values {
        Value::Null => Vec::new(),
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    }
}

/// In words of three: yes, no, nobody knows.
fn condition(config: &Value, key: &str, values: &[&Value], facts: &Value) -> Option<bool> {
    let acting = !facts["scoped_user_id"].is_null();
    let fact = match key {
        "user" if acting => return None,
        "user" => facts["user_login"].clone(),
        "user_id" => human(facts).clone(),
        "project" => facts["project_path"].clone(),
        "namespace" => Value::from(facts["project_path"].as_str()?.rsplit_once('/')?.0),
        "ref" => Value::from(own_ref(facts)?),
        "ref_type" | "ref_protected" => {
            own_ref(facts)?;
            let signed = &facts["signed"];
            let known = !signed["source"].is_null() && !signed[key].is_null();
            if known { signed[key].clone() } else { facts[key].clone() }
        }
        "from_fork" => Value::from(from_fork(facts)?),
        "bot" => Value::from(bot(facts["user_login"].as_str()?)),
        "acting_for" => Value::from(acting),
        "environment" => facts["signed"]["environment"]["name"].clone(),
        "environment_protected" => facts["signed"]["environment"]["protected"].clone(),
        "runner" => facts["runner_id"].clone(),
        "gitlab_group" => return one_of_groups(values, facts),
        _ => facts[key].clone(),
    };
    if fact.is_null() {
        return None;
    }
    Some(values.iter().any(|value| match (key, value.as_str(), fact.as_str()) {
        ("user", Some(name), Some(_)) if name.starts_with('@') => {
            listed(&config["groups"][&name[1..]]).contains(&&fact)
        }
        ("project" | "namespace" | "ref" | "environment", Some(pattern), Some(name)) => like(pattern, name),
        _ => **value == fact,
    }))
}

/// Whether the human is in one of these groups: in one is enough, and in none only if that is known of each.
fn one_of_groups(groups: &[&Value], facts: &Value) -> Option<bool> {
    let direct = &facts["signed"]["groups_direct"];
    let is_in = |group: &&Value| {
        let listed = |list: &Value| listed(list).contains(group);
        let above = |at: &&Value| {
            format!("{}/", group.as_str().unwrap_or_default())
                .starts_with(&format!("{}/", at.as_str().unwrap_or_default()))
        };
        if listed(&facts["groups"]["member_of"]) {
            Some(true)
        } else if facts["groups"]["not_of"] == "AllOthers" || listed(&facts["groups"]["not_of"]["These"]) {
            Some(false)
        } else {
            (facts["scoped_user_id"].is_null() && self::listed(direct).iter().any(above)).then_some(true)
        }
    };
    let known: Vec<Option<bool>> = groups.iter().map(is_in).collect();
    if known.contains(&Some(true)) { Some(true) } else { known.iter().all(Option::is_some).then_some(false) }
}

/// The number of whom the job is for.
fn human(facts: &Value) -> &Value {
    let scoped = &facts["scoped_user_id"];
    if scoped.is_null() { &facts["user_id"] } else { scoped }
}

/// `project_7_bot`, `group_7_bot2`, `project_7_bot_0a1b`
fn bot(login: &str) -> bool {
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let parts: Vec<&str> = login.split('_').collect();
    let [kind, id, bot, rest @ ..] = parts.as_slice() else { return false };
    let end = match rest {
        [] => bot.strip_prefix("bot").is_some_and(digits),
        [random] => *bot == "bot" && !random.is_empty() && random.chars().all(|c| c.is_ascii_hexdigit()),
        _ => false,
    };
    matches!(*kind, "project" | "group") && !id.is_empty() && digits(id) && end
}

/// A branch or tag of the project, as far as the payload and the API go.
fn is_of_ref(facts: &Value) -> bool {
    let merge_request = facts["git_ref"].as_str().is_some_and(|name| name.starts_with("refs/merge-requests/"));
    !merge_request && !matches!(facts["pipeline_source"].as_str(), None | Some("" | "merge_request_event"))
}

fn from_fork(facts: &Value) -> Option<bool> {
    match facts["signed"]["source"]["id"].as_u64() {
        Some(source) => Some(facts["project_id"] != source),
        None => is_of_ref(facts).then_some(false),
    }
}

/// The ref, where it certainly is the project's own.
fn own_ref(facts: &Value) -> Option<&str> {
    let signed = &facts["signed"];
    let from_signed =
        signed["git_ref"].as_str().filter(|name| !signed["source"].is_null() && !name.starts_with("refs/"));
    let plain = facts["git_ref"].as_str().filter(|_| is_of_ref(facts));
    if from_fork(facts) == Some(false) { plain.or(from_signed) } else { None }
}

/// Follows a pattern sign by sign, in all the ways at once.
fn like(pattern: &str, name: &str) -> bool {
    let mut signs = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("**") { 2 } else { c.len_utf8() };
        signs.push(&rest[..length]);
        rest = &rest[length..];
    }
    // What stands for nothing, too, can be passed by.
    let pass = |reached: &mut Vec<bool>| {
        for at in 0..signs.len() {
            if reached[at] && matches!(signs[at], "*" | "**") {
                reached[at + 1] = true;
            }
        }
    };
    let mut reached = vec![false; signs.len() + 1];
    reached[0] = true;
    pass(&mut reached);
    for c in name.chars() {
        let mut next = vec![false; signs.len() + 1];
        for at in (0..signs.len()).filter(|at| reached[*at]) {
            match signs[at] {
                "**" => next[at] = true,
                "*" => next[at] |= c != '/',
                sign => next[at + 1] |= sign.starts_with(c),
            }
        }
        pass(&mut next);
        reached = next;
    }
    reached[signs.len()]
}
