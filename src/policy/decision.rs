//! What policy has decided about a job: for the stage that asked, and for those that come after it.

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::Account;
use super::settings::terms::Terms;
use crate::approval::Approver;
use crate::scheduler::rule_options::RuleOptions;

/// Which account, and by which rule. Only [`decide`](super::decide) makes one.
///
/// The session keeps it for later stages, which is what serde is for here. It is no permission: whoever reads one back
/// has the account admitted once more, by [`readmit`](super::readmit).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    account: String,
    uid: u32,
    rule: String,
    #[serde(flatten)]
    options: RuleOptions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approver: Option<Approver>,
    #[serde(default)]
    terms: Terms,
}

impl Decision {
    /// The account's name.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Its number when the decision was made.
    pub fn uid(&self) -> Uid {
        Uid::from_raw(self.uid)
    }

    /// The rule, for people: its name and its line in the configuration.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What the rule fixes for batch jobs.
    pub fn options(&self) -> &RuleOptions {
        &self.options
    }

    /// What the rule grants besides the account.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Who had approved the commit, where the rule asked for that. Later stages go on by it: the job has begun as it was approved.
    pub fn approver(&self) -> Option<&Approver> {
        self.approver.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn for_test(account: &str, uid: u32) -> Self {
        Self {
            account: account.into(),
            uid,
            rule: "r".into(),
            options: RuleOptions::default(),
            approver: None,
            terms: Terms::default(),
        }
    }
}

/// Policy's answer: this account, by this decision.
#[must_use = "an admission that nobody looks at admits nobody"]
#[derive(Clone, Debug)]
pub struct Admission {
    account: Account,
    decision: Decision,
}

impl Admission {
    pub(super) fn new(
        account: Account,
        rule: String,
        (options, terms): (RuleOptions, Terms),
        approver: Option<Approver>,
    ) -> Self {
        let (name, uid) = (account.name().to_owned(), account.uid().as_raw());
        let decision = Decision { account: name, uid, rule, options, approver, terms };
        Self { account, decision }
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What is recorded of it.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}
