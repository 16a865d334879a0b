//! The expiry thresholds of F26: how long before its end a certificate is reported, by who renews it.
//!
//! Knows dates and classes only. The figures for certificates that a person renews are between what others use
//! (kubernetes-mixin 7 and 1 days, enix's exporter 28 and 14); for automatic renewal they are shares of the time that
//! is left after the renewal was due; CAs follow OpenShift (730 and 365 days for the etcd signer). What differs is
//! explained beside the figure.

use std::time::Duration;

use crate::model::certificate::{Certificate, Class, Served};
use crate::model::time::UnixTime;
use crate::model::verdict::ExpiryThreshold;

const DAY: Duration = Duration::from_secs(86_400);

/// Who must act before a certificate ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thresholds {
    /// Whoever renews the certificates of that endpoint.
    Leaf(Class),
    /// Whoever rotates the CA: the leaf depends on it, so it inherits the CA's bands.
    Authority,
}

/// Time left at which each band begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DaysLeft {
    /// `None` where no notice is needed, because no person has to act yet.
    notice: Option<Duration>,
    warning: Duration,
    urgent: Duration,
    page: Duration,
}

impl Thresholds {
    /// The expiry thresholds for the first certificate of `served` to end, `class` being the endpoint's.
    ///
    /// The server's own certificate is a leaf even where it calls itself a CA, as those do that etcd makes for
    /// itself (`--auto-tls`).
    #[must_use]
    pub fn of(first_to_end: &Certificate, served: &Served, class: Class) -> Self {
        let is_leaf = served.leaf().is_none_or(|leaf| leaf.fingerprint == first_to_end.fingerprint);
        if first_to_end.is_ca && !is_leaf { Self::Authority } else { Self::Leaf(class) }
    }

    /// The band that `certificate` is in at `now`; `None` while there is nothing to say.
    #[must_use]
    pub fn band(self, certificate: &Certificate, now: UnixTime) -> Option<ExpiryThreshold> {
        self.band_of(certificate.not_before, certificate.not_after, None, now)
    }

    /// The same for anything with a start and an end. `renewed_at` is when a program renews it, in thousandths of its
    /// life, where that is known to be another time than two thirds; it means nothing to other classes.
    #[must_use]
    pub fn band_of(
        self,
        not_before: UnixTime,
        not_after: UnixTime,
        renewed_at: Option<u16>,
        now: UnixTime,
    ) -> Option<ExpiryThreshold> {
        let life = not_after.since(not_before);
        let days_left = match (self, renewed_at) {
            (Self::Leaf(Class::Automatic), Some(permille)) => {
                overdue(life.saturating_sub(life / 1000 * u32::from(permille)))
            }
            _ => self.days_left(life),
        };
        let left = not_after.since(now);
        let is_reached = |days_left: Duration| left <= days_left;
        match () {
            () if not_after < now => Some(ExpiryThreshold::Expired),
            () if is_reached(days_left.page) => Some(ExpiryThreshold::Page),
            () if is_reached(days_left.urgent) => Some(ExpiryThreshold::Urgent),
            () if is_reached(days_left.warning) => Some(ExpiryThreshold::Warning),
            () if days_left.notice.is_some_and(is_reached) => Some(ExpiryThreshold::Notice),
            () => None,
        }
    }

    fn days_left(self, life: Duration) -> DaysLeft {
        match self {
            Self::Leaf(Class::Manual) => by_hand(life),
            Self::Leaf(Class::Automatic) => overdue(tail(life)),
            // A server that renews within 120 days of the end, but only when it starts. At the warning nobody has
            // restarted it, so from there on the thresholds are those of a certificate that a person renews. The notice
            // comes at a third of the lifetime at the earliest, as there, so that a new short-lived certificate raises
            // none.
            Self::Leaf(Class::Restart) => DaysLeft { notice: Some((DAY * 120).min(life / 3)), ..by_hand(life) },
            Self::Authority => rotation(life),
        }
    }
}

/// Days before expiry for certificates that a person renews: 30, 14, 7, 1; under 90 days of lifetime 1/3, 1/6, 1/12,
/// 1/24 of it, so that a new short-lived certificate is not urgent.
fn by_hand(life: Duration) -> DaysLeft {
    if life < DAY * 90 {
        DaysLeft { notice: Some(life / 3), warning: life / 6, urgent: life / 12, page: life / 24 }
    } else {
        DaysLeft { notice: Some(DAY * 30), warning: DAY * 14, urgent: DAY * 7, page: DAY }
    }
}

/// What is left of a life at the point where a program renews, two thirds of it: the latest usual one that is not known
/// to be another.
fn tail(life: Duration) -> Duration {
    life / 3
}

/// A program renews at the beginning of `tail`: a fifth, a half and four fifths of it have passed without a new
/// certificate, but never earlier than 60, 30 and 14 days before the end.
fn overdue(tail: Duration) -> DaysLeft {
    DaysLeft {
        notice: None,
        warning: (tail * 4 / 5).min(DAY * 60),
        urgent: (tail / 2).min(DAY * 30),
        page: (tail / 5).min(DAY * 14),
    }
}

/// A CA is rotated, which takes months: 2 years, 1 year and 180 days before the end.
///
/// The page at 30 days is ours: from there on a rotation cannot be done calmly. For a life under 4 years the fractions
/// are those that these figures have of 4 years; with the plain figures such a CA would be urgent when new.
fn rotation(life: Duration) -> DaysLeft {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    if life < YEAR * 4 {
        DaysLeft { notice: Some(life / 2), warning: life / 4, urgent: life / 8, page: life / 48 }
    } else {
        DaysLeft { notice: Some(YEAR * 2), warning: YEAR, urgent: DAY * 180, page: DAY * 30 }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::certificate::{Fingerprint, Trust};

    const HOUR: Duration = Duration::from_secs(3600);
    const MANUAL: Thresholds = Thresholds::Leaf(Class::Manual);
    const AUTOMATIC: Thresholds = Thresholds::Leaf(Class::Automatic);
    const RESTART: Thresholds = Thresholds::Leaf(Class::Restart);

    #[test]
    fn every_rung_is_entered_to_the_second() {
        let second = Duration::from_secs(1);
        for (thresholds, life, [notice, warning, urgent, page]) in [
            (MANUAL, DAY * 365, [Some(DAY * 30), Some(DAY * 14), Some(DAY * 7), Some(DAY)]),
            (MANUAL, DAY * 90, [Some(DAY * 30), Some(DAY * 14), Some(DAY * 7), Some(DAY)]),
            (MANUAL, DAY * 24, [Some(DAY * 8), Some(DAY * 4), Some(DAY * 2), Some(DAY)]),
            (AUTOMATIC, DAY * 365, [None, Some(DAY * 60), Some(DAY * 30), Some(DAY * 14)]),
            (AUTOMATIC, DAY * 90, [None, Some(DAY * 24), Some(DAY * 15), Some(DAY * 6)]),
            (AUTOMATIC, HOUR * 24, [None, Some(HOUR * 32 / 5), Some(HOUR * 4), Some(HOUR * 8 / 5)]),
            (RESTART, DAY * 365, [Some(DAY * 120), Some(DAY * 14), Some(DAY * 7), Some(DAY)]),
            (RESTART, DAY * 90, [Some(DAY * 30), Some(DAY * 14), Some(DAY * 7), Some(DAY)]),
            (RESTART, DAY * 24, [Some(DAY * 8), Some(DAY * 4), Some(DAY * 2), Some(DAY)]),
            (Thresholds::Authority, DAY * 3650, [Some(DAY * 730), Some(DAY * 365), Some(DAY * 180), Some(DAY * 30)]),
            (Thresholds::Authority, DAY * 384, [Some(DAY * 192), Some(DAY * 96), Some(DAY * 48), Some(DAY * 8)]),
        ] {
            let certificate = certificate(1, life, false);
            let reached =
                [ExpiryThreshold::Notice, ExpiryThreshold::Warning, ExpiryThreshold::Urgent, ExpiryThreshold::Page];
            let mut before = None;
            for (band, left) in reached.into_iter().zip([notice, warning, urgent, page]) {
                let Some(left) = left else { continue };
                let days_left = certificate.not_after.minus(left);

                let seen = [days_left.minus(second), days_left, days_left.plus(second)]
                    .map(|at| thresholds.band(&certificate, at));
                assert_eq!(seen, [before, Some(band), Some(band)], "{thresholds:?}, life {life:?}, {left:?} left");
                before = Some(band);
            }
            let end = certificate.not_after;
            let seen = [end.minus(second), end, end.plus(second)].map(|at| thresholds.band(&certificate, at));
            assert_eq!(
                seen,
                [Some(ExpiryThreshold::Page), Some(ExpiryThreshold::Page), Some(ExpiryThreshold::Expired)],
                "{thresholds:?}, life {life:?}"
            );
        }
    }

    /// Certificates of common lifetimes, each with the renewal point of the program that renews it.
    #[test]
    fn an_overdue_renewal_is_told_as_in_the_worked_examples() {
        let in_hours = |days_left: DaysLeft| {
            [days_left.warning, days_left.urgent, days_left.page].map(|days_left| days_left.as_secs_f64() / 3600.0)
        };
        for (what, tail, hours) in [
            ("a kubelet's year, renewed at nine tenths", DAY * 365 / 10, [29.2 * 24.0, 18.25 * 24.0, 7.3 * 24.0]),
            ("a kubelet's 45 days, renewed at nine tenths", DAY * 45 / 10, [3.6 * 24.0, 2.25 * 24.0, 21.6]),
            ("cert-manager's 90 days, renewed at two thirds", tail(DAY * 90), [24.0 * 24.0, 15.0 * 24.0, 6.0 * 24.0]),
            ("Talos' 24 hours, renewed at a half", HOUR * 12, [9.6, 6.0, 2.4]),
        ] {
            let seen = in_hours(overdue(tail));

            assert!(seen.iter().zip(hours).all(|(seen, worked)| (seen - worked).abs() < 0.01), "{what}: {seen:?}");
        }
    }

    #[test]
    fn no_fresh_certificate_is_spoken_of_whatever_its_life() {
        let lives = [HOUR, HOUR * 12, DAY, DAY * 6, DAY * 45, DAY * 90, DAY * 119, DAY * 365, DAY * 825, DAY * 3650];
        for life in lives {
            for thresholds in [MANUAL, AUTOMATIC, RESTART, Thresholds::Authority] {
                let certificate = certificate(1, life, false);

                assert_eq!(
                    thresholds.band(&certificate, certificate.not_before.plus(life / 3)),
                    None,
                    "{thresholds:?} {life:?}"
                );
            }
        }
    }

    #[test]
    fn a_program_that_renews_in_time_is_never_spoken_of() {
        for life in [HOUR * 12, DAY, DAY * 6, DAY * 45, DAY * 90, DAY * 365] {
            let certificate = certificate(1, life, false);
            let renewal = certificate.not_before.plus(life * 2 / 3);

            assert_eq!(AUTOMATIC.band(&certificate, renewal), None, "{life:?}");
        }
    }

    #[test]
    fn a_leaf_whose_ca_ends_first_inherits_its_thresholds() {
        let leaf = certificate(1, DAY * 365, false);
        let authority = certificate(2, DAY * 300, true);
        let served = served(vec![leaf, authority]);
        let first = served.earliest().unwrap();

        assert_eq!(Thresholds::of(first, &served, Class::Automatic), Thresholds::Authority);
    }

    #[test]
    fn a_leaf_that_ends_first_keeps_its_class_even_if_it_calls_itself_an_ca() {
        let served = served(vec![certificate(1, DAY * 365, true), certificate(2, DAY * 3650, true)]);
        let first = served.earliest().unwrap();

        assert_eq!(Thresholds::of(first, &served, Class::Restart), RESTART);
    }

    fn served(chain: Vec<Certificate>) -> Served {
        let chain = chain.into_iter().map(Arc::new).collect();
        Served {
            chain,
            unreadable: 0,
            trust: Trust::Unverified,
            client_authorities: 0,
            path: None,
            trusted: Vec::new(),
        }
    }

    fn certificate(number: u8, life: Duration, is_ca: bool) -> Certificate {
        let not_before = UnixTime::from_secs(1_700_000_000);
        Certificate {
            fingerprint: Fingerprint([number; 32]),
            subject: "CN=kube-apiserver".into(),
            issuer: "CN=kubernetes".into(),
            serial: "01".into(),
            not_before,
            not_after: not_before.plus(life),
            names: Vec::new(),
            is_ca,
            is_self_issued: false,
            key: None,
        }
    }
}
