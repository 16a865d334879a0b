//! F37, F62, F63 and the emulation in F17: what apiservers tell of themselves, as tables.

use std::sync::Arc;

use crate::model::inventory::Inventory;
use crate::model::observation::Reading;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::rule::Level::{Critical, Info, Warning};
use crate::model::rule::RuleId::{F37, F62, F63};
use crate::model::time::UnixTime;
use crate::model::zpages::{Flagz, NoZpage, Statusz};

use super::fixture::{Says, Seen, check_in, each, inventory, name, of, ready, seen, together};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const HOUR: u64 = 3600;

fn asked() -> Inventory {
    let mut inventory = inventory(2, 0);
    inventory.clusters.get_mut(&name("prod")).unwrap().zpages = true;
    inventory
}

/// What `/statusz` says of a process that started at this second.
fn status(subject: &str, started: i64, version: &str) -> Option<Seen> {
    let status = Statusz {
        started: Some(UnixTime::from_secs(started)),
        binary_version: Some(version.to_owned()),
        emulation_version: None,
    };
    seen(Probe::reused(of(subject), ProbeKind::Statusz), Ok(Reading::Statusz(Ok(Arc::new(status)))))
}

fn flags(subject: &str, text: &str) -> Option<Seen> {
    let flags = text.split_ascii_whitespace().map(|flag| flag.split_once('=').unwrap());
    let flags = Flagz::new(flags.map(|(name, value)| (name.to_owned(), value.to_owned())), 0);
    seen(Probe::reused(of(subject), ProbeKind::Flagz), Ok(Reading::Flagz(Ok(Arc::new(flags)))))
}

fn no_flags(subject: &str, instead: NoZpage) -> Option<Seen> {
    seen(Probe::reused(of(subject), ProbeKind::Flagz), Ok(Reading::Flagz(Err(instead))))
}

/// A status each minute until `seconds`; the process is another one from each of these seconds on.
fn statuses(seconds: u64, restarts: &[u64]) -> Vec<(u64, Option<Seen>)> {
    let process = |at: u64| restarts.iter().copied().filter(|due| *due <= at).max().unwrap_or(0);
    let told = |at: u64| (at * 1000, status(A1, i64::try_from(process(at)).unwrap(), "1.37.2"));
    let health = (0..=seconds / 5).map(|n| (n * 5000, ready(A1))).collect();
    together(&[(0..=seconds / 60).map(|n| told(n * 60)).collect(), health])
}

#[test]
fn restarts_are_counted_over_a_quarter_of_an_hour() {
    let early = [60, 120, 180, 240, 300];
    for (seconds, restarts, says) in [
        (900, 0, Says::Good),
        (840, 0, Says::Unclear),
        (900, 1, Says::Unclear),
        (1020, 1, Says::Good),
        (900, 2, Says::Bad(Warning, 0)),
        (900, 3, Says::Bad(Warning, 0)),
        (900, 4, Says::Bad(Critical, 0)),
        // One after the other leaves the window.
        (960, 4, Says::Bad(Critical, 0)),
        (1020, 4, Says::Bad(Warning, 0)),
        (1140, 4, Says::Unclear),
        (1200, 4, Says::Good),
    ] {
        let probes = statuses(seconds, &early[..restarts]);

        check_in(asked(), &probes, &[(F37, A1, says), (F37, A2, Says::NeverSeen)]);
    }
    check_in(inventory(2, 0), &statuses(60, &[]), &[(F37, A1, Says::Nothing)]);
}

/// Both tell that their process started at 7, in these versions, and these flags.
fn told(versions: [&str; 2], texts: [&str; 2]) -> Vec<(u64, Option<Seen>)> {
    let of_one = |subject, version, text| vec![(0, status(subject, 7, version)), (1000, flags(subject, text))];
    together(&[of_one(A1, versions[0], texts[0]), of_one(A2, versions[1], texts[1])])
}

#[test]
fn flags_that_differ_are_bad_by_their_weight_and_only_within_one_minor() {
    let alike = "anonymous-auth=true goaway-chance=0";
    for (versions, one, other, says) in [
        (["1.37.2", "1.37.2"], alike, alike, Says::Good),
        (["1.37.2", "1.37.2"], alike, "anonymous-auth=false goaway-chance=0", Says::Bad(Warning, HOUR)),
        (["1.37.2", "1.37.0"], alike, "anonymous-auth=true goaway-chance=0.1", Says::Bad(Info, HOUR)),
        (["1.37.2", "1.36.4"], alike, "anonymous-auth=false goaway-chance=0", Says::NeverSeen),
    ] {
        check_in(asked(), &told(versions, [one, other]), &[(F62, "prod", says)]);
    }
}

#[test]
fn flags_of_one_instance_alone_or_of_a_former_process_say_nothing() {
    let alike = || told(["1.37.2"; 2], ["v=2 goaway-chance=0"; 2]);
    let restarted = each(&[2000], status(A2, 900, "1.37.2"));
    let refused = each(&[2000], no_flags(A2, NoZpage::Forbidden));
    for (more, says) in [(vec![], Says::Good), (restarted, Says::Unclear), (refused, Says::Good)] {
        check_in(asked(), &together(&[alike(), more]), &[(F62, "prod", says)]);
    }
    let one = vec![(0, status(A1, 7, "1.37.2")), (1000, flags(A1, "v=2"))];
    check_in(asked(), &one, &[(F62, "prod", Says::Unclear), (F62, A1, Says::Nothing)]);
    check_in(inventory(2, 0), &alike(), &[(F62, "prod", Says::Nothing)]);
}

#[test]
fn without_a_list_of_members_nothing_is_said_of_etcd_servers() {
    let probes = told(["1.37.2"; 2], ["etcd-servers=https://10.0.0.1:2379"; 2]);
    check_in(asked(), &probes, &[(F63, "prod", Says::Nothing)]);
    let mut with_etcd = inventory(2, 3);
    with_etcd.clusters.get_mut(&name("prod")).unwrap().zpages = true;
    check_in(with_etcd, &probes, &[(F63, "prod", Says::NeverSeen)]);
}
