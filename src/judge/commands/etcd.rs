//! etcd: commands that show the members' status, and commands that free space.
//!
//! Every line asks through one host, since etcdctl and its key are there and not where vedette runs.

use crate::model::subject::Subject;

use super::layout::{Etcdctl, Layout};
use super::{Command, Commands, Id};

impl Commands<'_> {
    /// What the lines below need before them: etcdctl as the host of `via` has it.
    pub(in crate::judge) fn etcdctl(&self, via: &Subject) -> Vec<Command> {
        let Some(Layout { crictl, etcdctl, .. }) = self.layout() else { return Vec::new() };
        let (sudo, login) = (self.sudo(), self.login(&self.host(via)));
        let (call, note) = match (etcdctl, crictl) {
            (Etcdctl::Container(name, call), Some(crictl)) => (
                format!("{sudo}{crictl} exec \\$({sudo}{crictl} ps -q --name '^{name}\\$' | head -1) {call}"),
                "for the lines below; name another host where etcd does not run on this one",
            ),
            (Etcdctl::Container(_, call) | Etcdctl::Host(call), _) => {
                (format!("{sudo}{call}"), "for the lines below; put an etcdctl there first, none is installed with it")
            }
        };
        vec![Command::read(Id::Etcdctl, format!("etcdctl() {{ {login} \"{call} $*\"; }}")).note(note)]
    }

    /// Term, leader, size and errors of each member.
    pub(in crate::judge) fn etcd_status(&self, members: &[Subject]) -> Command {
        self.call(Id::EtcdStatus, members, "endpoint status -w table", "status")
    }

    /// The members as etcd lists them.
    pub(in crate::judge) fn etcd_members(&self, members: &[Subject]) -> Command {
        self.call(Id::EtcdMembers, members, "member list -w table", "members")
    }

    /// Every alarm that is raised.
    pub(in crate::judge) fn etcd_alarms(&self, members: &[Subject]) -> Command {
        self.call(Id::EtcdAlarms, members, "alarm list", "alarm list")
    }

    /// Commands while CORRUPT is raised: they only read and compare.
    pub(in crate::judge) fn while_corrupt(&self, members: &[Subject]) -> Vec<Command> {
        let mut commands = members.first().map(|via| self.etcdctl(via)).unwrap_or_default();
        commands.extend([self.etcd_alarms(members), self.etcd_status(members)]);
        if self.layout().is_some() {
            let hashes = self.call(Id::EtcdHashes, members, "endpoint hashkv -w table", "");
            commands.push(hashes.note("equal revisions must have equal hashes"));
        }
        commands
    }

    /// A copy of the data as it is, before anything is done to it.
    pub(in crate::judge) fn copy_data(&self, member: &Subject, note: &str) -> Command {
        let host = self.host(member);
        let line = self.layout().map_or_else(
            || format!("talosctl -n {host} cp /var/lib/etcd etcd-before-{host}"),
            |layout| self.on(&host, &format!("{}cp -a {} /root/etcd-before", self.sudo(), layout.data)),
        );
        Command::change(Id::CopyData, line).note(note)
    }

    /// A backup of the keys through `member`.
    pub(in crate::judge) fn snapshot(&self, member: &Subject) -> Command {
        let host = self.host(member);
        let line = match self.layout() {
            None => format!("talosctl -n {host} etcd snapshot before.db"),
            Some(Layout { save: Some(save), .. }) => self.on(&host, &format!("{}{save}", self.sudo())),
            // The container sees the host's data folder and nothing else of its files.
            Some(Layout { data, .. }) => {
                self.ctl(std::slice::from_ref(member), &format!("snapshot save {data}/before.db"))
            }
        };
        Command::change(Id::EtcdSnapshot, line).note("a backup before anything else; then move it to another disk")
    }

    /// Old revisions go; their space is free inside the file only.
    pub(in crate::judge) fn compact(&self, member: &Subject) -> Vec<Command> {
        if self.layout().is_none() {
            return Vec::new();
        }
        let one = std::slice::from_ref(member);
        let revision = self.ctl(one, "get / --limit=1 --keys-only -w fields");
        vec![
            Command::change(
                Id::EtcdRevision,
                format!("rev=$({revision} | awk '/\"Revision\"/ {{print $3}}'); echo $rev"),
            ),
            Command::change(Id::EtcdCompact, self.ctl(one, "compact --physical \"$rev\"")),
        ]
    }

    /// The space of old revisions is given back to the disk: a line for each member, the leader last.
    pub(in crate::judge) fn defragment(&self, members: &[Subject]) -> Vec<Command> {
        let mut ordered: Vec<&Subject> = members.iter().collect();
        ordered.sort_by_key(|member| self.hosts.leaders.contains(member));
        let last = ordered.len().saturating_sub(1);
        let line = |(at, member): (usize, &Subject)| {
            let line = self.layout().map_or_else(
                || format!("talosctl -n {} etcd defrag", self.host(member)),
                |_| self.ctl(std::slice::from_ref(member), "--command-timeout=5m defrag"),
            );
            let note = match (at, self.hosts.leaders.contains(member)) {
                (0, false) => {
                    Some("10 to 40 s per GB without an answer; wait until it is healthy again, then the next")
                }
                (_, true) if at == last => Some("the leader last"),
                (at, _) if at == last && last > 0 => Some("vedette did not see which of them leads: that one last"),
                _ => None,
            };
            let command = Command::change(Id::EtcdDefragment, line);
            note.map_or_else(|| command.clone(), |note| command.clone().note(note))
        };
        ordered.into_iter().enumerate().map(line).collect()
    }

    /// Ends every alarm, so the list comes first.
    pub(in crate::judge) fn disarm(&self, member: &Subject) -> [Command; 2] {
        let one = std::slice::from_ref(member);
        let disarm = match self.layout() {
            None => format!("talosctl -n {} etcd alarm disarm", self.host(member)),
            Some(_) => self.ctl(one, "alarm disarm"),
        };
        [
            self.etcd_alarms(one).note("must name NOSPACE alone: disarm ends every alarm, CORRUPT too").below(),
            Command::change(Id::EtcdDisarm, disarm).note("when every member is well under its quota"),
        ]
    }

    /// Takes a member off the list through `member`.
    pub(in crate::judge) fn remove(&self, member: &Subject, id: &str) -> Command {
        let line = match self.layout() {
            None => format!("talosctl -n {} etcd remove-member {id}", self.host(member)),
            Some(_) => self.ctl(std::slice::from_ref(member), &format!("member remove {id}")),
        };
        Command::change(Id::EtcdRemove, line).note("only if it is not to come any more")
    }

    fn call(&self, id: Id, members: &[Subject], etcdctl: &str, talosctl: &str) -> Command {
        let line = match self.layout() {
            None => format!("talosctl -n {} etcd {talosctl}", self.host_names(members).join(",")),
            Some(_) => self.ctl(members, etcdctl),
        };
        Command::read(id, line)
    }

    fn ctl(&self, members: &[Subject], call: &str) -> String {
        let endpoints: Vec<String> = members.iter().map(|member| format!("https://{}", self.address(member))).collect();
        format!("etcdctl --endpoints={} {call}", endpoints.join(","))
    }
}
