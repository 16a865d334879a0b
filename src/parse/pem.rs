//! PEM as it is found in the wild: every certificate that can be had, and one fault for every block that cannot.
//!
//! Ordinary readers silently lose certificates behind a byte order mark, indentation, UTF-16 or a missing END line.
//! This one counts BEGIN markers and accounts for each. It never decodes a key: it says that one is there, and the TLS
//! stack reads it itself. The DER is not parsed. Called by the configuration check and by everything that reads
//! certificates from files.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::text::{self, Encoding, MAX_BYTES};

/// Everything found in a PEM text. `markers` equals the sum of the lengths of the five lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// How the bytes were laid out.
    pub encoding: Encoding,
    /// Certificates in the order of the text.
    pub certificates: Vec<Certificate>,
    /// Containers of certificates (PKCS#7), decoded like certificates.
    pub containers: Vec<Certificate>,
    /// Private keys; never decoded.
    pub keys: Vec<Key>,
    /// Whole blocks of other kinds, not decoded either.
    pub others: Vec<Other>,
    /// Blocks that could not be read.
    pub faults: Vec<Fault>,
    /// BEGIN markers in the text.
    pub markers: usize,
    /// Whether the input was longer than what is read.
    pub is_truncated: bool,
}

/// A decoded certificate block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Line of its BEGIN marker, from 1.
    pub line: u64,
    /// Content. OpenSSL's `TRUSTED CERTIFICATE` carries more data behind the certificate itself.
    pub der: Vec<u8>,
}

/// That a private key is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Line of its BEGIN marker, from 1.
    pub line: u64,
    /// Whether a passphrase is needed to use it.
    pub is_encrypted: bool,
}

/// A block that is neither certificate nor key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Line of its BEGIN marker, from 1.
    pub line: u64,
    /// Its label.
    pub label: String,
}

/// A block that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Line of its BEGIN marker, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub kind: FaultKind,
    /// Whether its label promises certificates, as far as the label can be read.
    pub is_certificate: bool,
}

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum FaultKind {
    /// The BEGIN marker has no dashes behind its label on the same line.
    #[error("the BEGIN line is cut short")]
    BadMarker,
    /// Another block begins, or the text ends, before END.
    #[error("the block has no END line")]
    NoEnd,
    /// Nothing between BEGIN and END.
    #[error("the block is empty")]
    Empty,
    /// The content is not base64.
    #[error("the block is not base64")]
    NotBase64,
}

/// Labels are far shorter; a longer one is a damaged line.
const MAX_LABEL: usize = 64;

/// Padding and stray trailing bits are forgiven: the content is what counts, and DER carries its own length.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Everything in `bytes` that PEM markers enclose, as far as [`MAX_BYTES`] reach.
#[must_use]
pub fn scan(bytes: &[u8]) -> Scan {
    scan_within(bytes, MAX_BYTES)
}

/// The same of the first `limit` bytes.
#[must_use]
pub fn scan_within(bytes: &[u8], limit: usize) -> Scan {
    let is_truncated = bytes.len() > limit;
    let (text, encoding) = text::decode(&bytes[..bytes.len().min(limit)]);
    let mut scan = Scan {
        encoding,
        certificates: Vec::new(),
        containers: Vec::new(),
        keys: Vec::new(),
        others: Vec::new(),
        faults: Vec::new(),
        markers: 0,
        is_truncated,
    };
    let marks = marks(&text);
    let mut lines = Lines { text: &text, at: 0, line: 1 };
    for (index, mark) in marks.iter().enumerate().filter(|(_, mark)| mark.begins) {
        scan.markers += 1;
        scan.block(&text[mark.label_at..], marks.get(index + 1), mark.label_at, lines.line_of(mark.label_at));
    }
    scan
}

/// A BEGIN or END marker: where its label starts, which is right behind the keyword and its blank.
struct Marker {
    label_at: usize,
    begins: bool,
}

const DASHES: &str = "-----";
const BEGIN: &str = "BEGIN ";
const END: &str = "END ";

/// All markers in order. One pass over the dashes, of which base64 has none.
fn marks(text: &str) -> Vec<Marker> {
    let mut marks = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('-') {
        at += found;
        let rest = text[at..].trim_start_matches('-');
        let dashes = text.len() - at - rest.len();
        at += dashes;
        // Six dashes in front are as good as five.
        if dashes >= DASHES.len() {
            let begins = rest.starts_with(BEGIN);
            if begins || rest.starts_with(END) {
                let keyword = if begins { BEGIN } else { END };
                marks.push(Marker { label_at: at + keyword.len(), begins });
            }
        }
    }
    marks
}

/// What a label promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Certificate,
    Container,
    Key,
    Other,
}

impl Label {
    /// Programs differ in what they write in front of the word, and people in its case.
    fn of(label: &str) -> Self {
        let label = label.trim().to_ascii_uppercase();
        match label.as_str() {
            "ATTRIBUTE CERTIFICATE" => Self::Other,
            "PKCS7" | "PKCS #7" | "PKCS #7 SIGNED DATA" | "CMS" | "CERTIFICATE CHAIN" => Self::Container,
            "CERT" => Self::Certificate,
            _ if label.ends_with("CERTIFICATE") || label.ends_with("CERTIFICATES") => Self::Certificate,
            _ if label.ends_with("PRIVATE KEY") => Self::Key,
            _ => Self::Other,
        }
    }

    const fn promises_certificates(self) -> bool {
        matches!(self, Self::Certificate | Self::Container)
    }
}

/// Whether a BEGIN line that is cut short began to promise certificates.
fn may_be_certificate(line: &str) -> bool {
    let label = line.trim_end_matches('-').trim().to_ascii_uppercase();
    Label::of(&label).promises_certificates()
        || (!label.is_empty()
            && ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7"]
                .iter()
                .any(|full| full.starts_with(&label)))
}

impl Scan {
    /// Files the block whose label starts `rest`; `next` is the marker behind it.
    fn block(&mut self, rest: &str, next: Option<&Marker>, label_at: usize, line: u64) {
        // Dashes are found at the next marker at the latest, and a line of many markers is not read for each of them.
        let head = next.and_then(|next| rest.get(..next.label_at - label_at)).unwrap_or(rest);
        let first_line = head.split(['\r', '\n']).next().unwrap_or_default();
        let Some(written) =
            first_line.split_once(DASHES).map(|(label, _)| label.trim()).filter(|l| l.len() <= MAX_LABEL)
        else {
            let start: String = first_line.chars().take(MAX_LABEL).collect();
            let is_certificate = may_be_certificate(&start);
            return self.faults.push(Fault { line, kind: FaultKind::BadMarker, is_certificate });
        };
        let label = Label::of(written);
        let fault = |kind| Fault { line, kind, is_certificate: label.promises_certificates() };
        let Some(end) = next.filter(|next| !next.begins) else {
            return self.faults.push(fault(FaultKind::NoEnd));
        };
        let body_from = first_line.find(DASHES).map_or(rest.len(), |dashes| dashes + DASHES.len());
        let body_to = (end.label_at - label_at).saturating_sub(DASHES.len() + END.len());
        let body = rest.get(body_from..body_to).unwrap_or_default();
        match label {
            Label::Certificate | Label::Container => match decode(body) {
                Ok(der) if label == Label::Certificate => self.certificates.push(Certificate { line, der }),
                Ok(der) => self.containers.push(Certificate { line, der }),
                Err(kind) => self.faults.push(fault(kind)),
            },
            Label::Key => {
                let is_encrypted = written.starts_with("ENCRYPTED") || body.contains("4,ENCRYPTED");
                self.keys.push(Key { line, is_encrypted });
            }
            Label::Other => self.others.push(Other { line, label: written.escape_debug().to_string() }),
        }
    }
}

/// The content of a block, without RFC 1421 headers (which have a colon, unlike base64), blanks and NUL padding.
fn decode(body: &str) -> Result<Vec<u8>, FaultKind> {
    let is_filler = |c: &char| c.is_whitespace() || *c == '\0' || *c == '\u{feff}';
    let mut content = String::with_capacity(body.len());
    for line in body.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        // Without an early exit, so that many bytes are compared at once.
        if line.bytes().fold(true, |all, byte| all & (matches!(byte, b'!'..=b'~') & (byte != b':'))) {
            content.push_str(line);
        } else {
            let lines = line.split('\r').filter(|line| !line.contains(':'));
            content.extend(lines.flat_map(str::chars).filter(|c| !is_filler(c)));
        }
    }
    // As the string of a JSON or YAML text, line ends are written out.
    if content.contains('\\') {
        content = content.replace("\\r", "").replace("\\n", "");
    }
    if content.is_empty() {
        return Err(FaultKind::Empty);
    }
    BASE64.decode(content).map_err(|_| FaultKind::NotBase64)
}

/// Line numbers for rising offsets; CR, LF and CRLF all end a line.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn line_of(&mut self, offset: usize) -> u64 {
        let passed = &self.text.as_bytes()[self.at..offset];
        for (index, byte) in passed.iter().enumerate() {
            let next = self.text.as_bytes().get(self.at + index + 1);
            if *byte == b'\n' || (*byte == b'\r' && next != Some(&b'\n')) {
                self.line += 1;
            }
        }
        self.at = offset;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAQID\nBAUG\n-----END CERTIFICATE-----\n";
    const TWO: &str = "-----BEGIN CERTIFICATE-----\nBwgJ\n-----END CERTIFICATE-----\n";

    #[test]
    fn both_certificates_are_found_whatever_the_dress() {
        let plain = format!("{ONE}{TWO}");
        let indented: String = plain.lines().map(|line| format!("    {line}\n")).collect();
        for dressed in [
            plain.clone(),
            format!("\u{feff}{plain}"),
            plain.replace('\n', "\r\n"),
            plain.replace('\n', "\r"),
            indented,
            plain.replace("AQID\nBAUG", "AQIDBAUG"),
            plain.replace("-----END CERTIFICATE-----\n", "-----END CERTIFICATE-----"),
            format!("subject=CN = x\n{ONE}issuer: y\n\n{TWO}trailing"),
            format!("ca: {ONE}{TWO}"),
            format!("{ONE}\0\0\0\0{TWO}"),
            plain.replace("CERTIFICATE", "X509 CERTIFICATE"),
            plain.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
            plain.replace("END CERTIFICATE", "END CERT"),
            plain.replace("AQID", "Comment: a header\nAnother: one\n\nAQID"),
            plain.replace("BAUG", "BAUG\n\n"),
            plain.replace("-----BEGIN", "------BEGIN"),
            plain.replace("BEGIN CERTIFICATE", "BEGIN certificate"),
            plain.replace("BEGIN CERTIFICATE", "BEGIN SERVER CERTIFICATE"),
            plain.replace("BEGIN CERTIFICATE", "BEGIN CERT"),
            format!("{{\"ca\": \"{}\"}}", plain.replace('\n', "\\n")),
            format!("{{\"ca\": \"{}\"}}", plain.replace('\n', "\\r\\n")),
        ] {
            let scan = scan(dressed.as_bytes());

            let ders: Vec<&[u8]> = scan.certificates.iter().map(|found| found.der.as_slice()).collect();
            assert_eq!(ders, [&[1, 2, 3, 4, 5, 6][..], &[7, 8, 9]], "{dressed:?}");
            assert_eq!(scan.faults, [], "{dressed:?}");
        }
    }

    #[test]
    fn utf_16_is_read_and_said() {
        let wide: Vec<u8> = ONE.encode_utf16().flat_map(u16::to_le_bytes).collect();

        let scan = scan(&[&[0xff, 0xfe], wide.as_slice()].concat());

        assert_eq!(scan.encoding, Encoding::Utf16);
        assert_eq!(scan.certificates.len(), 1);
    }

    #[test]
    fn a_damaged_block_costs_only_itself() {
        use FaultKind::{BadMarker, Empty, NoEnd, NotBase64};
        check(&format!("{}{TWO}", ONE.replace("-----END CERTIFICATE-----\n", "")), &[(1, NoEnd)], 1);
        check(&format!("{}{TWO}", ONE.replace("AQID", "AQ*D")), &[(1, NotBase64)], 1);
        check(&format!("{TWO}{}", ONE.replace("AQID\nBAUG\n", "")), &[(4, Empty)], 1);
        check(&format!("{TWO}-----BEGIN CERTIFICATE\n{ONE}"), &[(4, BadMarker)], 2);
        check(&format!("{TWO}-----BEGIN CERTIFICATE-----\nAQID"), &[(4, NoEnd)], 1);
        check("-----BEGIN CERTIFICATE-----END CERTIFICATE-----", &[(1, Empty)], 0);
        check("-----BEGIN -----BEGIN -----", &[(1, NoEnd), (1, NoEnd)], 0);
    }

    #[test]
    fn keys_are_named_and_never_decoded() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n!!!\n-----END RSA PRIVATE KEY-----\n\
            -----BEGIN PRIVATE KEY-----\n***\n-----END PRIVATE KEY-----\n\
            -----BEGIN ENCRYPTED PRIVATE KEY-----\n***\n-----END ENCRYPTED PRIVATE KEY-----\n\
            -----BEGIN X509 CRL-----\n***\n-----END X509 CRL-----\n";

        let scan = scan(format!("{text}{ONE}").as_bytes());

        let keys: Vec<(u64, bool)> = scan.keys.iter().map(|key| (key.line, key.is_encrypted)).collect();
        assert_eq!(keys, [(1, true), (6, false), (9, true)]);
        assert_eq!(scan.others, [Other { line: 12, label: "X509 CRL".to_owned() }]);
        assert_eq!((scan.certificates.len(), scan.faults.len()), (1, 0));
    }

    #[test]
    fn a_line_of_nothing_but_markers_costs_no_more_than_its_length() {
        let text = "-----BEGIN ".repeat(MAX_BYTES / 11);

        assert_eq!(scan(text.as_bytes()).faults.len(), MAX_BYTES / 11);
    }

    #[test]
    fn what_is_no_pem_holds_nothing() {
        for bytes in [&b""[..], b"hello", b"\x30\x82\x01\x00", &[0xff; 1000], b"-----BEGIN", b"BEGIN CERTIFICATE"] {
            assert_eq!(scan(bytes).markers, 0);
        }
    }

    proptest! {
        #[test]
        fn every_marker_is_accounted_for(pieces in proptest::collection::vec(piece(), 0..40)) {
            let scan = scan(&pieces.concat());

            let found = scan.certificates.len() + scan.containers.len();
            prop_assert_eq!(found + scan.keys.len() + scan.others.len() + scan.faults.len(), scan.markers);
            let faults = scan.faults.iter().filter(|fault| fault.is_certificate).count();
            let lower_bound = pieces.iter().filter(|piece| *piece == ONE.as_bytes()).count();
            prop_assert!(found + faults <= scan.markers);
            if scan.encoding == Encoding::Utf8 {
                prop_assert!(found + faults >= lower_bound);
            }
        }

        #[test]
        fn a_whole_certificate_behind_anything_is_found(rubbish in proptest::collection::vec(piece(), 0..20)) {
            // UTF-16 rubbish turns the rest into another text altogether.
            let bytes = [b"x".to_vec(), rubbish.concat(), b"\n".to_vec(), ONE.as_bytes().to_vec()].concat();
            prop_assume!(text::decode(&bytes).1 == Encoding::Utf8);

            let scan = scan(&bytes);

            prop_assert_eq!(&scan.certificates.last().expect("the last one").der, &[1, 2, 3, 4, 5, 6]);
        }
    }

    /// Fragments that meet each other in every order, with bytes of any kind between them.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known = [
            "-----BEGIN ",
            "-----END ",
            "-----",
            "-",
            "BEGIN ",
            "CERTIFICATE",
            "PRIVATE KEY",
            "AQID",
            "\n",
            "\r",
            " ",
            "A: b",
            "\u{feff}",
            ONE,
        ];
        prop_oneof![
            4 => proptest::sample::select(known.map(|text| text.as_bytes().to_vec()).to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..8),
        ]
    }

    fn check(text: &str, faults: &[(u64, FaultKind)], certificates: usize) {
        let scan = scan(text.as_bytes());
        let found: Vec<(u64, FaultKind)> = scan.faults.iter().map(|fault| (fault.line, fault.kind)).collect();
        assert_eq!((found.as_slice(), scan.certificates.len()), (faults, certificates), "{text:?}");
    }
}
