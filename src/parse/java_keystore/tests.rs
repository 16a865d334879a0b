use proptest::prelude::*;

use super::*;

/// An entry of a Java key store of version 2.
fn entry(kind: u32, alias: &str, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &text(alias), &[0; 8], content].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn certificate(der: &[u8]) -> Vec<u8> {
    [text("X.509"), sized(der)].concat()
}

fn store(magic: [u8; 4], entries: &[Vec<u8>]) -> Vec<u8> {
    let count = u32::try_from(entries.len()).unwrap().to_be_bytes();
    [&magic[..], &[0, 0, 0, 2], &count, &entries.concat(), &[0xdd; 20]].concat()
}

fn private(chain: &[&[u8]]) -> Vec<u8> {
    let count = u32::try_from(chain.len()).unwrap().to_be_bytes();
    let chain: Vec<u8> = chain.iter().flat_map(|der| certificate(der)).collect();
    [sized(b"an encrypted key"), count.to_vec(), chain].concat()
}

fn found<'a>(store: &'a Store<'a>) -> Vec<(&'a str, &'a [u8])> {
    store.certificates.iter().map(|stored| (&*stored.alias, stored.der)).collect()
}

#[test]
fn certificates_are_found_without_a_password_and_keys_are_stepped_over() {
    let sealed = [&b"\xac\xed\0\x05sr\0\x33"[..], &[7; 300]].concat();
    let entries = [
        entry(PRIVATE, "server", &private(&[b"leaf", b"issuer"])),
        entry(SECRET, "sealed", &sealed),
        entry(SECRET, "another", &sealed),
        entry(TRUSTED, "root\n", &certificate(b"root")),
    ];
    for magic in [JKS, JCEKS] {
        let bytes = store(magic, &entries);

        let read = java(&bytes);

        assert!(is_java(&bytes));
        let expected = [("server", &b"leaf"[..]), ("server", b"issuer"), ("root\\u{a}", b"root")];
        assert_eq!((found(&read), read.fault), (expected.to_vec(), None));
    }
    let last_is_sealed = store(JCEKS, &entries[..2]);
    assert_eq!(java(&last_is_sealed).fault, None);
}

#[test]
fn a_bouncy_castle_store_is_read_as_well() {
    let head = [&[0, 0, 0, 2, 0, 0, 0, 20][..], &[5; 20], &[0, 0, 4, 0]].concat();
    let begins =
        |kind: u8, alias: &str, chain: u32| [&[kind][..], &text(alias), &[0; 8], &chain.to_be_bytes()].concat();
    let key = [&[0][..], &text("PKCS#8"), &text("RSA"), &sized(b"secret")].concat();
    let bytes = [
        head,
        begins(1, "root", 0),
        certificate(b"root"),
        begins(2, "key", 1),
        certificate(b"leaf"),
        key,
        begins(4, "sealed", 1),
        certificate(b"other"),
        sized(b"sealed"),
        vec![0],
        vec![0xdd; 20],
    ]
    .concat();

    let read = bouncy_castle(&bytes);

    assert!(is_bouncy_castle(&bytes));
    let expected = [("root", &b"root"[..]), ("key", b"leaf"), ("sealed", b"other")];
    assert_eq!((found(&read), read.fault), (expected.to_vec(), None));
}

#[test]
fn a_store_that_is_cut_short_keeps_what_is_whole() {
    let whole =
        store(JKS, &[entry(TRUSTED, "a", &certificate(b"first")), entry(TRUSTED, "b", &certificate(b"second"))]);
    for length in 12..whole.len() - 20 {
        let read = java(&whole[..length]);

        assert_eq!(read.fault, Some(Fault::CutShort), "{length}");
        assert!(read.certificates.len() < 2);
    }
    let strange = store(JKS, &[entry(9, "a", b"")]);
    assert_eq!(java(&strange).fault, Some(Fault::Damaged));
    assert_eq!(java(b"\xfe\xed\xfe\xed\0\0\0\x07").fault, Some(Fault::Version));
    assert_eq!(java(b"\xfe\xed\xfe\xed\0\0\0\x02\xff\xff\xff\xff").fault, Some(Fault::Damaged));
}

proptest! {
    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..400), head in 0_usize..3) {
        let heads = [&b""[..], b"\xce\xce\xce\xce\0\0\0\x02\0\0\0\x02\0\0\0\x03\0\0", b"\0\0\0\x02\0\0\0\x14"];
        let bytes = [heads[head], &bytes].concat();
        drop((java(&bytes), bouncy_castle(&bytes)));
    }
}
