//! Certificates: DER to the model, dates first.
//!
//! Tolerant on purpose: a certificate that a strict reader refuses still expires. Verifies nothing; that is the
//! business of the handshake in `collect/`. Called for served chains and for files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::shown::{clip, shown};
use super::tlv::{Element, Elements};
use crate::model::certificate::{Certificate, Fingerprint};
use crate::model::time::UnixTime;

/// Characters kept of a subject or issuer.
const MAX_HOLDER: usize = 256;
/// Octets kept of a serial number; RFC 5280 section 4.1.2.2 allows 20.
const MAX_SERIAL: usize = 32;
/// Names kept of a subject alternative name extension.
const MAX_NAMES: usize = 64;
/// Characters kept of one of them; a DNS name has at most 253.
const MAX_NAME: usize = 253;

/// Reads one certificate; `None` when not even its dates can be found.
///
/// What the full reader refuses is walked by hand for names and dates; then `names` is empty and `is_ca` false, which
/// here mean unknown.
#[must_use]
pub fn certificate(der: &[u8]) -> Option<Certificate> {
    with_usage(der).map(|(certificate, _)| certificate)
}

/// The same, and whether its extended key usage names clients alone.
#[must_use]
pub fn with_usage(der: &[u8]) -> Option<(Certificate, bool)> {
    match X509Certificate::from_der(der) {
        Ok((_, read)) => Some((from_read(der, &read), is_for_clients(&read))),
        Err(_) => Some((walk(der)?, false)),
    }
}

fn is_for_clients(read: &X509Certificate<'_>) -> bool {
    read.extensions().iter().any(|extension| {
        matches!(extension.parsed_extension(), ParsedExtension::ExtendedKeyUsage(usage)
            if usage.client_auth && !usage.server_auth && !usage.any)
    })
}

/// SHA-256 of the bytes.
#[must_use]
pub fn fingerprint(der: &[u8]) -> Fingerprint {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    Fingerprint(digest.as_ref().try_into().expect("SHA-256 has 32 octets"))
}

fn from_read(der: &[u8], read: &X509Certificate<'_>) -> Certificate {
    let mut names = Vec::new();
    let mut is_ca = false;
    for extension in read.extensions() {
        #[expect(clippy::wildcard_enum_match_arm, reason = "foreign enum with 40 variants, of which two matter")]
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(alternatives) => {
                names.extend(alternatives.general_names.iter().filter_map(name_text).take(MAX_NAMES - names.len()));
            }
            ParsedExtension::BasicConstraints(constraints) => is_ca = constraints.ca,
            _ => {}
        }
    }
    Certificate {
        fingerprint: fingerprint(der),
        subject: holder(read.subject()),
        issuer: holder(read.issuer()),
        serial: hex(read.raw_serial(), MAX_SERIAL),
        not_before: UnixTime::from_secs(read.validity().not_before.timestamp()),
        not_after: UnixTime::from_secs(read.validity().not_after.timestamp()),
        names,
        is_ca,
        is_self_issued: read.subject().as_raw() == read.issuer().as_raw(),
    }
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign enum; only names that a server can be asked for by")]
    match name {
        GeneralName::DNSName(name) => Some(shown(name, MAX_NAME)),
        GeneralName::IPAddress(octets) => {
            let address = <[u8; 4]>::try_from(*octets)
                .map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
                .or_else(|_| <[u8; 16]>::try_from(*octets).map(|octets| IpAddr::V6(Ipv6Addr::from(octets))));
            Some(address.map_or_else(|_| hex(octets, MAX_SERIAL), |address| address.to_string()))
        }
        _ => None,
    }
}

/// The name in the order of RFC 4514: the last component first.
fn holder(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        // A name has a handful of components; 64 of at least two characters fill the text anyway.
        .take(64)
        .map(|component| component.iter().take(8).map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    clip(parts.join(","), MAX_HOLDER)
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let short = match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        other => other,
    };
    let value = attribute
        .as_str()
        .map_or_else(|_| format!("#{}", hex(attribute.as_slice(), MAX_HOLDER / 2)), |value| escaped(value, MAX_HOLDER));
    format!("{}={value}", clip(short.to_owned(), 64))
}

/// RFC 4514 section 2.4, except that what does not print is written by its number.
fn escaped(value: &str, limit: usize) -> String {
    let last = value.chars().take(limit).count().saturating_sub(1);
    let mut out = String::new();
    for (position, character) in value.chars().take(limit).enumerate() {
        let at_edge = (position == 0 && matches!(character, ' ' | '#')) || (position == last && character == ' ');
        if at_edge || matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
            out.push(character);
        } else {
            out.push_str(&shown(character.encode_utf8(&mut [0; 4]), 16));
        }
    }
    out
}

fn hex(octets: &[u8], limit: usize) -> String {
    octets.iter().take(limit).map(|octet| format!("{octet:02x}")).collect()
}

/// Steps over the fields of RFC 5280 section 4.1: version, serial, algorithm, issuer, validity, subject.
fn walk(der: &[u8]) -> Option<Certificate> {
    let certificate = Elements(der).next().filter(|element| element.tag == 0x30)?;
    let body = Elements(certificate.content).next().filter(|element| element.tag == 0x30)?;
    let fields: Vec<Element<'_>> = Elements(body.content).filter(|field| field.tag != 0xa0).take(5).collect();
    let [serial, _, issuer, validity, rest @ ..] = fields.as_slice() else {
        return None;
    };
    let dates: Vec<UnixTime> = Elements(validity.content).take(2).map_while(|date| instant(&date)).collect();
    let [not_before, not_after] = dates.as_slice() else {
        return None;
    };
    let name = |element: &Element<'_>| X509Name::from_der(element.whole).map(|(_, name)| holder(&name)).ok();
    let subject = rest.first();
    Some(Certificate {
        fingerprint: fingerprint(der),
        subject: subject.and_then(name).unwrap_or_default(),
        issuer: name(issuer).unwrap_or_default(),
        serial: hex(serial.content, MAX_SERIAL),
        not_before: *not_before,
        not_after: *not_after,
        names: Vec::new(),
        is_ca: false,
        is_self_issued: subject.is_some_and(|subject| subject.whole == issuer.whole),
    })
}

/// UTCTime and GeneralizedTime in their DER forms, seconds optional, always in UTC.
fn instant(date: &Element<'_>) -> Option<UnixTime> {
    let text = std::str::from_utf8(date.content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
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
    let second = if rest.len() >= 10 { pair(8)? } else { 0 };
    let moment = jiff::civil::DateTime::new(year, pair(0)?, pair(2)?, pair(4)?, pair(6)?, second, 0).ok()?;
    let stamp = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(UnixTime::from_secs(stamp.as_second()))
}

#[cfg(test)]
mod tests;
