//! F01 and F02: etcd as a body that must agree, and its members one by one.

use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding};

use super::phrases;
use super::words::{Addresses, Words};

/// F01: fewer than a majority of the voters answer, or those that answer agree on no leader.
pub struct QuorumLost;

/// F02: one member is down while the others still agree.
pub struct MemberDown;

/// etcd as people call it: by its name only where a cluster may have several.
pub(super) fn etcd_name(subject: &Subject) -> String {
    match subject {
        Subject::Etcd(_, name) | Subject::EtcdMember(_, name, _) if !matches!(name.as_str(), "etcd" | "main") => {
            format!("etcd {}", phrases::fit(name.as_str(), 14))
        }
        Subject::Etcd(..)
        | Subject::EtcdMember(..)
        | Subject::Vantage
        | Subject::Reference(_)
        | Subject::Resolver(_)
        | Subject::Cluster(_)
        | Subject::Vip(_)
        | Subject::Apiserver(..) => "etcd".into(),
    }
}

impl Words for QuorumLost {
    fn id(&self) -> RuleId {
        RuleId::F01
    }

    fn title(&self) -> &'static str {
        "etcd quorum lost or no leader"
    }

    fn headline(&self, finding: &Finding) -> String {
        format!("{} has lost its quorum", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let Evidence::Quorum { needed, answering, silent, leaderless } = &finding.evidence else {
            return format!("{etcd} cannot form a majority.");
        };
        let total = answering.len() + silent.len();
        let silent: Vec<String> = silent
            .iter()
            .map(|(member, unseen)| format!("{} is {}", phrases::place(member, addresses), phrases::state(*unseen)))
            .collect();
        if *leaderless {
            let rest = if silent.is_empty() { String::new() } else { format!(" {}.", silent.join("; ")) };
            return format!(
                "{} of {total} members of {etcd} answer, but they agree on no leader ({needed} must).{rest}",
                answering.len()
            );
        }
        format!(
            "Only {} of {total} members of {etcd} answer; {needed} are needed. {}.",
            answering.len(),
            silent.join("; ")
        )
    }

    fn impact(&self, _: &Finding) -> String {
        "Nothing can be written: kubectl apply, deploys, scaling, rescheduling and node heartbeats fail or hang. \
         Running pods keep running and serving; reads may still answer, with old state."
            .into()
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        let Evidence::Quorum { silent, leaderless, .. } = &finding.evidence else {
            return "Members are down or cut off from each other.".into();
        };
        if *leaderless {
            return "The members run but cannot elect: the peer network (port 2380) between them is cut, their disks \
                    are too slow, or their clocks or peer certificates are off."
                .into();
        }
        let refused =
            silent.iter().filter(|(_, unseen)| unseen.cause == crate::model::observation::Cause::Refused).count();
        if refused == silent.len() {
            "The silent members refuse connections: their processes are not running, for instance after a full disk, \
             an expired certificate or a bad rollout. Their machines are up."
                .into()
        } else if refused == 0 {
            "The silent members do not refuse, they stay mute: machines or network between here and them are down, or \
             the processes hang, for instance on a dead disk."
                .into()
        } else {
            "Some members refuse (process not running), others stay mute (machine or network down): look at them one \
             by one; one member back may be enough."
                .into()
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn next_commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<String> {
        let (answering, silent) = match &finding.evidence {
            Evidence::Quorum { answering, silent, .. } => {
                (answering.clone(), silent.iter().map(|(member, _)| member.clone()).collect::<Vec<_>>())
            }
            _ => (Vec::new(), Vec::new()),
        };
        let mut all: Vec<Subject> = answering.iter().chain(&silent).cloned().collect();
        all.sort();
        let mut commands = Vec::new();
        if let Some(first) = silent.first().or_else(|| answering.first()) {
            commands.push(phrases::containers(first, addresses, "etcd"));
            commands.push(phrases::logs(first, addresses, "etcd"));
            commands.push(format!("ssh {} df -h /var/lib/etcd", phrases::host_of(first, addresses)));
        }
        commands.push(phrases::ETCDCTL_FILES.into());
        commands.push(phrases::etcdctl(&all, addresses, "endpoint status -w table"));
        commands
    }
}

impl Words for MemberDown {
    fn id(&self) -> RuleId {
        RuleId::F02
    }

    fn title(&self) -> &'static str {
        "one etcd member down"
    }

    fn headline(&self, finding: &Finding) -> String {
        let etcd = etcd_name(&finding.subject);
        let room = 50 - " member  is down".len() - etcd.len();
        format!("{etcd} member {} is down", phrases::fit(finding.subject.short(), room))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let member = phrases::place(&finding.subject, addresses);
        let etcd = etcd_name(&finding.subject);
        let Evidence::Silent { unseen, remaining, of } = &finding.evidence else {
            return format!("Member {member} of {etcd} gives no answer.");
        };
        format!(
            "Member {member} of {etcd} is {}. The other {remaining} of {of} agree on a leader.",
            phrases::state(*unseen)
        )
    }

    fn impact(&self, finding: &Finding) -> String {
        let Evidence::Silent { remaining, of, .. } = &finding.evidence else {
            return "The cluster works on with less redundancy.".into();
        };
        let spare = remaining.saturating_sub(of / 2 + 1);
        match spare {
            0 => {
                "The cluster works, but it cannot lose one more member: the next loss stops every write. An apiserver \
                  that uses only this member is not ready."
                    .into()
            }
            1 => "The cluster works and can lose one more member.".into(),
            spare => format!("The cluster works and can lose {spare} more members."),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn likely_cause(&self, finding: &Finding) -> String {
        use crate::model::observation::Cause;
        let Evidence::Silent { unseen, .. } = &finding.evidence else {
            return "The member's process, machine or network.".into();
        };
        match unseen.cause {
            Cause::Refused => {
                "The machine answers but nothing listens: the etcd process ended (full disk, damaged data, \
                               expired certificate, out of memory) and does not come back."
                    .into()
            }
            Cause::Timeout => "The machine or its network is down, or the process hangs, for instance on its disk. A \
                               running defragmentation also mutes a member, for 10 to 40 s per GB."
                .into(),
            Cause::TlsBroken | Cause::TlsAlert => {
                "The TLS set-up of this member: certificate, key or accepted client authority.".into()
            }
            _ => format!("What the last look met: {unseen}."),
        }
    }

    fn next_commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<String> {
        let host = phrases::host_of(&finding.subject, addresses);
        let mut members = phrases::members(&finding.subject, addresses);
        if members.is_empty() {
            members.push(finding.subject.clone());
        }
        vec![
            phrases::containers(&finding.subject, addresses, "etcd"),
            phrases::logs(&finding.subject, addresses, "etcd"),
            format!("ssh {host} df -h /var/lib/etcd"),
            phrases::ETCDCTL_FILES.into(),
            phrases::etcdctl(&members, addresses, "endpoint status -w table"),
        ]
    }
}
