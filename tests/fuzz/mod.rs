//! Damaged certificates, containers, kubeconfigs and tokens by the million, on the stable compiler.
//!
//! Each file of `corpus/` is read as it is, and then changed in the ways that files are damaged and attackers damage
//! them. Every reader must end, in bounded time, without a panic, and account for what it was given. A run is repeated by
//! its seed. A file that once broke a reader belongs into the corpus, which every run of the tests replays.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use vedette::daemon::clock;
use vedette::parse::certificate_files::{self, Options};
use vedette::parse::kubeconfig::embedded;
use vedette::parse::{java_keystore, jwt, kubeadm, kubeconfig, pem, pkcs7, pkcs12, tls_certificates, x509};

/// A reader, and the files that are damaged for it.
struct Target {
    name: &'static str,
    /// Ends of the names of its files in the corpus.
    files: &'static [&'static str],
    read: fn(&[u8]),
}

/// Every reader of certificates and credentials.
const TARGETS: [Target; 9] = [
    Target { name: "pem", files: &["pem"], read: read_pem },
    Target { name: "der", files: &["der"], read: |bytes| drop(x509::read(bytes)) },
    Target { name: "pkcs7", files: &["p7b"], read: |bytes| drop(pkcs7::certificates(bytes)) },
    Target { name: "pkcs12", files: &["p12"], read: read_pkcs12 },
    Target { name: "java_keystore", files: &["jks", "jceks", "bks"], read: read_key_store },
    Target { name: "kubeconfig", files: &["yaml"], read: read_kubeconfig },
    Target { name: "jwt", files: &["jwt"], read: |bytes| drop(jwt::claims(bytes)) },
    Target { name: "tls_certificates", files: &["tls"], read: |bytes| drop(tls_certificates::read(bytes)) },
    Target { name: "file", files: &[""], read: read_file },
];

/// Longest input, in bytes: what is broken shows in small files, and small files are read often.
const MAX_INPUT: usize = 64 * 1024;
/// No input may take longer. The most expensive one derives keys as often as a file is allowed to ask for.
const MAX_TIME: Duration = Duration::from_secs(60);

/// Reads every file of the corpus as it is, then damaged ones: for `length`, and at least `at_least` of each target.
///
/// # Panics
/// When a reader panics, is too slow or does not account for its input; the input is then in the message.
pub(crate) fn run(seed: u64, length: Duration, at_least: u32) -> u64 {
    let corpus = corpus();
    let clock = clock::system();
    let begun = clock.now();
    let mut random = Random(seed);
    let mut count = 0;
    for target in &TARGETS {
        for (_, bytes) in corpus.iter().filter(|(name, _)| target.takes(name)) {
            target.feed(bytes, seed);
        }
    }
    loop {
        for target in &TARGETS {
            let files: Vec<&Vec<u8>> =
                corpus.iter().filter(|(name, _)| target.takes(name)).map(|(_, bytes)| bytes).collect();
            assert!(!files.is_empty(), "no file in the corpus is for {}", target.name);
            for _ in 0..at_least {
                let mut bytes = files[random.below(files.len())].clone();
                for _ in 0..=random.below(4) {
                    random.damage(&mut bytes, &files);
                }
                bytes.truncate(MAX_INPUT);
                let before = clock.now();
                target.feed(&bytes, seed);
                let took = clock.now().since(before);
                assert!(took < MAX_TIME, "{}: {took:?} for {}", target.name, hex(&bytes));
                count += 1;
            }
        }
        if clock.now().since(begun) >= length {
            return count;
        }
    }
}

impl Target {
    fn takes(&self, name: &str) -> bool {
        self.files.iter().any(|end| name.ends_with(end))
    }

    fn feed(&self, bytes: &[u8], seed: u64) {
        let result = catch_unwind(AssertUnwindSafe(|| (self.read)(bytes)));
        assert!(result.is_ok(), "{} (seed {seed}) broke on {}", self.name, hex(bytes));
    }
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let read = |path: &Path| (path.display().to_string(), fs::read(path).expect("a file of the corpus can be read"));
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| read(&entry.expect("the corpus can be listed").path()))
        .collect();
    files.sort();
    files
}

fn read_pem(bytes: &[u8]) {
    let scan = pem::scan(bytes);
    let found = scan.certificates.len() + scan.containers.len() + scan.keys.len() + scan.others.len();
    assert_eq!(found + scan.faults.len(), scan.markers, "every BEGIN is accounted for");
}

fn read_pkcs12(bytes: &[u8]) {
    let store = pkcs12::read(bytes, &[SecretString::from("sesame")]);
    assert!(store.faults.len() <= 1_000);
}

fn read_key_store(bytes: &[u8]) {
    drop((java_keystore::java(bytes), java_keystore::bouncy_castle(bytes)));
}

fn read_kubeconfig(bytes: &[u8]) {
    drop((kubeconfig::choose(bytes, None), kubeconfig::choose(bytes, Some("a")), embedded::held(bytes).is_ok()));
}

fn read_file(bytes: &[u8]) {
    let mut contents = certificate_files::contents(bytes, Options::default());
    let is_silent = contents.found.is_empty() && contents.faults.is_empty() && contents.named.is_empty();
    let is_empty_config = contents.fault.is_none() && contents.is_promised;
    assert!(!is_silent || contents.fault.is_some() || is_empty_config, "nothing is lost without a word");
    drop(contents.items(&mut |text| text.into()));
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(kubeadm::rows(text));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers from a seed: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("lengths have 64 bits");
        usize::try_from(self.next() % bound).expect("below a length")
    }

    fn byte(&mut self) -> u8 {
        // Lengths, tags and signs at which readers change their minds.
        const TELLING: [u8; 16] = [0, 1, 2, 4, 5, 6, 10, 13, 0x2d, 0x30, 0x7f, 0x80, 0x82, 0x84, 0xa0, 0xff];
        if self.below(2) == 0 { TELLING[self.below(TELLING.len())] } else { self.next().to_le_bytes()[0] }
    }

    fn damage(&mut self, bytes: &mut Vec<u8>, files: &[&Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let length = 1 + self.below(32);
        let end = bytes.len().min(at + length);
        match self.below(8) {
            0 | 1 if at < bytes.len() => bytes[at] = self.byte(),
            2 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece: Vec<u8> = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            5 => {
                let new: Vec<u8> = (0..length).map(|_| self.byte()).collect();
                bytes.splice(at..at, new);
            }
            6 => bytes.truncate(at),
            _ => {
                let other = files[self.below(files.len())];
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
}
