use std::fs;

use super::*;
use crate::model::inventory::Inventory;
use crate::model::policy::Policy;
use crate::model::time::UnixTime;
use crate::store::recording::{Reader, in_order};

const START: Now = Now { wall: UnixTime::from_secs(1_790_000_000), mono: Mono::ORIGIN };

/// A recorder, its engine and a clock that stands still: what checkpoints cost is not measured here.
fn recorder(folder: PathBuf) -> (Recorder, Engine) {
    let engine = Engine::new(Arc::new(Inventory::default()), Policy::default(), START);
    (Recorder::start(folder, 1 << 20, Clock::new(|| START)).unwrap(), engine)
}

/// Lives for some seconds with a wake-up in each.
fn live(recorder: &mut Recorder, engine: &mut Engine, seconds: std::ops::Range<u64>) {
    for second in seconds {
        let now = START.plus(Duration::from_secs(second));
        recorder.before(engine, now);
        recorder.note(&Input::Elapsed, now);
        engine.handle(Input::Elapsed, now);
        while engine.next_action().is_some() {}
    }
}

#[test]
fn a_segment_is_a_minute_and_begins_where_a_replay_may_begin() {
    let home = tempfile::tempdir().unwrap();
    let (mut recorder, mut engine) = recorder(home.path().join("recordings"));

    live(&mut recorder, &mut engine, 0..150);
    recorder.close().join().unwrap();

    let files = in_order(&home.path().join("recordings")).unwrap();
    assert_eq!(files.len(), 3);
    for (number, file) in files.iter().enumerate() {
        let reader = Reader::open(file).unwrap();
        let head = reader.head().clone();
        assert_eq!(head.follows, number > 0);
        let records: Vec<Record> = reader.map(Result::unwrap).collect();
        let Record::Checkpoint(bytes) = &records[0] else { panic!("{number} begins with {:?}", records[0]) };
        let mut again = Engine::from_checkpoint(bytes).unwrap();
        for record in &records[1..] {
            let Record::Input { now, input } = record else { panic!("{record:?}") };
            again.handle(input.clone(), *now);
            while again.next_action().is_some() {}
        }
        if let Some(next) = files.get(number + 1) {
            let next = Reader::open(next).unwrap().next().unwrap().unwrap();
            assert!(
                next == Record::Checkpoint(again.checkpoint().unwrap()),
                "{number}: the next one goes on from there"
            );
        }
    }
}

#[test]
fn a_disk_that_hangs_delays_nobody_and_what_is_lost_is_counted_and_said() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("recordings");
    fs::create_dir(&folder).unwrap();
    // The first file is a pipe that nobody reads: opening it for writing hangs as a dead disk does.
    let pipe = folder.join("00000001-20260921T141320Z.vedette.gz");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let (mut recorder, mut engine) = recorder(folder.clone());

    // The thread reads the head of what it finds there, and waits for somebody who writes.
    live(&mut recorder, &mut engine, 0..6000);

    // It has not waited for the disk, or it would wait for ever.
    let dropped = recorder.counters().dropped();
    assert!((1000..3000).contains(&dropped), "{dropped} of 6000, with room for 4096");
    // The disk is back.
    drop(fs::OpenOptions::new().write(true).open(&pipe).unwrap());
    let counters = recorder.counters();
    live(&mut recorder, &mut engine, 6000..6100);
    recorder.close().join().unwrap();
    assert!(counters.dropped() >= dropped);
}

#[test]
fn without_a_folder_nothing_is_recorded_and_nothing_else_happens() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("recordings");
    fs::write(&file, "in the way").unwrap();
    let (mut recorder, mut engine) = recorder(file.clone());

    live(&mut recorder, &mut engine, 0..100);
    fs::remove_file(&file).unwrap();
    live(&mut recorder, &mut engine, 100..300);
    recorder.close().join().unwrap();

    assert!(!in_order(&file).unwrap().is_empty(), "once the folder can be made, recording begins");
}
