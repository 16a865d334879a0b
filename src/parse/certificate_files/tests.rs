use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use super::*;

#[test]
fn every_kind_of_file_is_known_by_its_content() {
    use ItemKind::{Authority, Client, KubeconfigClient, KubeconfigToken, Leaf, TalosClient, Token};
    let (leaf, client, authority) =
        (made("leaf", Use::Server), made("client", Use::Client), made("ca", Use::Authority));
    let key = KeyPair::generate().unwrap().serialize_pem();
    let kubeconfig = kubeconfig(&authority.pem(), &client.pem());
    let talosconfig = format!(
        "context: a\ncontexts:\n    a:\n        endpoints: [10.0.0.1]\n        ca: {}\n        crt: {}\n        key: {}\n",
        STANDARD.encode(authority.pem()),
        STANDARD.encode(client.pem()),
        STANDARD.encode(&key),
    );
    for (what, bytes, kinds) in [
        ("a bundle", format!("{}{}", leaf.pem(), authority.pem()).into_bytes(), vec![Leaf, Authority]),
        ("a client with its key", format!("{key}{}", client.pem()).into_bytes(), vec![Client]),
        ("DER", leaf.der().to_vec(), vec![Leaf]),
        ("a token", token(), vec![Token]),
        ("a kubeconfig", kubeconfig.into_bytes(), vec![Authority, KubeconfigClient, KubeconfigToken]),
        ("a talosconfig", talosconfig.into_bytes(), vec![Authority, TalosClient]),
    ] {
        let read = contents(&bytes, Options::default());

        let seen: Vec<ItemKind> = read.found.iter().map(|found| found.kind).collect();
        assert_eq!((seen, read.fault, read.faults), (kinds, None, vec![]), "{what}");
    }
}

#[test]
fn what_holds_nothing_says_why() {
    use FileFault::{BrokenKubeconfig, HalfWritten, NothingInIt, Unsupported};
    let key = KeyPair::generate().unwrap().serialize_pem();
    for (what, bytes, fault) in [
        ("nothing", &b""[..], HalfWritten),
        ("blanks", b" \n\n", HalfWritten),
        ("half a block", b"-----BEGIN CERTIFICATE-----\nMIIB", HalfWritten),
        ("a key", key.as_bytes(), NothingInIt),
        ("prose", b"hello", NothingInIt),
        ("half a PKCS#12 file", b"\x30\x82\x09\x01\x02\x01\x03\x30", HalfWritten),
        ("half a Java key store", b"\xfe\xed\xfe\xed\0\0\0\x02", HalfWritten),
        ("gzip", b"\x1f\x8b\x08", Unsupported),
        ("zip", b"PK\x03\x04", Unsupported),
        ("broken PKCS#7", b"-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n", NothingInIt),
        ("half a kubeconfig", b"apiVersion: v1\nclusters: [\nusers: []", BrokenKubeconfig),
    ] {
        let read = contents(bytes, Options::default());

        assert_eq!((read.found.len(), read.fault), (0, Some(fault)), "{what}");
    }
}

#[test]
fn a_damaged_block_costs_itself() {
    let text =
        format!("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n{}", made("a", Use::Server).pem());

    let read = contents(text.as_bytes(), Options::default());

    assert_eq!((read.found.len(), read.damaged(), read.fault), (1, 1, None));
    assert_eq!(read.faults, [(Entry::Line(1), "the certificate is cut short".into())]);
}

#[test]
fn a_renewed_certificate_has_the_identity_of_the_old_one_and_another_name_has_not() {
    let of = |name: &str| {
        let mut read = contents(made(name, Use::Server).pem().as_bytes(), Options::default());
        read.items(&mut |text| text.into()).remove(0)
    };
    let (old, renewed, other) = (of("a"), of("a"), of("b"));

    assert_ne!(old.fingerprint, renewed.fingerprint);
    assert_eq!(old.identity, renewed.identity);
    assert_ne!(old.identity, other.identity);
}

#[test]
fn thousands_of_markers_and_megabytes_of_junk_are_only_counted() {
    let read = contents("-----BEGIN CERTIFICATE-----\n".repeat(100_000).as_bytes(), Options::default());
    assert_eq!((read.damaged(), read.fault), (100_000, Some(FileFault::HalfWritten)));

    let read = contents(&vec![0xa5; 64 * 1024 * 1024], Options::default());
    assert_eq!((read.fault, read.is_promised), (Some(FileFault::NothingInIt), false));
}

/// Containers as OpenSSL 3 and a JDK write them, with a leaf, its CA, and the leaf's key; the password is `sesame`, that
/// of the key stores `changeit`, and none of the certificates ends before the year 2126.
macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fuzz/corpus/", $name)).as_slice()
    };
}

const LEAF: &str = "CN=fixture-leaf";
const CA: &str = "CN=fixture-ca";

#[test]
fn containers_give_their_certificates_and_never_a_key() {
    let both = [LEAF, CA];
    for (name, bytes, password, subjects) in [
        ("modern", fixture!("modern.p12"), "sesame", &both[..]),
        ("legacy", fixture!("legacy.p12"), "sesame", &both),
        ("triple DES", fixture!("triple_des.p12"), "sesame", &both),
        ("two keys", fixture!("two_keys.p12"), "sesame", &both),
        ("RC2 128", fixture!("rc2_128.p12"), "sesame", &both),
        ("AES 128", fixture!("aes_128.p12"), "sesame", &both),
        ("AES 192", fixture!("aes_192.p12"), "sesame", &both),
        ("PBES2 with triple DES", fixture!("pbes2_des.p12"), "sesame", &both),
        ("letters beyond ASCII", fixture!("umlaut.p12"), "p\u{e4}ssw\u{f6}rd", &both),
        ("a JDK's store of CAs", fixture!("trust.p12"), "changeit", &[CA]),
        ("the second password", fixture!("modern.p12"), "other\nsesame", &both),
        ("unencrypted", fixture!("open.p12"), "", &both),
        ("an empty password", fixture!("empty.p12"), "", &both),
        ("an empty password, legacy", fixture!("empty_legacy.p12"), "", &both),
        ("JKS", fixture!("two.jks"), "", &both),
        ("JCEKS with a secret", fixture!("two.jceks"), "", &[CA, LEAF, CA]),
        ("PKCS#7", fixture!("two.p7b"), "", &both),
    ] {
        let passwords: Vec<SecretString> =
            password.split('\n').filter(|word| !word.is_empty()).map(SecretString::from).collect();

        let read = contents(bytes, Options { passwords: &passwords, ..Options::default() });

        let mut found = subjects_of(&read);
        let mut expected = subjects.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!((found, &read.faults, read.fault), (expected, &vec![], None), "{name}");
    }
}

#[test]
fn a_locked_container_says_so_and_one_without_certificates_as_well() {
    let sesame = [SecretString::from("Sesame")];
    for (name, bytes, passwords, fault, said) in [
        ("no password", fixture!("modern.p12"), &[][..], FileFault::Locked, "a password is needed"),
        ("a wrong one", fixture!("modern.p12"), &sesame, FileFault::Locked, "the password is wrong"),
        ("no password, legacy", fixture!("legacy.p12"), &[], FileFault::Locked, "a password is needed"),
        ("a wrong one, legacy", fixture!("rc2_128.p12"), &sesame, FileFault::Locked, "the password is wrong"),
    ] {
        let read = contents(bytes, Options { passwords, ..Options::default() });

        let told: Vec<&str> = read.faults.iter().map(|(_, what)| &**what).collect();
        assert_eq!((read.found.len(), read.fault, told.len()), (0, Some(fault), 1), "{name}");
        assert!(told[0].contains(said), "{name}: {told:?}");
    }
    let keys = contents(fixture!("keys_only.p12"), Options::default());
    assert_eq!((keys.found.len(), keys.faults.len()), (0, 0));
    assert_eq!(keys.instead, Some("no certificate: the PKCS#12 file has none"));
}

#[test]
fn a_key_derivation_of_a_million_million_iterations_is_refused_and_not_done() {
    let mut bytes = fixture!("modern.p12").to_vec();
    // 2,048 iterations as OpenSSL writes them, made 32,767 and then more in a longer number.
    let at = bytes.windows(4).position(|window| window == [0x02, 2, 8, 0]).unwrap();
    bytes[at + 2..at + 4].copy_from_slice(&[0x7f, 0xff]);
    let read = contents(&bytes, Options::default());
    assert_eq!(read.fault, Some(FileFault::Locked));

    let salt_and_count = [0x04, 4, 1, 2, 3, 4, 0x02, 5, 0x7f, 0xff, 0xff, 0xff, 0xff];
    let legacy = [0x06, 10, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 3];
    let encrypted_data = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
    let data = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    let algorithm = wrap(0x30, &[&legacy[..], &wrap(0x30, &salt_and_count)].concat());
    let info = wrap(0x30, &[&data[..], &algorithm, &wrap(0x80, &[0; 16])].concat());
    let encrypted = wrap(0x30, &[&[0x02, 1, 0][..], &info].concat());
    let part = wrap(0x30, &[&encrypted_data[..], &wrap(0xa0, &encrypted)].concat());
    let safe = wrap(0xa0, &wrap(0x04, &wrap(0x30, &part)));
    let hostile = wrap(0x30, &[&[0x02, 1, 3][..], &wrap(0x30, &[&data[..], &safe].concat())].concat());
    let hostile = [&[0x30, 0x81][..], &hostile[1..]].concat();

    let read = contents(&hostile, Options::default());

    assert!(read.faults[0].1.contains("549755813887 iterations"), "{:?}", read.faults);
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
}

#[test]
fn a_certificate_is_found_in_every_dress_and_what_is_beside_it_is_told() {
    let (one, two) = (made("one", Use::Server), made("two", Use::Server));
    let key = KeyPair::generate().unwrap();
    let pem = one.pem().replace("\r\n", "\n");
    let two_pem = two.pem().replace("\r\n", "\n");
    let plain = format!("{pem}{two_pem}");
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    let request = CertificateParams::new(vec!["a".to_owned()]).unwrap().serialize_request(&key).unwrap();
    let both = [one.der().to_vec(), two.der().to_vec()].concat();
    let damaged = pem.replacen("\nMI", "\nM!", 1);
    for (what, bytes, found, faults) in [
        ("a byte order mark", format!("\u{feff}{plain}").into_bytes(), 2, 0),
        ("every line indented", plain.lines().map(|line| format!("    {line}\n")).collect::<String>().into_bytes(), 2, 0),
        ("UTF-16", wide(&plain), 2, 0),
        ("CR alone", plain.replace('\n', "\r").into_bytes(), 2, 0),
        ("CR LF", plain.replace('\n', "\r\n").into_bytes(), 2, 0),
        ("comments that are no UTF-8", [b"caf\xe9\n".to_vec(), plain.clone().into_bytes()].concat(), 2, 0),
        ("text before BEGIN", format!("ca: {plain}").into_bytes(), 2, 0),
        ("NUL between", format!("{pem}\0\0\0{two_pem}").into_bytes(), 2, 0),
        ("no END", format!("{}{two_pem}", pem.replace("-----END CERTIFICATE-----\n", "")).into_bytes(), 1, 1),
        ("another END", plain.replace("END CERTIFICATE", "END CERT").into_bytes(), 2, 0),
        ("TRUSTED", plain.replace("CERTIFICATE", "TRUSTED CERTIFICATE").into_bytes(), 2, 0),
        ("headers", plain.replace("\nMI", "\nProc: x\nOther: y\n\nMI").into_bytes(), 2, 0),
        ("an encrypted key in front", format!("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END RSA PRIVATE KEY-----\n{plain}").into_bytes(), 2, 0),
        ("a stray byte", format!("{damaged}{two_pem}").into_bytes(), 1, 1),
        ("written out in JSON", format!("{{\"a\":\"{}\"}}", plain.replace('\n', "\\n")).into_bytes(), 2, 0),
        ("base64 of PEM", STANDARD.encode(&plain).into_bytes(), 2, 0),
        ("base64 twice", STANDARD.encode(STANDARD.encode(&plain)).into_bytes(), 2, 0),
        ("base64 of DER", STANDARD.encode(one.der()).into_bytes(), 1, 0),
        ("DER with the end of a line", [one.der().to_vec(), b"\n".to_vec()].concat(), 1, 0),
        ("DER and seven bytes", [one.der().to_vec(), vec![7; 7]].concat(), 1, 0),
        ("DER one behind the other", both.clone(), 2, 0),
        ("DER and half of another", both[..both.len() - 9].to_vec(), 1, 1),
        ("half of one", one.der()[..200].to_vec(), 0, 1),
        ("a request as a certificate", request.pem().unwrap().replace("CERTIFICATE REQUEST", "CERTIFICATE").into_bytes(), 0, 1),
        ("a key as a certificate", key.serialize_pem().replace("PRIVATE KEY", "CERTIFICATE").into_bytes(), 0, 1),
        ("PKCS#7 as PEM", pem_of("PKCS7", fixture!("two.p7b")), 2, 0),
        ("PKCS#7 as a certificate", pem_of("CERTIFICATE", fixture!("two.p7b")), 2, 0),
        ("a certificate as PKCS#7", pem_of("PKCS7", one.der()), 1, 0),
        ("a certificate in lower case", plain.replace("CERTIFICATE", "certificate").into_bytes(), 2, 0),
        ("nested", plain.replacen('\n', "\n-----BEGIN CERTIFICATE-----\n", 1).into_bytes(), 2, 1),
    ] {
        let read = contents(&bytes, Options::default());

        assert_eq!((read.found.len(), read.faults.len()), (found, faults), "{what}: {:?}", read.faults);
        assert!(read.is_promised, "{what}");
    }
}

#[test]
fn what_is_there_instead_of_a_certificate_has_its_name() {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::new(vec!["a".to_owned()]).unwrap().serialize_request(&key).unwrap();
    for (bytes, instead, is_promised) in [
        (key.serialize_pem().into_bytes(), "a private key", false),
        (key.serialize_der(), "a private key", true),
        (request.pem().unwrap().into_bytes(), "a certificate request", false),
        (request.der().to_vec(), "a certificate request", true),
        (pem_of("X509 CRL", b"x"), "a revocation list", false),
        (key.public_key_pem().into_bytes(), "a public key", false),
        (b"\n".to_vec(), "nothing: it is empty", false),
    ] {
        let read = contents(&bytes, Options::default());

        assert_eq!((read.found.len(), read.instead, read.is_promised), (0, Some(instead), is_promised));
    }
}

#[test]
fn a_key_in_bare_base64_is_not_decoded() {
    let key = STANDARD.encode(
        KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)
            .map_or_else(|_| [&[0x30, 0x82, 4, 0xbd, 2, 1, 0][..], &[7; 100]].concat(), |key| key.serialize_der()),
    );

    let read = contents(key.as_bytes(), Options::default());

    assert!(key.starts_with("MII"));
    assert_eq!((read.found.len(), read.is_promised, read.instead), (0, false, None));
}

#[test]
fn a_kubeconfig_tells_of_every_entry() {
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: []\nclusters:\n\
        - name: a\n  cluster: {certificate-authority-data: '%%'}\n- name: b\n  cluster: {certificate-authority-data: YQ==}\n\
        users:\n- name: a\n  user: {exec: {command: aws}}\n- name: b\n  user: {token: opaque}\n\
        - name: c\n  user: {client-certificate: c.crt}\n";

    let mut read = contents(text.as_bytes(), Options::default());

    let faults: Vec<_> = read.faults.iter().map(|(entry, what)| (entry.clone(), &**what)).collect();
    assert_eq!(
        faults,
        [
            (Entry::Named("cluster b".into()), "the entry holds no certificate"),
            (Entry::Named("cluster a".into()), "'certificate-authority-data' is not base64"),
        ]
    );
    let unknown: Vec<_> = read.found.iter().map(|found| (found.entry.clone(), format!("{:?}", found.what))).collect();
    assert_eq!(
        unknown,
        [
            (Entry::Named("user b".into()), "NotKnowable(\"opaque token\")".to_owned()),
            (Entry::Named("user a".into()), "NotKnowable(\"exec plugin\")".to_owned()),
        ]
    );
    let named = NamedFile { kind: PieceKind::Certificate, entry: "user c".into(), path: "c.crt".to_owned() };
    assert_eq!(read.named, [named]);
    // The daemon keeps what has an end.
    assert_eq!(read.items(&mut |text| text.into()), []);
}

#[test]
fn kubeadms_report_is_a_file_of_certificates() {
    let text = r#"{"kind":"CertificateExpirationInfo","certificates":[
        {"name":"apiserver","expirationDate":"2027-03-04T05:06:07Z","caName":"ca"},
        {"name":"scheduler.conf","missing":true}],
        "certificateAuthorities":[{"name":"ca","expirationDate":"2036-03-04T05:06:07Z"}]}"#;

    let mut read = contents(text.as_bytes(), Options::default());

    assert_eq!(read.faults, [(Entry::Named("scheduler.conf".into()), "kubeadm reports that it is missing".into())]);
    let items = read.items(&mut |text| text.into());
    let ends: Vec<_> = items.iter().map(|item| (&*item.holder, item.life.unwrap().not_after.to_string())).collect();
    assert_eq!(
        ends,
        [("kubeadm apiserver", "2027-03-04T05:06:07Z".to_owned()), ("kubeadm ca", "2036-03-04T05:06:07Z".to_owned()),]
    );
}

fn pem_of(label: &str, der: &[u8]) -> Vec<u8> {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)).into_bytes()
}

fn subjects_of(read: &Contents) -> Vec<&str> {
    let subject = |found: &'_ Found| match &found.what {
        What::Certificate { certificate, .. } => certificate.subject.clone(),
        What::Token(_) | What::Reported(_) | What::NotKnowable(_) => String::new(),
    };
    let known = [LEAF, CA];
    read.found.iter().filter_map(|found| known.into_iter().find(|name| subject(found) == *name)).collect()
}

#[derive(Clone, Copy)]
enum Use {
    Server,
    Client,
    Authority,
}

fn made(name: &str, used: Use) -> rcgen::Certificate {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    match used {
        Use::Server => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        Use::Client => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        Use::Authority => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

fn token() -> Vec<u8> {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.sig\n", part(r#"{"alg":"RS256"}"#), part(r#"{"sub":"s","exp":1800000000}"#)).into_bytes()
}

fn kubeconfig(authority: &str, client: &str) -> String {
    let token = String::from_utf8(token()).unwrap();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: []\nclusters:\n- name: a\n  cluster:\n    \
         certificate-authority-data: {}\nusers:\n- name: a\n  user:\n    client-certificate-data: {}\n- name: b\n  \
         user: {{ token: {} }}\n",
        STANDARD.encode(authority),
        STANDARD.encode(client),
        token.trim(),
    )
}
