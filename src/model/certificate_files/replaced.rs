//! Which stored items were replaced by another one of the same source, so that nobody has to act when they end.
//!
//! Certificates of one subject and issuer, or of one key, follow each other: in one folder, or with the older one in a
//! folder whose name marks it as a backup. All others stay, because in the folders of several hosts, certificates with
//! the same names end independently. Sorts and searches, so that a hundred thousand items of one subject take no longer
//! than reading them.

use std::collections::BTreeMap;

use super::backup_names::{self, FileHint, FolderHint};
use super::{Item, ItemKind};
use crate::model::digest::stable_hash;
use crate::model::time::UnixTime;

/// An item and where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    /// What it is called by whoever asks.
    pub(super) at: usize,
    pub(super) source: u32,
    pub(super) path: &'a str,
    pub(super) item: &'a Item,
}

/// Which of `items` were replaced, by what they are called.
pub(super) fn replaced<'a>(items: &(impl Iterator<Item = Placed<'a>> + Clone)) -> Vec<usize> {
    let mut replaced = Vec::new();
    for relation in [Relation::Holder, Relation::Key] {
        let mut alike: Vec<((u32, u64), Placed<'a>)> =
            items.clone().filter_map(|placed| Some(((placed.source, relation.of(placed.item)?), placed))).collect();
        alike.sort_by_key(|(group, _)| *group);
        // Most belong to no group, so their places need not be compared.
        for group in alike.chunk_by(|one, other| one.0 == other.0).filter(|group| group.len() > 1) {
            let group: Vec<Member<'a>> = group.iter().filter_map(|(_, placed)| Member::of(*placed)).collect();
            replaced.extend(Group::of(&group, relation).replaced(&group));
        }
    }
    replaced
}

/// What makes one item the successor of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// The same subject by the same issuer, in the same part.
    Holder,
    /// The same key. Of CAs also the same subject: what they signed names it.
    Key,
}

impl Relation {
    /// Equal for those that may follow each other; `None` for what has no successor of this kind.
    fn of(self, item: &Item) -> Option<u64> {
        let part = match item.kind {
            ItemKind::Leaf | ItemKind::Client => "certificate",
            ItemKind::Token => "token",
            ItemKind::Authority | ItemKind::KubeconfigClient | ItemKind::TalosClient | ItemKind::KubeconfigToken => {
                item.kind.as_str()
            }
        };
        item.life?;
        match self {
            Self::Holder => Some(stable_hash(&[part, &item.holder, &item.issuer])),
            Self::Key => {
                let key = item.key?.to_string();
                let holder = if item.kind == ItemKind::Authority { item.holder.as_ref() } else { "" };
                Some(stable_hash(&[part, &key, holder]))
            }
        }
    }
}

/// One of several that may follow each other.
struct Member<'a> {
    placed: Placed<'a>,
    folder: &'a str,
    name: &'a str,
    hint: FileHint,
    /// The later, the newer.
    age: UnixTime,
}

impl<'a> Member<'a> {
    fn of(placed: Placed<'a>) -> Option<Self> {
        let life = placed.item.life?;
        let (folder, name) = placed.path.rsplit_once('/').unwrap_or(("", placed.path));
        // The later begun is the newer, also where it ends sooner; of CAs, which overlap for years and sign each
        // other, the one that lasts.
        let age = if placed.item.kind == ItemKind::Authority { life.not_after } else { life.not_before };
        Some(Self { placed, folder, name, hint: backup_names::file(name), age })
    }

    /// A file beside it with another name is not a copy that is still used. Of CAs several are in use at a time, and
    /// each kubeconfig or talosconfig has a user: of those only one whose name marks it as old was replaced.
    fn is_replaced_beside(&self) -> bool {
        match self.placed.item.kind {
            ItemKind::Leaf | ItemKind::Client | ItemKind::Token => true,
            ItemKind::Authority | ItemKind::KubeconfigClient | ItemKind::TalosClient | ItemKind::KubeconfigToken => {
                self.hint == FileHint::Kept
            }
        }
    }
}

/// The newest of several, and the newest that came another way.
#[derive(Default)]
struct Newest<'a> {
    first: Option<(UnixTime, &'a str)>,
    besides: Option<UnixTime>,
}

impl<'a> Newest<'a> {
    fn offer(&mut self, age: UnixTime, way: &'a str) {
        match self.first {
            Some((newest, known)) if known == way => self.first = Some((newest.max(age), way)),
            Some((newest, _)) if newest >= age => self.besides = self.besides.max(Some(age)),
            Some((newest, _)) => {
                self.besides = self.besides.max(Some(newest));
                self.first = Some((age, way));
            }
            None => self.first = Some((age, way)),
        }
    }

    fn not_by(&self, way: &str) -> Option<UnixTime> {
        self.first.filter(|(_, known)| *known != way).map(|(newest, _)| newest).or(self.besides)
    }

    fn at_all(&self) -> Option<UnixTime> {
        self.first.map(|(newest, _)| newest)
    }
}

/// The same in one folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Beside {
    /// Subject, issuer and names, or the key.
    Same(u64),
    /// Names may differ, as after a re-issue, when the file is called the same but for its age.
    Stem(String),
}

/// The newest of a group, by where they lie.
struct Group<'a> {
    relation: Relation,
    /// By folder; of those not kept, and of all. The way is the file.
    beside: BTreeMap<(&'a str, Beside), (Newest<'a>, Newest<'a>)>,
    /// Below each folder. The way is the folder in it, or nothing for what lies in it itself.
    below: BTreeMap<&'a str, Newest<'a>>,
}

impl<'a> Group<'a> {
    fn of(members: &[Member<'a>], relation: Relation) -> Self {
        let mut group = Self { relation, beside: BTreeMap::new(), below: BTreeMap::new() };
        for member in members {
            for beside in group.ways(member) {
                let (live, all) = group.beside.entry((member.folder, beside)).or_default();
                all.offer(member.age, member.placed.path);
                if member.hint != FileHint::Kept {
                    live.offer(member.age, member.placed.path);
                }
            }
        }
        if members
            .iter()
            .any(|member| above(member.folder).any(|(_, name)| backup_names::folder(name) != FolderHint::Live))
        {
            for member in members {
                for (folder, way) in above(member.folder) {
                    group.below.entry(folder).or_default().offer(member.age, way);
                }
            }
        }
        group
    }

    fn ways(&self, member: &Member<'_>) -> Vec<Beside> {
        let item = member.placed.item;
        match self.relation {
            Relation::Key => vec![Beside::Same(0)],
            Relation::Holder if item.kind.is_token() => vec![Beside::Same(item.identity)],
            Relation::Holder => vec![Beside::Same(item.identity), Beside::Stem(backup_names::stem(member.name))],
        }
    }

    fn replaced(&self, members: &[Member<'a>]) -> Vec<usize> {
        let is_replaced = |member: &&Member<'a>| self.is_replaced_beside(member) || self.is_replaced_elsewhere(member);
        members.iter().filter(is_replaced).map(|member| member.placed.at).collect()
    }

    fn is_replaced_beside(&self, member: &Member<'a>) -> bool {
        let by_key = self.relation == Relation::Key && member.placed.item.kind == ItemKind::Authority;
        if !by_key && !member.is_replaced_beside() {
            return false;
        }
        self.ways(member).into_iter().any(|beside| {
            let by_stem = matches!(beside, Beside::Stem(_));
            let Some((live, all)) = self.beside.get(&(member.folder, beside)) else { return false };
            let newest = if member.hint == FileHint::Kept { all } else { live };
            // Certificates of several servers in one file do not follow each other.
            let newest = if by_stem { newest.not_by(member.placed.path) } else { newest.at_all() };
            newest > Some(member.age)
        })
    }

    fn is_replaced_elsewhere(&self, member: &Member<'a>) -> bool {
        above(member.folder).any(|(base, name)| {
            let newest = match backup_names::folder(name) {
                FolderHint::Live => None,
                FolderHint::Kept => self.below.get(base).and_then(|below| below.not_by(name)),
                FolderHint::KeptOf(whose) => {
                    let before_name = member.folder.len() - member.folder[base.len()..].trim_start_matches('/').len();
                    let sibling = format!("{}{whose}", &member.folder[..before_name]);
                    self.below.get(&*sibling).and_then(Newest::at_all)
                }
            };
            newest > Some(member.age)
        })
    }
}

/// The folders on the way to `folder` and itself, each with the next on the way; that of the last is empty.
fn above(folder: &str) -> impl Iterator<Item = (&str, &str)> {
    let first = (!folder.is_empty() && !folder.starts_with('/')).then_some(("", folder));
    let passed = folder.match_indices('/').map(|(at, _)| (&folder[..at], &folder[at + 1..]));
    let next = |rest: &'_ str| -> usize { rest.find('/').unwrap_or(rest.len()) };
    first.into_iter().chain(passed).map(move |(base, rest)| (base, &rest[..next(rest)])).chain([(folder, "")])
}

#[cfg(test)]
mod tests;
