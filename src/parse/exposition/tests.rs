//! Claims about whole pages: cut anywhere, without an end, and written to be misread.

use proptest::prelude::*;

use super::{Families, Flaw, MAX_LINE, Reader};

const WANTED: Families = Families::new(&["fsync", "has_leader", "version"]);
const MOST: usize = 1000;

const PAGE: &str = "# HELP fsync Time of a call.\n# TYPE fsync histogram\n\
    fsync_bucket{le=\"0.001\"} 3\r\n fsync_bucket{le=\"+Inf\"} 5 # {trace_id=\"a b\"} 0.2\nfsync_sum 1e-3\nfsync_count 5\n\
    has_leader 1\nhas_leaders 7\nother{a=\"x\\\"}\"} 3\nother{a=\"y\"} 4\n\nnot a sample\nversion{v=\"3.6\\n}\"} NaN\n";

/// All wanted samples of `pieces` as text, and how the page ended.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Result<(), Flaw>) {
    let mut samples = Vec::new();
    let mut reader = Reader::new(WANTED, MOST);
    for piece in pieces {
        let pushed = reader.push(piece, |sample| {
            let label = ["le", "v"].map(|name| sample.label(name).unwrap_or_default().into_owned()).concat();
            samples.push(format!("{} {label} {}", sample.name, sample.value));
        });
        if let Err(flaw) = pushed {
            return (samples, Err(flaw));
        }
    }
    (samples, reader.finish())
}

fn whole(page: &[u8]) -> (Vec<String>, Result<(), Flaw>) {
    read([page])
}

#[test]
fn wanted_families_are_taken_in_their_order_and_others_are_passed_over() {
    let (samples, end) = whole(PAGE.as_bytes());

    let wanted = [
        "fsync_bucket 0.001 3",
        "fsync_bucket +Inf 5",
        "fsync_sum  0.001",
        "fsync_count  5",
        "has_leader  1",
        "version 3.6\n} NaN",
    ];
    assert_eq!(samples, wanted);
    assert_eq!(end, Ok(()));
}

#[test]
fn a_page_that_ends_within_a_line_is_cut_and_that_line_is_not_taken() {
    for (page, samples, end) in [
        ("has_leader 1\n", 1, Ok(())),
        ("", 0, Ok(())),
        ("has_leader 1\n \r", 1, Ok(())),
        ("has_leader 1", 0, Err(Flaw::Cut)),
        ("has_leader 1\nfsync_sum 12", 1, Err(Flaw::Cut)),
        ("has_leader 1\n# TYPE fsync", 1, Err(Flaw::Cut)),
    ] {
        let read = whole(page.as_bytes());
        assert_eq!((read.0.len(), read.1), (samples, end), "{page:?}");
    }
}

#[test]
fn nothing_counts_after_the_end_that_open_metrics_writes() {
    for end in ["# EOF", "# EOF\n", "# EOF\r\n", "# EOF\nhas_leader 0\n", "# EOF\nhas_leader 0"] {
        let page = format!("has_leader 1\n{end}");
        assert_eq!(whole(page.as_bytes()), (vec!["has_leader  1".to_owned()], Ok(())), "{end:?}");
    }
    let talked_about = "# EOFs are no end\nhas_leader 1\n";
    assert_eq!(whole(talked_about.as_bytes()).0.len(), 1);
}

#[test]
fn a_line_that_is_too_long_is_left_out_and_takes_no_memory() {
    let long = format!("has_leader{{a=\"{}\"}} 1", "x".repeat(MAX_LINE));
    for page in [format!("{long}\nhas_leader 2\n"), format!("{}\nhas_leader 2\n", "y".repeat(1 << 20))] {
        for size in [1000, page.len()] {
            let mut reader = Reader::new(WANTED, MOST);
            let mut values = Vec::new();
            for piece in page.as_bytes().chunks(size) {
                reader.push(piece, |sample| values.push(sample.value)).unwrap();
                assert!(reader.held() <= 4 * MAX_LINE, "{}", reader.held());
            }
            assert_eq!((values, reader.finish()), (vec![2.0], Ok(())));
        }
    }
    let mut endless = Reader::new(WANTED, MOST);
    (0..1000).for_each(|_| endless.push(&[b'z'; 1000], |_| {}).unwrap());
    assert!(endless.held() <= 4 * MAX_LINE);
    assert_eq!(endless.finish(), Err(Flaw::Cut));
}

#[test]
fn a_million_series_end_the_reading_where_they_are_wanted_and_are_passed_over_where_they_are_not() {
    let series = |name: &str| format!("{name}{{pod=\"a\"}} 1\n").repeat(1000);
    let (wanted, unwanted) = (series("has_leader"), series("has_pods"));
    let mut reader = Reader::new(WANTED, MOST);
    let mut taken = 0;

    for _ in 0..1000 {
        reader.push(unwanted.as_bytes(), |_| taken += 1).unwrap();
    }
    assert_eq!(taken, 0);
    reader.push(wanted.as_bytes(), |_| taken += 1).unwrap();
    assert_eq!(reader.push(wanted.as_bytes(), |_| taken += 1), Err(Flaw::TooManySamples));
    assert_eq!(taken, MOST);
    assert!(reader.held() <= 4 * MAX_LINE);
}

proptest! {
    /// Pieces as a network brings them give what the page gives as a whole.
    #[test]
    fn a_page_may_be_cut_anywhere(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("has_leader 1".to_owned()),
                Just("has_leaders 1".to_owned()),
                Just("fsync_bucket{le=\"0.5\"} 3 # {a=\"b\"} 1".to_owned()),
                Just("version{v=\"a\\\"b\\\\\"} 2\r".to_owned()),
                Just("other_bucket{le=\"1\"} 3".to_owned()),
                Just("# EOF".to_owned()),
                Just("x".repeat(MAX_LINE + 1)),
                Just(format!("fsync_sum{}1", " ".repeat(MAX_LINE - 10))),
                Just(format!("fsync_sum{}1", " ".repeat(MAX_LINE - 9))),
                "[a-z{}\"= #\\\\]{0,30}",
            ],
            0..40
        ),
        cuts in proptest::collection::vec(0_usize..20_000, 0..20),
        is_cut in any::<bool>(),
    ) {
        let mut page = lines.join("\n");
        if !is_cut {
            page.push('\n');
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (page.len() + 1)).collect();
        cuts.extend([0, page.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &page.as_bytes()[pair[0]..pair[1]]);

        prop_assert_eq!(read(pieces), whole(page.as_bytes()));
    }

    #[test]
    fn any_bytes_in_any_pieces_give_at_most_one_sample_a_line(
        page in proptest::collection::vec(any::<u8>(), 0..2000), size in 1_usize..100,
    ) {
        let lines = page.iter().filter(|byte| **byte == b'\n').count() + 1;

        let (samples, end) = read(page.chunks(size));

        prop_assert!(samples.len() <= lines);
        prop_assert_eq!((samples, end), whole(&page));
    }
}
