//! The lab checks itself: mail servers and the heartbeat receiver. No vedette is needed.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::mail_client::{Security, post};
use crate::clock::{self, stays, wait_until};
use crate::drill::{Drill, Skipped};
use crate::heartbeat;
use crate::http;
use crate::net::Place;
use crate::smtp::{Fault, IMPLICIT_PORT, STARTTLS_PORT, Step, USER};
use crate::world::World;

/// Bound on every wait for an effect.
const PATIENCE: Duration = Duration::from_secs(30);

/// The family.
pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("selftest_mail_is_kept_as_it_came", keeping).without_cluster(),
    Drill::new("selftest_the_mail_server_misbehaves_on_demand", misbehaving).without_cluster(),
    Drill::new("selftest_postfix_delivers", postfix).without_cluster(),
    Drill::new("selftest_beats_are_noted", beats).without_cluster(),
];

fn keeping(world: &mut World) -> Result<()> {
    post(world, STARTTLS_PORT, Security::Clear, "one")?;
    post(world, STARTTLS_PORT, Security::StartTls, "two")?;
    post(world, IMPLICIT_PORT, Security::Implicit, "three")?;
    let mails = world.await_mails(3, PATIENCE)?;
    ensure!(mails.len() == 3, "{mails:?}");
    for (mail, (subject, secure)) in mails.iter().zip([("one", false), ("two", true), ("three", true)]) {
        ensure!(mail.subject == subject && mail.message_id == format!("{subject}@lab"), "{mail:?}");
        ensure!(mail.encrypted == Some(secure) && mail.account.as_deref() == secure.then_some(USER), "{mail:?}");
        ensure!(mail.from == "a@bastion.test" && mail.to == ["b@ops.test"], "{mail:?}");
        ensure!(mail.thread_root() == "root@lab" && mail.in_reply_to == ["second@lab"], "{mail:?}");
        ensure!(mail.marks.get("X-Vedette-Test").is_some_and(|value| value == "yes"), "{mail:?}");
        ensure!(mail.text.trim() == format!("text of {subject}\r\n.") && mail.html.contains("<b>"), "{mail:?}");
    }
    Ok(())
}

fn misbehaving(world: &mut World) -> Result<()> {
    for step in [Step::Greeting, Step::Ehlo, Step::Mail, Step::Rcpt, Step::Data, Step::Final] {
        for fault in [Fault::Refuse(451), Fault::Refuse(554), Fault::Cut, Fault::Stall] {
            let before = world.smtp.reached(step);
            world.smtp.misbehave(step, fault);
            ensure!(post(world, STARTTLS_PORT, Security::Clear, "in vain").is_err(), "no {fault:?} at {step}");
            ensure!(world.smtp.reached(step) == before + 1, "the talk did not come to {step}");
            world.smtp.behave();
        }
    }
    world.smtp.misbehave(Step::Auth, Fault::Refuse(454));
    ensure!(post(world, STARTTLS_PORT, Security::StartTls, "in vain").is_err(), "no refusal at AUTH");
    world.smtp.behave();
    ensure!(world.mails().is_empty(), "a message counts although its sender was refused");
    wait_until("the messages cut and stalled before the final reply", PATIENCE, || {
        world.unacknowledged_mails().len() == 2
    })?;
    world.quiet_for(Duration::from_millis(200))?;
    post(world, STARTTLS_PORT, Security::Clear, "well")?;
    let mails = world.await_mails(1, PATIENCE)?;
    ensure!(mails.len() == 1, "the server does not behave again: {mails:?}");
    Ok(())
}

fn postfix(world: &mut World) -> Result<()> {
    if let Some(why) = &world.no_postfix {
        return Err(Skipped(format!("no Postfix: {why}")).into());
    }
    for (subject, security) in [("by postfix", Security::Clear), ("in secret", Security::TlsOnly)] {
        let sent = clock::now();
        post(world, 25, security, subject)?;
        let there = wait_until("Postfix to deliver", PATIENCE, || {
            world.postfix_mails().is_ok_and(|mails| mails.iter().any(|mail| mail.subject == subject))
        })?;
        world.table.note(format!("selftest: mail {subject} to the mailbox"), sent, there);
    }
    Ok(())
}

fn beats(world: &mut World) -> Result<()> {
    stays("no beat", Duration::from_millis(100), || world.heartbeat.beats().is_empty())?;
    let start = clock::now();
    let url = format!("http://{}:{}/beat", Place::Mail.ip(), heartbeat::PORT);
    let answer = world.network.inside(Place::Bastion, || http::get(&url, None))?;
    ensure!(answer.status == 204 && world.heartbeat.beats().len() == 1, "the beat was not noted");
    ensure!(world.heartbeat.longest_gap(start) < PATIENCE, "a gap where there was a beat");
    Ok(())
}
