//! Tests of what survives a restart.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::database::Database;
use super::{Store, schema};
use crate::model::delivery::{DeliveryFailure, FailureClass, Progress, Unsent};
use crate::model::exchange::{Change, Input, PersistedState};
use crate::model::incident::{Alarm, Ending, Incident, IncidentId, Stage};
use crate::model::message::MessageId;
use crate::model::outlet::Outlet;
use crate::model::reason::MessageReason;
use crate::model::recipient::{RefusedRecipient, Rejection};
use crate::model::recurrence::Past;
use crate::model::rule::RuleId;
use crate::model::silence::Silence;
use crate::model::time::UnixTime;
use crate::samples;

const NOW: UnixTime = UnixTime::from_secs(1_772_334_840);

#[test]
fn what_is_persisted_comes_back_and_what_is_over_does_not() {
    let home = tempfile::tempdir().unwrap();
    let (alarm, over) = (alarm(RuleId::F01), alarm(RuleId::F02));
    let (early, late) = (owed(1), owed(2));
    let incident = samples::incident(RuleId::F01);

    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    let changes = vec![
        Change::Alarm(Box::new(alarm.clone())),
        Change::Alarm(Box::new(over.clone())),
        Change::Incident(Box::new(incident.clone())),
        Change::Owed(Box::new(late.clone())),
        Change::Owed(Box::new(early.clone())),
        Change::Owed(Box::new(owed(3))),
        Change::AlarmOver(over.key()),
        Change::Settled { message: owed(3).message.id, outlet: Outlet::Mail, accepted: true },
    ];
    database.persist(&[changes]).unwrap();

    let expected = PersistedState {
        alarms: vec![alarm],
        incidents: vec![incident],
        owed: vec![early, late],
        ..PersistedState::default()
    };
    assert_eq!(reopened(home.path()), expected);
}

#[test]
fn an_ended_incident_is_kept_open_while_its_mail_is_owed() {
    let home = tempfile::tempdir().unwrap();
    let mut waiting = ended(1);
    waiting.id = IncidentId("waiting".into());
    let mut mail = owed(1);
    mail.message.incident = waiting.clone();

    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    let changes = vec![
        Change::Incident(Box::new(waiting.clone())),
        Change::Owed(Box::new(mail)),
        Change::Incident(Box::new(ended(2))),
    ];
    database.persist(&[changes]).unwrap();

    let memory = reopened(home.path());
    assert_eq!(memory.incidents, vec![waiting]);
    assert_eq!(memory.ended, vec![ended(2)]);
}

#[test]
fn ended_incidents_are_kept_to_a_thousand_and_recalled_newest_first() {
    let home = tempfile::tempdir().unwrap();
    let mut database = Database::new(home.path().join("vedette.db"), NOW);

    let changes: Vec<Change> = (0..1010).map(|number| Change::Incident(Box::new(ended(number)))).collect();
    database.persist(&[changes]).unwrap();

    let count: i64 = database.raw().query_row("SELECT count(*) FROM incidents", [], |row| row.get(0)).unwrap();
    let memory = reopened(home.path());
    assert_eq!(count, 1000);
    assert_eq!(memory.ended.len(), 50);
    assert_eq!(memory.ended[0], ended(1009));
}

#[test]
fn fields_of_a_newer_release_are_ignored() {
    let home = tempfile::tempdir().unwrap();
    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    database.persist(&[vec![Change::Alarm(Box::new(alarm(RuleId::F01)))]]).unwrap();
    database
        .raw()
        .execute("UPDATE alarms SET json = json_set(json, '$.mood', 'new', '$.finding.shade', 7)", [])
        .unwrap();
    database.raw().pragma_update(None, "user_version", 99).unwrap();
    drop(database);

    assert_eq!(reopened(home.path()).alarms, vec![alarm(RuleId::F01)]);
}

#[test]
fn a_broken_row_is_left_out_alone() {
    let home = tempfile::tempdir().unwrap();
    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    let changes = [RuleId::F01, RuleId::F09, RuleId::F24].map(|rule| Change::Alarm(Box::new(alarm(rule))));
    database.persist(&[changes.to_vec()]).unwrap();
    database.raw().execute("UPDATE alarms SET json = '{' WHERE rule = 'F09'", []).unwrap();
    database.raw().execute("UPDATE alarms SET json = x'ff00' WHERE rule = 'F24'", []).unwrap();
    drop(database);

    assert_eq!(reopened(home.path()).alarms, vec![alarm(RuleId::F01)]);
}

#[test]
fn a_damaged_database_is_moved_aside_and_work_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("vedette.db");
    for round in 0..2 {
        std::fs::write(&path, "this was a database once ".repeat(400)).unwrap();
        let mut database = Database::new(path.clone(), NOW);

        assert_eq!(database.restore().unwrap(), PersistedState::default());
        database.persist(&[vec![Change::Alarm(Box::new(alarm(RuleId::F01)))]]).unwrap();

        drop(database);
        assert_eq!(reopened(home.path()).alarms.len(), 1);
        let again = if round == 0 { String::new() } else { format!(".{round}") };
        let blocking = home.path().join(format!("vedette.db.corrupt-{}{again}", NOW.as_secs()));
        assert!(std::fs::read(blocking).unwrap().starts_with(b"this was a database once"));
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_single_damaged_page_is_noticed_at_start() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("vedette.db");
    let mut database = Database::new(path.clone(), NOW);
    database.persist(&[(0..50).map(|number| Change::Incident(Box::new(ended(number)))).collect()]).unwrap();
    drop(database);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8 * 4096..9 * 4096].fill(0x5a);
    std::fs::write(&path, &bytes).unwrap();

    let memory = Database::new(path, NOW).restore().unwrap();

    assert_eq!(memory, PersistedState::default());
    assert_eq!(std::fs::read(home.path().join(format!("vedette.db.corrupt-{}", NOW.as_secs()))).unwrap(), bytes);
}

#[test]
fn the_file_is_for_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state/vedette.db");
    let mut database = Database::new(path.clone(), NOW);
    database.persist(&[vec![Change::Alarm(Box::new(alarm(RuleId::F01)))]]).unwrap();

    for file in [path.clone(), PathBuf::from(format!("{}-wal", path.display()))] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn a_full_disk_fails_the_persist_and_the_next_one_works_when_there_is_room() {
    let home = tempfile::tempdir().unwrap();
    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    database.persist(&[vec![Change::Alarm(Box::new(alarm(RuleId::F01)))]]).unwrap();
    database.cap(1).unwrap();
    let many: Vec<Change> = (0..50).map(|number| Change::Incident(Box::new(ended(number)))).collect();

    let error = database.persist(std::slice::from_ref(&many)).unwrap_err();

    assert!(crate::model::error_chain::chain(&error).contains("full"), "{error:?}");
    database.cap(100_000).unwrap();
    database.persist(&[many]).unwrap();
    let memory = reopened(home.path());
    assert_eq!((memory.alarms.len(), memory.ended.len()), (1, 50));
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_and_not_the_end() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let (reports, store) = opened(file.join("vedette.db"));
    assert!(matches!(reports.recv().unwrap(), Input::Restored(Err(_))));

    store.persist(7, vec![Change::Alarm(Box::new(alarm(RuleId::F01)))]);
    assert!(matches!(reports.recv().unwrap(), Input::Persisted { sequence: 7, result: Err(_) }));

    std::fs::remove_file(&file).unwrap();
    store.persist(8, vec![Change::Alarm(Box::new(alarm(RuleId::F01)))]);
    assert!(matches!(reports.recv().unwrap(), Input::Persisted { sequence: 8, result: Ok(()) }));
    store.close().join().unwrap();
    assert_eq!(reopened(&file).alarms.len(), 1);
}

#[test]
fn a_locked_database_fails_persists_at_once_when_the_queue_is_full() {
    let home = tempfile::tempdir().unwrap();
    let (reports, store) = opened(home.path().join("vedette.db"));
    assert!(matches!(reports.recv().unwrap(), Input::Restored(Ok(_))));
    let lock = rusqlite::Connection::open(home.path().join("vedette.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asked = 2 * u64::try_from(super::QUEUE).unwrap();

    (0..asked).for_each(|sequence| store.persist(sequence, Vec::new()));

    let first = reports.recv().unwrap();
    let Input::Persisted { result: Err(text), .. } = first else { panic!("{first:?}") };
    assert!(text.contains("queue is full"), "{text}");
    drop(lock);
    store.close().join().unwrap();
    assert_eq!(u64::try_from(reports.iter().count()).unwrap(), asked - 1);
}

#[test]
fn what_is_queued_is_answered_in_order_and_finished_on_close() {
    let home = tempfile::tempdir().unwrap();
    let (reports, store) = opened(home.path().join("vedette.db"));
    for number in 0..100_u64 {
        store.persist(number, vec![Change::Owed(Box::new(owed(number)))]);
    }

    store.close().join().unwrap();

    let answers: Vec<u64> = reports
        .iter()
        .filter_map(
            |report| {
                if let Input::Persisted { sequence, result: Ok(()) } = report { Some(sequence) } else { None }
            },
        )
        .collect();
    assert_eq!(answers, (0..100).collect::<Vec<_>>());
    assert_eq!(reopened(home.path()).owed.len(), 100);
}

#[test]
fn everything_acknowledged_survives_kill_9_and_groups_are_whole() {
    if let Some(path) = std::env::var_os("VEDETTE_TEST_STORE") {
        return write_on(path.into());
    }
    let home = tempfile::tempdir().unwrap();
    let mut next = 0;
    for round in 1..=6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::tests::everything_acknowledged_survives_kill_9_and_groups_are_whole",
                "--nocapture",
            ])
            .env("VEDETTE_TEST_STORE", home.path().join("vedette.db"))
            .env("VEDETTE_TEST_STORE_FROM", next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged: Vec<u64> = Vec::new();
        for line in lines {
            acknowledged.extend(line.strip_prefix("stored ").map(|number| number.parse::<u64>().unwrap()));
            if acknowledged.len() == 9 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let last = *acknowledged.last().unwrap();

        let memory = reopened(home.path());

        let stored: Vec<u64> = memory.owed.iter().map(|owed| owed.message.id.0.parse().unwrap()).collect();
        assert_eq!(stored, (0..u64::try_from(stored.len()).unwrap()).collect::<Vec<_>>(), "gaps in round {round}");
        assert!(stored.len() > usize::try_from(last).unwrap(), "{last} was acknowledged and is gone");
        assert_eq!(stored.len() % 2, 0, "half of a group is stored");
        next = u64::try_from(stored.len()).unwrap();
    }
}

/// What the child does until it is killed.
fn write_on(path: PathBuf) {
    let from: u64 = std::env::var("VEDETTE_TEST_STORE_FROM").unwrap().parse().unwrap();
    let (reports, store) = opened(path);
    assert!(matches!(reports.recv().unwrap(), Input::Restored(Ok(_))));
    for number in (from..).step_by(2) {
        store.persist(number + 1, [number, number + 1].map(|number| Change::Owed(Box::new(owed(number)))).to_vec());
        if number % 8 == 0 {
            let Input::Persisted { sequence, result: Ok(()) } = reports.recv().unwrap() else { return };
            writeln!(std::io::stdout(), "stored {sequence}").unwrap();
        }
        for report in reports.try_iter() {
            let Input::Persisted { sequence, .. } = report else { return };
            writeln!(std::io::stdout(), "stored {sequence}").unwrap();
        }
    }
}

#[test]
fn migrations_run_once() {
    let mut connection = rusqlite::Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();

    schema::migrate(&mut connection).unwrap();

    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 4);
}

#[test]
fn resolved_incidents_are_remembered_for_the_next_of_their_kind_and_given_up_ones_are_not() {
    let home = tempfile::tempdir().unwrap();
    let mut given_up = ended(2);
    given_up.over = Some(Ending { at: samples::OPENED, withdrawn: true });
    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    let all = [ended(1), given_up, samples::incident(RuleId::F01)].into_iter().chain((100..160).map(ended));
    let changes = all.map(|incident| Change::Incident(Box::new(incident))).collect();
    database.persist(&[changes]).unwrap();

    let past = reopened(home.path()).past;

    let expected: Vec<Past> =
        [ended(1)].into_iter().chain((100..160).map(ended)).flat_map(|one| Past::of(&one)).collect();
    assert_eq!(past, expected, "more than the incidents that are handed back whole");
}

fn opened(path: PathBuf) -> (Receiver<Input>, Store) {
    let (sender, reports) = channel();
    let store = Store::open(path, NOW, move |input| {
        // The receiver may be gone while the store finishes.
        drop(sender.send(input));
    });
    (reports, store.unwrap())
}

fn reopened(home: &Path) -> PersistedState {
    Database::new(home.join("vedette.db"), NOW).restore().unwrap()
}

fn alarm(rule: RuleId) -> Alarm {
    let stage = Stage::Pending { since: samples::OPENED, held: Duration::from_secs(7) };
    Alarm { finding: samples::finding(rule), stage, incident: None }
}

fn owed(number: u64) -> Unsent {
    let mut delivery = samples::unsent(RuleId::F24, MessageReason::First);
    delivery.message.id = MessageId(number.to_string());
    delivery.message.composed = samples::OPENED.plus(Duration::from_secs(number));
    delivery
}

fn ended(number: u64) -> Incident {
    let mut incident = samples::incident(RuleId::F22);
    incident.id = IncidentId(format!("{number:05}"));
    incident.over = Some(Ending { at: samples::OPENED.plus(Duration::from_secs(number)), withdrawn: false });
    incident
}

#[test]
fn a_silence_comes_back_until_it_is_over_and_is_replaced_by_the_next_of_its_cluster() {
    let home = tempfile::tempdir().unwrap();
    let (first, other) = (silence("prod", 1), silence("test", 1));
    let second = silence("prod", 2);
    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    let changes = [first, other.clone(), second.clone()].map(Change::Silence);
    database.persist(&[changes.to_vec()]).unwrap();
    assert_eq!(reopened(home.path()).silences, [second.clone(), other.clone()]);

    database.persist(&[vec![Change::SilenceOver(second.cluster)]]).unwrap();
    assert_eq!(reopened(home.path()).silences, [other]);

    let third = silence("stage", 3);
    let memory = PersistedState { silences: vec![third.clone()], ..PersistedState::default() };
    database.persist(&[vec![Change::Everything(Box::new(memory))]]).unwrap();
    assert_eq!(reopened(home.path()).silences, [third]);
}

#[test]
fn a_database_of_the_release_before_silences_is_taken_up() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("vedette.db");
    let mut database = Database::new(path.clone(), NOW);
    database.persist(&[vec![Change::Incident(Box::new(ended(1)))]]).unwrap();
    database.raw().execute_batch(&undone(1)).unwrap();
    database.raw().execute("UPDATE incidents SET json = json_remove(json, '$.silenced')", []).unwrap();
    drop(database);

    let memory = reopened(home.path());

    assert_eq!((memory.ended, memory.silences), (vec![ended(1)], Vec::new()));
}

/// What makes a database of today one of this older format.
fn undone(to: u32) -> String {
    let steps = [
        "DROP TABLE silences",
        "DROP TABLE refused",
        "DROP TABLE deliveries; DROP TRIGGER deliveries_of_sent; DROP TABLE refused_recipients",
    ];
    let undone: Vec<&str> = steps[to as usize - 1..].iter().rev().copied().collect();
    format!("{}; PRAGMA user_version = {to}", undone.join("; "))
}

/// A database as an older release wrote it, which `undo` makes of today's: an open incident, its alarm, and unsent
/// mail.
fn written_before(undo: &str, path: &Path) -> PersistedState {
    let incident = samples::incident(RuleId::F24);
    let mut database = Database::new(path.into(), NOW);
    let changes = vec![
        Change::Alarm(Box::new(alarm(RuleId::F24))),
        Change::Incident(Box::new(incident)),
        Change::Owed(Box::new(owed(1))),
        Change::Owed(Box::new(owed(2))),
    ];
    database.persist(&[changes]).unwrap();
    let mut memory = database.restore().unwrap();
    database.raw().execute_batch(undo).unwrap();
    // Who waits for it was not stored.
    memory.owed.iter_mut().for_each(|unsent| unsent.deliveries.clear());
    assert_eq!((memory.alarms.len(), memory.incidents.len(), memory.owed.len()), (1, 1, 2));
    memory
}

#[test]
fn kill_9_at_any_statement_of_a_migration_loses_and_doubles_nothing() {
    if let Some(path) = std::env::var_os("VEDETTE_TEST_MIGRATION") {
        return migrate_and_die(Path::new(&path));
    }
    for from in 0..4 {
        let undo = (from > 0).then(|| undone(from));
        let mut died = 0;
        for after in 1.. {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("vedette.db");
            let expected = undo.as_ref().map_or_else(PersistedState::default, |undo| written_before(undo, &path));
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "store::tests::kill_9_at_any_statement_of_a_migration_loses_and_doubles_nothing"])
                .env("VEDETTE_TEST_MIGRATION", &path)
                .env("VEDETTE_TEST_MIGRATION_AFTER", after.to_string())
                .stdout(Stdio::null())
                .status()
                .unwrap();

            assert_eq!(reopened(home.path()), expected, "from {from}, killed after statement {after}");
            let mut database = Database::new(path, NOW);
            database.persist(&[vec![Change::Silence(silence("prod", 1))]]).unwrap();
            drop(database);
            assert_eq!(reopened(home.path()).silences, [silence("prod", 1)], "from {from}, {after}");
            if status.success() {
                break;
            }
            died = after;
        }
        assert!(died >= 3, "from {from}: a statement, its version and its end: {died}");
    }
}

/// What the child does: it opens the database and is gone in the middle.
fn migrate_and_die(path: &Path) {
    let after: u32 = std::env::var("VEDETTE_TEST_MIGRATION_AFTER").unwrap().parse().unwrap();
    let mut connection = rusqlite::Connection::open(path).unwrap();
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    let mut done = 0;
    let mut die = || {
        done += 1;
        if done == after {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
    };
    schema::migrate_watched(&mut connection, &mut die).unwrap();
}

fn silence(cluster: &str, hours: u64) -> Silence {
    Silence {
        cluster: cluster.parse().unwrap(),
        since: NOW,
        until: NOW.plus(Duration::from_secs(hours * 3600)),
        comment: "etcd is defragmented".into(),
        author: "anna (uid 1000)".into(),
        include_outages: hours > 1,
    }
}

#[test]
fn a_refused_recipient_comes_back_until_it_is_over() {
    let home = tempfile::tempdir().unwrap();
    let refused = |recipient: &str, is_told| RefusedRecipient {
        outlet: Outlet::Mail,
        rejection: Rejection { recipient: recipient.into(), text: "550 5.1.1 no such user".into() },
        since: NOW,
        is_told,
    };
    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    let changes = [refused("boss@x", false), refused("ops@x", false), refused("boss@x", true)].map(Change::Refused);
    database.persist(&[changes.to_vec()]).unwrap();
    assert_eq!(reopened(home.path()).refused, [refused("boss@x", true), refused("ops@x", false)]);

    database.persist(&[vec![Change::RefusedOver { outlet: Outlet::Mail, recipient: "ops@x".into() }]]).unwrap();
    assert_eq!(reopened(home.path()).refused, [refused("boss@x", true)]);

    let memory = PersistedState { refused: vec![refused("new@x", false)], ..PersistedState::default() };
    database.persist(&[vec![Change::Everything(Box::new(memory))]]).unwrap();
    assert_eq!(reopened(home.path()).refused, [refused("new@x", false)]);
}

/// What release 0.1.0 wrote on 2026-11-29 of two apiservers and a relay that were down, killed with -9 and dumped.
const BEFORE_RECIPIENTS: &str = include_str!("before-recipients.sql");

/// A database as it was before, and what must be found in it after.
fn of_the_release_before(home: &Path) -> PathBuf {
    let path = home.join("vedette.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    connection.execute_batch(BEFORE_RECIPIENTS).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    path
}

fn is_taken_up_whole(memory: &PersistedState) {
    let alarms: Vec<String> = memory.alarms.iter().map(|alarm| alarm.key().subject.to_string()).collect();
    assert_eq!(alarms, ["prod/apiserver/api-1", "prod/apiserver/api-2", "prod", "prod"]);
    assert_eq!((memory.incidents.len(), memory.owed.len(), memory.ended.len()), (1, 1, 0));
    let (incident, owed) = (&memory.incidents[0], &memory.owed[0]);
    assert!(incident.over.is_none() && incident.told.messages == 1);
    assert_eq!(owed.message.incident.id, incident.id);
    assert!(owed.attempts > 0 && owed.outlet == Outlet::Mail && owed.deliveries.is_empty());
    assert!(memory.refused.is_empty());
}

#[test]
fn open_incidents_and_owed_mail_of_the_release_before_are_taken_up() {
    let home = tempfile::tempdir().unwrap();
    of_the_release_before(home.path());

    is_taken_up_whole(&reopened(home.path()));
    is_taken_up_whole(&reopened(home.path()));
}

#[test]
fn kill_9_during_the_migration_loses_and_doubles_nothing() {
    if let Some(home) = std::env::var_os("VEDETTE_TEST_MIGRATION") {
        writeln!(std::io::stdout(), "begun").unwrap();
        reopened(Path::new(&home));
        return;
    }
    for _ in 0..8 {
        let home = tempfile::tempdir().unwrap();
        of_the_release_before(home.path());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::kill_9_during_the_migration_loses_and_doubles_nothing", "--nocapture"])
            .env("VEDETTE_TEST_MIGRATION", home.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with("begun")));
        child.kill().unwrap();
        child.wait().unwrap();

        is_taken_up_whole(&reopened(home.path()));
    }
}

/// What the release before deliveries wrote on 2026-11-30 while two apiservers were down and a relay took the mail for
/// one recipient, rejected another and put off a third; killed with -9 and dumped.
const BEFORE_DELIVERIES: &str = include_str!("before-deliveries.sql");

#[test]
fn mail_of_the_release_before_deliveries_is_owed_to_whoever_had_not_got_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("vedette.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch(BEFORE_DELIVERIES).unwrap();
    connection.pragma_update(None, "user_version", 3).unwrap();
    drop(connection);

    for _ in 0..2 {
        let memory = reopened(home.path());

        let [unsent] = &memory.owed[..] else { panic!("{:?}", memory.owed) };
        let failure = unsent.last_failure.as_ref().unwrap();
        assert_eq!((unsent.outlet.as_str(), unsent.attempts, failure.class), ("mail", 6, FailureClass::Deferred));
        let progress: Vec<_> = unsent.deliveries.iter().map(|(who, known)| (who.as_str(), known.progress)).collect();
        assert_eq!(progress, [("boss@example.org", Progress::Rejected), ("ops@example.org", Progress::Accepted)]);
        let refused: Vec<_> = memory.refused.iter().map(|known| known.rejection.recipient.as_str()).collect();
        assert_eq!(refused, ["boss@example.org"]);
        assert_eq!(memory.refused[0].outlet, Outlet::Mail);
        assert_eq!((memory.incidents.len(), memory.alarms.len()), (1, 5));
    }
}

#[test]
fn the_release_before_deliveries_sends_nobody_a_mail_again_and_what_it_sends_is_known_afterwards() {
    let (ops, boss) = ("ops@example.org", "boss@example.org");
    let home = tempfile::tempdir().unwrap();
    let mut unsent = owed(1);
    let uncertain = DeliveryFailure { class: FailureClass::Uncertain, text: "no answer".into() };
    unsent.last_failure = Some(uncertain);
    unsent.deliveries.get_mut(ops).unwrap().progress = Progress::Accepted;
    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    database.persist(&[vec![Change::Owed(Box::new(unsent)), Change::Owed(Box::new(owed(2)))]]).unwrap();

    let json: String =
        database.raw().query_row("SELECT json FROM outbox WHERE message = '1'", [], |row| row.get(0)).unwrap();
    let row: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(row["served"], serde_json::json!([ops]));
    assert_eq!(row["last_failure"], serde_json::Value::Null, "a class that it does not know would cost it the row");
    // It serves the other recipient of the first and all of the second.
    let served =
        "UPDATE outbox SET json = json_set(json, '$.served', json_array('boss@example.org', 'ops@example.org'))
                  WHERE message = '1'";
    database.raw().execute(served, []).unwrap();
    database.raw().execute("DELETE FROM outbox WHERE message = '2'", []).unwrap();
    let left: i64 =
        database.raw().query_row("SELECT count(*) FROM deliveries WHERE message = '2'", [], |row| row.get(0)).unwrap();
    drop(database);

    assert_eq!(left, 0);
    let memory = reopened(home.path());
    assert_eq!(memory.owed.len(), 1);
    assert!(memory.owed[0].deliveries[boss].is_accepted() && memory.owed[0].deliveries[ops].is_accepted());
    assert!(memory.owed[0].is_done());
}

#[test]
fn a_delivery_comes_back_as_it_was_and_one_that_cannot_be_read_costs_itself_alone() {
    let home = tempfile::tempdir().unwrap();
    let mut unsent = owed(1);
    unsent.attempts = 3;
    let failure = DeliveryFailure { class: FailureClass::Deferred, text: "451 later".into() };
    let boss = unsent.deliveries.get_mut("boss@example.org").unwrap();
    (boss.attempts, boss.last_failure) = (3, Some(failure));
    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    database.persist(&[vec![Change::Owed(Box::new(unsent.clone()))]]).unwrap();
    assert_eq!(reopened(home.path()).owed, [unsent.clone()]);

    let spoil = "UPDATE deliveries SET json = '{' WHERE recipient = 'boss@example.org'";
    database.raw().execute(spoil, []).unwrap();
    database.raw().execute("INSERT INTO deliveries VALUES ('1', 'pigeon', 'x', 'waiting', 0, NULL, '{}')", []).unwrap();

    unsent.deliveries.remove("boss@example.org");
    assert_eq!(reopened(home.path()).owed, [unsent]);
}

#[test]
fn rows_of_a_newer_version_are_left_out_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let mut database = Database::new(home.path().join("vedette.db"), NOW);
    let changes = vec![
        Change::Alarm(Box::new(alarm(RuleId::F24))),
        Change::Alarm(Box::new(alarm(RuleId::F23))),
        Change::Incident(Box::new(samples::incident(RuleId::F24))),
        Change::Incident(Box::new(ended(1))),
        Change::Owed(Box::new(owed(1))),
        Change::Silence(silence("prod", 1)),
    ];
    database.persist(&[changes]).unwrap();
    let newer = "UPDATE alarms SET json = json_set(json, '$.v', 2, '$.finding', 7) WHERE rule = 'F24';
                 UPDATE incidents SET json = json_set(json, '$.v', 2, '$.parts', 7);
                 UPDATE outbox SET json = json_set(json, '$.v', 2, '$.message', 7);
                 UPDATE silences SET json = json_set(json, '$.v', 2, '$.until', 'later')";
    database.raw().execute_batch(newer).unwrap();

    let memory = database.restore().unwrap();
    assert_eq!(memory.alarms, [alarm(RuleId::F23)]);
    assert!(memory.incidents.is_empty() && memory.ended.is_empty());
    assert!(memory.owed.is_empty() && memory.silences.is_empty());
    let (_, problems) = super::rows::recall(database.raw()).unwrap();
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(
        problems.iter().all(|problem| problem.contains("a newer version of vedette wrote it (form 2")),
        "{problems:?}"
    );

    // Everything that is known is written anew, and a thousand incidents push out the oldest.
    database.persist(&[vec![Change::Everything(Box::new(memory))]]).unwrap();
    let many: Vec<Change> = (2..1100).map(|number| Change::Incident(Box::new(ended(number)))).collect();
    database.persist(&[many]).unwrap();

    let left = |table: &str| -> i64 {
        let count = format!("SELECT count(*) FROM {table} WHERE json_extract(json, '$.v') = 2");
        database.raw().query_row(&count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(["alarms", "incidents", "outbox", "silences"].map(left), [1, 2, 1, 1]);
    let deliveries: i64 =
        database.raw().query_row("SELECT count(*) FROM deliveries WHERE message = '1'", [], |row| row.get(0)).unwrap();
    assert_eq!(deliveries, 2, "whom a message of a newer release has reached is known to it alone");
}
