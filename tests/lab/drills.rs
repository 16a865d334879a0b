//! The drills, by family. One file per family, one line here.

mod adverse;
mod alike;
mod boards;
mod canaries;
mod ceiling;
mod commands;
mod damaged;
mod disk;
mod listeners;
mod mail_client;
mod mute;
mod outages;
mod overload;
mod partial;
mod recorder;
mod rotate;
mod scraped;
mod selftest;
mod selftest_mail;
mod service;
mod strangers;
mod versions;
mod watch;

use crate::drill::Drill;

/// All families, those with the longest drills first: of each kind (`Choice::drills`) they are begun in this order, so
/// that no lane is left alone with a long one.
pub(crate) const DRILLS: &[&[Drill]] = &[
    damaged::DRILLS,
    boards::DRILLS,
    commands::DRILLS,
    mute::DRILLS,
    listeners::DRILLS,
    rotate::DRILLS,
    strangers::DRILLS,
    adverse::DRILLS,
    canaries::DRILLS,
    alike::DRILLS,
    partial::DRILLS,
    recorder::DRILLS,
    ceiling::DRILLS,
    outages::DRILLS,
    overload::DRILLS,
    disk::DRILLS,
    versions::DRILLS,
    service::DRILLS,
    scraped::DRILLS,
    selftest::DRILLS,
    selftest_mail::DRILLS,
];
