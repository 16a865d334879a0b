//! What can be said of a rule before anything was seen: its names, its alert, which probes a mail about it shows.

use crate::model::rule::RuleId;

/// What there is to know of a rule without a finding of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The rule's name.
    pub id: RuleId,
    /// The symptom as one word, for the names of alerts and the label of metrics: `EtcdQuorumLost`.
    pub name: &'static str,
    /// The symptom in three words, for the brackets of a mail subject where it is the cause of what the mail is about.
    pub in_short: &'static str,
    /// What the rule is about, for tables: `etcd quorum lost or no leader`.
    pub title: &'static str,
    /// What the alert of this rule says stops working. An alert knows nothing of the case at hand.
    pub impact: &'static str,
    /// What the alert of this rule says of the cause.
    pub likely_cause: &'static str,
    /// Which of the latest probes a mail shows.
    pub shows: Shows,
}

/// Which of the latest probes show something about the findings of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// All of them.
    All,
    /// Those of etcd, which show nothing about an apiserver.
    Etcd,
    /// Those of the apiservers and the API VIP, and of etcd what failed.
    Apiservers,
    /// What failed.
    Failed,
    /// Those of files.
    Files,
    /// None: an answer shows nothing about it.
    Nothing,
}
