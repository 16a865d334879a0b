//! `tests/commands.list`: which drill runs a command, and what it must show.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use vedette::judge::commands::{Command, Commands, Id};
use vedette::model::addresses::Addresses;
use vedette::model::host_access::Hosts;
use vedette::model::verdict::Finding;

use crate::host::Done;

/// What one drill has to run of the list, and what it has run.
pub(super) struct List {
    hosts: Hosts,
    wanted: BTreeMap<String, (Vec<i32>, Vec<String>)>,
    run: BTreeSet<&'static str>,
    faults: Vec<String>,
}

impl List {
    /// The commands that the list gives to the drill `drill`, made for `hosts`.
    pub(super) fn of(drill: &str, hosts: Hosts) -> Result<Self> {
        let mut wanted = BTreeMap::new();
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands.list"))?;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((id, of, rest)) = columns(line).filter(|(_, of, _)| *of == drill) else { continue };
            let (codes, shows) = rest.split_once(' ').unwrap_or((rest, ""));
            let parsed: Result<Vec<i32>, _> = codes.split(',').map(str::parse).collect();
            let shows = shows.trim().split('|').map(str::to_owned).collect();
            wanted.insert(id.to_owned(), (parsed.with_context(|| format!("{id}, of {of}: {codes}"))?, shows));
        }
        Ok(Self { hosts, wanted, run: BTreeSet::new(), faults: Vec::new() })
    }

    /// What a mail about `finding` tells people to run, in its order, as far as it is this drill's.
    pub(super) fn commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<Command> {
        let mut next = self.everything(finding, addresses);
        next.retain(|command| self.wanted.contains_key(command.id.as_str()));
        next
    }

    /// What a mail about `finding` tells people to run, in its order.
    pub(super) fn everything(&self, finding: &Finding, addresses: &Addresses) -> Vec<Command> {
        finding.next_commands(&Commands::new(addresses, &self.hosts))
    }

    /// Holds what `commands` did against what they must show. What they do not is told at the end, all of it at once.
    pub(super) fn judge(&mut self, finding: &Finding, commands: &[Command], done: &[Done]) {
        for (command, done) in commands.iter().zip(done) {
            if let Err(fault) = self.judge_one(command.id, done) {
                self.faults.push(format!("{}: {}\n{fault:#}", finding.rule, command.line));
            }
        }
    }

    fn judge_one(&mut self, id: Id, done: &Done) -> Result<()> {
        let (codes, shows) = &self.wanted[id.as_str()];
        ensure!(codes.contains(&done.code), "code {}:\n{}", done.code, done.said);
        let is_number = |line: &str| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
        let is_shown = shows.iter().any(|text| match text.as_str() {
            "@@nothing" => done.said.is_empty(),
            "@@digits" => !done.said.is_empty() && done.said.lines().all(is_number),
            text => done.said.contains(text),
        });
        ensure!(is_shown, "none of {shows:?} is in what it shows:\n{}", done.said);
        self.run.insert(id.as_str());
        Ok(())
    }

    /// That every command of a drill that ended with `outcome` was run and showed what it must.
    pub(super) fn conclude(&self, outcome: Result<()>) -> Result<()> {
        if !self.faults.is_empty() {
            let ended = outcome.err().map_or_else(String::new, |error| format!("\n\nand the drill: {error:#}"));
            bail!("{} commands fail:\n\n{}{ended}", self.faults.len(), self.faults.join("\n\n"));
        }
        outcome?;
        let left: Vec<&String> = self.wanted.keys().filter(|id| !self.run.contains(id.as_str())).collect();
        ensure!(left.is_empty(), "listed as run, and no fault of the drill tells people to run it: {left:?}");
        Ok(())
    }
}

/// A line as its command, its drill and the rest.
fn columns(line: &str) -> Option<(&str, &str, &str)> {
    let (id, rest) = line.split_once(' ')?;
    let (of, rest) = rest.trim_start().split_once(' ')?;
    Some((id, of, rest.trim()))
}
