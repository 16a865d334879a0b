//! What mails tell people to run, run on hosts as kubeadm leaves them, under the faults it is for.
//!
//! `tests/commands.list` says what each command must show; every one that it does not call never run is run here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use vedette::judge::commands::{Commands, Id};
use vedette::judge::words;
use vedette::model::certificate::Fingerprint;
use vedette::model::etcd::{AlarmKind, Apart, Apartness, Mismatch};
use vedette::model::hosts::Hosts as Known;
use vedette::model::phase::{Cause, Phase, Unseen};
use vedette::model::rule::{Level, RuleId};
use vedette::model::subject::Subject;
use vedette::model::time::UnixTime;
use vedette::model::verdict::{Evidence, Finding, Symptom, Traffic, Untrusted};

use crate::clock;
use crate::drill::Drill;
use crate::host::{Done, Hosts};
use crate::net::Place;
use crate::rbac;
use crate::world::World;

pub(crate) const DRILLS: &[Drill] =
    &[Drill::new("every_command_in_mails_shows_what_it_promises_on_a_kubeadm_host", every_command)];

/// A list that was read, and what has been run of it.
struct List {
    wanted: BTreeMap<&'static str, (Vec<i32>, Vec<&'static str>)>,
    run: BTreeSet<&'static str>,
}

const REFUSED: Unseen = Unseen { phase: Phase::Dial, cause: Cause::Refused };

fn every_command(world: &mut World) -> Result<()> {
    let mut list = List::read()?;
    let hosts = Hosts::lay(world)?;
    listen_as_kubeadm_does(world)?;
    let pki = world.pki.leaf("api-1/apiserver").cert.display().to_string();

    // Of a cluster that works, as far as these commands see.
    for finding in [
        apart(),
        not_listed(),
        of(
            RuleId::F05,
            "prod/etcd/main",
            Evidence::Elections { count: 3, window: Duration::from_secs(900), latest: vec![] },
        ),
        alarm(RuleId::F10, AlarmKind::Corrupt),
        not_ready(RuleId::F50, "log"),
        foreign(),
        vip(),
        untrusted("unknown_authority"),
        untrusted("not_yet_valid"),
        slow(),
        unread(&pki),
        refused("prod/apiserver/api-1", Cause::CredentialRefused),
        refused("prod/apiserver/api-1", Cause::TokenWithheld),
        refused("prod/etcd/main/etcd-1", Cause::CredentialRefused),
        partly_bad(),
    ] {
        list.check(world, &hosts, &finding)?;
    }
    list.check(world, &hosts, &stale(&pki))?;
    world.server("api-1")?.stop().ok();
    world.start("api-1")?;
    world.wait_ready(Duration::from_secs(60))?;

    world.fill_etcd()?;
    list.check(world, &hosts, &alarm(RuleId::F09, AlarmKind::NoSpace))?;
    ensure!(world.etcd_alarms()?.is_empty(), "the alarm is still raised: {}", world.etcd_alarms()?);

    for name in ["etcd-2", "etcd-3"] {
        world.kill9(name)?;
    }
    list.check(world, &hosts, &quorum_lost())?;
    ensure!(hosts.of(Place::Etcd(2)).join("root/etcd-before/member").is_dir(), "there is no copy of the data");

    let log = world.server("api-1")?.log.clone();
    clock::wait_until("an apiserver to miss etcd", Duration::from_secs(60), || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("etcd"))
    })?;
    list.check(world, &hosts, &not_ready(RuleId::F25, "etcd"))?;

    for name in ["api-1", "api-2"] {
        world.kill9(name)?;
    }
    let down = |name: &str| (subject(&format!("prod/apiserver/{name}")), Symptom::Silent(REFUSED));
    list.check(
        world,
        &hosts,
        &of(RuleId::F24, "prod", Evidence::AllBad { parts: vec![down("api-1"), down("api-2")] }),
    )?;
    list.nothing_is_left()
}

/// kubeadm's etcd serves its metrics on the loopback address.
fn listen_as_kubeadm_does(world: &mut World) -> Result<()> {
    for n in 1..=world.size.members {
        let place = Place::Etcd(n);
        let urls = format!("--listen-metrics-urls=http://{}:2381,http://127.0.0.1:2381", place.ip());
        world.server(&place.name())?.add_argument(urls);
        world.restart(&place.name())?;
        world.wait_ready(Duration::from_secs(60))?;
    }
    Ok(())
}

impl List {
    fn read() -> Result<Self> {
        let mut wanted = BTreeMap::new();
        for line in include_str!("../../commands.list").lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.splitn(2, ' ');
            let (id, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim());
            let (codes, shows) = rest.split_once(' ').unwrap_or((rest, ""));
            if codes == "never" || id.is_empty() {
                continue;
            }
            let codes: Result<Vec<i32>, _> = codes.split(',').map(str::parse).collect();
            let shows = shows.trim().split('|').collect();
            wanted.insert(id, (codes.with_context(|| line.to_owned())?, shows));
        }
        Ok(Self { wanted, run: BTreeSet::new() })
    }

    /// Runs what a mail about `finding` says, in its order, except for what is never run.
    fn check(&mut self, world: &World, hosts: &Hosts, finding: &Finding) -> Result<()> {
        let (addresses, known) = (addresses(), Known::default());
        let mut next = words::of(finding.rule).next_commands(finding, &Commands::new(&addresses, &known));
        next.retain(|command| self.wanted.contains_key(command.id.as_str()));
        let lines: Vec<String> = next.iter().map(|command| filled_in(world, finding, &command.line)).collect();
        let done = hosts.paste(world, &lines)?;
        for (command, done) in next.iter().zip(done) {
            self.judge(command.id, &done).with_context(|| format!("{}: {}", finding.rule, command.line))?;
        }
        Ok(())
    }

    fn judge(&mut self, id: Id, done: &Done) -> Result<()> {
        let (codes, shows) = &self.wanted[id.as_str()];
        ensure!(codes.contains(&done.code), "code {}:\n{}", done.code, done.said);
        let is_shown = shows.iter().any(|text| match *text {
            "@@nothing" => done.said.is_empty(),
            "@@digits" => !done.said.is_empty() && done.said.bytes().all(|byte| byte.is_ascii_digit()),
            text => done.said.contains(text),
        });
        ensure!(is_shown, "none of {shows:?} is in what it shows:\n{}", done.said);
        self.run.insert(id.as_str());
        Ok(())
    }

    fn nothing_is_left(&self) -> Result<()> {
        let left: Vec<&&str> = self.wanted.keys().filter(|id| !self.run.contains(*id)).collect();
        ensure!(left.is_empty(), "listed as run, and no fault of the drill tells people to run it: {left:?}");
        Ok(())
    }
}

/// A command with the words in capitals replaced by what the configuration names, as a person does.
fn filled_in(world: &World, finding: &Finding, line: &str) -> String {
    let (ca, own) = if finding.subject.component() == "etcd" { ("etcd/ca", "etcd/vedette") } else { ("ca", "vedette") };
    let own = world.pki.leaf(own);
    let kubeconfig = rbac::vedette(&world.folder);
    [
        ("CA-FILE", world.pki.file(ca, "crt")),
        ("CLIENT-CERTIFICATE", own.cert),
        ("CLIENT-KEY", own.key),
        ("VEDETTE-KUBECONFIG", kubeconfig),
    ]
    .iter()
    .fold(line.to_owned(), |line, (word, path)| line.replace(word, &path.display().to_string()))
}

fn subject(text: &str) -> Subject {
    text.parse().expect("the drill writes subjects as the inventory does")
}

fn member(n: u8) -> Subject {
    subject(&format!("prod/etcd/main/etcd-{n}"))
}

fn addresses() -> BTreeMap<Subject, String> {
    let api = |n: u8| (subject(&format!("prod/apiserver/api-{n}")), format!("{}:6443", Place::Api(n).ip()));
    let members = (1..=3).map(|n| (member(n), format!("{}:2379", Place::Etcd(n).ip())));
    let vip = (subject("prod/vip"), format!("{}:6443", Place::Vip.ip()));
    members.chain([api(1), api(2), vip]).collect()
}

fn of(rule: RuleId, about: &str, evidence: Evidence) -> Finding {
    Finding {
        rule,
        subject: subject(about),
        level: Level::Critical,
        since: UnixTime::from_secs(0),
        hold: Duration::ZERO,
        path_unproven: false,
        evidence,
    }
}

fn quorum_lost() -> Finding {
    let silent = vec![(member(2), REFUSED), (member(3), REFUSED)];
    let evidence = Evidence::Quorum { needed: 2, answering: vec![member(1)], silent, leaderless: false, unwatched: 0 };
    of(RuleId::F01, "prod/etcd/main", evidence)
}

fn apart() -> Finding {
    let apart = vec![Apart { member: member(3), how: Apartness::NoLeader { term: 7 } }];
    of(RuleId::F03, "prod/etcd/main", Evidence::Split { leader: "etcd-1".into(), term: 8, following: 2, of: 3, apart })
}

fn not_listed() -> Finding {
    let found = vec![Mismatch::NotListed(vec![member(3)])];
    of(RuleId::F57, "prod/etcd/main", Evidence::Mismatch { found, of: 3 })
}

fn alarm(rule: RuleId, kind: AlarmKind) -> Finding {
    let evidence = Evidence::Alarm {
        kind,
        raised_by: vec!["etcd-2".into()],
        db_size_bytes: None,
        db_quota_bytes: None,
        beside: Vec::new(),
    };
    of(rule, "prod/etcd/main", evidence)
}

fn not_ready(rule: RuleId, part: &str) -> Finding {
    let parts = vec![(subject("prod/apiserver/api-1"), vec![part.to_owned()])];
    of(rule, "prod", Evidence::NotReady { parts, of: 2, etcd_agrees: Some(true) })
}

fn foreign() -> Finding {
    let parts = vec![(subject("prod/apiserver/api-1"), Symptom::Status(503))];
    of(RuleId::F58, "prod", Evidence::Impostor { parts, bad: 1, of: 2 })
}

fn vip() -> Finding {
    let ready = vec![subject("prod/apiserver/api-1"), subject("prod/apiserver/api-2")];
    of(RuleId::F23, "prod/vip", Evidence::Vip { symptom: Symptom::Silent(REFUSED), ready, reused_answers: false })
}

/// The shared address that fails at times.
fn partly_bad() -> Finding {
    let evidence = Evidence::Partial { symptom: Symptom::Silent(REFUSED), ready: 1, of: 2, extent: Default::default() };
    of(RuleId::F22, "prod/vip", evidence)
}

fn untrusted(reason: &str) -> Finding {
    let place = subject("prod/apiserver/api-1");
    let untrusted = Untrusted {
        place,
        expected: "api".into(),
        holder: "CN=api".into(),
        issuer: "CN=ca".into(),
        names: Vec::new(),
        not_before: UnixTime::from_secs(0),
        fingerprint: Fingerprint([1; 32]),
    };
    let evidence = Evidence::Untrusted { parts: vec![untrusted], trusted: Vec::new() };
    of(RuleId::F27, &format!("prod/chain/{reason}"), evidence)
}

fn slow() -> Finding {
    let evidence = Evidence::Slow {
        parts: vec![(subject("prod/apiserver/api-1"), Duration::from_secs(2))],
        total: Duration::from_secs(2),
        dominating: None,
        traffic: Traffic::All,
        looks: 3,
        awaited: Vec::new(),
        slow: 1,
        of: 2,
    };
    of(RuleId::F49, "prod", evidence)
}

fn unread(path: &str) -> Finding {
    let faults = vec![(path.to_owned(), vedette::model::stored::FileFault::Forbidden)];
    let evidence =
        Evidence::Unread { path: path.to_owned(), faults, more: 0, own: None, first_end: None, last_read: None };
    of(RuleId::F28, "prod/stored/7c7c7c7c7c7c7c7c", evidence)
}

fn refused(about: &str, cause: Cause) -> Finding {
    let unseen = Unseen { phase: Phase::FirstByte, cause };
    let evidence = Evidence::Refused { unseen, own_flaw: None, by: Vec::new(), trust: None };
    of(RuleId::F52, about, evidence)
}

fn stale(path: &str) -> Finding {
    let evidence = Evidence::Stale {
        served: Fingerprint([1; 32]),
        stored: Fingerprint([2; 32]),
        path: path.to_owned(),
        source: None,
        served_ends: UnixTime::from_secs(0),
        stored_ends: UnixTime::from_secs(0),
    };
    of(RuleId::F54, "prod/apiserver/api-1", evidence)
}
