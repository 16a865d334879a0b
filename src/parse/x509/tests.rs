//! Claims about reading certificates, on certificates made here.

use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};

use super::*;

fn der(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    params.distinguished_name.push(DnType::CommonName, "a, \"b\"\n");
    params.not_before = rcgen::date_time_ymd(2026, 1, 2);
    params.not_after = rcgen::date_time_ymd(2051, 3, 4);
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn dates_names_and_subject_are_read() {
    let der = der(|params| {
        params.subject_alt_names = vec![
            SanType::DnsName("api.example".try_into().unwrap()),
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
            SanType::IpAddress("fd00::1".parse().unwrap()),
        ];
    });

    let read = certificate(&der).unwrap();

    assert_eq!(read.not_before.to_string(), "2026-01-02T00:00:00Z");
    assert_eq!(read.not_after.to_string(), "2051-03-04T00:00:00Z");
    assert_eq!(read.names, ["api.example", "10.0.0.1", "fd00::1"]);
    assert_eq!(read.subject, r#"CN=a\, \"b\"\u{a},O=system:masters"#);
    assert_eq!(read.issuer, read.subject);
    assert!(read.is_self_issued);
    assert!(!read.is_ca);
    assert_eq!(read.fingerprint, fingerprint(&der));
}

#[test]
fn authorities_are_told_apart() {
    let der = der(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));

    assert!(certificate(&der).unwrap().is_ca);
}

#[test]
fn a_thousand_names_are_cut_to_the_bound() {
    let der = der(|params| {
        params.subject_alt_names =
            (0..1000).map(|n| SanType::DnsName(format!("n{n}.example").try_into().unwrap())).collect();
    });

    assert_eq!(certificate(&der).unwrap().names.len(), MAX_NAMES);
}

#[test]
fn the_walk_finds_what_the_reader_finds() {
    let der = der(|_| {});

    let read = certificate(&der).unwrap();

    let walked = walk(&der).unwrap();
    assert_eq!(walked.certificate, read);
    assert!(walked.is_degraded);
}

#[test]
fn a_certificate_that_ends_after_its_subject_still_gives_its_dates() {
    let whole = der(|_| {});
    let outer = Elements(&whole).next().unwrap();
    let body = Elements(outer.content).next().unwrap();
    let head: Vec<u8> = Elements(body.content).take(6).flat_map(|field| field.whole.to_vec()).collect();
    let wrap = |content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82][..], &length, content].concat()
    };
    let cut = wrap(&wrap(&head));

    assert!(X509Certificate::from_der(&cut).is_err());
    let read = certificate(&cut).unwrap();

    assert_eq!(read.not_after.to_string(), "2051-03-04T00:00:00Z");
    assert!(read.subject.starts_with("CN=a"));
}

#[test]
fn dates_that_break_the_rules_are_read_as_they_are_meant() {
    for (tag, text, shown) in [
        (0x17, "501231235959Z", Some("1950-12-31T23:59:59Z")),
        (0x17, "491231235959Z", Some("2049-12-31T23:59:59Z")),
        (0x17, "4912312359Z", Some("2049-12-31T23:59:00Z")),
        (0x17, "260101000000+0130", Some("2025-12-31T22:30:00Z")),
        (0x17, "260101000000-0100", Some("2026-01-01T01:00:00Z")),
        (0x18, "20500101000000Z", Some("2050-01-01T00:00:00Z")),
        (0x18, "20500101000000.5Z", Some("2050-01-01T00:00:00Z")),
        (0x18, "99991231235959Z", Some("9999-12-31T23:59:59Z")),
        (0x18, "20270230000000Z", Some("2027-02-28T00:00:00Z")),
        (0x18, "20270101235960Z", Some("2027-01-01T23:59:59Z")),
        (0x18, "20271301000000Z", None),
        (0x18, "20270100000000Z", None),
        (0x18, "2027", None),
        (0x18, "20270101000000+1", None),
        (0x18, "20270101000000X", None),
        (0x04, "20270101000000Z", None),
    ] {
        let whole = [&[tag, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let date = Elements(&whole).next().unwrap();

        assert_eq!(instant(&date).map(|at| at.to_string()).as_deref(), shown, "{text}");
    }
}

#[test]
fn a_refused_certificate_is_degraded_and_keeps_what_can_be_read() {
    let whole = der(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let put = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut changed = whole.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        read(&changed)
    };

    let end = put("20510304000000Z", "20510230000000Z").unwrap();
    assert_eq!((end.is_degraded, end.certificate.not_after.to_string().as_str()), (true, "2051-02-28T00:00:00Z"));
    assert!(end.certificate.is_ca && end.certificate.subject.starts_with("CN=a"));
    let start = put("260102000000Z", "261302000000Z").unwrap();
    assert_eq!((start.is_degraded, start.certificate.not_before), (true, UnixTime::NEVER_BEGUN));
    assert!(put("20510304000000Z", "20511304000000Z").is_none());
}

#[test]
fn what_is_behind_a_certificate_is_no_part_of_it() {
    let whole = der(|_| {});

    let read = read(&[whole.as_slice(), &[0x30, 1, 2, 3, 4, 5, 6]].concat()).unwrap();

    assert!(!read.is_degraded);
    assert_eq!(read.certificate.fingerprint, fingerprint(&whole));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(input in proptest::collection::vec(any::<u8>(), 0..512)) {
        drop(certificate(&input));
        drop(walk(&input));
    }

    #[test]
    fn a_certificate_with_some_bytes_changed_stays_bounded(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), more in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut der = sample();
        let (at, more) = (at.index(der.len()), more.index(der.len()));
        der[at] = byte;
        der[more] ^= 0x55;
        let kept = cut.index(der.len() * 4);
        der.truncate(kept);

        for read in [certificate(&der), walk(&der).map(|read| read.certificate)].into_iter().flatten() {
            prop_assert!(read.subject.chars().count() <= MAX_HOLDER);
            prop_assert!(read.serial.len() <= 2 * MAX_SERIAL);
            prop_assert!(read.names.iter().all(|name| name.chars().count() <= MAX_NAME));
        }
    }

    #[test]
    fn long_values_are_cut(value in ".{0,600}") {
        let mut text = String::new();
        push_escaped(&mut text, &value, MAX_HOLDER);
        prop_assert!(!text.chars().any(char::is_control));
    }
}

/// One certificate for all cases, because making a key for each would dominate the run.
fn sample() -> Vec<u8> {
    static SAMPLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| der(|_| {})).clone()
}
