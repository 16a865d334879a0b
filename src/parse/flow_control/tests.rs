use proptest::prelude::*;

use super::*;
use crate::model::flow_control::{PriorityLevels, RequestKey, RequestLoad};
use crate::model::time::UnixTime;

/// Two dumps of kube-apiserver 1.36.3, while a user whose name has a comma and quotes lists every ConfigMap.
const LEVELS: &[u8] = include_bytes!("1.36.levels");
const REQUESTS: &[u8] = include_bytes!("1.36.requests");

fn levels(dump: &[u8]) -> PriorityLevels {
    let mut reader = LevelsReader::default();
    reader.push(dump);
    reader.finish(true)
}

fn requests(dump: &[u8]) -> RequestLoad {
    let mut reader = RequestsReader::default();
    reader.push(dump);
    reader.finish(true)
}

fn listing(user: &str) -> RequestKey {
    RequestKey {
        level: "global-default".into(),
        flow_schema: "global-default".into(),
        user: user.into(),
        verb: "list".into(),
        what: "configmaps".into(),
        namespace: String::new(),
    }
}

#[test]
fn the_levels_of_a_real_apiserver_are_read() {
    let read = levels(LEVELS);

    assert_eq!((read.lacks.rows, read.lacks.is_cut), (0, false));
    let names: Vec<&str> = read.levels.keys().map(String::as_str).collect();
    let stock = ["catch-all", "exempt", "global-default", "leader-election", "node-high", "system"];
    assert_eq!(names, [stock.as_slice(), &["workload-high", "workload-low"]].concat());
    let busy = &read.levels["global-default"];
    assert_eq!((busy.waiting, busy.executing, busy.dispatched, busy.rejected), (35, 2, 25, 0));
    assert_eq!(read.levels["exempt"].dispatched, 634);
}

#[test]
fn the_requests_of_a_real_apiserver_are_summed_by_who_sends_what() {
    let read = requests(REQUESTS);

    assert_eq!((read.lacks.rows, read.lacks.is_cut), (0, false));
    let storm = &read.groups[&listing(r#"agent, "the, quoted""#)];
    assert_eq!((storm.waiting, storm.seats_wanted), (37, 37));
    assert_eq!(storm.executing, u32::try_from(storm.seats).unwrap());
    assert!(storm.oldest > Some(UnixTime::from_secs(1_796_000_000)));
    let rows = REQUESTS.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() - 1;
    let counted: u32 = read.groups.values().map(|group| group.waiting + group.executing).sum();
    assert_eq!(usize::try_from(counted).unwrap(), rows);
    assert!(read.groups.keys().any(|key| key.what == "/debug/api_priority_and_fairness/dump_requests"));
}

#[test]
fn a_dump_that_ends_within_a_row_says_so_and_keeps_the_rows_before() {
    let half = &REQUESTS[..REQUESTS.len() / 2];
    let read = requests(half);
    assert!(read.lacks.is_cut);
    assert!(!read.groups.is_empty());

    let whole = requests(REQUESTS);
    assert!(!whole.lacks.is_cut);
    let mut reader = RequestsReader::default();
    reader.push(REQUESTS);
    assert!(reader.finish(false).lacks.is_cut, "more was to come");
    assert!(requests(b"").lacks.is_cut);
    assert!(requests(b"404 page not found").lacks.is_cut);
}

#[test]
fn a_line_break_in_a_name_costs_the_rows_that_it_breaks_and_no_other() {
    let head = "PriorityLevelName, FlowSchemaName, RequestIndexInQueue, InitialSeats, UserName, Verb, Resource\n";
    let dump = format!(
        "{head}global-default,    global-default, -1,                  3,            bad\nname,     list, configmaps\n\
         global-default, global-default, 0, 1, good, list, configmaps\n"
    );
    let read = requests(dump.as_bytes());

    assert_eq!(read.lacks.rows, 2);
    assert_eq!(read.groups[&listing("good")].waiting, 1);
}

#[test]
fn groups_and_rows_are_bounded_and_what_is_left_out_is_counted() {
    let head = "PriorityLevelName, FlowSchemaName, RequestIndexInQueue, InitialSeats, UserName, Verb, Resource\n";
    let mut reader = RequestsReader::default();
    reader.push(head.as_bytes());
    for n in 0..5_000 {
        reader.push(format!("a, b, -1, 2, user-{n}, list, pods\n").as_bytes());
    }
    reader.push(&vec![b'x'; 10 * MAX_ROW]);
    reader.push(b"\na, b, 7, 4, user-1, list, pods\n");
    let read = reader.finish(true);

    assert_eq!(read.groups.len(), RequestLoad::MAX);
    assert_eq!(read.others.executing, 5_000 - u32::try_from(RequestLoad::MAX).unwrap());
    assert_eq!(read.lacks.rows, 1);
    assert_eq!(read.groups.values().map(|group| group.seats_wanted).sum::<u64>(), 4);
}

#[test]
fn resources_are_named_with_group_and_part_and_other_paths_by_themselves() {
    let head = "PriorityLevelName, FlowSchemaName, RequestIndexInQueue, InitialSeats, APIPath, Resource, SubResource\n";
    for (path, resource, part, named) in [
        ("/api/v1/pods", "pods", "", "pods"),
        ("/api/v1/namespaces/a/pods/b/log", "pods", "log", "pods/log"),
        ("/apis/apps/v1/deployments", "deployments", "", "deployments.apps"),
        ("/apis/apps/v1/namespaces/a/deployments/b/scale", "deployments", "scale", "deployments.apps/scale"),
        ("/metrics", "", "", "/metrics"),
    ] {
        let read = requests(format!("{head}a, b, -1, 1, {path}, {resource}, {part}\n").as_bytes());
        assert_eq!(read.groups.keys().map(|key| key.what.as_str()).collect::<Vec<_>>(), [named]);
    }
}

proptest! {
    #[test]
    fn pieces_cut_anywhere_give_what_the_whole_gives(cuts in proptest::collection::vec(0..REQUESTS.len(), 0..8)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut reader = RequestsReader::default();
        let mut from = 0;
        for cut in cuts {
            reader.push(&REQUESTS[from..cut]);
            from = cut;
        }
        reader.push(&REQUESTS[from..]);

        prop_assert_eq!(reader.finish(true), requests(REQUESTS));
    }

    #[test]
    fn any_bytes_give_a_bounded_reading(head in any::<bool>(), body in "(\\PC|\n|,| ){0,400}", raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        let first: &[u8] = if head { REQUESTS.split_inclusive(|byte| *byte == b'\n').next().unwrap() } else { b"" };
        let dump = [first, body.as_bytes(), &raw].concat();
        let lines = u32::try_from(dump.split(|byte| *byte == b'\n').count()).unwrap();
        let read = requests(&dump);

        let taken: u32 = read.groups.values().chain([&read.others]).map(|group| group.waiting + group.executing).sum();
        prop_assert!(taken + read.lacks.rows <= lines);
        prop_assert!(levels(&dump).lacks.rows <= lines);
    }
}
