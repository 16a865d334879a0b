//! F08: the etcd database comes close to its quota, or will soon at the rate it grows.
//!
//! The quota is what the member reports (etcd 3.6 and later), else the configured one; etcd's default is assumed
//! nowhere, because with a raised quota the alarm would come too early and with a lowered one too late. Without a quota
//! this rule reports nothing, and F53 reports the gap.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::etcd::{EtcdAlarmKind, Fill};
use crate::model::finding::{Evidence, Kind};
use crate::model::policy::{Policy, QuotaTier};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::Run;

use super::commands::{Command, Commands};
use super::context::{RuleContext, all_good};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::quorum::etcd_name;
use super::stored::{ReadBack, Stored};
use super::{Rule, nospace, phrases};

/// F08: little room is left under the quota.
pub struct NearQuota;

/// What stops working, whatever was seen.
const IMPACT: &str = "Nothing fails yet. At 100 % etcd raises a NOSPACE alarm and rejects writes: deploys, scaling, \
    controllers' leader elections and node leases stop, and it does not recover by itself.";

/// The likely cause where nothing more is known.
const LIKELY_CAUSE: &str = "Something writes or keeps too much, or free space inside the file was never given back \
    by defragmentation.";

/// The fullest member of an etcd cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quota(pub Fill);

impl Kind for Quota {
    const TAG: &'static str = "quota";
}

impl Evidence for Quota {
    fn headline(&self, finding: &Finding) -> String {
        format!("{} database is close to its quota", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let Self(fill) = self;
        let source = if fill.is_quota_told { "" } else { " (quota as configured; this etcd does not report it)" };
        let used = fill.in_use_bytes.map(|used| format!(" In use: {}.", phrases::bytes(used)));
        let forecast = match (fill.growth_per_hour, fill.full_in) {
            (_, Some(left)) => format!(
                " Growing {}/h: full in {}.",
                phrases::bytes(fill.growth_per_hour.unwrap_or_default()),
                roughly(left)
            ),
            (Some(_), None) => " Not growing at present.".to_owned(),
            (None, None) => " Growth not known yet.".to_owned(),
        };
        format!(
            "The database of {etcd} is at {} % of its quota: {} of {} on {}{source}.{}{forecast}",
            fill.percent(),
            phrases::bytes(fill.size_bytes),
            phrases::bytes(fill.quota_bytes),
            phrases::place(&fill.member, addresses),
            used.unwrap_or_default()
        )
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        if self.0.is_corrupt {
            return nospace::HANDS_OFF.into();
        }
        match self.0.in_use_bytes {
            Some(used) if used.saturating_mul(2) < self.0.size_bytes => {
                "More than half of the file is free space inside it: defragmentation gives it back."
            }
            Some(_) => {
                "Most of the file is in use: something writes or keeps too much (events, leases, a controller in a \
                 loop, \
                 large custom resources, no compaction). Find and stop it; defragmentation alone gives back little. Last resort: raise --quota-backend-bytes (8 GiB at most is recommended)."
            }
            None => {
                LIKELY_CAUSE
            }
        }
        .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let members = commands.members(&finding.subject);
        let Some(one) = members.first() else { return Vec::new() };
        if self.0.is_corrupt {
            return commands.while_corrupt(&members);
        }
        let mut next = commands.etcdctl(one);
        next.extend([commands.etcd_status(&members), commands.objects(), commands.room(one), commands.snapshot(one)]);
        next.extend(commands.defragment(&members));
        next
    }

    fn concerned(&self) -> Vec<Subject> {
        vec![self.0.member.clone()]
    }
}

/// Whole hours, or minutes below two hours, because a forecast is not exact.
fn roughly(left: Duration) -> String {
    let minutes = left.as_secs() / 60;
    if minutes < 120 { format!("about {minutes} min") } else { format!("about {} h", minutes / 60) }
}

impl Rule for NearQuota {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F08,
            name: "EtcdQuotaLowSpace",
            in_short: "etcd quota",
            title: "etcd database close to its quota",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Etcd,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Quota>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        context.etcds().into_iter().map(|etcd| (etcd.clone(), judge_fill(context, etcd))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, lines, member};

        Sample::of(
            "prod-eu1/etcd/etcd",
            Level::Warning,
            Arc::new(Quota(Fill {
                member: member("etcd-2"),
                size_bytes: 1_717_986_918,
                quota_bytes: 2_147_483_648,
                is_quota_told: true,
                in_use_bytes: Some(1_610_612_736),
                growth_per_hour: Some(62_914_560),
                full_in: Some(Duration::from_secs(24_576)),
                is_corrupt: false,
            })),
        )
        .probes(vec![lines::healthy(1), lines::healthy(2), lines::healthy(3)])
    }
}

fn judge_fill(context: &RuleContext<'_>, etcd: Subject) -> Verdict {
    let members = context.members(&etcd);
    let policy = context.policy();
    // A member that cannot be seen may be the fullest: it does not count for a warning, and prevents an all-clear.
    let runs: Vec<Option<Run>> =
        members.iter().map(|member| context.subject_state(member, Aspect::Answer).good().copied()).collect();
    let seen = members.iter().zip(&runs).filter(|(_, run)| run.is_some()).map(|(member, _)| member);
    let fills: Vec<Fill> = seen.filter_map(|member| fill(context, &etcd, member)).collect();
    let worst = fills
        .iter()
        .filter_map(|fill| Some((tier(policy, fill)?, fill)))
        .max_by_key(|(level, fill)| (*level, fill.permille()));
    let Some((level, worst)) = worst else {
        let all: Option<Vec<&Run>> = runs.iter().map(Option::as_ref).collect();
        let is_clear = fills.len() == members.len()
            && fills.iter().zip(&members).all(|(fill, member)| is_clear(context, fill, member));
        let good = all.filter(|_| is_clear).and_then(all_good);
        return good.unwrap_or(Verdict::Unknown(if fills.is_empty() { Why::NeverSeen } else { Why::Unclear }));
    };
    Verdict::Bad(Finding {
        rule: RuleId::F08,
        subject: etcd,
        level,
        since: context.now.wall,
        hold: policy.quota_hold,
        path_unproven: false,
        evidence: Arc::new(Quota(worst.clone())),
    })
}

/// The size of a member's file and what of it is in use, by its status, else by the page of its metrics listener while
/// that is fresh.
fn size(context: &RuleContext<'_>, member: &Subject) -> Option<(u64, Option<u64>)> {
    if let Some((_, status)) = context.view.status(member) {
        return Some((status.db_size_bytes, status.db_in_use_bytes));
    }
    let (at, page) = context.view.metrics(member)?;
    let is_fresh = context.now.mono.since(at.mono) <= context.policy().etcd_metrics_interval * PAGES;
    Some((page.db_size_bytes.filter(|_| is_fresh)?, page.db_in_use_bytes))
}

/// A size from the metrics is used until two pages after it have been missed.
const PAGES: u32 = 3;

/// How full a member is; `None` without a quota or before its first Status or page.
fn fill(context: &RuleContext<'_>, etcd: &Subject, member: &Subject) -> Option<Fill> {
    let (size_bytes, in_use_bytes) = size(context, member)?;
    let configured = context.quota(etcd);
    let told = context.view.facts(member).quota.map(|quota| quota.bytes);
    let quota_bytes = told.or(configured)?;
    let growth = context.view.sizes(member).and_then(|sizes| sizes.growth_per_hour());
    let growth_per_hour = growth.map(|growth| u64::try_from(growth).unwrap_or(0));
    let room = quota_bytes.saturating_sub(size_bytes);
    let full_in = growth_per_hour
        .filter(|growth| *growth > 0)
        .map(|growth| Duration::from_secs(room.saturating_mul(3600) / growth))
        .filter(|left| *left <= FARTHEST);
    Some(Fill {
        member: member.clone(),
        size_bytes,
        quota_bytes,
        is_quota_told: told.is_some(),
        in_use_bytes,
        growth_per_hour,
        full_in,
        is_corrupt: context.view.alarms(etcd).iter().any(|alarm| alarm.kind == EtcdAlarmKind::Corrupt),
    })
}

/// An hour of samples is not enough for a forecast of a month.
const FARTHEST: Duration = Duration::from_secs(30 * 86_400);

fn tier(policy: &Policy, fill: &Fill) -> Option<Level> {
    let reaches = |tier: &&QuotaTier| {
        let is_soon = tier.full_within.is_some_and(|within| fill.full_in.is_some_and(|left| left < within));
        fill.permille() >= tier.permille || is_soon
    };
    policy.quota_tiers.iter().filter(reaches).map(|tier| tier.level).max()
}

/// Well below every tier, so that a size or a forecast near a tier is not mailed each time it crosses it. An unknown
/// growth clears nothing, except when space was just given back.
fn is_clear(context: &RuleContext<'_>, fill: &Fill, member: &Subject) -> bool {
    let shrank = context.view.sizes(member).is_some_and(crate::observe::database_growth::DatabaseGrowth::shrank);
    (fill.growth_per_hour.is_some() || shrank)
        && context.policy().quota_tiers.iter().all(|tier| {
            let is_soon = tier.full_within.is_some_and(|within| fill.full_in.is_some_and(|left| left < within * 3 / 2));
            fill.permille() + MARGIN < tier.permille && !is_soon
        })
}

/// In thousandths of the quota.
const MARGIN: u64 = 20;
