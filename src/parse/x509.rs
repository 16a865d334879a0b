//! Certificates: DER to the model, dates first.
//!
//! Tolerant on purpose: a certificate that a strict reader refuses still expires. Verifies nothing; that is the
//! business of the handshake in `collect/`. Called for served chains and for files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser as _;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::der::{Element, Elements};
use super::sanitize::{clip, prints, push, shown};
use crate::model::certificate::{Certificate, Fingerprint};
use crate::model::time::UnixTime;

/// Characters kept of a subject or issuer.
const MAX_HOLDER: usize = 256;
/// Bytes kept of a serial number; RFC 5280 section 4.1.2.2 allows 20.
const MAX_SERIAL: usize = 32;
/// Names kept of a subject alternative name extension.
const MAX_NAMES: usize = 64;
/// Characters kept of one of them; a DNS name has at most 253.
const MAX_NAME: usize = 253;

/// Reads one certificate; `None` when not even its dates can be found.
///
/// What the full reader refuses is walked by hand for names, dates and key; then `names` is empty and `is_ca` false,
/// which here mean unknown.
#[must_use]
pub fn certificate(der: &[u8]) -> Option<Certificate> {
    with_usage(der).map(|(certificate, _)| certificate)
}

/// The same, and whether its extended key usage names clients alone.
#[must_use]
pub fn with_usage(der: &[u8]) -> Option<(Certificate, bool)> {
    read(der).map(|read| (read.certificate, read.is_for_clients))
}

/// A certificate, and how it was read.
#[derive(Debug)]
pub struct Read {
    /// The certificate.
    pub certificate: Certificate,
    /// Whether its extended key usage names clients alone.
    pub is_for_clients: bool,
    /// Whether the full reader refused it, so that it was walked by hand.
    pub is_degraded: bool,
}

/// Reads the certificate that `der` begins with; what is behind it (as in OpenSSL's `TRUSTED CERTIFICATE`) is no part
/// of it. `None` when not even its end can be found.
#[must_use]
pub fn read(der: &[u8]) -> Option<Read> {
    let der = Elements(der).next()?.whole;
    // What the extensions say is most of the work, and three of them matter.
    match X509CertificateParser::new().with_deep_parse_extensions(false).parse(der) {
        Ok((_, read)) => Some(from_read(der, &read)),
        Err(_) => walk(der),
    }
}

/// SHA-256 of the bytes.
#[must_use]
pub fn fingerprint(der: &[u8]) -> Fingerprint {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    Fingerprint(digest.as_ref().try_into().expect("SHA-256 has 32 octets"))
}

/// Contents of the object identifiers of RFC 5280 section 4.2.1.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

fn from_read(der: &[u8], read: &X509Certificate<'_>) -> Read {
    let mut extensions = Extensions::default();
    for extension in read.extensions() {
        extensions.take(extension.oid.as_bytes(), extension.value);
    }
    let certificate = Certificate {
        fingerprint: fingerprint(der),
        subject: holder(read.subject()),
        issuer: holder(read.issuer()),
        serial: hex(read.raw_serial(), MAX_SERIAL),
        not_before: UnixTime::from_secs(read.validity().not_before.timestamp()),
        not_after: UnixTime::from_secs(read.validity().not_after.timestamp()),
        names: extensions.names,
        is_ca: extensions.is_ca,
        is_self_issued: read.subject().as_raw() == read.issuer().as_raw(),
        key: Some(fingerprint(read.public_key().raw)),
    };
    Read { certificate, is_for_clients: extensions.is_for_clients, is_degraded: false }
}

/// What the extensions say that matters here.
#[derive(Default)]
struct Extensions {
    names: Vec<String>,
    is_ca: bool,
    is_for_clients: bool,
}

impl Extensions {
    fn take(&mut self, oid: &[u8], value: &[u8]) {
        let inner = || Elements(value).next().filter(|inner| inner.tag == 0x30);
        let elements = || Elements(inner().map(|inner| inner.content).unwrap_or_default());
        match oid {
            ALTERNATIVE_NAMES => {
                let room = MAX_NAMES - self.names.len();
                self.names.extend(elements().filter_map(name_text).take(room));
            }
            BASIC_CONSTRAINTS => {
                let is_true = |first: Element<'_>| first.tag == 1 && first.content.iter().any(|byte| *byte != 0);
                self.is_ca = elements().next().is_some_and(is_true);
            }
            EXTENDED_KEY_USAGE => {
                let names = |usage: &[u8]| elements().any(|element| element.tag == 6 && element.content == usage);
                self.is_for_clients |= names(CLIENT_AUTH) && !names(SERVER_AUTH) && !names(ANY_USAGE);
            }
            _ => {}
        }
    }
}

/// DNS names and addresses: only names that a server can be asked for by. RFC 5280 section 4.2.1.6.
fn name_text(name: Element<'_>) -> Option<String> {
    match name.tag {
        0x82 => std::str::from_utf8(name.content).ok().map(|name| shown(name, MAX_NAME)),
        0x87 => {
            let bytes = name.content;
            let address = <[u8; 4]>::try_from(bytes)
                .map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)))
                .or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))));
            Some(address.map_or_else(|_| hex(bytes, MAX_SERIAL), |address| address.to_string()))
        }
        _ => None,
    }
}

/// The name in the order of RFC 4514: the last component first.
fn holder(name: &X509Name<'_>) -> String {
    // A name has a handful of components; 64 of at least two characters fill the text anyway.
    let components: Vec<_> = name.iter_rdn().take(64).collect();
    let mut out = String::with_capacity(64);
    for component in components.iter().rev() {
        for (position, attribute) in component.iter().take(8).enumerate() {
            if !out.is_empty() {
                out.push(if position == 0 { ',' } else { '+' });
            }
            push_attribute(&mut out, attribute);
        }
    }
    clip(out, MAX_HOLDER)
}

fn push_attribute(out: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    match short(attribute.attr_type().as_bytes()) {
        Some(short) => out.push_str(short),
        None => out.push_str(&clip(attribute.attr_type().to_id_string(), 64)),
    }
    out.push('=');
    match attribute.as_str() {
        Ok(value) => push_escaped(out, value, MAX_HOLDER),
        Err(_) => {
            out.push('#');
            out.push_str(&hex(attribute.as_slice(), MAX_HOLDER / 2));
        }
    }
}

/// The word for an attribute, by the content of its object identifier.
const fn short(oid: &[u8]) -> Option<&'static str> {
    Some(match oid {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 5] => "serialNumber",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "street",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        // 0.9.2342.19200300.100.1, arc 1 and 25.
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        // 1.2.840.113549.1.9.1
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
        _ => return None,
    })
}

/// RFC 4514 section 2.4, except that what does not print is written by its number.
fn push_escaped(out: &mut String, value: &str, limit: usize) {
    let is_special = |byte: u8| matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';');
    let is_at_ease = !value.starts_with([' ', '#']) && !value.ends_with(' ');
    if value.len() <= limit && is_at_ease && prints(value) && !value.bytes().any(is_special) {
        return out.push_str(value);
    }
    let last = value.chars().take(limit).count().saturating_sub(1);
    for (position, character) in value.chars().take(limit).enumerate() {
        let at_edge = (position == 0 && matches!(character, ' ' | '#')) || (position == last && character == ' ');
        if at_edge || u8::try_from(character).is_ok_and(is_special) {
            out.push('\\');
            out.push(character);
        } else {
            push(out, character);
        }
    }
}

fn hex(bytes: &[u8], limit: usize) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |half: u8| DIGITS[usize::from(half & 0x0f)];
    let mut out = String::with_capacity(2 * bytes.len().min(limit));
    out.extend(bytes.iter().take(limit).flat_map(|byte| [digit(byte >> 4), digit(*byte)]));
    out
}

/// Steps over the fields of RFC 5280 section 4.1: version, serial, algorithm, issuer, validity, subject, key and
/// extensions. `None` without an end; a start that cannot be read is [`UnixTime::NEVER_BEGUN`].
fn walk(der: &[u8]) -> Option<Read> {
    let certificate = Elements(der).next().filter(|element| element.tag == 0x30)?;
    let body = certificate.inside().next().filter(|element| element.tag == 0x30)?;
    let fields: Vec<Element<'_>> = body.inside().filter(|field| field.tag != 0xa0).take(MAX_FIELDS).collect();
    let [serial, _, issuer, validity, rest @ ..] = fields.as_slice() else {
        return None;
    };
    let mut dates = validity.inside();
    let not_before = dates.next().filter(is_date)?;
    let not_after = dates.next().and_then(|date| instant(&date))?;
    let name = |element: &Element<'_>| X509Name::from_der(element.whole).map(|(_, name)| holder(&name)).ok();
    let subject = rest.first();
    let mut extensions = Extensions::default();
    let list = rest.iter().find(|field| field.tag == 0xa3).and_then(|field| field.inside().next());
    for extension in list.into_iter().flat_map(|list| list.inside()).take(MAX_EXTENSIONS) {
        let parts: Vec<Element<'_>> = extension.inside().filter(|part| part.tag != 1).take(2).collect();
        if let [oid, value] = parts.as_slice() {
            extensions.take(oid.content, value.content);
        }
    }
    let certificate = Certificate {
        fingerprint: fingerprint(der),
        subject: subject.and_then(name).unwrap_or_default(),
        issuer: name(issuer).unwrap_or_default(),
        serial: hex(serial.content, MAX_SERIAL),
        not_before: instant(&not_before).unwrap_or(UnixTime::NEVER_BEGUN),
        not_after,
        names: extensions.names,
        is_ca: extensions.is_ca,
        is_self_issued: subject.is_some_and(|subject| subject.whole == issuer.whole),
        key: rest.get(1).filter(|key| key.tag == 0x30).map(|key| fingerprint(key.whole)),
    };
    Some(Read { certificate, is_for_clients: extensions.is_for_clients, is_degraded: true })
}

/// Fields of a certificate without its version: six, two unique identifiers, and the extensions.
const MAX_FIELDS: usize = 9;
/// Extensions that are read of a certificate that was refused.
const MAX_EXTENSIONS: usize = 64;

/// UTCTime or GeneralizedTime.
const fn is_date(date: &Element<'_>) -> bool {
    matches!(date.tag, 0x17 | 0x18)
}

/// UTCTime and GeneralizedTime as RFC 5280 has them, and as programs with faults wrote them: without seconds, with an
/// offset instead of `Z`, on the 30th of February, at second 60.
fn instant(date: &Element<'_>) -> Option<UnixTime> {
    let text = std::str::from_utf8(date.content).ok()?;
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (text, zone) = text.split_at(end);
    let (year, rest) = match date.tag {
        0x17 => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            // RFC 5280 section 4.1.2.5.1: 50 and later belong to the last century.
            (if year >= 50 { 1900 + year } else { 2000 + year }, rest)
        }
        0x18 => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let pair = |at: usize| rest.get(at..at + 2).and_then(|pair| pair.parse::<i8>().ok());
    let (month, day) = (pair(0)?, pair(2)?);
    let second = if rest.len() >= 10 { pair(8)?.min(59) } else { 0 };
    let longest = jiff::civil::Date::new(year, month, 1).ok()?.days_in_month();
    let moment = jiff::civil::DateTime::new(year, month, day.min(longest), pair(4)?, pair(6)?, second, 0).ok()?;
    match moment.to_zoned(jiff::tz::TimeZone::UTC) {
        Ok(zoned) => Some(UnixTime::from_secs(zoned.timestamp().as_second() - offset(zone)?)),
        // The calendar has one day more than jiff has instants, and on it ends what has no end.
        Err(_) => (year == 9999).then_some(UnixTime::NO_END),
    }
}

/// Seconds east of Greenwich: `Z`, nothing, `+hhmm` or `-hhmm`, behind a fraction of a second.
fn offset(zone: &str) -> Option<i64> {
    let zone = zone.strip_prefix('.').map_or(zone, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    if matches!(zone, "Z" | "") {
        return Some(0);
    }
    let (sign, digits) = zone.split_at_checked(1)?;
    let number = |at: usize| digits.get(at..at + 2).and_then(|pair| pair.parse::<i64>().ok());
    let seconds = (number(0)? * 60 + number(2)?) * 60;
    match sign {
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
