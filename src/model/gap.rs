//! What a cluster's setup lacks: parts that cannot be seen from here, and parts of which there is only one.
//!
//! The evidence of F51 and F53, and what the status page lists. Holds no texts: those are beside the rules.

use serde::{Deserialize, Serialize};

use super::canary::{Canary, CanaryLack};
use super::subject::Subject;

/// Something of a cluster that cannot be seen from here. Ordered from the widest to the narrowest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// No place outside the cluster can prove that our own path works.
    NoReference,
    /// These could prove it and are silent, and nothing else outside the cluster is left.
    ReferencesSilent(Vec<Subject>),
    /// No etcd is configured.
    NoEtcd,
    /// Only the API VIP is known, not the instances behind it.
    NoInstances,
    /// The address clients use is not known, only the instances.
    NoSharedAddress,
    /// The names of these have no address for us, so that nothing was ever asked there.
    Unresolved(Vec<Subject>),
    /// These were never seen to answer since vedette started.
    NeverSeen(Vec<Subject>),
    /// These answer, but refuse our credential.
    Refused(Vec<Subject>),
    /// These want a login for what is asked of them, and no credential is configured.
    NoCredential(Vec<Subject>),
    /// etcd's own list has members that are not watched.
    NotWatched {
        /// The etcd.
        etcd: Subject,
        /// Them, by name and address as etcd reports them.
        members: Vec<String>,
    },
    /// This etcd refuses to be read by our credential: whether its members reach each other shows by their Status
    /// alone.
    ReadsRefused(Subject),
    /// No metrics listener is configured for these: whole etcds, or members of one where others have a listener.
    NoListener(Vec<Subject>),
    /// The database quota of this etcd is neither reported nor configured.
    QuotaUnknown(Subject),
    /// These do not tell our user who holds their seats: the right is missing.
    LoadForbidden(Vec<Subject>),
    /// These have no API Priority and Fairness.
    NoFlowControl(Vec<Subject>),
    /// We may not read the `/metrics` of these.
    MetricsForbidden(Vec<Subject>),
    /// These canaries are not configured, or switched off.
    CanariesOff(Vec<Canary>),
    /// These canaries cannot be used: their own setup lacks something.
    CanariesLack {
        /// What.
        lack: CanaryLack,
        /// They.
        canaries: Vec<Canary>,
    },
    /// These do not tell our user of their process and flags: the right is missing.
    ZpagesForbidden(Vec<Subject>),
    /// These have no z-pages: they are older than Kubernetes 1.36, or the pages are switched off.
    NoZpages(Vec<Subject>),
}

/// Something of which there is only one, or a number that helps nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Single {
    /// One kube-apiserver.
    Apiserver(Subject),
    /// One voter in this etcd.
    Voter(Subject),
    /// An even number of voters: one more machine to fail than the odd number below it, and no more tolerance.
    EvenVoters {
        /// The etcd.
        etcd: Subject,
        /// Its voters.
        voters: usize,
    },
    /// One address leads to the API.
    WayIn(Subject),
    /// The vantage asks one DNS server.
    Resolver(Subject),
}
