use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use time::{Duration, OffsetDateTime};

use super::Strict;
use crate::collect::handshake::{Record, Tls};
use crate::collect::last_chain::{Expected, LastChain};
use crate::model::certificate::{Served, Trust};
use crate::model::time::UnixTime;

/// 2026-11-29T00:00:00Z.
const NOW: i64 = 1_795_910_400;

/// What is served behind the leaf, whom is trusted, and what then ends first and when (in days).
#[test]
fn what_ends_is_judged_on_the_path_that_verifies() {
    let it = CrossSigned::new();
    for (what, rest, anchors, trust, first) in [
        ("a cross-signature that has ended", vec![it.middle(900), it.cross(-60)], vec![it.root(5000)], TRUSTED, LEAF),
        ("one that is about to end", vec![it.middle(900), it.cross(2)], vec![it.root(5000)], TRUSTED, LEAF),
        ("the same the other way round", vec![it.cross(2), it.middle(900)], vec![it.root(5000)], TRUSTED, LEAF),
        ("it is the path", vec![it.middle(900), it.cross(2)], vec![it.old_root(900)], TRUSTED, ("Root X1", 2)),
        (
            "it was the path",
            vec![it.middle(900), it.cross(-60)],
            vec![it.old_root(9)],
            Trust::Expired,
            ("Root X1", -60),
        ),
        ("both lead somewhere", vec![it.middle(900), it.cross(2)], vec![it.old_root(9), it.root(900)], TRUSTED, LEAF),
        ("an intermediate beside its successor", vec![it.middle(-9), it.middle(900)], vec![it.root(99)], TRUSTED, LEAF),
        ("the successor first", vec![it.middle(900), it.middle(2)], vec![it.root(5000)], TRUSTED, LEAF),
        ("an intermediate alone", vec![it.middle(2)], vec![it.root(5000)], TRUSTED, ("R3", 2)),
        ("an ended intermediate alone", vec![it.middle(-2)], vec![it.root(5000)], Trust::Expired, ("R3", -2)),
        ("a foreign one that has ended", vec![it.middle(900), it.old_root(-9)], vec![it.root(99)], TRUSTED, LEAF),
        ("nobody is trusted", vec![it.middle(900), it.cross(-60)], vec![], Trust::Unverified, ("Root X1", -60)),
        ("and the root is sent too", vec![it.middle(900), it.cross(-60), it.root(99)], vec![], Trust::Unverified, LEAF),
        ("or the successor", vec![it.middle(-2), it.middle(900)], vec![], Trust::Unverified, LEAF),
    ] {
        let served = it.served(rest, &anchors);

        let earliest = served.earliest().unwrap();
        let days = (earliest.not_after.as_secs() - NOW) / 86_400;
        assert_eq!(
            (served.trust, earliest.subject.as_str(), days),
            (trust, &*format!("CN={}", first.0), first.1),
            "{what}"
        );
    }
}

#[test]
fn of_two_cas_the_one_that_the_chain_stands_on_is_named() {
    let it = CrossSigned::new();
    let (root, ended, other) = (it.root(5000), it.root(-9), it.old_root(5000));
    for (what, anchors, anchor) in [
        ("beside another", vec![other.clone(), root.clone()], &root),
        ("beside its own certificate that has ended", vec![ended.clone(), root.clone()], &root),
        ("alone", vec![root.clone()], &root),
        ("ended, and there is no other", vec![other, ended.clone()], &ended),
    ] {
        let served = it.served(vec![it.middle(900)], &anchors);

        assert_eq!(served.path.unwrap().anchor, crate::parse::x509::fingerprint(anchor), "{what}");
    }
}

#[test]
fn without_proof_of_the_key_nothing_is_said_of_the_chain_unless_the_key_itself_is_odd() {
    let it = CrossSigned::new();
    let root = [it.root(5000)];
    for (proved_key, has_odd_key, anchors, trust) in [
        (true, false, &root[..], Trust::Trusted),
        (false, true, &root, Trust::Invalid),
        (false, false, &root, Trust::Unproven),
        (false, false, &[], Trust::Unverified),
    ] {
        let record =
            |chain| Record { chain, sent: 0, client_authorities: 0, asked_client: false, proved_key, has_odd_key };

        assert_eq!(it.seen(record, vec![it.middle(900)], anchors).trust, trust);
    }
}

#[test]
fn a_ca_of_the_same_name_that_has_not_signed_it_is_an_unknown_one() {
    let (it, other) = (CrossSigned::new(), CrossSigned::new());
    for (anchors, trust) in [
        (vec![other.root(5000)], Trust::UnknownAuthority),
        (vec![other.old_root(5000)], Trust::UnknownAuthority),
        (vec![other.root(5000), it.root(5000)], Trust::Trusted),
    ] {
        assert_eq!(it.served(vec![it.middle(900)], &anchors).trust, trust);
    }
}

const TRUSTED: Trust = Trust::Trusted;
/// The leaf has 80 days.
const LEAF: (&str, i64) = ("api.example.com", 80);

/// `Old Root X3` once signed `Root X1`, which signs `R3`, which signs the leaf.
struct CrossSigned {
    old_root: KeyPair,
    root: KeyPair,
    middle: KeyPair,
    leaf: KeyPair,
}

impl CrossSigned {
    fn new() -> Self {
        let key = || KeyPair::generate().unwrap();
        Self { old_root: key(), root: key(), middle: key(), leaf: key() }
    }

    fn old_root(&self, days: i64) -> CertificateDer<'static> {
        assessment(("Old Root X3", &self.old_root), ("Old Root X3", &self.old_root), days)
    }

    fn root(&self, days: i64) -> CertificateDer<'static> {
        assessment(("Root X1", &self.root), ("Root X1", &self.root), days)
    }

    fn cross(&self, days: i64) -> CertificateDer<'static> {
        assessment(("Root X1", &self.root), ("Old Root X3", &self.old_root), days)
    }

    fn middle(&self, days: i64) -> CertificateDer<'static> {
        assessment(("R3", &self.middle), ("Root X1", &self.root), days)
    }

    fn served(&self, rest: Vec<CertificateDer<'static>>, anchors: &[CertificateDer<'static>]) -> Served {
        let record = |chain| Record {
            chain,
            sent: 0,
            client_authorities: 0,
            asked_client: false,
            proved_key: true,
            has_odd_key: false,
        };
        self.seen(record, rest, anchors)
    }

    fn seen(
        &self,
        record: impl FnOnce(Vec<CertificateDer<'static>>) -> Record,
        rest: Vec<CertificateDer<'static>>,
        anchors: &[CertificateDer<'static>],
    ) -> Served {
        let leaf = assessment((LEAF.0, &self.leaf), ("R3", &self.middle), LEAF.1);
        let chain = std::iter::once(leaf).chain(rest).collect();
        let record = record(chain);
        let tls = Tls::new();
        let strict = (!anchors.is_empty()).then(|| Strict::new(anchors, tls.provider()).unwrap().0);
        let name = ServerName::try_from(LEAF.0).unwrap();
        let now = UnixTime::from_secs(NOW);
        let expected = Expected { strict: strict.as_ref(), generation: 0, name: &name, now };
        Arc::unwrap_or_clone(LastChain::default().served(&record, expected).unwrap())
    }
}

/// The leaf is what is named by a domain.
fn assessment(holder: (&str, &KeyPair), issuer: (&str, &KeyPair), days: i64) -> CertificateDer<'static> {
    let named = |name: &str| {
        let names = if name.contains(".com") { vec![name.to_owned()] } else { Vec::new() };
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        if !name.contains(".com") {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    };
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    let mut params = named(holder.0);
    params.not_before = now - Duration::days(3000);
    params.not_after = now + Duration::days(days);
    let issuer = Issuer::new(named(issuer.0), issuer.1);
    params.signed_by(holder.1, &issuer).unwrap().der().clone()
}
