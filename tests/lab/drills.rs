//! The drills, by family. One file per family, one line here.

mod adverse;
mod boards;
mod ceiling;
mod commands;
mod disk;
mod listeners;
mod mail_client;
mod mute;
mod outages;
mod partial;
mod rotate;
mod scraped;
mod selftest;
mod selftest_mail;
mod service;
mod strangers;
mod versions;
mod watch;

use crate::drill::Drill;

/// All families, in the order they are begun. The lab's own are the shortest and come last, so that no lane is left
/// alone with a long drill.
pub(crate) const DRILLS: &[&[Drill]] = &[
    outages::DRILLS,
    ceiling::DRILLS,
    commands::DRILLS,
    partial::DRILLS,
    adverse::DRILLS,
    strangers::DRILLS,
    mute::DRILLS,
    service::DRILLS,
    boards::DRILLS,
    disk::DRILLS,
    rotate::DRILLS,
    scraped::DRILLS,
    versions::DRILLS,
    listeners::DRILLS,
    selftest::DRILLS,
    selftest_mail::DRILLS,
];
