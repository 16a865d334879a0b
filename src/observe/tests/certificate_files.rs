//! Sources of files: what their latest listing shows, and what is missing from it.

use std::sync::Arc;

use proptest::prelude::*;

use crate::model::certificate_files::{FileFault, FilesReading, SourceReading, StoredFile, Trouble};
use crate::model::completeness::{Absence, Completeness, Missing, Shortfall};
use crate::model::fixture::{at, name};
use crate::model::flat_map::FlatMap;
use crate::model::place::Place;
use crate::observe::certificate_files::FilesView;

fn source(files: &[(&str, Option<FileFault>)]) -> SourceReading {
    let file = |(path, fault): &(&str, Option<FileFault>)| {
        let fault = fault.map(|fault| Trouble { fault, last_read: None });
        Arc::new(StoredFile { path: (*path).into(), items: Vec::new().into(), fault, damaged: 0 })
    };
    let files = files.iter().map(file).collect();
    SourceReading { name: name("pki"), files, fault: None, looked_at: 3, left_out: 0 }
}

fn after(before: Option<&FilesView>, second: u64, source: SourceReading) -> FilesView {
    let reading = Arc::new(FilesReading::new(vec![source]));
    FilesView::after(before, &reading, at(second * 1000), &FlatMap::default(), &[])
}

fn completeness(view: &FilesView) -> &Completeness {
    &view.source_states()[&name("pki")].completeness
}

#[test]
fn a_source_says_how_much_of_it_was_listed_and_when_it_last_was_in_full() {
    let lost = || SourceReading { fault: Some(FileFault::Timeout), ..source(&[]) };
    let never = after(None, 0, lost());
    let full = after(Some(&never), 1, source(&[("/pki/a.crt", None)]));
    let damaged = after(Some(&full), 2, source(&[("/pki/a.crt", None), ("/pki/b.crt", Some(FileFault::Forbidden))]));
    let lost_again = after(Some(&damaged), 3, lost());
    let cut = after(Some(&lost_again), 4, SourceReading { left_out: 7, ..source(&[]) });
    let partial = |second: u64, reason, count, parts| {
        let complete = Some(at(1000).wall);
        Completeness::Partial { at: at(second * 1000).wall, complete, missing: Missing { reason, count, parts } }
    };
    let unreadable = Shortfall::Unreadable;

    assert_eq!(*completeness(&never), Completeness::Never);
    assert_eq!(*completeness(&full), Completeness::Complete { at: at(1000).wall });
    let parts = Some(vec![Place::file("/pki/b.crt")]);
    assert_eq!(*completeness(&damaged), partial(2, unreadable(FileFault::Forbidden), 1, parts));
    assert_eq!(*completeness(&lost_again), partial(3, unreadable(FileFault::Timeout), 1, None));
    assert_eq!(*completeness(&cut), partial(4, Shortfall::Limit, 7, None));
}

#[test]
fn with_more_unreadable_files_than_are_named_anything_may_be_among_them() {
    let paths: Vec<String> = (0..=Missing::MAX_PARTS).map(|n| format!("/pki/{n}.crt")).collect();
    let files: Vec<_> = paths.iter().map(|path| (path.as_str(), Some(FileFault::Forbidden))).collect();

    let elsewhere = ["/pki/elsewhere.crt".to_owned()];

    assert_eq!(after(None, 0, source(&files)).absence(Some(&name("pki")), &elsewhere), Absence::NotSeen);
    assert_eq!(after(None, 0, source(&files[1..])).absence(Some(&name("pki")), &elsewhere), Absence::Gone);
}

#[test]
fn of_a_source_that_was_not_read_nothing_is_gone() {
    let view = after(None, 0, source(&[]));

    assert_eq!(view.absence(Some(&name("other")), &["/etc/a.crt".to_owned()]), Absence::NotSeen);
    assert_eq!(view.absence(Some(&name("pki")), &["/etc/a.crt".to_owned()]), Absence::Gone);
}

proptest! {
    /// Whatever is listed and whatever is not: something is gone only if nothing that could hold it was left unread.
    #[test]
    fn an_incomplete_listing_removes_nothing(
        readable in proptest::collection::vec("/pki/[a-c]/[a-c]\\.crt", 0..4),
        unreadable in proptest::collection::vec("/pki(/[a-c](/[a-c]\\.crt)?)?", 0..3),
        fault in proptest::option::of(Just(FileFault::Failed)),
        left_out in prop_oneof![Just(0_u64), 1_u64..5],
        wanted in "/pki/[a-c]/[a-c]\\.crt",
    ) {
        let files = readable.iter().map(|path| (path.as_str(), None));
        let lost = unreadable.iter().map(|path| (path.as_str(), Some(FileFault::Forbidden)));
        let files: Vec<_> = files.chain(lost).collect();
        let view = after(None, 0, SourceReading { fault, left_out, ..source(&files) });

        let lies_below = |folder: &String| wanted == *folder || wanted.starts_with(&format!("{folder}/"));
        let could_hide = fault.is_some() || left_out > 0 || unreadable.iter().any(lies_below);
        let is_gone = view.absence(Some(&name("pki")), std::slice::from_ref(&wanted)) == Absence::Gone;

        prop_assert_eq!(is_gone, !could_hide);
        prop_assert_eq!(completeness(&view).is_complete(), fault.is_none() && left_out == 0 && unreadable.is_empty());
    }
}
