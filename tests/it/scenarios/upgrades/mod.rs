//! A newer release takes up what the release before wrote, in the middle of an outage: nothing lost, doubled or muted.
//!
//! Each file `written_by_*.sql` beside this one holds a database as that release wrote it at [`STOPPED`] of
//! [`report`]. Before the form of what is stored changes, the release that still has the old form writes one more:
//! `VEDETTE_WRITE_DATABASE=written_by_NAME cargo test --test it scenarios::upgrades`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value;
use vedette::model::exchange::{Change, Input, PersistedState};
use vedette::model::reason::MessageReason::{Escalated, First, Resolved};
use vedette::model::rule::RuleId;
use vedette::store::Store;

use super::world::{Doing, Relay, World, api, etcd, seconds, vip};

/// When the older release is stopped.
const STOPPED: Duration = seconds(440);

/// By then: an incident that ended, two that were told and are open (one with two certificates in different bands), one
/// whose first mail is owed, one that a silence holds back, and an alarm that waits out its hold.
fn report() -> World {
    let mut world = World::new();
    world.ends.extend([(api(1), seconds(500)), (api(2), seconds(500))]);
    world.at(seconds(20), |world| world.slay(&vip()));
    world.at(seconds(45), |world| world.set(&vip(), Doing::Well));
    world.at(seconds(320), |world| world.ends.extend([(api(1), seconds(480))]));
    world.at(seconds(350), |world| world.slay(&etcd(3)));
    world.at(seconds(432), |world| {
        world.relay = Relay::Stalled;
        world.slay(&vip());
    });
    world.at(seconds(435), |world| {
        world.silence(seconds(300), true);
        world.set(&api(2), Doing::NotReady(&["informer-sync"]));
    });
    world.at(seconds(436), |world| world.nospace = true);
    world.run_until(STOPPED);
    world.kill();
    world
}

#[test]
fn what_the_release_before_wrote_is_neither_lost_nor_doubled_nor_muted() {
    if let Ok(name) = std::env::var("VEDETTE_WRITE_DATABASE") {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("vedette.db");
        write(&path, report().memory());
        std::fs::write(folder().join(format!("{name}.sql")), dump(&path)).unwrap();
        return;
    }
    for (release, memory) in written() {
        let owed: Vec<_> = memory.owed.iter().map(|owed| owed.message.id.clone()).collect();
        let open: BTreeMap<_, _> =
            memory.incidents.iter().map(|known| (known.headline.rule, known.told.messages)).collect();
        assert_eq!(owed.len(), 1, "{release}");
        assert_eq!(
            open,
            BTreeMap::from([(RuleId::F02, 1), (RuleId::F09, 0), (RuleId::F23, 1), (RuleId::F26, 3)]),
            "{release}"
        );
        let mut world = report();
        world.mails.clear();
        world.relay = Relay::Accepting;
        world.restart_with(memory);

        world.run_until(seconds(446));
        assert_eq!(world.told(), [(RuleId::F23, First)], "{release}: what was owed, and nothing else");
        assert_eq!(world.mails[0].message.id, owed[0], "{release}");
        world.mails.clear();

        world.end_silence();
        world.run_until(seconds(479));
        let mut told = world.told();
        told.sort_by_key(|(rule, _)| *rule);
        let expected = [(RuleId::F09, First), (RuleId::F26, Escalated), (RuleId::F50, First)];
        assert_eq!(
            told, expected,
            "{release}: what was held back, the second certificate's last day, what was pending"
        );
        world.run_until(seconds(520));
        world.mails.clear();

        world.ends.clear();
        world.heal();
        world.run_until(seconds(700));
        let mut ended: Vec<RuleId> = world.mails.iter().map(|mail| mail.message.incident.headline.rule).collect();
        ended.sort_unstable();
        assert!(world.mails.iter().all(|mail| mail.message.reason == Resolved), "{release}: {:?}", world.told());
        assert_eq!(ended, [RuleId::F02, RuleId::F09, RuleId::F23, RuleId::F26, RuleId::F50], "{release}");
        assert!(world.open().is_empty(), "{release}");
    }
}

/// What this release reads from the databases of the releases before.
fn written() -> Vec<(String, PersistedState)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let dumps = files.filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
    let read = |path: PathBuf| {
        let home = tempfile::tempdir().unwrap();
        let database = home.path().join("vedette.db");
        Connection::open(&database).unwrap().execute_batch(&std::fs::read_to_string(&path).unwrap()).unwrap();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), memory_of(&database))
    };
    let read: Vec<_> = dumps.map(read).collect();
    assert!(!read.is_empty());
    read
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios/upgrades")
}

fn memory_of(path: &Path) -> PersistedState {
    let (sender, reports) = channel();
    let store = Store::open(path.into(), World::new().now().wall, move |input| drop(sender.send(input))).unwrap();
    let Input::Restored(Ok(memory)) = reports.recv().unwrap() else { panic!("{}", path.display()) };
    store.close().join().unwrap();
    memory
}

fn write(path: &Path, memory: PersistedState) {
    let (sender, reports) = channel();
    let store = Store::open(path.into(), World::new().now().wall, move |input| drop(sender.send(input))).unwrap();
    store.persist(1, vec![Change::Everything(Box::new(memory))]);
    store.close().join().unwrap();
    assert!(matches!(reports.iter().last(), Some(Input::Persisted { result: Ok(()), .. })));
}

/// The database as SQL.
fn dump(path: &Path) -> String {
    let connection = Connection::open(path).unwrap();
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let mut out = format!("PRAGMA user_version = {version};\n");
    let mut schema = connection.prepare("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").unwrap();
    let texts = schema.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    for entry in texts {
        let (kind, name, sql): (String, String, String) = entry.unwrap();
        out.push_str(&format!("{sql};\n"));
        if kind != "table" {
            continue;
        }
        let mut rows = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = rows.column_count();
        let values = rows
            .query_map([], |row| (0..columns).map(|column| row.get::<_, Value>(column)).collect::<Result<Vec<_>, _>>())
            .unwrap();
        for row in values {
            let quoted: Vec<String> = row.unwrap().iter().map(quote).collect();
            out.push_str(&format!("INSERT INTO {name} VALUES ({});\n", quoted.join(", ")));
        }
    }
    out
}

fn quote(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Blob(bytes) => format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}
