use std::num::NonZeroU64;
use std::sync::Arc;

use crate::model::certificate::Fingerprint;
use crate::model::certificate_files::{FilesReading, Item, ItemKind, Life, SourceReading, StoredFile};
use crate::model::digest::stable_hash;
use crate::model::time::UnixTime;

/// What two files of one source hold, and whether the older of them was replaced. Each difference from the first line
/// stands in the line.
#[test]
fn what_was_replaced_is_told_from_what_ended_elsewhere() {
    for (why, older, newer, is_replaced) in [
        ("kept beside it", at("pki/apiserver.crt.old"), at("pki/apiserver.crt"), true),
        ("a name more", at("pki/apiserver.crt.old"), at("pki/apiserver.crt").names(7), true),
        ("a name more, and no word for it", at("pki/apiserver.pem"), at("pki/apiserver.crt").names(7), true),
        ("in a folder", at("pki/expired/apiserver.crt"), at("pki/apiserver.crt"), true),
        ("in a folder, a name more", at("pki/expired/apiserver.crt"), at("pki/apiserver.crt").names(7), true),
        ("beside the folder", at("/k/pki.bak/apiserver.crt"), at("/k/pki/apiserver.crt"), true),
        ("beside the folder, by date", at("/k/tls-1717171717/a.crt"), at("/k/tls/a.crt").names(7), true),
        ("far away", at("/k/tmp/kubeadm-backup-certs-2026/a.crt"), at("/k/pki/a.crt"), true),
        ("a backup of a backup", at("/k/backup/2025/a.crt"), at("/k/backup/2026/a.crt"), true),
        ("of one host", at("cp1.bak/a.crt"), at("cp1/a.crt"), true),
        ("below one host", at("/h/cp1/pki.old/a.crt"), at("/h/cp1/pki/a.crt"), true),
        ("renamed, with its key", at("pki/a.crt.old").key(1), at("pki/a.crt").key(1).holder("CN=b"), true),
        ("another issuer, with its key", at("pki/a.crt").key(1), at("pki/b.crt").key(1).issuer("CN=b"), true),
        // Other hosts have the same subject, issuer and sometimes names.
        ("another host", at("hosts/cp1/apiserver.crt"), at("hosts/cp2/apiserver.crt"), false),
        ("another host, with one key", at("hosts/cp1/a.crt").key(1), at("hosts/cp2/a.crt").key(1), false),
        ("another host, in one folder", at("hosts/cp1-apiserver.crt"), at("hosts/cp2-apiserver.crt").names(7), false),
        ("another host's backup", at("/h/cp1.bak/a.crt"), at("/h/cp2/a.crt"), false),
        ("another host's folder", at("/h/cp1/pki.old/a.crt"), at("/h/cp2/pki/a.crt"), false),
        ("two hosts in the backup", at("/srv/backup/cp1/a.crt"), at("/srv/backup/cp2/a.crt"), false),
        ("another cluster", at("/srv/prod-old/a.crt"), at("/srv/prod-new/a.crt"), false),
        ("several in one file", at("all.pem"), at("all.pem").names(7), false),
        ("below it", at("pki/cp2/a.crt"), at("pki/a.crt"), false),
        // Others are somebody else's.
        ("another holder", at("pki/a.crt.old"), at("pki/a.crt").holder("CN=b"), false),
        ("another issuer", at("pki/a.crt.old"), at("pki/a.crt").issuer("CN=b"), false),
        ("the newer one was put away", at("pki/apiserver.crt"), at("pki/apiserver.crt.old"), false),
        ("the newer one was put away by folder", at("pki/apiserver.crt"), at("pki/backup/apiserver.crt"), false),
        // Kubeconfigs and CAs are in use side by side.
        ("of a kubeconfig", at("admin.conf.old").kind(KUBECONFIG), at("admin.conf").kind(KUBECONFIG), true),
        ("somebody else's kubeconfig", at("alice.conf").kind(KUBECONFIG), at("bob.conf").kind(KUBECONFIG), false),
        ("put away with all", at("k/old/ca.crt").kind(CA), at("k/ca.crt").kind(CA), true),
        ("two authorities of one name", at("k/ca.crt").kind(CA), at("k/ca-2.crt").kind(CA), false),
        ("two in one bundle", at("ca.crt").kind(CA), at("ca.crt").kind(CA), false),
        ("one authority, signed anew", at("k/ca.crt").kind(CA).key(1), at("k/ca-2.crt").kind(CA).key(1), true),
    ] {
        let reading = reading(vec![older.items(100, 1), newer.items(200, 2)]);

        let seen: Vec<bool> = reading.held().map(|held| held.is_superseded()).collect();
        assert_eq!(seen, [is_replaced, false], "{why}");
    }
}

#[test]
fn in_another_source_or_in_two_places_nothing_is_replaced() {
    let old = || at("pki/apiserver.crt.old").items(100, 1);
    let new = || at("pki/apiserver.crt").items(200, 2);
    let elsewhere = || at("hosts/cp2/apiserver.crt").items(100, 1);

    let apart = FilesReading::new(vec![source("a", vec![old()]), source("b", vec![new()])]);
    let in_use_elsewhere = reading(vec![old(), new(), elsewhere()]);

    assert!(apart.held().all(|held| !held.is_superseded()));
    assert!(in_use_elsewhere.held().all(|held| !held.is_superseded()));
}

/// Compared each with each, they would take hours.
#[test]
fn a_hundred_thousand_of_one_subject_are_sorted_out() {
    const EACH: u32 = 50_000;
    let live = (0..EACH).map(|n| at(&format!("/k/live/{n}/a.crt")).items(200, n));
    let kept = (0..EACH).map(|n| at(&format!("/k/backup/{n}/a.crt")).items(100, EACH + n));

    let reading = reading(live.chain(kept).collect());

    assert_eq!(reading.held().filter(|held| held.is_superseded()).count(), 50_000);
}

const KUBECONFIG: ItemKind = ItemKind::KubeconfigClient;
const CA: ItemKind = ItemKind::Authority;

/// A file that holds one item.
struct One {
    path: String,
    item: Item,
    names: u64,
}

fn at(path: &str) -> One {
    let item = Item {
        fingerprint: Fingerprint([0; 32]),
        identity: 0,
        life: None,
        holder: "CN=kube-apiserver".into(),
        issuer: "CN=kubernetes".into(),
        key: None,
        position: 1,
        kind: ItemKind::Leaf,
    };
    One { path: path.into(), item, names: 0 }
}

impl One {
    fn names(self, names: u64) -> Self {
        Self { names, ..self }
    }

    fn key(mut self, key: u64) -> Self {
        self.item.key = NonZeroU64::new(key);
        self
    }

    fn holder(mut self, holder: &str) -> Self {
        self.item.holder = holder.into();
        self
    }

    fn issuer(mut self, issuer: &str) -> Self {
        self.item.issuer = issuer.into();
        self
    }

    fn kind(mut self, kind: ItemKind) -> Self {
        self.item.kind = kind;
        self
    }

    /// Begun at `day`, for a year.
    fn items(mut self, day: i64, number: u32) -> Arc<StoredFile> {
        let [begun, ends] = [day, day + 365].map(|day| UnixTime::from_secs(day * 86_400));
        self.item.life = Some(Life { not_before: begun, not_after: ends });
        self.item.fingerprint.0[..4].copy_from_slice(&number.to_be_bytes());
        self.item.identity = stable_hash(&[&self.item.holder, &self.item.issuer, &self.names.to_string()]);
        Arc::new(StoredFile { path: self.path.into(), items: [self.item].into(), fault: None, damaged: 0 })
    }
}

fn reading(files: Vec<Arc<StoredFile>>) -> FilesReading {
    FilesReading::new(vec![source("pki", files)])
}

fn source(name: &str, files: Vec<Arc<StoredFile>>) -> SourceReading {
    SourceReading { name: name.parse().unwrap(), files: files.into(), fault: None, looked_at: 1, left_out: 0 }
}
