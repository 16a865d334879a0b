//! The error texts of an etcd member's status: alarms, and everything else.
//!
//! Knows nothing of the wire format. Called by `collect/etcd/answers.rs`.

use super::sanitize::shown;
use crate::model::etcd::{EtcdAlarm, EtcdAlarmKind};

/// Alarms kept of one status; there are two kinds and at most a dozen members.
pub const MAX_ALARMS: usize = 64;
/// Other error texts kept.
const MAX_ERRORS: usize = 8;
/// Characters kept of one of them.
const MAX_ERROR: usize = 200;

/// What the texts say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Errors {
    /// Alarms, each once.
    pub alarms: Vec<EtcdAlarm>,
    /// Everything else, escaped and shortened, at most 8.
    pub others: Vec<String>,
}

/// Sorts the texts of `StatusResponse.errors`.
///
/// An alarm is written as protobuf text, `memberID:10276657743932975437 alarm:NOSPACE `, without fields that are zero;
/// anything else is meant for people: `etcdserver: no leader`. A text that has an alarm in it and cannot be read is an
/// alarm of a kind that is not known, because an unknown alarm must not pass as good.
#[must_use]
pub fn errors(texts: &[String]) -> Errors {
    let mut errors = Errors::default();
    for text in texts {
        let unreadable = || text.contains("alarm:").then_some(EtcdAlarm { member_id: 0, kind: EtcdAlarmKind::Other });
        match alarm(text).or_else(unreadable) {
            Some(alarm) if errors.alarms.contains(&alarm) || errors.alarms.len() >= MAX_ALARMS => {}
            Some(alarm) => errors.alarms.push(alarm),
            None if errors.others.len() < MAX_ERRORS => errors.others.push(shown(text.trim(), MAX_ERROR)),
            None => {}
        }
    }
    errors
}

/// A text of the wire fit to be kept: a name or URL of a member.
#[must_use]
pub fn label(text: &str) -> String {
    shown(text, MAX_ERROR)
}

fn alarm(text: &str) -> Option<EtcdAlarm> {
    let mut member_id = 0;
    let mut kind = None;
    for field in text.split_ascii_whitespace() {
        let (key, value) = field.split_once(':')?;
        match key {
            "memberID" => member_id = value.parse().ok()?,
            "alarm" => kind = Some(kind_of(value)),
            _ => return None,
        }
    }
    Some(EtcdAlarm { member_id, kind: kind? })
}

fn kind_of(name: &str) -> EtcdAlarmKind {
    match name {
        "NOSPACE" => EtcdAlarmKind::NoSpace,
        "CORRUPT" => EtcdAlarmKind::Corrupt,
        _ => EtcdAlarmKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn alarms_are_told_from_other_errors() {
        let texts = [
            "memberID:10276657743932975437 alarm:NOSPACE ",
            "memberID:7 alarm:CORRUPT",
            "memberID:7 alarm:CORRUPT ",
            "alarm:NEWKIND",
            "etcdserver: no leader",
        ]
        .map(str::to_owned);

        let errors = errors(&texts);

        assert_eq!(
            errors.alarms,
            [
                EtcdAlarm { member_id: 10_276_657_743_932_975_437, kind: EtcdAlarmKind::NoSpace },
                EtcdAlarm { member_id: 7, kind: EtcdAlarmKind::Corrupt },
                EtcdAlarm { member_id: 0, kind: EtcdAlarmKind::Other },
            ]
        );
        assert_eq!(errors.others, ["etcdserver: no leader"]);
    }

    #[test]
    fn an_alarm_that_cannot_be_read_is_one_of_unknown_kind() {
        for text in
            ["memberID:x alarm:NOSPACE", "alarm:NOSPACE raised", "alarm: NOSPACE x:y", "memberID:7 alarm:7 since:9"]
        {
            assert_eq!(
                errors(&[text.to_owned()]).alarms,
                [EtcdAlarm { member_id: 0, kind: EtcdAlarmKind::Other }],
                "{text}"
            );
        }
        for text in ["memberID:7", "", "etcdserver: no leader"] {
            assert_eq!(errors(&[text.to_owned()]).alarms, [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_texts_give_a_bounded_answer(texts in proptest::collection::vec(any::<String>(), 0..40)) {
            let errors = errors(&texts);

            prop_assert!(errors.alarms.len() <= MAX_ALARMS);
            prop_assert!(errors.others.len() <= MAX_ERRORS);
            prop_assert!(errors.others.iter().all(|text| text.chars().count() <= MAX_ERROR));
        }
    }
}
