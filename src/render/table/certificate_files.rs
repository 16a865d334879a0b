//! Rows for certificates and tokens in files: what ends first, and what cannot be read.

use crate::model::certificate_files::{FilesReading, Held, ItemKind};
use crate::model::observation::Observation;
use crate::model::subject::Subject;

use super::row::{End, Row, Saw, days_left, ending, row};
use super::{Pass, printable};
use crate::model::certificate::Trust;

/// Items of one cluster that have a row; the others end later.
const SHOWN: usize = 100;
/// Files of one source that cannot be read and have a row.
const SHOWN_FAULTS: usize = 10;

pub(super) fn rows(pass: Pass<'_>, observation: &Observation, reading: &FilesReading) -> Vec<Row> {
    let mut rows = faults(pass, observation, reading);
    let current = || reading.held().filter(|held| held.is_current());
    rows.extend(current().take(SHOWN).map(|held| item(pass, observation, held)));
    let rest = current().skip(SHOWN).count();
    let foreign = reading.held().filter(Held::is_foreign).count();
    if foreign > 0 {
        let what = format!("{foreign} CAs of public bundles: nothing here was issued by them, so they are not judged");
        rows.push(row(pass, observation, Saw::Ok, &what));
    }
    if rows.is_empty() || rest > 0 {
        let more = if rest > 0 {
            format!("{rest} more, which expire later")
        } else {
            "no certificate or \
                                          token"
                .to_owned()
        };
        rows.push(row(pass, observation, Saw::Ok, &more));
    }
    rows
}

fn item(pass: Pass<'_>, observation: &Observation, held: Held<'_>) -> Row {
    let item = held.item();
    let first = held.places().next().map_or("", |(_, file, _)| &file.path);
    let others = held.places().count() - 1;
    let more = if others > 0 { format!(" and {others} more") } else { String::new() };
    let kind = if item.kind == ItemKind::Authority { "CA".to_owned() } else { item.kind.as_str().replace('_', " ") };
    let end = item.life.map(|life| End {
        not_after: ending(life.not_after),
        days_left: days_left(pass, life.not_after),
        trust: Trust::Unverified,
        holder: printable(&item.holder),
        fingerprint: item.fingerprint.to_string(),
    });
    let ends = item.life.map_or_else(|| "never expires".to_owned(), |life| life.not_after.ending());
    let cluster = observation.probe.subject.cluster().cloned();
    let name = item.fingerprint.short().parse().expect("16 hex digits are a name");
    Row {
        subject: Subject::Stored(cluster, name),
        address: printable(&format!("{first}{more}")),
        end,
        ..row(pass, observation, Saw::Ok, &format!("{kind} {}, {ends}", item.holder))
    }
}

fn faults(pass: Pass<'_>, observation: &Observation, reading: &FilesReading) -> Vec<Row> {
    let cluster = observation.probe.subject.cluster();
    let watches = pass.inventory.files(cluster);
    let mut rows = Vec::new();
    for source in &reading.sources {
        let subject = Subject::Stored(cluster.cloned(), source.name.clone());
        let path = watches.and_then(|known| known.get(&source.name)).map_or("", |watch| watch.path.as_str());
        let whole = source.fault.map(|fault| (path, fault));
        let files = source.files.iter().filter_map(|file| Some((file.path.as_ref(), file.fault?.fault)));
        for (path, fault) in whole.into_iter().chain(files).take(SHOWN_FAULTS) {
            rows.push(Row {
                subject: subject.clone(),
                address: printable(path),
                ..row(pass, observation, Saw::Unknown, fault.words())
            });
        }
    }
    rows
}
