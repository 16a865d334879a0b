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
        let found = contents(&bytes, &mut |text| text.into());

        let seen: Vec<ItemKind> = found.items.iter().map(|item| item.kind).collect();
        assert_eq!((seen, found.fault, found.damaged), (kinds, None, 0), "{what}");
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
        ("PKCS#12", b"\x30\x82\x09\x01\x02\x01\x03", Unsupported),
        ("a Java key store", b"\xfe\xed\xfe\xed\0\0\0\x02", Unsupported),
        ("gzip", b"\x1f\x8b\x08", Unsupported),
        ("PKCS#7", b"-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n", Unsupported),
        ("half a kubeconfig", b"apiVersion: v1\nclusters: [\nusers: []", BrokenKubeconfig),
    ] {
        let found = contents(bytes, &mut |text| text.into());

        assert_eq!((found.items.len(), found.fault), (0, Some(fault)), "{what}");
    }
}

#[test]
fn a_damaged_block_costs_itself() {
    let text =
        format!("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n{}", made("a", Use::Server).pem());

    let found = contents(text.as_bytes(), &mut |text| text.into());

    assert_eq!((found.items.len(), found.damaged, found.fault), (1, 1, None));
}

#[test]
fn a_renewed_certificate_has_the_identity_of_the_old_one_and_another_name_has_not() {
    let of = |name: &str| contents(made(name, Use::Server).pem().as_bytes(), &mut |text| text.into()).items[0].clone();
    let (old, renewed, other) = (of("a"), of("a"), of("b"));

    assert_ne!(old.fingerprint, renewed.fingerprint);
    assert_eq!(old.identity, renewed.identity);
    assert_ne!(old.identity, other.identity);
}

#[test]
fn thousands_of_markers_and_megabytes_of_junk_are_only_counted() {
    let found = contents("-----BEGIN CERTIFICATE-----\n".repeat(100_000).as_bytes(), &mut |text| text.into());
    assert_eq!((found.damaged, found.fault), (100_000, Some(FileFault::HalfWritten)));

    let found = contents(&vec![0xa5; 64 * 1024 * 1024], &mut |text| text.into());
    assert_eq!(found.fault, Some(FileFault::NothingInIt));
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
