use proptest::prelude::*;

use super::*;

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1][..], &vector16(content)].concat()
}

fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind][..], &length[1..], content].concat()
}

fn server_hello(version: u16, suite: u16) -> Vec<u8> {
    let [version, suite] = [version, suite].map(u16::to_be_bytes);
    message(SERVER_HELLO, &[&version[..], &[7; 32], &[2, 9, 9], &suite, &[0]].concat())
}

fn vector24(content: &[u8]) -> Vec<u8> {
    [&u32::try_from(content.len()).unwrap().to_be_bytes()[1..], content].concat()
}

fn certificate(chain: &[&[u8]]) -> Vec<u8> {
    let all: Vec<u8> = chain.iter().flat_map(|certificate| vector24(certificate)).collect();
    message(CERTIFICATE, &vector24(&all))
}

fn answer(version: u16, suite: u16, chain: &[&[u8]]) -> Vec<u8> {
    record(HANDSHAKE, &[server_hello(version, suite), certificate(chain)].concat())
}

#[test]
fn the_choice_of_the_server_is_the_reason() {
    for (version, suite, reason) in [
        (0x0300, 0x0005, "SSL 3.0 is the newest version that it speaks"),
        (0x0301, 0xc014, "TLS 1.0 is the newest version that it speaks"),
        (0x0302, 0xc014, "TLS 1.1 is the newest version that it speaks"),
        (0x0303, 0x002f, "it chooses TLS 1.2 with RSA key exchange"),
        (0x0303, 0x0033, "it chooses TLS 1.2 with finite-field Diffie-Hellman (DHE)"),
        (0x0303, 0xc013, "it chooses TLS 1.2 with a cipher in CBC mode or an older one"),
        (0x0303, 0xc0ad, "it chooses TLS 1.2 with a cipher in CCM mode"),
        (0x0303, 0xc02d, "it chooses TLS 1.2 with the same elliptic-curve key for everybody (ECDH)"),
        (0x0303, 0xc02f, "it chooses TLS 1.2 with a curve or a signature that is rarely used"),
    ] {
        let expected = Served { chain: vec![b"leaf".to_vec(), b"ca".to_vec()], sent: 2, reason };

        assert_eq!(read(&answer(version, suite, &[b"leaf", b"ca"])), Answer::Served(expected), "{version:04x}");
    }
}

#[test]
fn what_is_not_complete_is_waited_for_and_what_is_wrong_is_not() {
    let whole = answer(0x0303, 0x002f, &[b"leaf"]);
    for cut in 0..whole.len() {
        assert_eq!(read(&whole[..cut]), Answer::More, "{cut}");
    }
    let hello = server_hello(0x0303, 0x002f);
    let in_records = |messages: &[Vec<u8>]| record(HANDSHAKE, &messages.concat());
    for (case, bytes) in [
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("a fatal alert", record(ALERT, &[2, 40])),
        ("an endless record", vec![HANDSHAKE, 3, 3, 0xff, 0xff]),
        ("no hello", in_records(&[certificate(&[b"leaf"])])),
        ("two hellos", in_records(&[hello.clone(), hello.clone()])),
        ("no certificate", in_records(&[hello.clone(), message(14, &[])])),
        ("an empty chain", in_records(&[hello.clone(), certificate(&[])])),
        ("an unknown suite", in_records(&[server_hello(0x0303, 0x1301), certificate(&[b"leaf"])])),
        ("an unknown version", in_records(&[server_hello(0x0304, 0x002f), certificate(&[b"leaf"])])),
        ("a short hello", in_records(&[message(SERVER_HELLO, &[3, 3])])),
        ("a list longer than its message", in_records(&[hello.clone(), message(CERTIFICATE, &[0, 0, 9, 1])])),
        (
            "a certificate longer than its list",
            in_records(&[hello.clone(), message(CERTIFICATE, &[0, 0, 4, 0, 0, 9, 1])]),
        ),
        ("octets behind the list", in_records(&[hello.clone(), message(CERTIFICATE, &[0, 0, 4, 0, 0, 1, 1, 9])])),
        ("an endless message", in_records(&[hello, vec![CERTIFICATE, 0xff, 0xff, 0xff]])),
    ] {
        assert_eq!(read(&bytes), Answer::Nothing, "{case}");
    }
}

#[test]
fn a_warning_in_front_and_a_message_in_several_records_change_nothing() {
    let messages = [server_hello(0x0301, 0x002f), certificate(&[&[5; 300]])].concat();
    let mut bytes = record(ALERT, &[1, 112]);
    for piece in messages.chunks(100) {
        bytes.extend(record(HANDSHAKE, piece));
    }

    let Answer::Served(served) = read(&bytes) else { panic!("{:?}", read(&bytes)) };

    assert_eq!((served.chain, served.sent), (vec![vec![5; 300]], 1));
}

#[test]
fn of_many_certificates_the_first_are_kept_and_all_are_counted() {
    let Answer::Served(served) = read(&answer(0x0301, 0x002f, &[&b"a"[..]; 50])) else { panic!("nothing was read") };

    assert_eq!((served.chain.len(), served.sent), (model::Served::MAX_CHAIN, 50));
}

#[test]
fn the_name_is_asked_for_where_there_is_one() {
    let named = client_hello(Some("api.example.com"), [1; 32]);
    let bare = client_hello(None, [1; 32]);

    for hello in [&named, &bare] {
        let (head, body) = hello.split_first_chunk::<9>().unwrap();
        assert_eq!(head[..3], [HANDSHAKE, 3, 1]);
        assert_eq!(usize::from(u16::from_be_bytes([head[3], head[4]])), hello.len() - 5);
        assert_eq!(usize::from(u16::from_be_bytes([head[7], head[8]])), body.len());
    }
    assert!(named.windows(15).any(|part| part == b"api.example.com"));
    // Type and length of the extension, length of the list, type and length of the name.
    assert_eq!(named.len(), bare.len() + 4 + 2 + 3 + 15);
    assert!(named.len() < 512, "a larger one is dropped by old servers");
}

proptest! {
    #[test]
    fn no_input_panics_and_more_of_it_takes_nothing_back(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut near = answer(0x0303, 0x002f, &[b"leaf"]);
        let at = bytes.first().map_or(0, |byte| usize::from(*byte)) % near.len();
        near[at] = bytes.last().copied().unwrap_or_default();

        for input in [&bytes, &near] {
            let whole = read(input);
            for cut in 0..input.len() {
                let part = read(&input[..cut]);
                prop_assert!(part == Answer::More || part == whole, "{cut}: {part:?}, {whole:?}");
            }
        }
    }
}
