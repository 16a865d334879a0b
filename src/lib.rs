//! vedette watches Kubernetes control planes from outside them, judges by itself, and mails the person on call.
//!
//! This page is the architecture: the data flow, the folders, what is deliberately absent and why, and one outage from
//! its first sign to the mail. What a file does is described at its top.
//!
//! # Overview
//!
//! ```text
//!   world                                                             people, machines
//!     |                                                                      ^
//!  collect/ ---Observation---> daemon/run.rs ---Action::Send, Beat---> notify/
//!     ^                          |  ^   |                                |
//!     +----- Action::Probe ------+  |   +-- Action::Persist --> store/   | Delivered, Beaten
//!                                   |                             |      |
//!                    Input, Now --> engine/ <--- Restored, Persisted ----+
//!                                   observe -> judge -> alert
//!                                     |
//!                              Arc<Snapshot> -------------------> expose/ (reads only)
//! ```
//!
//! The engine is a synchronous state machine: an [`Input`](model::exchange::Input) and the time go in, an
//! [`Action`](model::exchange::Action) and the next deadline come out. It owns all state that decides anything. One
//! loop, [`daemon::run`], drives it and waits for nothing but its next input: probes, mails and the database work
//! beside it and report back through bounded channels. So a slow answer, a stalled relay or a hung disk delays no tick,
//! an incident can be replayed from its inputs, and a test runs hours of outages in a second.
//!
//! A probe that failed is not an error but an observation: [`Unseen`](model::phase::Unseen) says in which phase and
//! why. A [`Verdict`](model::verdict::Verdict) is good, bad or unknown. Only a fresh good probe resolves a finding
//! about something that is probed; a finding about the configuration ends when the configuration changes. Silence never
//! resolves.
//!
//! # Folders
//!
//! In the order of the flow. `tests/it/layers.rs`, a test, defines which folder may import which.
//!
//! | folder | holds |
//! |---|---|
//! | [`model`] | the types that the other folders exchange, with the shared thresholds and timings in `policy.rs` (a number that one rule alone uses is beside that rule), and in `plan.rs` what is probed how often at which cost, from which schedule, budget and the figures that people read follow; imports nothing of ours |
//! | [`parse`] | bytes from elsewhere to values, within bounds and without panics: certificates, kubeconfigs, health pages, YAML |
//! | [`config`] | the file to `settings.rs`, with all its errors reported together; `inventory.rs` is the part that the engine gets |
//! | [`collect`] | the probes: connects, shakes hands, asks, times each phase, records every served chain, decides nothing |
//! | [`observe`] | what is known: `assessment.rs` reads one probe as good or bad, `aspect.rs` says what of a subject is followed, `probe_runs.rs` counts runs of them until a fault is confirmed, `tracks.rs` keeps those by cluster, `own_network.rs` knows whether our own network works and `references.rs` which places could prove it, `quorum.rs` derives quorum and leader from the members' answers, `view.rs` holds it all; and what to probe next: `schedule.rs` by the clock, `burst.rs` on suspicion, `dump_rounds.rs` where `flow_control.rs` suspects an overload, `in_flight.rs` for what is under way; `canaries.rs` counts what the canaries see, in runs as well |
//! | [`judge`] | one file per rule, in the table [`RULES`](judge::RULES); a rule's names and alert ([`Description`](judge::description::Description)), its evidence with the words for it ([`Evidence`](model::finding::Evidence)) and its edges (`edges.rs`) are beside its evaluation; which commands to run on which distribution is in `commands/`, how findings are read back in `stored.rs` |
//! | [`alert`] | `lifecycle.rs` holds and clears alarms, `group.rs` makes incidents and finds the root cause, `route.rs` says who hears of them, `outbox.rs` keeps messages until they are delivered, `refused_recipients.rs` knows the recipients who are refused, `silence.rs` which clusters are silenced |
//! | [`engine`] | calls the three above in order: `mod.rs` the turn, `probing.rs` what is sent and comes back, `evaluation_due.rs` which cluster is evaluated when, `judging.rs` from observations to alarms, `assigning.rs` from alarms to incidents, `notifying.rs` and `composing.rs` from incidents to messages, `delivering.rs` from messages to attempts, `deadlines.rs` what it waits for and until when, `persisting.rs` and `restore.rs` what outlives a restart, `snapshot.rs` the snapshot |
//! | [`store`] | alarms, incidents and unsent mail in SQLite, on a thread of its own; `recording.rs` the files of the flight recorder |
//! | [`render`] | text from model values, pure: mails, tables, metrics, the status page |
//! | [`metered`] | a layer below TLS, for all that use it: bounds the bytes that a peer may send |
//! | `name_pin` | what is known of a name, for all that connect by names: a failed lookup keeps the last addresses |
//! | [`notify`] | sends mails and heartbeats, every step under a deadline |
//! | [`expose`] | the status page, `/metrics`, `/healthz`, `/readyz`, from the snapshot alone, on a thread of its own; `web.rs` holds what protects them (TLS, client certificates, logins: `tls.rs`, `clients.rs`, `login.rs`); `control.rs` is the Unix socket where people on the machine give orders (`orders.rs`), which enter the engine as inputs |
//! | [`daemon`] | the loop, the clock, signals, logs, the service manager; `recorder.rs` writes down what goes into the engine, for `vedette replay` |
//! | [`cli`] | one file per command |
//!
//! A new kind of probe is a file in `collect`, a variant in `ProbeKind` and `Reading` and a line in `model/plan.rs`.
//! Matches are exhaustive, so the compiler names every place that needs a change.
//!
//! A new rule is a file in `judge` and a line in `catalogue.rs`, the one list of all rules, from which `model` makes
//! [`RuleId`](model::rule::RuleId) and `judge` its modules and its table. The catalogue is tokens and belongs to no
//! folder. Everything that others need to know of a rule or of what it found is asked of two traits:
//! [`Rule`](judge::Rule), and [`Evidence`](model::finding::Evidence), which a finding holds as a trait object. Were
//! evidence an enum, each rule would add a variant in `model` and an arm wherever evidence is stored, rendered or
//! matched, and its words would have to match on a kind that they know. So `model` says what evidence must answer,
//! and the struct of each kind stands in its rule's file. What was stored is read back by the rule of the finding.
//!
//! # Words
//!
//! | word | means here |
//! |---|---|
//! | vantage | the machine vedette runs on, and what can be seen from there |
//! | probe | one check of one subject: sent, or due ([`ProbeRequest`](model::probe::ProbeRequest)) |
//! | burst | the probes at short intervals that follow a first bad one, and confirm the fault or refute it |
//! | reference target | a place outside the clusters that shows, by answering, that our own network works |
//! | finding, alarm, incident | what a rule reports of a subject; a finding that is held, fires or recovers; the alarms of one cause, mailed in one thread |
//! | hold | how long a finding must last before it is mailed |
//! | told | reported to people, in a mail or on the status page |
//! | kept connection | the one connection to a server that stays open between probes; probes over it carry the label `reused` |
//! | gap | what cannot be seen of a cluster, and why |
//! | canary | a small request with a credential of its own that goes the whole way of a client's request: through authorization, admission and storage |
//! | z-page | a page by which an apiserver reports on its own process: `/statusz`, `/flagz` |
//! | outlet, delivery | a way by which messages reach people (mail); one message through one outlet to one recipient |
//!
//! # What is deliberately absent
//!
//! - **Clocks outside the daemon.** Time comes in as [`Now`](model::time::Now), wall and monotonic together; holds use
//!   the monotonic one, expiry the wall clock, and a gap between them is a finding about this host. One file reads
//!   clocks; a lint bans it elsewhere.
//! - **Randomness and unordered maps.** The same inputs give the same actions; probes are spread by a hash. `HashMap`
//!   is banned.
//! - **I/O in the engine, decisions in the adapters.** `collect` does not know what is bad, `notify` not what is worth
//!   a mail.
//! - **Intervals that depend on answers.** Probes start at fixed times and are dated from their scheduled start; a late
//!   answer changes no verdict.
//! - **Alarms from one sample.** An availability fault needs three bad probes, a second between the first and the last,
//!   and proof after the first that our own network works; certificates and membership have counts of their own.
//!   Because the probes of a burst confirm a fault, the configured intervals hardly change how fast an alarm is.
//! - **Anything the watched cluster must provide.** No cluster DNS, no object of the API, no agent. Names are resolved
//!   once and kept, and resolved again when their addresses fail.
//! - **Writes.** vedette only reads, except for the Lease of its canaries, in a namespace of its own, with a credential
//!   that nothing else uses (`collect/canary.rs`). What they create is a dry run. Without that credential nothing is sent
//!   that could write.
//! - **Work that grows with the cluster.** The number of probes grows with the endpoints only, and `observe/budget.rs`
//!   charges every request to its cluster, confirmations first.
//! - **Anything unbounded.** Queues, answers, chains, probes under way and mails at once have a limit, and what is
//!   dropped is counted.
//! - **Waiting for the disk.** A message waits at most two seconds for its record, because a hung disk must not delay
//!   an alert. A mail may therefore be sent twice over a crash, under one Message-ID, but never lost.
//! - **Secrets in output or in the store.** Settings name sources; values are read on use, stay in memory only where a
//!   disk that hangs must not stop what needs them, and get into no log, snapshot or store.
//! - **A second way to change state.** Operators, the store and the network all come in as inputs.
//!
//! # One outage, from a reset to the mail
//!
//! Somebody kills both apiservers of a cluster.
//!
//! 1. `collect/apiserver.rs` keeps one connection open to each for ordinary probes. `collect/connection_end.rs` sees it break
//!    without announcement and reports an observation that no probe requested: phase idle, cause reset.
//! 2. `daemon/run.rs` passes it on as `Input::Observed`. In `engine/probing.rs` the view takes it:
//!    `observe/assessment.rs` calls it bad, `observe/probe_runs.rs` opens a bad run, and the subject counts as having just
//!    turned bad.
//! 3. `observe/burst.rs` plans the same probe on new connections, the subjects of every rule that could be the cause,
//!    and the reference targets. They are sent as `Action::Probe`, as far as `observe/budget.rs` allows, before
//!    scheduled probes.
//! 4. The probes come back refused, and the mail relay answers. Either proves that our own network works
//!    (`observe/own_network.rs`). With the third bad probe, a second after the first, `observe/probe_runs.rs` calls both instances
//!    confirmed bad.
//! 5. Only this cluster is evaluated. `judge/instance.rs` finds that every instance is down (F24), `judge/vip.rs` that
//!    the API VIP is (F23), each with the evidence of its probes.
//! 6. `alert/lifecycle.rs` lets F24 fire at once, since its hold is zero. `alert/group.rs` waits half a second for
//!    other alarms and asks `judge/edges.rs`: F24 explains F23, so both are one incident, and F24 names the thread.
//! 7. `engine/composing.rs` composes the message from the incident and the latest probes and puts it into
//!    `alert/outbox.rs`. Two actions leave in this order: `Persist`, then `Send` once `store/` has reported that it is
//!    on disk.
//! 8. `notify/email.rs` delivers. `render/message.rs` takes from the evidence of F24 what broke, what the impact is
//!    and which commands to run; `render/text.rs` and `render/html.rs` lay it out; `notify/smtp_session.rs` leads the
//!    session with the relay, with a deadline for each step. The relay's final acceptance comes back as
//!    `Input::Delivered`, with a receipt for each recipient, and is recorded; until then the outbox tries again.
//! 9. The apiservers return. Three good probes over fifteen seconds move the alarms through clearing to their end, the
//!    incident is resolved, and one more message goes the same way, into the same thread.
//!
//! With killed etcd members instead, the steps are the same, but `observe/quorum.rs` finds that quorum is lost, F01
//! names the thread, and the apiservers that turn unready seconds later are folded into it. With our own network cut,
//! no reference target answers, so nothing is confirmed, `judge/isolated.rs` (F04) reports the vantage, and the heartbeat
//! stops.
//!
//! # Tests of the structure
//!
//! `tests/it/layers.rs` checks which folder imports which, `tests/it/bans.rs` the lints, `tests/it/docs_in_sync.rs` the
//! README's table of rules. `tests/it/scenarios` runs outages on virtual time, `tests/lab` real ones on real servers;
//! `tests/hostile` runs the daemon against servers that misbehave on purpose.

pub mod alert;
mod catalogue;
pub mod cli;
pub mod collect;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod expose;
pub mod judge;
pub mod metered;
pub mod model;
mod name_pin;
pub mod notify;
pub mod observe;
pub mod parse;
pub mod render;
#[cfg(test)]
pub mod samples;
pub mod store;
