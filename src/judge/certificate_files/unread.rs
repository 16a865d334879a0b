//! The evidence that watched files cannot be read, its words, and when it is given.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::judge::commands::{Command, Commands};
use crate::judge::context::RuleContext;
use crate::judge::phrases;
use crate::model::addresses::Addresses;
use crate::model::certificate_files::{FileFault, SourceReading};
use crate::model::finding::{Evidence, Finding, Kind};
use crate::model::inventory::{FileWatch, Own};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::time::UnixTime;
use crate::model::verdict::{Verdict, Why};
use crate::observe::certificate_files::{FilesView, SourceState};

use super::ends::MAX_PATHS;
use super::own::{effect, proves_us};

/// Watched files that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// What the configuration names.
    pub path: String,
    /// Files and what is wrong with them.
    pub faults: Vec<(String, FileFault)>,
    /// Files beyond those.
    pub more: usize,
    /// What vedette itself uses them for.
    pub own: Option<Box<Own>>,
    /// The first end among what was last read.
    pub first_end: Option<UnixTime>,
    /// When that was.
    pub last_read: Option<UnixTime>,
}

impl Kind for Unread {
    const TAG: &'static str = "unread";
}

impl Evidence for Unread {
    fn headline(&self, _: &Finding) -> String {
        format!("cannot read {}", phrases::fit(&self.path, 36))
    }

    fn what(&self, _: &Finding, _: &Addresses) -> String {
        let Self { path, faults, more, last_read, first_end, .. } = self;
        let named: Vec<String> = faults.iter().map(|(path, fault)| format!("{path} {}", fault.words())).collect();
        let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
        let read = last_read.map_or_else(
            || " It was never read since vedette started.".to_owned(),
            |at| format!(" It was last read at {at}."),
        );
        let end = first_end
            .map_or_else(String::new, |end| format!(" What was known then still counts: the first expiry is {end}."));
        format!("Monitored files cannot be read: {}{more} (configured as {path}).{read}{end}", named.join("; "))
    }

    fn impact(&self, _: &Finding) -> String {
        match &self.own {
            Some(own) => format!("When what vedette holds in memory is lost: {}", effect(own)),
            None => {
                "For users: nothing. Until it can be read again, neither its expiry nor a renewal is monitored.".into()
            }
        }
    }

    fn likely_cause(&self, _: &Finding) -> String {
        "The files were moved, removed, or made unreadable for the user that vedette runs as.".into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let path = self.faults.first().map_or("FILE", |(path, _)| path.as_str());
        vec![commands.path_to(path), commands.check()]
    }

    /// Without our credential a server refuses us.
    fn is_cause(&self) -> bool {
        proves_us(self.own.as_deref())
    }

    fn file(&self) -> Option<&str> {
        Some(&self.path)
    }
}

/// Whether the source of that name can be read.
pub(super) fn judge_source(
    context: &RuleContext<'_>,
    files_view: Option<&FilesView>,
    subject: Subject,
    name: &Name,
    watch: &FileWatch,
) -> Verdict {
    let seen = files_view.and_then(|files_view| {
        let source = files_view.reading().sources.iter().find(|source| source.name == *name)?;
        Some((files_view, source, files_view.source_states().get(name)?))
    });
    let Some((files_view, source, subject_state)) = seen else { return Verdict::Unknown(Why::NeverSeen) };
    if !subject_state.is_faulty && is_unexamined(context, files_view, &subject, source, watch) {
        return Verdict::Unknown(Why::Unclear);
    }
    readable(context, files_view, subject, source, subject_state, watch)
}

/// Whether something that was raised as unreadable was not examined since, because a limit left it out.
fn is_unexamined(
    context: &RuleContext<'_>,
    files_view: &FilesView,
    subject: &Subject,
    source: &SourceReading,
    watch: &FileWatch,
) -> bool {
    let raised = context.raised_of(RuleId::F28, subject).and_then(Finding::seen::<Unread>);
    let Some(Unread { faults, more, .. }) = raised else { return false };
    // The place itself was read where the reading shows anything in it.
    let is_shown = |path: &str| {
        let is_whole = path == watch.path && !source.files.is_empty();
        is_whole || source.files.iter().any(|file| *file.path == *path)
    };
    let not_shown: Vec<String> = faults.iter().map(|(path, _)| path).filter(|path| !is_shown(path)).cloned().collect();
    let may_hide = |paths: &[String]| files_view.may_hide(Some(&source.name), paths);
    // Where not all files are known by name, any could be one of them.
    *more > 0 && may_hide(&[]) || !not_shown.is_empty() && may_hide(&not_shown)
}

fn readable(
    context: &RuleContext<'_>,
    files_view: &FilesView,
    subject: Subject,
    source: &SourceReading,
    subject_state: &SourceState,
    watch: &FileWatch,
) -> Verdict {
    if !subject_state.is_faulty {
        return Verdict::Good { since: subject_state.since, until: files_view.at(), probes: subject_state.probes };
    }
    if subject_state.probes < context.policy().unread_probes {
        return Verdict::Unknown(Why::Suspected { since: subject_state.since });
    }
    let whole = source.fault.map(|fault| (watch.path.clone(), fault));
    let files = || source.files.iter().filter_map(|file| Some((file, file.fault?)));
    let all: Vec<_> =
        whole.into_iter().chain(files().map(|(file, trouble)| (file.path.to_string(), trouble.fault))).collect();
    let lives = source.files.iter().flat_map(|file| file.items.iter()).filter_map(|item| item.life);
    let first_end = lives.map(|life| life.not_after).filter(|end| !end.is_endless()).min();
    let last_read = files().filter_map(|(_, trouble)| trouble.last_read).max();
    let more = all.len().saturating_sub(MAX_PATHS);
    Verdict::Bad(Finding {
        rule: RuleId::F28,
        subject,
        level: Level::Warning,
        since: subject_state.since.wall,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Arc::new(Unread {
            path: watch.path.clone(),
            faults: all.into_iter().take(MAX_PATHS).collect(),
            more,
            own: watch.own.clone().map(Box::new),
            first_end,
            last_read,
        }),
    })
}
