//! Items in files: which are reported, once, and which are not.

use std::sync::Arc;
use std::time::Duration;

use crate::judge::certificate_files::item::StoredExpiry;
use crate::judge::certificate_files::unread::Unread;
use crate::judge::context::RuleContext;
use crate::judge::expiry::ServedExpiry;
use crate::judge::judge;
use crate::judge::not_reloaded::Stale;
use crate::model::certificate::{Certificate, Class, Fingerprint, Served, Trust, TrustPath};
use crate::model::certificate_files::{
    FileFault, FilesReading, Item, ItemKind, Life, SourceReading, StoredFile, Trouble,
};
use crate::model::inventory::{FileWatch, Inventory, Own, OwnPart, Towards};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::Phases;
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::rule::Level::{Critical, Info, Warning};
use crate::model::rule::RuleId::{F26, F28, F54};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Now, UnixTime};
use crate::model::verdict::{Finding, Verdict};
use crate::observe::view::View;

use super::fixture::{at, inventory, name, of};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn the_thresholds_of_the_class_holds_for_what_lies_in_files() {
    for (class, kind, days, level) in [
        (Class::Manual, ItemKind::Leaf, 31, None),
        (Class::Manual, ItemKind::Leaf, 29, Some(Info)),
        (Class::Manual, ItemKind::KubeconfigClient, 13, Some(Warning)),
        (Class::Manual, ItemKind::Token, 6, Some(Warning)),
        (Class::Manual, ItemKind::Client, 0, Some(Critical)),
        (Class::Automatic, ItemKind::Client, 61, None),
        (Class::Automatic, ItemKind::Client, 59, Some(Warning)),
        (Class::Restart, ItemKind::Leaf, 119, Some(Info)),
        (Class::Automatic, ItemKind::Authority, 200, Some(Info)),
    ] {
        let mut fixture = FilesFixture::new(FileWatch { certificates: class, ..watch() });

        fixture.files(0, vec![file("a.crt", vec![item(1, days, kind)])]);

        let told = fixture.findings(1).first().map(|finding| finding.level);
        assert_eq!(told, level, "{class:?} {kind:?} {days}");
    }
}

#[test]
fn a_kubelet_that_renews_at_nine_tenths_is_not_told_of_before() {
    for (renewed_at_permille, told) in [(None, true), (Some(900), false)] {
        let mut fixture =
            FilesFixture::new(FileWatch { certificates: Class::Automatic, renewed_at_permille, ..watch() });

        fixture.files(0, vec![file("kubelet.pem", vec![item(1, 40, ItemKind::Client)])]);

        assert_eq!(!fixture.findings(1).is_empty(), told, "{renewed_at_permille:?}");
    }
}

#[test]
fn one_ca_in_many_places_is_one_finding_with_all_of_them() {
    let mut fixture = FilesFixture::new(watch());
    let authority = || vec![item(9, 100, ItemKind::Authority)];

    fixture.files(
        0,
        vec![file("ca.crt", authority()), file("admin.conf", authority()), file("kubelet.conf", authority())],
    );

    let findings = fixture.findings(1);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    let Some(StoredExpiry { paths, .. }) = finding.seen() else { panic!("{finding:?}") };
    assert_eq!(paths.as_slice(), ["admin.conf", "ca.crt", "kubelet.conf"]);
}

#[test]
fn what_was_replaced_beside_itself_is_not_told_and_a_copy_in_a_kubeconfig_is() {
    let old_and_new = |kind| vec![item(1, 3, kind), Item { fingerprint: print(2), ..item(1, 300, kind) }];
    for (kind, told) in [(ItemKind::Client, 0), (ItemKind::KubeconfigClient, 1), (ItemKind::Authority, 2)] {
        let mut fixture = FilesFixture::new(watch());

        fixture.files(0, vec![file("a", old_and_new(kind))]);

        assert_eq!(fixture.findings(1).len(), told, "{kind:?}");
    }
}

#[test]
fn our_own_credential_is_told_as_ours_even_when_a_newer_one_lies_beside_it() {
    let own = Own { part: OwnPart::Client, towards: Towards::Etcd(name("main")) };
    let mut fixture = FilesFixture::new(FileWatch { own: Some(own.clone()), ..watch() });

    fixture.files(
        0,
        vec![file(
            "c.crt",
            vec![item(1, 3, ItemKind::Client), Item { fingerprint: print(2), ..item(1, 300, ItemKind::Client) }],
        )],
    );

    let findings = fixture.findings(1);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(matches!(finding.seen(), Some(StoredExpiry { own: Some(known), .. }) if **known == own));
}

#[test]
fn what_is_served_and_stored_is_one_finding_with_both_places() {
    let mut fixture = FilesFixture::new(watch());
    let certificate = certificate(1, 3);
    fixture.serve(0, "prod/apiserver/api-1", &certificate);

    fixture.files(0, vec![file("apiserver.crt", vec![stored(&certificate)])]);

    let findings = fixture.findings(1);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    let Some(ServedExpiry { stored, .. }) = finding.seen() else { panic!("{finding:?}") };
    assert_eq!((finding.rule, stored.as_slice()), (F26, &["apiserver.crt".to_owned()][..]));
}

#[test]
fn a_leftover_of_what_is_served_anew_is_only_listed() {
    let mut fixture = FilesFixture::new(watch());
    fixture.serve(0, "prod/apiserver/api-1", &certificate(2, 300));

    fixture.files(0, vec![file("old.crt", vec![stored(&certificate(1, 0))])]);

    assert_eq!(fixture.levels(1), [(F28, Info)]);
}

#[test]
fn an_old_certificate_is_told_after_ten_minutes_beside_the_new_one_and_not_before() {
    let mut fixture = FilesFixture::new(watch());
    let (old, new) = (certificate(1, 100), certificate(2, 300));
    let mut both = |millis: u64, stored_one: &Certificate, served_one: &Certificate| {
        fixture.files(millis, vec![file("apiserver.crt", vec![stored(stored_one)])]);
        fixture.serve(millis, "prod/apiserver/api-1", served_one);
        fixture.verdict(millis, F54, "prod/apiserver/api-1")
    };
    let minute = 60_000;

    // The first probe at files comes before anything was served: there is nothing to compare yet.
    assert!(matches!(both(0, &old, &old), Some(Verdict::Unknown(_))));
    assert!(matches!(both(minute, &old, &old), Some(Verdict::Good { .. })));
    assert!(matches!(both(2 * minute, &new, &old), Some(Verdict::Unknown(_))));
    assert!(matches!(both(11 * minute, &new, &old), Some(Verdict::Unknown(_))));
    let Some(Verdict::Bad(finding)) = both(12 * minute, &new, &old) else { panic!("not told") };
    assert!(matches!(finding.seen(), Some(Stale { path, .. }) if path == "apiserver.crt"));
    assert!(matches!(both(13 * minute, &new, &new), Some(Verdict::Good { .. })));
}

#[test]
fn a_source_that_says_whom_it_serves_is_believed_though_the_names_differ() {
    let serves = Some(of("prod/etcd/main/etcd-1"));
    let mut fixture = FilesFixture::new(FileWatch { serves, ..watch() });
    let (old, new) = (certificate(1, 100), Certificate { subject: "CN=renamed".into(), ..certificate(2, 300) });
    for millis in [0, 60_000, 700_000] {
        fixture.serve(millis, "prod/etcd/main/etcd-1", &old);
        fixture.files(millis, vec![file("server.crt", vec![stored(&new)])]);
    }

    assert!(matches!(fixture.verdict(700_000, F54, "prod/etcd/main/etcd-1"), Some(Verdict::Bad(_))));
    assert!(matches!(fixture.verdict(700_000, F54, "prod/apiserver/api-1"), Some(Verdict::Unknown(_))));
}

#[test]
fn the_third_probe_in_a_row_at_what_cannot_be_read_is_told_and_its_dates_still_count() {
    let mut fixture = FilesFixture::new(watch());
    let trouble = Some(Trouble { fault: FileFault::Forbidden, last_read: Some(at(0).wall) });
    let unreadable =
        || vec![Arc::new(StoredFile { fault: trouble, ..(*file("a.crt", vec![item(1, 3, ItemKind::Leaf)])).clone() })];

    for millis in [0, 60_000] {
        fixture.files(millis, unreadable());
        assert_eq!(fixture.levels(millis), [(F28, Warning)], "the end alone");
    }
    fixture.files(120_000, unreadable());

    let findings = fixture.findings(120_000);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(
        findings
            .iter()
            .any(|it| matches!(it.seen(), Some(StoredExpiry { last_read: Some(read), .. }) if *read == at(0).wall))
    );
    assert!(
        findings
            .iter()
            .any(|it| matches!(it.seen(), Some(Unread { faults, .. }) if faults[0].1 == FileFault::Forbidden))
    );
}

/// What cannot be read in `raised`, and what a later reading shows that is otherwise without a fault.
#[test]
fn a_file_that_could_not_be_read_stays_told_until_it_was_examined_again() {
    let unreadable = |path: &str| {
        let fault = Some(Trouble { fault: FileFault::Forbidden, last_read: None });
        Arc::new(StoredFile { fault, ..(*file(path, Vec::new())).clone() })
    };
    let many: Vec<_> = (0..20).map(|number| unreadable(&format!("{number:02}.crt"))).collect();
    let one = vec![unreadable("a.crt")];
    let read = |path: &str| vec![file(path, vec![item(1, 300, ItemKind::Leaf)])];
    for (why, raised, files, left_out, is_over) in [
        ("a limit left it out", &one, read("b.crt"), 1, false),
        ("a limit left out everything", &one, Vec::new(), 1, false),
        ("a limit left out others", &one, read("a.crt"), 1, true),
        ("it is gone", &one, read("b.crt"), 0, true),
        ("it is read, and holds nothing", &one, Vec::new(), 0, true),
        ("not all are known by name", &many, read("00.crt"), 1, false),
        ("all of many are gone", &many, Vec::new(), 0, true),
    ] {
        let mut fixture = FilesFixture::new(watch());
        for millis in [0, 60_000, 120_000] {
            fixture.files(millis, raised.clone());
        }
        fixture.raised = fixture.findings(120_000);
        assert_eq!(fixture.raised.len(), 1, "{why}");

        fixture.reading(180_000, SourceReading { left_out, ..source(files) });

        let verdict = fixture.verdict(180_000, F28, "prod/stored/pki");
        assert_eq!(matches!(verdict, Some(Verdict::Good { .. })), is_over, "{why}: {verdict:?}");
    }
}

#[test]
fn a_source_that_could_not_be_read_stays_told_while_a_limit_hides_all_of_it() {
    for (files, left_out, is_over) in [
        (Vec::new(), 1, false),
        (vec![file("a.crt", vec![item(1, 300, ItemKind::Leaf)])], 1, true),
        (Vec::new(), 0, true),
    ] {
        let mut fixture = FilesFixture::new(watch());
        for millis in [0, 60_000, 120_000] {
            fixture.reading(millis, SourceReading { fault: Some(FileFault::Missing), ..source(Vec::new()) });
        }
        fixture.raised = fixture.findings(120_000);

        fixture.reading(180_000, SourceReading { left_out, ..source(files) });

        let verdict = fixture.verdict(180_000, F28, "prod/stored/pki");
        assert_eq!(matches!(verdict, Some(Verdict::Good { .. })), is_over, "{verdict:?}");
    }
}

#[test]
fn what_was_raised_is_over_when_its_file_was_read_without_it_and_stands_while_it_may_lie_there() {
    let subject = "prod/stored/0101010101010101";
    let cut = |path: &str| {
        let fault = Some(Trouble { fault: FileFault::HalfWritten, last_read: None });
        Arc::new(StoredFile { fault, ..(*file(path, Vec::new())).clone() })
    };
    for (files, is_over) in [
        (Vec::new(), true),
        (vec![file("b.crt", vec![item(2, 3, ItemKind::Leaf)])], true),
        (vec![file("a.crt", vec![item(1, 3, ItemKind::Leaf), newer(1)])], true),
        (vec![cut("b.crt")], true),
        (vec![cut("a.crt")], false),
        (vec![file("b.crt", vec![item(1, 3, ItemKind::Leaf)])], false),
    ] {
        let mut fixture = FilesFixture::new(watch());
        fixture.files(0, vec![file("a.crt", vec![item(1, 3, ItemKind::Leaf)])]);
        fixture.raised = fixture.findings(0);
        fixture.files(60_000, files.clone());

        let is_good = matches!(fixture.verdict(60_000, F28, subject), Some(Verdict::Good { .. }));

        assert_eq!(is_good, is_over, "{files:?}");
        // After a restart nothing was read yet.
        let restarted = FilesFixture { raised: fixture.raised, ..FilesFixture::new(watch()) };
        assert!(matches!(restarted.verdict(60_000, F28, subject), Some(Verdict::Unknown(_))));
    }
}

#[test]
fn an_old_certificate_is_no_longer_stale_when_the_new_one_is_served_or_lies_there_no_more() {
    let (old, new) = (certificate(1, 100), certificate(2, 300));
    let endpoint = "prod/apiserver/api-1";
    let at_path = |fault: Option<FileFault>| {
        let fault = fault.map(|fault| Trouble { fault, last_read: None });
        let items = if fault.is_some() { Vec::new() } else { vec![stored(&old)] };
        vec![Arc::new(StoredFile { path: "apiserver.crt".into(), items: items.into(), fault, damaged: 0 })]
    };
    for (files, served, is_over) in [
        (at_path(None), &old, true),
        (Vec::new(), &old, true),
        (at_path(Some(FileFault::HalfWritten)), &old, false),
        (at_path(Some(FileFault::HalfWritten)), &new, true),
    ] {
        let mut fixture = FilesFixture::new(watch());
        for millis in [0, 60_000, 700_000] {
            fixture.serve(millis, endpoint, &old);
            fixture.files(millis, vec![file("apiserver.crt", vec![stored(&new)])]);
        }
        fixture.raised = fixture.findings(700_000);
        fixture.files(760_000, files.clone());
        fixture.serve(760_000, endpoint, served);

        let is_good = matches!(fixture.verdict(760_000, F54, endpoint), Some(Verdict::Good { .. }));

        assert_eq!(is_good, is_over, "{files:?}");
    }
}

#[test]
fn a_certificate_stays_told_where_it_was_raised_when_an_earlier_endpoint_serves_it_too() {
    let mut fixture = FilesFixture::new(watch());
    let shared = certificate(1, 3);
    fixture.serve(0, "prod/apiserver/api-2", &shared);
    fixture.raised = fixture.findings(0);
    fixture.serve(1000, "prod/apiserver/api-1", &shared);

    assert!(matches!(fixture.verdict(1000, F26, "prod/apiserver/api-2"), Some(Verdict::Bad(_))));
    assert!(matches!(fixture.verdict(1000, F26, "prod/apiserver/api-1"), Some(Verdict::Unknown(_))));
}

/// One that replaces the item of that number.
fn newer(number: u8) -> Item {
    Item { fingerprint: print(200), ..item(number, 300, ItemKind::Leaf) }
}

/// The old CA with its subject and days left, what the served chain stands on, and what is told of the old one.
#[test]
fn an_old_ca_beside_its_successor_is_only_listed_when_nothing_stands_on_it() {
    let (own, watched) = (Some(Own { part: OwnPart::Authority, towards: Towards::Apiservers }), None);
    let (old, new, unknown) = (Some(1), Some(2), None);
    for (why, own, holder, days, stands_on, together, level) in [
        ("ended, the chain is of the new one", &own, "CN=ca", -3, new, true, Info),
        ("of another holder", &own, "CN=old ca", -3, new, true, Info),
        ("about to end", &own, "CN=ca", 2, new, true, Info),
        ("in a watched bundle", &watched, "CN=ca", -3, new, true, Info),
        ("the chain stands on it", &own, "CN=ca", -3, old, true, Critical),
        ("and before it has ended", &own, "CN=ca", 2, old, true, Critical),
        ("alone in its file", &own, "CN=ca", -3, new, false, Critical),
        ("the chain is of it, as far as anybody can tell", &own, "CN=ca", -3, unknown, true, Critical),
        ("nobody has shown that the rotation is over", &own, "CN=other", 2, unknown, true, Critical),
    ] {
        let mut fixture = FilesFixture::new(FileWatch { own: own.clone(), ..watch() });
        let served = Certificate { issuer: "CN=ca".into(), ..certificate(9, 300) };
        fixture.serve_on(0, "prod/apiserver/api-1", &served, stands_on);
        let (first, second) = (authority(1, holder, days), authority(2, "CN=ca", 3000));

        fixture.files(
            0,
            if together { vec![file("ca.crt", vec![first, second])] } else { vec![file("ca.crt", vec![first])] },
        );

        assert_eq!(fixture.levels(1), [(F28, level)], "{why}");
    }
}

#[test]
fn an_ended_ca_beside_its_successor_is_only_listed_where_nothing_is_served() {
    for (successor, level) in [("CN=ca", Info), ("CN=other", Critical)] {
        let mut fixture = FilesFixture::new(watch());

        fixture.files(0, vec![file("ca.crt", vec![authority(1, "CN=ca", -3), authority(2, successor, 3000)])]);

        assert_eq!(fixture.levels(1), [(F28, level)], "{successor}");
    }
}

#[test]
fn of_a_public_bundle_only_what_is_ours_is_told() {
    let roots =
        |from: u8, to: u8| (from..to).map(|number| authority(number, &format!("CN=root {number}"), -3)).collect();
    let leaf = Item { issuer: "CN=root 1".into(), ..item(200, 300, ItemKind::Leaf) };
    for (why, path, items, more, told) in [
        ("by its place", "/etc/ssl/certs/root.pem", roots(1, 2), None, 0),
        ("by its name", "/srv/copy/ca-certificates.crt", roots(1, 4), None, 0),
        ("by its size", "/srv/bundle.pem", roots(1, 31), None, 0),
        ("a company's own", "/srv/bundle.pem", roots(1, 30), None, 29),
        ("one of them has issued what lies here", "/etc/ssl/certs/all.pem", roots(1, 4), Some(leaf), 1),
        ("what is no authority", "/etc/ssl/certs/web.pem", vec![item(7, 0, ItemKind::Leaf)], None, 1),
    ] {
        let mut fixture = FilesFixture::new(watch());

        fixture.files(0, vec![file(path, items), file("/srv/more.crt", more.into_iter().collect())]);

        assert_eq!(fixture.findings(1).len(), told, "{why}");
    }
}

#[test]
fn a_root_of_a_public_bundle_that_a_chain_stands_on_is_told() {
    let own = Some(Own { part: OwnPart::Authority, towards: Towards::Apiservers });
    for (stands_on, told) in [(1, 1), (2, 0)] {
        let mut fixture = FilesFixture::new(FileWatch { own: own.clone(), ..watch() });
        fixture.serve_on(0, "prod/apiserver/api-1", &certificate(9, 300), Some(stands_on));
        let roots = vec![authority(1, "CN=root 1", 3), authority(2, "CN=root 2", 3000)];

        fixture.files(0, vec![file("/etc/ssl/certs/ca-certificates.crt", roots)]);

        assert_eq!(fixture.findings(1).len(), told, "{stands_on}");
    }
}

/// A view of one cluster with one source of files.
struct FilesFixture {
    view: View,
    raised: Vec<Finding>,
}

impl FilesFixture {
    fn new(watch: FileWatch) -> Self {
        let mut inventory: Inventory = inventory(2, 3);
        inventory.clusters.get_mut(&name("prod")).unwrap().files.insert(name("pki"), watch);
        Self { view: View::new(Arc::new(inventory), Policy::default()), raised: Vec::new() }
    }

    fn files(&mut self, millis: u64, files: Vec<Arc<StoredFile>>) {
        self.reading(millis, source(files));
    }

    fn reading(&mut self, millis: u64, source: SourceReading) {
        let reading = Reading::Files(Arc::new(FilesReading::new(vec![source])));
        self.take(millis, Probe::anew(of("prod"), ProbeKind::Files), None, reading);
    }

    fn serve(&mut self, millis: u64, subject: &str, certificate: &Certificate) {
        let chain = vec![Arc::new(certificate.clone())];
        let served = Served {
            chain,
            unreadable: 0,
            trust: Trust::Trusted,
            client_authorities: 0,
            trusted: Vec::new(),
            path: None,
        };
        self.take(millis, Probe::anew(of(subject), ProbeKind::Chain), Some(Arc::new(served)), Reading::Chain);
    }

    /// The same, with a chain that verifies and stands on the CA of that number.
    fn serve_on(&mut self, millis: u64, subject: &str, certificate: &Certificate, anchor: Option<u8>) {
        let chain = vec![Arc::new(certificate.clone())];
        let path = anchor.map(|number| Box::new(TrustPath { intermediates: Vec::new(), anchor: print(number) }));
        let trust = if path.is_some() { Trust::Trusted } else { Trust::Unverified };
        let served = Served { chain, unreadable: 0, trust, client_authorities: 0, path, trusted: Vec::new() };
        self.take(millis, Probe::anew(of(subject), ProbeKind::Chain), Some(Arc::new(served)), Reading::Chain);
    }

    fn take(&mut self, millis: u64, probe: Probe, served: Option<Arc<Served>>, reading: Reading) {
        let observation = Observation {
            request: None,
            probe,
            scheduled: at(millis),
            finished: at(millis),
            phases: Phases::default(),
            served,
            own_flaw: None,
            greeting: None,
            proves_path: false,
            outcome: Ok(reading),
        };
        self.view.take(&Arc::new(observation), at(millis));
    }

    fn verdicts(&self, now: Now) -> Vec<(RuleId, Subject, Verdict)> {
        let inventory = Arc::clone(self.view.inventory());
        let cluster = inventory.clusters.get_key_value(&name("prod"));
        let raised: Vec<&Finding> = self.raised.iter().collect();
        let verdicts = judge(&RuleContext { view: &self.view, cluster, now, raised: &raised });
        verdicts.into_iter().map(|(key, verdict)| (key.rule, key.subject, verdict)).collect()
    }

    fn verdict(&self, millis: u64, rule: RuleId, subject: &str) -> Option<Verdict> {
        let wanted = of(subject);
        let mut verdicts = self.verdicts(at(millis)).into_iter();
        verdicts.find(|(known, subject, _)| *known == rule && *subject == wanted).map(|(_, _, verdict)| verdict)
    }

    /// Everything bad about certificates.
    fn findings(&self, millis: u64) -> Vec<Finding> {
        let verdicts = self.verdicts(at(millis)).into_iter().filter(|(rule, _, _)| [F26, F28, F54].contains(rule));
        verdicts
            .filter_map(|(_, _, verdict)| if let Verdict::Bad(finding) = verdict { Some(finding) } else { None })
            .collect()
    }

    fn levels(&self, millis: u64) -> Vec<(RuleId, Level)> {
        self.findings(millis).into_iter().map(|finding| (finding.rule, finding.level)).collect()
    }
}

fn watch() -> FileWatch {
    FileWatch {
        path: "/srv/pki".into(),
        certificates: Class::Manual,
        renewed_at_permille: None,
        serves: None,
        own: None,
    }
}

fn source(files: Vec<Arc<StoredFile>>) -> SourceReading {
    SourceReading { name: name("pki"), files: files.into(), fault: None, looked_at: 1, left_out: 0 }
}

fn file(path: &str, items: Vec<Item>) -> Arc<StoredFile> {
    Arc::new(StoredFile { path: path.into(), items: items.into(), fault: None, damaged: 0 })
}

fn print(number: u8) -> Fingerprint {
    Fingerprint([number; 32])
}

/// An item that ends half a day after `days` from the beginning of the stage; CAs of two years, else of one.
fn item(number: u8, days: u32, kind: ItemKind) -> Item {
    let certificate = certificate(number, days);
    let years = if kind == ItemKind::Authority { 2 } else { 1 };
    let life = Life { not_after: certificate.not_after, not_before: certificate.not_after.minus(DAY * 365 * years) };
    Item { kind, life: Some(life), ..stored(&certificate) }
}

/// A CA of ten years that ends, or has ended, half a day after `days`.
fn authority(number: u8, holder: &str, days: i64) -> Item {
    let end = |days: i64| UnixTime::from_secs(at(0).wall.as_secs() + days * 86_400 + 43_200);
    Item {
        fingerprint: print(number),
        identity: number.into(),
        life: Some(Life { not_after: end(days), not_before: end(days - 3650) }),
        holder: holder.into(),
        issuer: holder.into(),
        key: None,
        position: 1,
        kind: ItemKind::Authority,
    }
}

fn stored(certificate: &Certificate) -> Item {
    Item {
        fingerprint: certificate.fingerprint,
        identity: certificate.identity(),
        life: Some(Life { not_after: certificate.not_after, not_before: certificate.not_before }),
        holder: certificate.subject.as_str().into(),
        issuer: certificate.issuer.as_str().into(),
        key: certificate.key.and_then(|key| key.beginning()),
        position: 1,
        kind: ItemKind::Leaf,
    }
}

fn certificate(number: u8, days: u32) -> Certificate {
    let not_after = at(0).wall.plus(DAY * days + DAY / 2);
    Certificate {
        fingerprint: print(number),
        subject: "CN=kube-apiserver".into(),
        issuer: "CN=kubernetes".into(),
        serial: "01".into(),
        not_before: not_after.minus(DAY * 365),
        not_after,
        names: vec!["api".into()],
        is_ca: false,
        is_self_issued: false,
        key: None,
    }
}
