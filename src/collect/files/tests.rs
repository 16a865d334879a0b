//! Files as they are met on real machines, with real FIFOs, sockets and links.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustix::fs::{CWD, FileType, Mode};

use super::super::tests::test_clock;
use super::source::SourceCache;
use super::*;
use crate::config::settings::FilePlace;
use crate::model::certificate::Class;
use crate::model::certificate_files::FileFault;

#[test]
fn nothing_that_a_path_leads_to_hangs_or_is_lost() {
    use FileFault::{HalfWritten, LinkLoop, Missing, NotRegular, NothingInIt, TooLarge};
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    rustix::fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _listener = UnixListener::bind(at("socket")).unwrap();
    symlink(at("loop"), at("loop")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("prose"), "hello").unwrap();
    fs::write(at("cut"), "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    fs::write(at("begins"), "-----BEGIN CERTIFICATE-----\n".repeat(10_000)).unwrap();
    fs::write(at("store.jks"), b"\xfe\xed\xfe\xed\0\0").unwrap();
    fs::File::create(at("junk")).unwrap().set_len(64 * 1024 * 1024).unwrap();
    fs::write(at("good"), pem("good")).unwrap();
    symlink(at("good"), at("link")).unwrap();

    let seen = |name: &str| {
        let reading = read_once(&[watch(&at(name))], &test_clock());
        let source = &reading.sources[0];
        (reading.len(), source.fault.or_else(|| source.files.first()?.fault.map(|trouble| trouble.fault)))
    };
    for (name, items, fault) in [
        ("fifo", 0, Some(NotRegular)),
        ("socket", 0, Some(NotRegular)),
        ("loop", 0, Some(LinkLoop)),
        ("dangling", 0, Some(Missing)),
        ("nothing", 0, Some(Missing)),
        ("good/below", 0, Some(Missing)),
        ("empty", 0, Some(HalfWritten)),
        ("prose", 0, Some(NothingInIt)),
        ("cut", 0, Some(HalfWritten)),
        ("begins", 0, Some(HalfWritten)),
        ("store.jks", 0, Some(HalfWritten)),
        ("junk", 0, Some(TooLarge)),
        ("good", 1, None),
        ("link", 1, None),
    ] {
        assert_eq!(seen(name), (items, fault), "{name}");
    }
    assert_eq!(
        read_once(&[watch(Path::new("/dev/zero"))], &test_clock()).sources[0].files[0].fault.unwrap().fault,
        NotRegular
    );
}

#[test]
fn a_directory_gives_its_certificates_and_its_troubles_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::create_dir_all(at("etcd/deeper")).unwrap();
    fs::write(at("ca.crt"), pem("ca")).unwrap();
    fs::write(at("ca.key"), "no key is opened, so this is not seen as damaged").unwrap();
    fs::write(at("notes.txt"), "hello").unwrap();
    fs::write(at("broken.crt"), "hello").unwrap();
    fs::write(at("etcd/deeper/server.crt"), pem("server")).unwrap();
    fs::write(home.path().join(OsStr::from_bytes(b"caf\xe9.crt")), pem("latin")).unwrap();
    symlink(at("gone"), at("renewed.crt")).unwrap();
    symlink("/", at("root")).unwrap();
    rustix::fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();

    let reading = read_once(&[watch(home.path())], &test_clock());

    let source = &reading.sources[0];
    let shown = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let files: Vec<_> = source
        .files
        .iter()
        .map(|file| (shown(&file.path), file.items.len(), file.fault.map(|trouble| trouble.fault)))
        .collect();
    let expected = [
        ("broken.crt", 0, Some(FileFault::NothingInIt)),
        ("ca.crt", 1, None),
        ("caf\\xe9.crt", 1, None),
        ("server.crt", 1, None),
        ("renewed.crt", 0, Some(FileFault::Missing)),
    ];
    assert_eq!(files, expected.map(|(name, items, fault)| (name.to_owned(), items, fault)));
    assert_eq!((source.fault, source.left_out), (None, 0));
}

#[test]
fn a_glob_reaches_through_directories_and_says_when_it_matches_nothing() {
    let home = tempfile::tempdir().unwrap();
    for node in ["node-1", "node-2", ".hidden"] {
        fs::create_dir(home.path().join(node)).unwrap();
        fs::write(home.path().join(node).join("kubelet.pem"), pem(node)).unwrap();
    }
    let scan = |pattern: &str| read_once(&[watch(&home.path().join(pattern))], &test_clock());

    assert_eq!(scan("node-*/kubelet.pem").len(), 2);
    assert_eq!(scan("*/*.pem").len(), 2);
    assert_eq!(scan("node-[1]").len(), 1);
    assert_eq!(scan("*.crt").sources[0].fault, Some(FileFault::NoMatch));
    assert_eq!(scan("nowhere/*.crt").sources[0].fault, Some(FileFault::NoMatch));
}

#[test]
fn a_swapped_data_directory_is_seen_once_and_through_its_links() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let swap = |version: &str, text: &str| {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("tls.crt"), text).unwrap();
        symlink(version, at("..fresh")).unwrap();
        fs::rename(at("..fresh"), at("..data")).unwrap();
    };
    swap("..1", &pem("tls"));
    symlink("..data/tls.crt", at("tls.crt")).unwrap();
    let mut cache = SourceCache::default();
    let watch = watch(home.path());
    let mut scan = || cache.scan(&watch, &test_clock(), None).files[0].items[0].fingerprint;
    let before = scan();
    let again = scan();

    swap("..2", &pem("tls"));

    assert_eq!(before, again);
    assert_ne!(before, scan());
}

#[test]
fn what_was_put_away_is_replaced_and_what_lies_on_another_host_is_not() {
    let issued = |name: &str, year: i32| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(year, 1, 1), rcgen::date_time_ymd(year + 1, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    };
    for (old, new, current) in [
        ("pki/expired/apiserver.crt", "pki/apiserver.crt", 1),
        ("pki/apiserver.crt.old", "pki/apiserver.crt", 1),
        ("pki.bak/apiserver.crt", "pki/apiserver.crt", 1),
        ("cp1/apiserver.crt", "cp2/apiserver.crt", 2),
        ("cp1-old/apiserver.crt", "cp2/apiserver.crt", 2),
    ] {
        let home = tempfile::tempdir().unwrap();
        for (path, pem) in [(old, issued("a", 2024)), (new, issued("b", 2025))] {
            fs::create_dir_all(home.path().join(path).parent().unwrap()).unwrap();
            fs::write(home.path().join(path), pem).unwrap();
        }

        let reading = read_once(&[watch(home.path())], &test_clock());

        assert_eq!(reading.held().filter(|held| held.is_current()).count(), current, "{old}");
    }
}

#[test]
fn what_did_not_change_is_not_read_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.crt");
    fs::write(&path, pem("a")).unwrap();
    let mut cache = SourceCache::default();
    let first = cache.scan(&watch(&path), &test_clock(), None);

    let second = cache.scan(&watch(&path), &test_clock(), None);
    fs::write(&path, pem("a")).unwrap();
    let third = cache.scan(&watch(&path), &test_clock(), None);

    assert!(Arc::ptr_eq(&first.files[0], &second.files[0]));
    assert_ne!(second.files[0].items[0].fingerprint, third.files[0].items[0].fingerprint);
}

#[test]
fn what_cannot_be_read_any_more_stays_as_it_was_and_says_since_when() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.crt");
    let whole = pem("a");
    fs::write(&path, &whole).unwrap();
    let mut cache = SourceCache::default();
    let mut scan = || cache.scan(&watch(&path), &test_clock(), None);
    let known = scan().files[0].items.clone();
    let fault_of =
        |source: &SourceReading| source.files[0].fault.map(|trouble| (trouble.fault, trouble.last_read.is_some()));

    // Half written, then whole again; then emptied for good; then gone.
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let half = scan();
    fs::write(&path, &whole).unwrap();
    let mended = scan();
    fs::write(&path, "").unwrap();
    let (emptied, still) = (scan(), scan());
    fs::remove_file(&path).unwrap();
    let gone = scan();

    assert_eq!(fault_of(&half), Some((FileFault::HalfWritten, true)));
    assert_eq!(fault_of(&mended), None);
    assert_eq!(fault_of(&emptied), Some((FileFault::HalfWritten, true)));
    assert_eq!(fault_of(&still), Some((FileFault::HalfWritten, true)));
    assert_eq!(gone.fault, Some(FileFault::Missing));
    for source in [half, mended, emptied, still, gone] {
        assert_eq!(source.files[0].items, known);
    }
}

#[test]
fn a_file_cut_between_two_certificates_counts_as_it_is_after_one_probe() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("bundle.crt");
    let (one, two) = (pem("one"), pem("two"));
    fs::write(&path, format!("{one}{two}")).unwrap();
    let mut cache = SourceCache::default();
    let mut scan = || cache.scan(&watch(&path), &test_clock(), None).files[0].items.len();
    assert_eq!(scan(), 2);

    fs::write(&path, format!("{one}{}", &two[..60])).unwrap();

    assert_eq!((scan(), scan()), (2, 1));
}

#[test]
fn a_kubeconfig_brings_the_files_it_names() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::write(at("ca.crt"), pem("ca")).unwrap();
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: []\nclusters:\n- name: a\n  cluster: \
        {certificate-authority: ca.crt}\nusers:\n- name: a\n  user: {client-certificate: gone.crt}\n";
    fs::write(at("admin.conf"), text).unwrap();

    let reading = read_once(&[watch(&at("admin.conf"))], &test_clock());

    let files: Vec<_> =
        reading.sources[0].files.iter().map(|file| (file.items.len(), file.fault.map(|it| it.fault))).collect();
    assert_eq!(files, [(1, None), (0, Some(FileFault::Missing))]);
}

#[test]
fn more_files_than_the_bound_are_left_out_and_counted() {
    let home = tempfile::tempdir().unwrap();
    for n in 0..107 {
        fs::File::create(home.path().join(format!("{n}.txt"))).unwrap();
    }

    let found = walk::find(home.path(), 100, walk::Reach::Usual).unwrap();

    assert_eq!((found.files.len(), found.left_out), (100, 7));
}

#[test]
fn a_file_written_while_it_is_read_is_never_taken_for_whole() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.crt");
    let (one, two) = (pem("one"), pem("two"));
    fs::write(&path, &one).unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (stopped, target, texts) = (Arc::clone(&stop), path.clone(), [one, two]);
    let writer = std::thread::spawn(move || {
        let mut turn = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let fresh = target.with_extension("new");
            fs::write(&fresh, &texts[turn % 2]).unwrap();
            fs::rename(&fresh, &target).unwrap();
            turn += 1;
        }
    });

    for _ in 0..300 {
        let reading = read_once(&[watch(&path)], &test_clock());
        let source = &reading.sources[0];
        let is_told = source.fault.is_some() || source.files[0].fault.is_some();
        assert!(reading.len() == 1 || is_told, "{source:?}");
    }

    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
}

fn watch(path: &Path) -> WatchedFiles {
    WatchedFiles {
        name: "files".parse().unwrap(),
        position: None,
        place: FilePlace::Pattern(PathBuf::from(path)),
        certificates: Class::Manual,
        renewed_at_permille: None,
        serves: None,
        own: None,
    }
}

fn pem(name: &str) -> String {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}
