//! Losses of new connections: the sequential test on simulated days.

use std::collections::BTreeMap;
use std::time::Duration;

use super::at;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::time::Now;
use crate::observe::connection_losses::{ConnectionLosses, SAMPLE_PACE};

const LOST: Unseen = Unseen { phase: Phase::Tls, cause: Cause::Timeout };
/// How long a connection hangs until it counts as lost.
const HANGS: u64 = 2000;
/// Milliseconds between the scheduled connections.
const EVERY: u64 = 1000;

/// Opens connections as the engine does, of which `is_lost` says at its time which are lost. Returns when losses were
/// first too many, in milliseconds, and how many connections were opened.
fn run(until: u64, mut is_lost: impl FnMut(u64) -> bool) -> (Option<u64>, u64) {
    let mut losses = ConnectionLosses::default();
    let (mut scheduled, mut sample, mut samples, mut opened) = (0, None, 0_u32, 0);
    let mut results: BTreeMap<(u64, u64), (Now, bool)> = BTreeMap::new();
    loop {
        let result = results.first_key_value().map(|((when, _), _)| *when);
        let now = [Some(scheduled), sample, result].into_iter().flatten().min().unwrap();
        if now > until {
            return (None, opened);
        }
        if result == Some(now) {
            let (_, (began, lost)) = results.pop_first().unwrap();
            if losses.take(began, lost.then_some(LOST)) {
                let allowed = losses.allowance(at(now).mono).saturating_sub(samples);
                losses.charge(allowed, at(now).mono);
                samples += allowed;
                sample = sample.or((samples > 0).then_some(now + 1));
            }
            if losses.lossy_since().is_some() {
                return (Some(now), opened);
            }
            continue;
        }
        if now == scheduled {
            scheduled += EVERY;
        } else {
            samples -= 1;
            let pace = u64::try_from(SAMPLE_PACE.as_millis()).unwrap();
            sample = (samples > 0).then_some(now + pace);
        }
        opened += 1;
        let lost = is_lost(now);
        results.insert((now + if lost { HANGS } else { 5 }, opened), (at(now), lost));
    }
}

/// Chance that is the same each time: SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, permille: u64) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        for by in [30, 27, 31] {
            mixed = (mixed ^ (mixed >> by)).wrapping_mul(0x94d0_49bb_1331_11eb);
        }
        mixed % 1000 < permille
    }
}

fn percentile(permille: u64, percent: usize) -> u64 {
    let told = |seed: u64| {
        let mut chance = Chance(seed * 7919);
        run(600_000, |_| chance.below(permille)).0.unwrap_or(600_000)
    };
    let mut all: Vec<u64> = (0..200).map(told).collect();
    all.sort_unstable();
    all[(all.len() * percent / 100).min(all.len() - 1)]
}

#[test]
fn one_in_ten_is_found_in_25_s_as_a_rule_and_in_75_s_nearly_always() {
    let (median, most) = (percentile(100, 50), percentile(100, 95));

    assert!(median <= 25_000, "{median} ms");
    assert!(most <= 75_000, "{most} ms");
}

#[test]
fn more_is_found_sooner() {
    for (permille, within) in [(200, 25_000), (330, 18_000), (500, 15_000)] {
        let found = percentile(permille, 95);
        assert!(found <= within, "{permille} of a thousand after {found} ms");
    }
}

#[test]
fn one_in_a_hundred_is_found_on_fewer_than_one_day_in_ten() {
    let is_found = |day: u64| {
        let mut chance = Chance(day * 104_729 + 1);
        let (found, opened) = run(86_400_000, |_| chance.below(10));
        assert!(found.is_some() || opened > 86_400, "each loss is followed by samples");
        found.is_some()
    };
    let days = (0..60).filter(|day| is_found(*day)).count();

    assert!(days < 6, "{days} of 60 days");
}

#[test]
fn one_outage_of_any_length_is_no_loss_among_answers() {
    for lasting in [1000, 3000, 8000, 20_000, 60_000] {
        let (found, _) = run(300_000, |now| (20_000..20_000 + lasting).contains(&now));
        assert_eq!(found, None, "{lasting} ms");
    }
}

#[test]
fn a_backend_that_is_taken_out_in_time_is_not_told() {
    for lasting in [2000, 4000, 6000] {
        let mut turn = 0;
        let (found, _) = run(300_000, |now| {
            turn += 1;
            turn % 2 == 0 && (20_000..20_000 + lasting).contains(&now)
        });
        assert_eq!(found, None, "{lasting} ms");
    }
}

#[test]
fn a_balancer_counts_as_mended_after_a_window_of_answers() {
    let mut losses = ConnectionLosses::default();
    for n in 0..60 {
        losses.take(at(n * 1000), (n % 2 == 0).then_some(LOST));
    }
    assert_eq!(losses.lossy_since(), Some(at(0)));

    let mended = (60..).find(|n| {
        losses.take(at(n * 1000), None);
        losses.lossy_since().is_none()
    });

    assert_eq!(mended, Some(60 + 96), "with one stray loss left in the window");
}

#[test]
fn hours_of_losses_get_few_samples_an_hour() {
    let mut losses = ConnectionLosses::default();
    let asked: u32 = (0..3600)
        .map(|second| {
            let now = at(second * 1000).mono;
            let allowed = losses.allowance(now);
            losses.charge(allowed, now);
            allowed
        })
        .sum();

    assert_eq!(asked, 300 * 20);
    assert_eq!(losses.allowance(at(3_600_000).mono.plus(Duration::from_secs(200))), 40);
}
