//! `vedette certs` on files as they are met on real machines: nothing is lost without a word.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustix::fs::{CWD, FileType, Mode};
use serde_json::Value;

const DAY: i64 = 86_400;

/// A certificate of that name which ends so many days from now.
fn issued(name: &str, from: i64, until: i64) -> rcgen::Certificate {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now + time::Duration::seconds(from * DAY);
    params.not_after = now + time::Duration::seconds(until * DAY);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

fn good(name: &str) -> String {
    issued(name, -1, 400).pem()
}

fn certs(arguments: &[&OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vedette")).arg("certs").args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The objects of `--json`, and the exit code.
fn listed(arguments: &[&Path]) -> (Vec<Value>, Option<i32>) {
    let arguments: Vec<&OsStr> =
        std::iter::once(OsStr::new("--json")).chain(arguments.iter().map(|path| path.as_os_str())).collect();
    let output = certs(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), output.status.code())
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

#[test]
fn every_file_that_promises_a_certificate_gives_one_or_a_reason() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::new(vec!["a".to_owned()]).unwrap().serialize_request(&key).unwrap();
    fs::create_dir_all(at("deep/er/.hidden")).unwrap();
    fs::create_dir_all(at("dir.crt")).unwrap();
    fs::create_dir_all(at("empty.crt")).unwrap();
    fs::create_dir_all(at("closed")).unwrap();
    let found =
        ["good.crt", "deep/er/.hidden/a.pem", "dir.crt/inner", "named.key", "no-extension", "der", "link.crt", "latin"];
    for name in ["good.crt", "deep/er/.hidden/a.pem", "dir.crt/inner", "no-extension"] {
        fs::write(at(name), good(name)).unwrap();
    }
    fs::write(at("named.key"), format!("{}{}", key.serialize_pem(), good("named.key"))).unwrap();
    fs::write(at("der"), issued("der", -1, 400).der()).unwrap();
    fs::write(home.path().join(OsStr::from_bytes(b"caf\xe9.crt")), good("latin")).unwrap();
    fs::write(at("target"), good("link.crt")).unwrap();
    symlink(at("target"), at("link.crt")).unwrap();
    let unread = [
        ("zero.crt", "holds nothing: it is empty"),
        ("half.pem", "the block has no END line"),
        ("key.pem", "holds a private key and no certificate"),
        ("request.pem", "holds a certificate request and no certificate"),
        ("crl.pem", "holds a revocation list and no certificate"),
        ("prose.cer", "holds no certificate and no token"),
        ("fifo.crt", "is no regular file"),
        ("socket.crt", "is no regular file"),
        ("huge.crt", "is larger than any certificate file"),
        ("loop.crt", "is a link that leads in a circle"),
        ("dangling.crt", "does not exist"),
        ("empty.crt", "is an empty directory with the name of a certificate"),
        ("broken", "the block is not base64"),
        ("half-der", "the certificate is cut short"),
    ];
    fs::write(at("zero.crt"), "").unwrap();
    fs::write(at("half.pem"), &good("half")[..200]).unwrap();
    fs::write(at("key.pem"), key.serialize_pem()).unwrap();
    fs::write(at("request.pem"), request.pem().unwrap()).unwrap();
    fs::write(at("crl.pem"), "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").unwrap();
    fs::write(at("prose.cer"), "hello").unwrap();
    fs::write(at("broken"), "-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----\n").unwrap();
    fs::write(at("half-der"), &issued("half", -1, 400).der()[..300]).unwrap();
    rustix::fs::mknodat(CWD, at("fifo.crt"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _listener = UnixListener::bind(at("socket.crt")).unwrap();
    fs::File::create(at("huge.crt")).unwrap().set_len(5 << 30).unwrap();
    symlink("loop.crt", at("loop.crt")).unwrap();
    symlink("nowhere", at("dangling.crt")).unwrap();
    // What promises nothing is passed over.
    fs::write(at("notes.txt"), "hello").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("server.key"), key.serialize_pem()).unwrap();
    fs::File::create(at("huge.db")).unwrap().set_len(5 << 30).unwrap();
    symlink(".", at("deep/circle")).unwrap();
    symlink(home.path().parent().unwrap(), at("up")).unwrap();
    rustix::fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();

    let (objects, code) = listed(&[home.path()]);

    let (faults, entries): (Vec<&Value>, Vec<&Value>) = objects.iter().partition(|object| object["reason"].is_string());
    let mut subjects: Vec<&str> =
        entries.iter().map(|entry| text(entry, "subject").trim_start_matches("CN=")).collect();
    subjects.sort_unstable();
    let mut expected: Vec<&str> = found.into_iter().chain(["link.crt"]).collect();
    expected.sort_unstable();
    assert_eq!(subjects, expected, "a file and the link to it are two places");
    let place = |name: &str| at(name).to_str().unwrap().to_owned();
    let mut told: Vec<(String, &str)> =
        faults.iter().map(|fault| (text(fault, "place").to_owned(), text(fault, "reason"))).collect();
    told.sort_unstable();
    let mut expected: Vec<(String, &str)> = unread.iter().map(|(name, reason)| (place(name), *reason)).collect();
    expected.sort_unstable();
    assert_eq!(told, expected);
    assert_eq!(code, Some(3));
    assert!(entries.iter().any(|entry| text(entry, "place").ends_with("caf\\xe9.crt")), "{entries:?}");
}

#[test]
fn exit_codes_and_states_say_how_bad_it_is() {
    let home = tempfile::tempdir().unwrap();
    let written = |name: &str, from: i64, until: i64| {
        let path = home.path().join(name);
        fs::write(&path, issued(name, from, until).pem()).unwrap();
        path
    };
    let (well, soon) = (written("well", -9, 40), written("soon", -9, 20));
    let (ended, early) = (written("ended", -9, -1), written("early", 2, 300));
    let endless = home.path().join("endless");
    let mut params = CertificateParams::new(vec!["endless".to_owned()]).unwrap();
    params.not_after = time::OffsetDateTime::from_unix_timestamp(253_402_300_799).unwrap();
    fs::write(&endless, params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()).unwrap();
    let missing = home.path().join("missing");
    let pattern = home.path().join("*.none");
    for (paths, code, state) in [
        (vec![&well], 0, "ok"),
        (vec![&endless], 0, "ok"),
        (vec![&well, &soon], 1, "ends_soon"),
        (vec![&ended, &soon, &missing], 2, "ended"),
        (vec![&early], 2, "not_yet_valid"),
        (vec![&soon, &missing], 3, "ends_soon"),
        (vec![&pattern, &well], 3, "ok"),
        (vec![&missing], 3, ""),
    ] {
        let paths: Vec<&Path> = paths.into_iter().map(|path| path.as_path()).collect();
        let (objects, seen) = listed(&paths);

        assert_eq!((seen, text(&objects[0], "state")), (Some(code), state), "{paths:?}: {objects:?}");
    }
    let (objects, _) = listed(&[&endless]);
    assert_eq!(objects[0]["not_after"], "no end");
    let shorter = certs(&[OsStr::new("--warn"), OsStr::new("10d"), soon.as_os_str()]);
    assert_eq!(shorter.status.code(), Some(0));
    assert_eq!(certs(&[OsStr::new("--warn"), OsStr::new("10"), soon.as_os_str()]).status.code(), Some(64));
    assert_eq!(certs(&[]).status.code(), Some(64));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(listed(&[empty.path()]).1, Some(3), "an empty directory is no good news");
}

#[test]
fn filters_choose_what_is_listed_and_hide_nothing_that_could_not_be_read() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    for (name, until) in [("apiserver.crt", 5), ("etcd.crt", 20), ("later.crt", 400), ("ended.crt", -1)] {
        fs::write(at(name), issued(name, -9, until).pem()).unwrap();
    }
    let run = |arguments: &[&str]| {
        let mut all = vec![OsStr::new("--json")];
        all.extend(arguments.iter().map(OsStr::new));
        all.push(home.path().as_os_str());
        let output = certs(&all);
        let text = String::from_utf8(output.stdout).unwrap();
        let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let name = |object: &Value| match object["reason"].as_str() {
            Some(reason) => reason.to_owned(),
            None => text_of(object),
        };
        (objects.iter().map(name).collect::<Vec<String>>(), output.status.code().unwrap())
    };
    fn text_of(object: &Value) -> String {
        text(object, "subject").trim_start_matches("CN=").to_owned()
    }
    let unmatched = "is in no place and no subject: nothing matches this --name";

    for (arguments, listed, code) in [
        (&["--within", "10d"][..], &["ended.crt", "apiserver.crt"][..], 2),
        (&["--name", "cn=ETCD"], &["etcd.crt"], 1),
        (&["--name", "etcd", "--within", "10d"], &[], 0),
        (&["--name", "later", "--name", "apiserver"], &["apiserver.crt", "later.crt"], 1),
        (&["--name", "later", "--name", "apisever"], &["later.crt", unmatched], 3),
    ] {
        assert_eq!(run(arguments), (listed.iter().map(|name| String::from(*name)).collect(), code), "{arguments:?}");
    }
    fs::write(at("broken.crt"), "hello").unwrap();
    assert_eq!(run(&["--name", "later"]).0, ["later.crt", "holds no certificate and no token"]);
    assert_eq!(certs(&[OsStr::new("--within"), OsStr::new("10"), home.path().as_os_str()]).status.code(), Some(64));
}

#[test]
fn a_calendar_holds_each_end_and_what_has_none_is_said_beside_it() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::write(at("soon.crt"), issued("soon", -9, 5).pem()).unwrap();
    fs::write(at("later.crt"), good("later")).unwrap();
    fs::write(at("broken.crt"), "hello").unwrap();
    let ics = OsStr::new("--ics");

    let output = certs(&[ics, home.path().as_os_str()]);

    let calendar = String::from_utf8(output.stdout).unwrap();
    let (objects, _) = listed(&[&at("soon.crt")]);
    let start = format!("DTSTART:{}\r\n", text(&objects[0], "not_after").replace(['-', ':'], ""));
    assert!(calendar.starts_with("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n"), "{calendar}");
    assert!(calendar.ends_with("END:VEVENT\r\nEND:VCALENDAR\r\n"), "{calendar}");
    assert!(calendar.contains(&start), "{start} is not in {calendar}");
    assert_eq!(calendar.matches("BEGIN:VEVENT").count(), 2);
    assert!(calendar.contains("TRIGGER:-P30D\r\n"), "{calendar}");
    let beside = String::from_utf8(output.stderr).unwrap();
    assert!(beside.starts_with("NOT READ") && beside.contains("holds no certificate and no token"), "{beside}");
    assert_eq!(output.status.code(), Some(3));
    let uids = |calendar: &str| {
        calendar.lines().filter(|line| line.starts_with("UID:")).map(str::to_owned).collect::<Vec<String>>()
    };
    let again = certs(&[ics, home.path().as_os_str()]);
    assert_eq!(uids(&calendar), uids(&String::from_utf8(again.stdout).unwrap()));
    fs::write(at("soon.crt"), issued("soon", -1, 300).pem()).unwrap();
    let renewed = uids(&String::from_utf8(certs(&[ics, home.path().as_os_str()]).stdout).unwrap());
    assert_eq!(renewed.iter().filter(|uid| uids(&calendar).contains(uid)).count(), 1, "{renewed:?}");
    assert_eq!(certs(&[ics, OsStr::new("--json"), home.path().as_os_str()]).status.code(), Some(64));
}

#[test]
fn a_certificate_has_all_its_fields_as_openssl_says_them() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.crt");
    fs::write(&path, good("a")).unwrap();
    let openssl = Command::new("openssl")
        .args(["x509", "-noout", "-serial", "-fingerprint", "-sha256", "-enddate", "-dateopt", "iso_8601", "-in"])
        .arg(&path)
        .output();
    let Ok(openssl) = openssl else { return };
    let said = String::from_utf8(openssl.stdout).unwrap().to_lowercase().replace(':', "");

    let (objects, _) = listed(&[&path]);

    let object = &objects[0];
    let keys = ["place", "not_after", "not_before", "subject", "issuer", "serial", "fingerprint_sha256"];
    assert!(keys.iter().all(|key| !text(object, key).is_empty()), "{object}");
    let end = text(object, "not_after").replace(':', "").replace('T', " ").to_lowercase();
    for part in [format!("serial={}", text(object, "serial")), text(object, "fingerprint_sha256").to_owned(), end] {
        assert!(said.contains(&part), "{part} is not in {said}");
    }
}

#[test]
fn what_may_not_be_read_is_listed() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    // Root may read everything, so somebody else looks, with a binary that they can reach.
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_vedette"), at("vedette")).unwrap();
    fs::create_dir_all(at("pki/closed")).unwrap();
    fs::write(at("pki/secret"), good("a")).unwrap();
    for (name, mode) in [("vedette", 0o755), ("pki/secret", 0o000), ("pki/closed", 0o000)] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = Command::new(at("vedette"));
    command.args(["certs", "--json"]).arg(at("pki")).stdin(Stdio::null()).current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }

    let output = command.output().unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    for name in ["pki/secret", "pki/closed"] {
        let place = at(name).to_str().unwrap().to_owned();
        assert!(
            text.contains(&format!("\"place\":\"{place}\",\"entry\":\"\",\"reason\":\"may not be read\"")),
            "{text}"
        );
    }
    assert_eq!(output.status.code(), Some(3));
    fs::set_permissions(at("pki/closed"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn passwords_come_from_files_and_from_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/modern.p12");
    let file = home.path().join("password");
    fs::write(&file, "sesame\n").unwrap();
    let run = |arguments: &[&OsStr]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
        command.arg("certs").args(arguments).arg(&fixture).env("P12", "sesame").stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    };

    let locked = run(&[]);
    assert_eq!(locked.0, Some(3));
    assert!(locked.1.contains("it is locked: a password is needed"), "{}", locked.1);
    assert_eq!(run(&["--password-file".as_ref(), file.as_os_str()]).0, Some(0));
    assert_eq!(run(&["--password-env".as_ref(), "P12".as_ref()]).0, Some(0));
    let unset = run(&["--password-env".as_ref(), "NOT_SET_HERE".as_ref()]);
    assert_eq!(unset.0, Some(3));
    assert!(unset.1.contains("NOT_SET_HERE is not set"), "{}", unset.1);
}

#[test]
fn an_endpoint_that_serves_nothing_is_listed_with_its_reason() {
    let closed = crate::closed_port::Reserved::new().unwrap();
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        let (mut peer, _) = plain.accept().unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        std::io::Read::read(&mut peer, &mut [0; 16]).unwrap();
        std::io::Write::write_all(&mut peer, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let refused = closed.address.to_string();

    let (objects, code) = listed(&[Path::new(&refused), Path::new(&address), Path::new("localhost:99999")]);

    answering.join().unwrap();
    let reason = |place: &str| {
        let of = |object: &&Value| text(object, "place") == place;
        text(objects.iter().find(of).unwrap(), "reason").to_owned()
    };
    assert_eq!(code, Some(3));
    assert_eq!(reason(&refused), "connect: connection refused");
    assert_eq!(reason(&address), "no certificate was sent: what answers there does not speak TLS");
    assert!(reason("localhost:99999").contains("'99999' is not a valid port"));
}
