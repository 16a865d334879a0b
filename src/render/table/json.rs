//! The same pass for programs. Field names are stable: new ones may be added, none changes its meaning.
//!
//! ```json
//! {
//!   "state": "CRITICAL", "exit_code": 2, "summary": "prod: …", "at": "2026-11-20T12:00:00Z", "vantage": "bastion-1",
//!   "findings": [{"rule": "F02", "severity": "warning", "subject": "prod/etcd/main/etcd-3", "since": "…",
//!                 "headline": "prod: …", "path_unproven": false}],
//!   "unknowns": [{"rule": "F24", "subject": "prod", "why": "unclear"}],
//!   "probes": [{"subject": "…", "cluster": "prod", "component": "etcd", "instance": "etcd-3", "address": "host:port",
//!              "probe": "etcd_status", "connection": "new", "at": "…", "outcome": "unreachable", "result": "…",
//!              "failed": {"phase": "connect", "cause": "timeout"}, "phases_seconds": {"connect": 1.0},
//!              "total_seconds": 1.0,
//!              "certificate": {"not_after": "…", "days_left": 39.9, "trust": "trusted", "subject": "…",
//!                              "fingerprint": "…"},
//!              "etcd_status": {"version": "3.6.16", "raft_term": 4, "db_quota_bytes": null, …}}]
//! }
//! ```
//!
//! `cluster` is null for what belongs to the vantage, `failed` for probes that got an answer, `certificate` for probes
//! that made no handshake (in it, `not_after` and `days_left` for a certificate without end), `etcd_status` for all but
//! the answers of etcd members to a status probe; in it, what the member's version does not report is null. Times are
//! RFC 3339 in UTC.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::etcd::MemberStatus;
use crate::model::rule::Level;

use super::row::{End, Row};
use super::rows::rows;
use super::summary::{State, reason, said, sentence};
use super::{Pass, printable};

#[derive(Serialize)]
struct Report {
    state: &'static str,
    exit_code: u8,
    summary: String,
    at: String,
    vantage: String,
    findings: Vec<FindingReport>,
    unknowns: Vec<UnknownReport>,
    probes: Vec<ProbeReport>,
}

#[derive(Serialize)]
struct FindingReport {
    rule: &'static str,
    severity: Level,
    subject: String,
    since: String,
    headline: String,
    path_unproven: bool,
}

#[derive(Serialize)]
struct UnknownReport {
    rule: &'static str,
    subject: String,
    why: &'static str,
}

#[derive(Serialize)]
struct ProbeReport {
    subject: String,
    cluster: Option<String>,
    component: &'static str,
    instance: String,
    address: String,
    probe: &'static str,
    connection: &'static str,
    at: String,
    outcome: &'static str,
    result: String,
    failed: Option<FailureReport>,
    phases_seconds: BTreeMap<&'static str, f64>,
    total_seconds: f64,
    certificate: Option<CertificateReport>,
    etcd_status: Option<MemberStatus>,
}

#[derive(Serialize)]
struct FailureReport {
    phase: &'static str,
    cause: &'static str,
}

#[derive(Serialize)]
struct CertificateReport {
    not_after: Option<String>,
    days_left: Option<f64>,
    trust: &'static str,
    subject: String,
    fingerprint: String,
}

/// The pass as one JSON document, indented, with a line break at its end.
#[must_use]
pub fn json(pass: Pass<'_>) -> String {
    let mut text = serde_json::to_string_pretty(&report(pass)).expect("texts, numbers and lists always serialise");
    text.push('\n');
    text
}

fn report(pass: Pass<'_>) -> Report {
    let state = State::of(pass);
    let findings = pass.findings.iter().map(|finding| FindingReport {
        rule: finding.rule.as_str(),
        severity: finding.level,
        subject: finding.subject.to_string(),
        since: finding.since.to_string(),
        headline: printable(&sentence(pass, finding)),
        path_unproven: finding.path_unproven,
    });
    let unknowns = pass.unknowns.iter().map(|unknown| UnknownReport {
        rule: unknown.rule.as_str(),
        subject: unknown.subject.to_string(),
        why: reason(unknown.why),
    });
    Report {
        state: state.as_str(),
        exit_code: state.exit_code(),
        summary: printable(&said(pass, state)),
        at: pass.now.wall.to_string(),
        vantage: pass.inventory.vantage.clone(),
        findings: findings.collect(),
        unknowns: unknowns.collect(),
        probes: rows(pass).into_iter().map(report_of).collect(),
    }
}

fn report_of(row: Row) -> ProbeReport {
    ProbeReport {
        cluster: row.subject.cluster().map(ToString::to_string),
        component: row.subject.component(),
        instance: row.subject.short().to_owned(),
        subject: row.subject.to_string(),
        address: row.address,
        probe: row.probe.kind.as_str(),
        connection: row.probe.connection.as_str(),
        at: row.at.to_string(),
        outcome: row.saw.as_str(),
        result: row.result,
        failed: row.unseen.map(|unseen| FailureReport { phase: unseen.phase.as_str(), cause: unseen.cause.as_str() }),
        phases_seconds: row.phases.reached().map(|(phase, spent)| (phase.as_str(), spent.as_secs_f64())).collect(),
        total_seconds: row.phases.total().as_secs_f64(),
        certificate: row.end.map(certificate),
        etcd_status: row.status,
    }
}

fn certificate(end: End) -> CertificateReport {
    CertificateReport {
        not_after: end.not_after.map(|end| end.to_string()),
        days_left: end.days_left,
        trust: end.trust.as_str(),
        subject: end.holder,
        fingerprint: end.fingerprint,
    }
}
