//! What the mails tell people to run.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::judge::certificate_files::item::StoredExpiry;
use crate::judge::certificate_files::unread::Unread;
use crate::judge::commands::{Command, Commands, Id};
use crate::judge::credential_rejected::RefusedCredential;
use crate::judge::etcd_membership::Membership;
use crate::judge::etcd_partition::Split;
use crate::judge::expiry::ServedExpiry;
use crate::judge::monitoring_gap::Coverage;
use crate::judge::overload::{Overloaded, Who};
use crate::judge::quota::Quota;
use crate::judge::vip::Vip;
use crate::judge::words::COMMANDS;
use crate::model::certificate::Class;
use crate::model::certificate_files::{FileFault, ItemKind};
use crate::model::etcd::{Apartness, Mismatch};
use crate::model::gap::Gap;
use crate::model::health::Foreign;
use crate::model::host_access::{Credential, Distribution, Hosts, Named};
use crate::model::inventory::{Own, OwnPart, Towards};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Symptom};
use crate::samples::{addresses, change, finding, hosts, subject};

const PROXY: &str = "http://squid.example:3128";

/// One finding of each rule, and those of which the commands depend on what was seen.
fn findings() -> Vec<Finding> {
    let mut findings: Vec<Finding> = RuleId::ALL.into_iter().map(finding).collect();
    let mut with = |rule: RuleId, change: &dyn Fn(&mut Finding)| {
        let mut other = finding(rule);
        change(&mut other);
        findings.push(other);
    };
    with(RuleId::F03, &|found| {
        change(found, |split: &mut Split| split.apart[0].how = Apartness::OtherCluster { cluster_id: 7 });
    });
    with(RuleId::F08, &|found| {
        change(found, |quota: &mut Quota| quota.0.is_corrupt = true);
    });
    for who in [Who::NotVisible, Who::Unanswered, Who::Forbidden] {
        with(RuleId::F18, &|found| {
            change(found, |overloaded: &mut Overloaded| overloaded.who = who.clone());
        });
    }
    with(RuleId::F22, &|found| found.subject = subject("prod-eu1/vip"));
    with(RuleId::F23, &|found| {
        change(found, |vip: &mut Vip| vip.symptom = Symptom::Foreign { status: 200, page: Foreign::Html });
    });
    for class in [Class::Automatic, Class::Restart] {
        with(RuleId::F26, &|found| {
            change(found, |expiry: &mut ServedExpiry| expiry.class = class);
        });
    }
    for reason in ["not_yet_valid", "wrong_name"] {
        with(RuleId::F27, &|found| found.subject = subject(&format!("prod-eu1/chain/{reason}")));
    }
    for (kind, is_own) in [
        (ItemKind::KubeconfigClient, true),
        (ItemKind::KubeconfigClient, false),
        (ItemKind::TalosClient, false),
        (ItemKind::Token, true),
        (ItemKind::Authority, true),
        (ItemKind::Leaf, false),
    ] {
        with(RuleId::F28, &|found| {
            change(found, |expiry: &mut StoredExpiry| {
                expiry.kind = kind;
                expiry.own = is_own.then(|| Box::new(Own { part: OwnPart::Client, towards: Towards::Apiservers }));
            });
        });
    }
    with(RuleId::F28, &|found| {
        let faults = vec![("/srv/pki/a.crt".to_owned(), FileFault::Forbidden)];
        let path = "/srv/pki".to_owned();
        found.evidence = Arc::new(Unread { path, faults, more: 0, own: None, first_end: None, last_read: None });
    });
    for unseen in [Cause::TokenWithheld, Cause::CredentialRejected] {
        with(RuleId::F52, &|found| {
            found.subject = subject("prod-eu1/apiserver/api-1");
            change(found, |refused: &mut RefusedCredential| {
                refused.unseen = Unseen { phase: Phase::FirstByte, cause: unseen };
            });
        });
    }
    with(RuleId::F53, &|found| {
        found.evidence = Arc::new(Coverage { gaps: vec![Gap::Unresolved(vec![subject("prod-eu1/vip")])] });
    });
    with(RuleId::F55, &|found| found.subject = subject("vantage/resolver/10.0.0.53:53"));
    let member = subject("prod-eu1/etcd/etcd/etcd-1");
    for mismatch in [
        Mismatch::WithoutTls(vec![member.clone()]),
        Mismatch::NotStarted { ids: vec!["8e9e05c52164694d".into()], voters: 3 },
        Mismatch::NotListed(vec![member]),
    ] {
        with(RuleId::F57, &|found| {
            change(found, |membership: &mut Membership| membership.found = vec![mismatch.clone()]);
        });
    }
    findings
}

/// Each distribution as root and as another user.
fn ways() -> Vec<Hosts> {
    let of = |distribution: Distribution, user: Option<&str>| Hosts {
        distribution,
        ssh_user: user.map(str::to_owned),
        ..hosts()
    };
    Distribution::ALL.into_iter().flat_map(|known| [of(known, None), of(known, Some("anna"))]).collect()
}

/// Every command of every rule on every kind of hosts.
fn all() -> Vec<(Distribution, RuleId, Command)> {
    let addresses = addresses();
    let of = |hosts: &Hosts, finding: &Finding| {
        let (distribution, rule) = (hosts.distribution, finding.rule);
        let next = finding.next_commands(&Commands::new(&addresses, hosts));
        next.into_iter().map(move |command| (distribution, rule, command)).collect::<Vec<_>>()
    };
    ways().iter().flat_map(|hosts| findings().into_iter().flat_map(move |finding| of(hosts, &finding))).collect()
}

#[test]
fn every_command_is_one_that_a_shell_takes() {
    let lines: BTreeSet<String> = all().into_iter().map(|(_, _, command)| command.line).collect();
    for line in lines {
        let parsed = std::process::Command::new("bash").args(["-n", "-c", &line]).output().unwrap();
        assert!(parsed.status.success(), "{line}\n{}", String::from_utf8_lossy(&parsed.stderr));
        assert!(!line.contains('\n'), "{line}");
    }
}

#[test]
fn what_changes_something_stands_below_what_only_reads() {
    let addresses = addresses();
    for hosts in ways() {
        for finding in findings() {
            let next = finding.next_commands(&Commands::new(&addresses, &hosts));
            let kinds: Vec<bool> = next.iter().map(|command| command.changes).collect();
            assert!(kinds.is_sorted(), "{}: {next:#?}", finding.rule);
        }
    }
}

#[test]
fn every_known_command_is_told_by_some_rule() {
    let told: BTreeSet<Id> = all().into_iter().map(|(_, _, command)| command.id).collect();
    // A site of which nothing answers is found where mails are rendered.
    let silent: Vec<Id> = Id::ALL.iter().copied().filter(|id| !told.contains(id) && *id != Id::AnyHost).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn without_a_quorum_the_first_thing_to_change_is_nothing_but_a_copy() {
    let addresses = addresses();
    for hosts in ways() {
        let next = finding(RuleId::F01).next_commands(&Commands::new(&addresses, &hosts));
        let first = next.iter().find(|command| command.changes).unwrap();
        assert_eq!(first.id, Id::CopyData);
        assert!(first.note.as_ref().unwrap().contains("Do not 'member remove', do not delete data"), "{first:?}");
    }
}

#[test]
fn the_leader_is_defragmented_last() {
    let (addresses, hosts) = (addresses(), hosts());
    let next = finding(RuleId::F09).next_commands(&Commands::new(&addresses, &hosts));
    let order: Vec<&str> =
        next.iter().filter(|command| command.id == Id::EtcdDefragment).map(|command| command.line.as_str()).collect();

    assert_eq!(order.len(), 3);
    assert!(order[2].contains("10.0.0.21"), "{order:?}");
}

#[test]
fn nothing_is_stopped_at_once_or_by_a_loose_name() {
    for (_, rule, command) in all() {
        let line = command.line;
        assert!(!line.contains(" stop ") || line.contains("--timeout") || line.contains("systemctl"), "{rule}: {line}");
        assert!(!line.contains("--name etcd") && !line.contains("--name kube-apiserver"), "{rule}: {line}");
    }
}

/// What talosctl 1.11.1 took when it was given every line, as the words before the first that names something of a
/// cluster. It takes too long to build for the lab.
const TALOSCTL: [&str; 21] = [
    "config info",
    "config new",
    "containers -k",
    "cp /var/lib/etcd",
    "etcd alarm",
    "etcd defrag",
    "etcd members",
    "etcd remove-member",
    "etcd snapshot",
    "etcd status",
    "get addresses",
    "get certsans",
    "logs -k",
    "logs etcd",
    "logs kubelet",
    "mounts",
    "netstat -l -p",
    "read /proc/pressure/",
    "reboot",
    "service etcd",
    "time",
];

#[test]
fn talosctl_is_asked_for_nothing_that_it_does_not_know() {
    let mut asked = 0;
    for (_, rule, command) in all() {
        for call in command.line.split("talosctl ").skip(1) {
            // `-n HOST` and `--talosconfig PATH` are flags of every call.
            let words: Vec<&str> = call.split_whitespace().collect();
            let flags = if words[0].starts_with('-') { 2 } else { 0 };
            let rest = words[flags..].join(" ");
            let is_known = TALOSCTL.iter().any(|known| rest.starts_with(known));
            assert!(is_known, "{rule}: {}", command.line);
            asked += 1;
        }
    }
    assert!(asked > 50, "only {asked} calls: the samples show too little");
}

#[test]
fn no_rule_has_more_commands_than_a_mail_shows() {
    for finding in findings() {
        let (addresses, hosts) = (addresses(), hosts());
        let commands = finding.next_commands(&Commands::new(&addresses, &hosts));
        assert!(commands.len() <= COMMANDS, "{}: {commands:#?}", finding.rule);
    }
}

#[test]
fn behind_a_proxy_no_command_asks_an_apiserver_around_it() {
    let direct = addresses();
    let mut behind = direct.clone();
    behind.insert(subject("vantage/proxy/squid"), PROXY.to_owned());
    let of_api: Vec<&String> = direct
        .iter()
        .filter(|(subject, _)| matches!(subject, Subject::Apiserver(..) | Subject::Vip(_)))
        .map(|(_, address)| address)
        .collect();
    let hosts = hosts();
    let mut asked = 0;
    for finding in findings() {
        // One address of a name is found by our own resolver: there is none behind a proxy.
        if finding.rule != RuleId::F59 {
            for command in finding.next_commands(&Commands::new(&behind, &hosts)) {
                let command = command.line;
                let names_api = of_api.iter().any(|address| command.contains(address.as_str()));
                asked += usize::from(names_api);
                assert!(!names_api || command.contains("squid.example:3128"), "{}: {command}", finding.rule);
            }
        }
    }
    assert!(asked > 10, "only {asked} commands name an apiserver: the samples show too little");
}

#[test]
fn what_the_configuration_names_stands_in_the_commands() {
    let addresses = addresses();
    let of_etcd = Credential {
        ca: Some("/etc/vedette/etcd ca.crt".into()),
        certificate: Some("/etc/vedette/etcd.crt".into()),
        key: Some("/etc/vedette/etcd.key".into()),
        kubeconfig: None,
    };
    let named = Named {
        configuration: Some("/srv/vedette.yaml".into()),
        apiservers: Credential { kubeconfig: Some("/srv/prod.kubeconfig".into()), ..Credential::default() },
        etcds: [("etcd".parse().unwrap(), of_etcd)].into(),
        server_names: [(subject("prod-eu1/apiserver/api-1"), "api.example".to_owned())].into(),
    };
    let hosts = Hosts { named, ..hosts() };
    let told = |about: &str| {
        let mut refused = finding(RuleId::F52);
        refused.subject = subject(about);
        let next = refused.next_commands(&Commands::new(&addresses, &hosts));
        next.into_iter().map(|command| command.line).collect::<Vec<_>>()
    };

    let of_api = told("prod-eu1/apiserver/api-1");
    assert_eq!(of_api[0], "sudo -u vedette vedette check /srv/vedette.yaml");
    assert!(of_api[1].starts_with("kubectl --kubeconfig /srv/prod.kubeconfig config view"), "{of_api:#?}");
    assert_eq!(of_api[2], "kubectl --kubeconfig /srv/prod.kubeconfig auth whoami");
    let of_etcd = told("prod-eu1/etcd/etcd/etcd-1");
    let shown = "--cacert '/etc/vedette/etcd ca.crt' --cert /etc/vedette/etcd.crt --key /etc/vedette/etcd.key";
    assert!(of_etcd[2].contains(shown), "{of_etcd:#?}");

    let served = Commands::new(&addresses, &hosts).served(&subject("prod-eu1/apiserver/api-1"), "-dates");
    assert!(served.line.contains("-connect 10.0.0.11:6443 -servername api.example"), "{}", served.line);
}

#[test]
fn curl_takes_the_command_that_this_machines_curl_cannot_run() {
    let mut lines: Vec<String> = all()
        .into_iter()
        .filter(|(_, _, command)| command.id == Id::LargeHello)
        .map(|(_, _, command)| command.line)
        .collect();
    lines.sort();
    lines.dedup();
    assert!(!lines.is_empty());
    for line in lines {
        // All flags are parsed before the version is shown; the group is looked up when a connection is made.
        let asks = format!("curl() {{ command curl \"$@\" --version; }}; {line}");
        let done = std::process::Command::new("bash").args(["-c", &asks]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(
            done.status.success() && said.starts_with("curl "),
            "{line}\n{said}{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}

/// Commands that no drill has run. Each is one more that may fail in the night: this number goes down.
const NEVER_RUN: usize = 8;

#[test]
fn every_command_was_run_by_a_drill_or_is_marked() {
    let list = include_str!("../../../tests/commands.list");
    let lines: Vec<Vec<&str>> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
        .collect();
    let listed: Vec<&str> = lines.iter().map(|words| words[0]).collect();

    for id in Id::ALL {
        let count = listed.iter().filter(|word| **word == id.as_str()).count();
        assert_eq!(count, 1, "{id} stands {count} times in tests/commands.list");
    }
    assert_eq!(listed.len(), Id::ALL.len(), "tests/commands.list names a command that nobody tells");
    assert_eq!(lines.iter().filter(|words| words[1] == "never").count(), NEVER_RUN);
}
