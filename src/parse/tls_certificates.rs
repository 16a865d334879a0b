//! The certificates of servers that rustls cannot shake hands with: TLS 1.1 and older, RSA key exchange, CBC ciphers,
//! odd curves.
//!
//! Until TLS 1.2 a server sends its certificates in clear text, in its first answer. So a ClientHello that offers
//! everything is enough to see them, and nothing needs to be computed. What is read is not proved: the handshake ends
//! before the server would show that it has the key. Called by `collect`.

use crate::model::certificate as model;

/// Octets of a record's content. Source: RFC 5246 section 6.2.3, the longest that a peer may send at all.
const MAX_RECORD: usize = (1 << 14) + 2048;
/// Octets of a handshake message: twice what rustls takes.
const MAX_MESSAGE: usize = 1 << 17;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;

/// How the server proves that it has the key, and how keys are agreed: the reason why rustls finds nothing in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyExchange {
    /// Elliptic curves with ciphers that rustls has: what is odd is the curve or the signature.
    Ecdhe,
    /// Elliptic curves, with ciphers in CBC mode or older ones.
    EcdheCbc,
    /// Elliptic curves, with ciphers in CCM mode.
    EcdheCcm,
    /// Elliptic curves, with the key of the certificate for all connections.
    Ecdh,
    /// Finite fields.
    Dhe,
    /// The key of the certificate decrypts.
    Rsa,
}

/// The cipher suites that are offered, what rustls lacks least first: so a server that follows our order says by its
/// choice that it has nothing better. Numbers from the registry of RFC 5246 section 12 (TLS Cipher Suites).
const SUITES: [(u16, KeyExchange); 54] = {
    use KeyExchange::{Dhe, Ecdh, Ecdhe, EcdheCbc, EcdheCcm, Rsa};
    [
        (0xc02c, Ecdhe),
        (0xc02b, Ecdhe),
        (0xc030, Ecdhe),
        (0xc02f, Ecdhe),
        (0xcca9, Ecdhe),
        (0xcca8, Ecdhe),
        (0xc0ad, EcdheCcm),
        (0xc0ac, EcdheCcm),
        (0xc0af, EcdheCcm),
        (0xc0ae, EcdheCcm),
        (0xc024, EcdheCbc),
        (0xc023, EcdheCbc),
        (0xc028, EcdheCbc),
        (0xc027, EcdheCbc),
        (0xc00a, EcdheCbc),
        (0xc009, EcdheCbc),
        (0xc014, EcdheCbc),
        (0xc013, EcdheCbc),
        (0xc008, EcdheCbc),
        (0xc012, EcdheCbc),
        (0x009f, Dhe),
        (0x009e, Dhe),
        (0xccaa, Dhe),
        (0xc09f, Dhe),
        (0xc09e, Dhe),
        (0x006b, Dhe),
        (0x0067, Dhe),
        (0x0039, Dhe),
        (0x0033, Dhe),
        (0x0088, Dhe),
        (0x0016, Dhe),
        (0x0038, Dhe),
        (0x0032, Dhe),
        (0xc02e, Ecdh),
        (0xc02d, Ecdh),
        (0xc032, Ecdh),
        (0xc031, Ecdh),
        (0xc026, Ecdh),
        (0xc02a, Ecdh),
        (0xc005, Ecdh),
        (0xc004, Ecdh),
        (0xc00f, Ecdh),
        (0xc00e, Ecdh),
        (0x009d, Rsa),
        (0x009c, Rsa),
        (0xc09d, Rsa),
        (0xc09c, Rsa),
        (0x003d, Rsa),
        (0x003c, Rsa),
        (0x0035, Rsa),
        (0x002f, Rsa),
        (0x0084, Rsa),
        (0x000a, Rsa),
        (0x0005, Rsa),
    ]
};

/// Groups: X25519, the NIST curves, X448, brainpool, secp256k1. Numbers from the registry of RFC 8422 section 9.
const GROUPS: [u16; 9] = [0x001d, 0x0017, 0x0018, 0x0019, 0x001e, 0x001a, 0x001b, 0x001c, 0x0016];

/// Signatures, those of SHA-1 and DSA last. Numbers from the registry of RFC 8446 section 4.2.3, and RFC 5246 for DSA.
const SIGNATURES: [u16; 18] = [
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601,
    0x0301, 0x0203, 0x0201, 0x0202,
];

/// What a server's first octets mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// They are not complete.
    More,
    /// It sent certificates.
    Served(Served),
    /// There are no certificates in them.
    Nothing,
}

/// The certificates of a server, unproved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// DER as it was sent, leaf first, at most [`MAX_CHAIN`](model::Served::MAX_CHAIN).
    pub chain: Vec<Vec<u8>>,
    /// Certificates that were sent.
    pub sent: usize,
    /// Why rustls has nothing in common with the server, to go on after "because".
    pub reason: &'static str,
}

/// A ClientHello of TLS 1.2 that offers everything; `name` is the DNS name that is asked for. `random` need not be
/// secret, because no key is ever derived from it.
#[must_use]
pub fn client_hello(name: Option<&str>, random: [u8; 32]) -> Vec<u8> {
    // Lengths below are sums of constants and of a DNS name, which has 255 octets at most.
    let mut extensions = Vec::new();
    if let Some(name) = name.filter(|name| name.len() <= 255) {
        let host = [&[0][..], &vector16(name.as_bytes())].concat();
        extension(&mut extensions, 0x0000, &vector16(&host));
    }
    extension(&mut extensions, 0x000a, &vector16(&numbers(&GROUPS)));
    // Uncompressed points.
    extension(&mut extensions, 0x000b, &[1, 0]);
    extension(&mut extensions, 0x000d, &vector16(&numbers(&SIGNATURES)));

    let mut suites = numbers(&SUITES.map(|(number, _)| number));
    // Servers that insist on secure renegotiation take this in place of an extension. Source: RFC 5746 section 3.3.
    suites.extend([0x00, 0xff]);
    let (no_session, no_compression) = (&[0][..], &[1, 0][..]);
    let body = [&[3, 3][..], &random, no_session, &vector16(&suites), no_compression, &vector16(&extensions)].concat();
    let message = [&[1, 0][..], &vector16(&body)].concat();
    [&[HANDSHAKE, 3, 1][..], &vector16(&message)].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// `content` behind its length in two octets.
fn vector16(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), content].concat()
}

fn extension(out: &mut Vec<u8>, number: u16, content: &[u8]) {
    out.extend(number.to_be_bytes());
    out.extend(vector16(content));
}

/// Reads what the server has sent until now.
#[must_use]
pub fn read(bytes: &[u8]) -> Answer {
    let mut messages = Vec::new();
    let mut rest = Octets(bytes);
    let otherwise = loop {
        match rest.record() {
            None => break Answer::More,
            Some(Ok((HANDSHAKE, content))) => messages.extend_from_slice(content),
            // A warning, such as that the name is unknown, changes nothing.
            Some(Ok((ALERT, [1, _]))) => {}
            Some(Ok(_) | Err(NotTls)) => break Answer::Nothing,
        }
    };
    match served(&messages) {
        Answer::More => otherwise,
        answer @ (Answer::Served(_) | Answer::Nothing) => answer,
    }
}

/// From handshake messages to the certificates in them.
fn served(messages: &[u8]) -> Answer {
    let mut rest = Octets(messages);
    let mut hello = None;
    loop {
        let Some(kind) = rest.number(1) else { return Answer::More };
        let Some(length) = rest.number(3) else { return Answer::More };
        if length > MAX_MESSAGE {
            return Answer::Nothing;
        }
        let Some(content) = rest.take(length) else { return Answer::More };
        match (u8::try_from(kind), hello) {
            (Ok(SERVER_HELLO), None) => match reason(content) {
                Some(reason) => hello = Some(reason),
                None => return Answer::Nothing,
            },
            (Ok(CERTIFICATE), Some(reason)) => {
                return certificates(content)
                    .map_or(Answer::Nothing, |(chain, sent)| Answer::Served(Served { chain, sent, reason }));
            }
            // An anonymous server sends none.
            _ => return Answer::Nothing,
        }
    }
}

/// Why rustls has nothing in common with a server that answers so; `None` for what is no ServerHello.
fn reason(hello: &[u8]) -> Option<&'static str> {
    let mut rest = Octets(hello);
    let version = rest.number(2)?;
    rest.take(32)?;
    let session = rest.number(1)?;
    rest.take(session)?;
    let suite = rest.number(2)?;
    let exchange = SUITES.iter().find(|(number, _)| usize::from(*number) == suite).map(|(_, exchange)| exchange);
    Some(match (version, exchange) {
        (0x0300, _) => "SSL 3.0 is the newest version that it speaks",
        (0x0301, _) => "TLS 1.0 is the newest version that it speaks",
        (0x0302, _) => "TLS 1.1 is the newest version that it speaks",
        (0x0303, Some(KeyExchange::Rsa)) => "it chooses TLS 1.2 with RSA key exchange",
        (0x0303, Some(KeyExchange::Dhe)) => "it chooses TLS 1.2 with finite-field Diffie-Hellman (DHE)",
        (0x0303, Some(KeyExchange::EcdheCbc)) => "it chooses TLS 1.2 with a cipher in CBC mode or an older one",
        (0x0303, Some(KeyExchange::EcdheCcm)) => "it chooses TLS 1.2 with a cipher in CCM mode",
        (0x0303, Some(KeyExchange::Ecdh)) => "it chooses TLS 1.2 with the same elliptic-curve key for everybody (ECDH)",
        (0x0303, Some(KeyExchange::Ecdhe)) => "it chooses TLS 1.2 with a curve or a signature that is rarely used",
        _ => return None,
    })
}

/// The certificates of a message, and how many were sent; `None` where there are none, or the lengths contradict.
fn certificates(message: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let mut outer = Octets(message);
    let length = outer.number(3)?;
    let mut rest = Octets(outer.take(length).filter(|_| outer.0.is_empty())?);
    let (mut chain, mut sent) = (Vec::new(), 0);
    while !rest.0.is_empty() {
        let length = rest.number(3)?;
        let certificate = rest.take(length)?;
        sent += 1;
        if chain.len() < model::Served::MAX_CHAIN {
            chain.push(certificate.to_vec());
        }
    }
    (sent > 0).then_some((chain, sent))
}

/// What is left to be read.
#[derive(Debug, Clone, Copy)]
struct Octets<'a>(&'a [u8]);

/// These octets are no record of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NotTls;

impl<'a> Octets<'a> {
    /// `None` and nothing consumed where fewer are left.
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of that many octets, at most three.
    fn number(&mut self, octets: usize) -> Option<usize> {
        Some(self.take(octets)?.iter().fold(0, |number, octet| number << 8 | usize::from(*octet)))
    }

    /// The kind and the content of the next record; `None` where it is not complete.
    fn record(&mut self) -> Option<Result<(u8, &'a [u8]), NotTls>> {
        let (&[kind, major, _, high, low], rest) = self.0.split_first_chunk::<5>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !matches!(kind, ALERT | HANDSHAKE) || major != 3 || length > MAX_RECORD {
            return Some(Err(NotTls));
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Ok((kind, content)))
    }
}

#[cfg(test)]
mod tests;
