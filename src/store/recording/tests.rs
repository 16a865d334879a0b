use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::model::exchange::Input;
use crate::model::incident::IncidentId;
use crate::model::message::MessageId;
use crate::model::observation::{Observation, Reading};
use crate::model::phase::Phases;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now, UnixTime};

const START: Now = Now { wall: UnixTime::from_secs(1_790_000_000), mono: Mono::ORIGIN };
const LIMITS: Limits = Limits { latest: 1 << 20, kept: 1 << 20, reserve: 0 };

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn at(seconds: u64) -> Now {
    START.plus(Duration::from_secs(seconds))
}

fn head(seconds: u64) -> Head {
    Head { vedette: "0.1.0".into(), vantage: "bastion-1".into(), began: at(seconds), follows: seconds > 0, only: None }
}

fn observed(cluster: &str, seconds: u64) -> Record {
    let probe = Probe::anew(Subject::Apiserver(name(cluster), name("api-1")), ProbeKind::Chain);
    let observation = Observation {
        request: None,
        probe,
        scheduled: at(seconds),
        finished: at(seconds),
        phases: Phases::default(),
        served: None,
        greeting: None,
        proves_path: true,
        outcome: Ok(Reading::Chain),
        own_flaw: None,
    };
    Record::Input { now: at(seconds), input: Input::Observed(Box::new(observation)) }
}

fn mailed(cluster: &str) -> Record {
    Record::Mailed(Mailed {
        at: START.wall,
        message: MessageId("m-1".into()),
        attempt: 1,
        incident: IncidentId("i-1".into()),
        cluster: Some(name(cluster)),
        subject: "[CRITICAL] prod: down".into(),
        recipients: vec!["ops@example.com".into()],
    })
}

/// A minute of two clusters, probed every quarter of a second.
fn minute(seconds: u64) -> Vec<Record> {
    let mut records = vec![Record::Checkpoint(b"the engine".repeat(100))];
    for quarter in 0..240 {
        let cluster = if quarter % 2 == 0 { "prod" } else { "test" };
        records.push(observed(cluster, seconds + quarter / 4));
    }
    records.extend([mailed("prod"), mailed("test"), Record::Input { now: at(seconds + 60), input: Input::Elapsed }]);
    records
}

fn write(folder: &mut Folder, seconds: u64) -> Segment {
    let (mut writer, path) = folder.begin(&head(seconds)).unwrap();
    for record in minute(seconds) {
        writer.write(&record).unwrap();
    }
    let bytes = writer.finish().unwrap().metadata().unwrap().len();
    let segment = Segment { path, began: at(seconds).wall, ended: at(seconds + 60).wall, bytes };
    folder.add(segment.clone());
    segment
}

fn read(path: &Path) -> (Vec<Record>, Option<ReadError>) {
    let mut records = Vec::new();
    for record in Reader::open(path).unwrap() {
        match record {
            Ok(record) => records.push(record),
            Err(error) => return (records, Some(error)),
        }
    }
    (records, None)
}

#[test]
fn a_segment_holds_what_was_written_and_only_its_owner_may_read_it() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(home.path().join("recordings"), LIMITS).unwrap();

    let segment = write(&mut folder, 0);

    let (records, error) = read(&segment.path);
    assert!(error.is_none());
    assert_eq!(records, minute(0));
    assert_eq!(*Reader::open(&segment.path).unwrap().head(), head(0));
    assert_eq!(fs::metadata(&segment.path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(home.path().join("recordings")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_segment_that_is_cut_anywhere_is_good_as_far_as_it_goes_and_says_where_it_ends() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(home.path().to_path_buf(), LIMITS).unwrap();
    let (mut writer, path) = folder.begin(&head(0)).unwrap();
    let whole = minute(0);
    for record in &whole {
        writer.write(record).unwrap();
        writer.flush().unwrap();
    }
    drop(writer.finish().unwrap());
    let bytes = fs::read(&path).unwrap();
    let mut seen = 0;
    for length in (bytes.len() / 8..bytes.len()).step_by(37) {
        fs::write(&path, &bytes[..length]).unwrap();

        let (records, error) = read(&path);

        assert_eq!(records, whole[..records.len()], "{length}");
        let expected = format!("{}: cut off after record {}; what came before is used", path.display(), records.len());
        assert_eq!(error.map(|error| error.to_string()), Some(expected), "{length}");
        assert!(records.len() >= seen, "{length}");
        seen = records.len();
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn what_is_flushed_survives_the_end_of_the_process() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(home.path().to_path_buf(), LIMITS).unwrap();
    let (mut writer, path) = folder.begin(&head(0)).unwrap();
    for record in minute(0) {
        writer.write(&record).unwrap();
    }
    writer.flush().unwrap();
    // As `kill -9` would.
    std::mem::forget(writer);

    let (records, error) = read(&path);

    assert_eq!(records, minute(0));
    assert!(matches!(error, Some(ReadError::Cut { .. })), "{error:?}");
}

#[test]
fn another_form_and_something_else_are_refused_by_name() {
    use std::io::Write as _;

    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("it");
    let gzip = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let shown = path.display();
    let (foreign, version) = (
        format!("{shown}: not a recording of vedette; recordings are in the folder 'recordings' beside its database"),
        format!(
            "{shown}: a recording of form 2, and this vedette reads form 1; replay it with the version that wrote it"
        ),
    );
    for (bytes, error) in [
        (b"plain".to_vec(), &foreign),
        (Vec::new(), &foreign),
        (gzip("something else\n"), &foreign),
        (gzip("vedette recording 1\n{}\n"), &foreign),
        (gzip("vedette recording 2\n{}\n"), &version),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(Reader::open(&path).err().unwrap().to_string(), *error);
    }
}

#[test]
fn a_record_of_an_unknown_kind_ends_the_segment_with_its_number() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("it");
    let mut writer = Writer::new(fs::File::create(&path).unwrap(), &head(0)).unwrap();
    writer.write(&Record::Dropped(3)).unwrap();
    writer.write_raw(&[9, 0, 0, 0, b'?', 0, 0, 1, 2, 3, 4, 5, 6]).unwrap();
    writer.finish().unwrap();

    let (records, error) = read(&path);

    assert_eq!(records, [Record::Dropped(3)]);
    let error = error.unwrap().to_string();
    assert!(error.contains("record 2 cannot be read (its kind 63 is unknown)"), "{error}");
}

#[test]
fn the_oldest_segments_give_way() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(home.path().to_path_buf(), LIMITS).unwrap();
    let size = write(&mut folder, 0).bytes;
    let mut folder = Folder::open(home.path().to_path_buf(), Limits { latest: 3 * size, ..LIMITS }).unwrap();
    for minute in 1..8 {
        write(&mut folder, minute * 60);
        folder.trim(0, &[]).unwrap();
    }

    let begins: Vec<UnixTime> = folder.segments().map(|segment| segment.began).collect();

    assert!(begins.len() >= 2 && begins.ends_with(&[at(6 * 60).wall, at(7 * 60).wall]), "{begins:?}");
    assert_eq!(in_order(home.path()).unwrap().len(), begins.len());
    assert!(folder.trim(0, &[]).unwrap() <= 3 * size);
    let reopened = Folder::open(home.path().to_path_buf(), Limits { latest: 3 * size, ..LIMITS }).unwrap();
    assert_eq!(reopened.segments().map(|segment| segment.began).collect::<Vec<_>>(), begins);
}

#[test]
fn a_full_filesystem_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(home.path().to_path_buf(), Limits { reserve: u64::MAX, ..LIMITS }).unwrap();

    let error = folder.begin(&head(0)).err().unwrap();

    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert!(in_order(home.path()).unwrap().is_empty());
}

#[test]
fn of_an_incident_its_cluster_and_the_vantage_are_kept_and_proof_of_the_path() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(home.path().to_path_buf(), LIMITS).unwrap();
    let opened = at(700).wall;
    let keep = Keep { incident: IncidentId("i-1".into()), cluster: Some(name("prod")), opened };
    let segments: Vec<Segment> = (0..3).map(|n| write(&mut folder, n * 60)).collect();
    for segment in segments.iter().filter(|segment| keep.wants(segment)) {
        folder.keep(&keep, segment).unwrap();
    }

    let kept = in_order(&home.path().join("kept/prod-i1")).unwrap();

    assert_eq!(kept.len(), 2, "not the first minute, which ended more than 10 min before");
    let heads: Vec<Head> = kept.iter().map(|path| Reader::open(path).unwrap().head().clone()).collect();
    assert!(heads.iter().all(|head| head.only == Some(name("prod"))));
    for (path, begins_with_checkpoint) in kept.iter().zip([true, false]) {
        let (records, _) = read(path);
        assert_eq!(matches!(records[0], Record::Checkpoint(_)), begins_with_checkpoint);
        let of = |cluster: &str| records.iter().filter(|record| record.scope() == Some(&name(cluster))).count();
        assert_eq!(of("prod"), 121, "all of its own");
        assert_eq!(of("test"), 60, "one proof a second, and no mail");
        assert!(matches!(records.last(), Some(Record::Input { input: Input::Elapsed, .. })));
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn of_an_incident_of_the_vantage_everything_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(home.path().to_path_buf(), LIMITS).unwrap();
    let segment = write(&mut folder, 0);

    let keep = Keep { incident: IncidentId("i-2".into()), cluster: None, opened: START.wall };
    folder.keep(&keep, &segment).unwrap();

    let kept = in_order(&home.path().join("kept/vantage-i2")).unwrap();
    assert_eq!(read(&kept[0]).0, minute(0));
    assert_eq!(folder.kept(), 1);
}

#[test]
fn what_was_kept_of_the_oldest_incident_gives_way_to_the_newest() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(home.path().to_path_buf(), LIMITS).unwrap();
    let first = write(&mut folder, 0);
    let mut folder = Folder::open(home.path().to_path_buf(), Limits { kept: first.bytes * 2, ..LIMITS }).unwrap();
    for minute in 1..6_u64 {
        let segment = write(&mut folder, minute * 60);
        let incident = IncidentId(format!("i-{minute}"));
        folder.keep(&Keep { incident, cluster: None, opened: segment.began }, &segment).unwrap();
    }

    let mut left: Vec<String> = fs::read_dir(home.path().join("kept"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();

    assert!(left.contains(&"vantage-i5".to_owned()) && !left.contains(&"vantage-i1".to_owned()), "{left:?}");
    assert_eq!(folder.kept(), left.len());
}
