//! vedette watches Kubernetes control planes from outside them, judges by itself, and mails the person on call.
//!
//! This page is the architecture: the flow, the map, what is deliberately absent, and one outage from its first sign to
//! the mail. It says where things are and why they are so; what each does stands at the head of its file.
//!
//! # Bird's view
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
//! [`Action`](model::exchange::Action) and the next deadline come out. It owns all state that decides anything. Around
//! it stands one loop, [`daemon::run`], which waits for nothing but its next input: probes, mails and the database work
//! beside it and report back through bounded channels. So a slow answer, a stalled relay or a hung disk delays no tick,
//! an incident can be replayed from its inputs, and hours of outages run in a second of a test.
//!
//! A probe that failed is not an error but an observation: [`Unseen`](model::phase::Unseen) says in which phase and
//! why. A [`Verdict`](model::verdict::Verdict) is good, bad or unknown, and only a fresh good probe clears anything:
//! silence never resolves.
//!
//! # Map
//!
//! In the order of the flow. Who may import whom is written in `tests/it/layers.rs`, which is a test.
//!
//! | folder | holds |
//! |---|---|
//! | [`model`] | the vocabulary, with every number that decides in `policy.rs`; imports nothing of ours |
//! | [`parse`] | bytes from elsewhere to values, bounded and total: certificates, kubeconfigs, health pages, YAML |
//! | [`config`] | the file to `settings.rs`, all mistakes at once; `inventory.rs` is what the engine gets to know of it |
//! | [`collect`] | the input edge: dials, handshakes, asks, times each phase, keeps every served chain, decides nothing |
//! | [`observe`] | what is believed: `assessment.rs` reads one probe as good or bad, `track.rs` counts runs of them until a fault is confirmed, `path.rs` knows whether our own way out works and `references.rs` which places could prove it, `quorum.rs` reads etcd as a vote, `view.rs` holds it all; and what to probe next: `schedule.rs` by the clock, `burst.rs` on suspicion, `in_flight.rs` for what is under way |
//! | [`judge`] | one file per family of rules, one table [`RULES`](judge::RULES); the words of a rule ([`Words`](judge::words::Words)) stand beside its judgement, what follows from what in its edges (`edges.rs`), what to type on which distribution in `commands/` |
//! | [`alert`] | `lifecycle.rs` holds and clears, `group.rs` makes incidents and finds the root cause, `outbox.rs` owes messages until they are accepted, `refused.rs` knows whom the relay does not take them for, `silence.rs` knows about which clusters nothing is said |
//! | [`engine`] | the only place that knows the order of the three above: `mod.rs` the turn, `probing.rs` what goes out and comes back, `touched.rs` which cluster is judged when, `judging.rs` from beliefs to alarms, `notifying.rs` from alarms to messages, `persisting.rs` and `restore.rs` what outlives a restart, `snapshot.rs` the snapshot |
//! | [`store`] | alarms, incidents and owed mail in SQLite, on a thread of its own |
//! | [`render`] | words and pictures from model values, pure: mails, tables, metrics, the status page |
//! | [`metered`] | what all who speak TLS put below it: a bound on the bytes that a peer may send |
//! | [`notify`] | the output edge: mail and heartbeat, every step under a deadline |
//! | [`expose`] | the status page, `/metrics`, `/healthz`, `/readyz`, from the snapshot alone, on a thread of its own; `web.rs` keeps what stands before them there (TLS, client certificates, logins: `tls.rs`, `clients.rs`, `login.rs`); `control.rs` is the Unix socket where people on the machine give orders (`orders.rs`), which enter the engine as inputs |
//! | [`daemon`] | the loop, the clock, signals, logs, the service manager |
//! | [`cli`] | one file per command |
//!
//! A new thing to probe is a file in `collect` and a variant in `Reading`; a new rule is a file in `judge` and a line
//! in `RULES`. Matches are exhaustive, so the compiler names every place that has to decide.
//!
//! # Words
//!
//! | word | means here |
//! |---|---|
//! | vantage | the machine vedette runs on, and what can be seen from there |
//! | probe | one check of one subject: sent, or due ([`ProbeRequest`](model::probe::ProbeRequest)) |
//! | burst | the few probes that follow a first sign of trouble, and confirm it or call it off |
//! | reference target | a place outside the clusters that shows, by answering, that our own way out works |
//! | finding, alarm, incident | what a rule says of a subject; a finding that is held, fires or recovers; the alarms of one cause, told in one thread |
//! | hold | how long a finding must last before it is told |
//! | gap | what cannot be seen of a cluster, and why |
//!
//! # What is deliberately absent
//!
//! - **Clocks below the daemon.** Time comes in as [`Now`](model::time::Now), wall and monotonic together; holds use
//!   the one, expiry the other, and a gap between them is a finding about ourselves. One file reads clocks; a lint bans
//!   it elsewhere.
//! - **Chance and unordered maps.** The same inputs give the same actions; phases are spread by a hash. `HashMap` is
//!   banned.
//! - **I/O in the engine, judgement at the edges.** `collect` does not know what is bad, `notify` not what is worth a
//!   mail.
//! - **Intervals that follow answers.** Probes start on their own clock and are dated from their scheduled start; what
//!   comes late changes no verdict.
//! - **Pages from one sample.** A fault needs three bad probes, a second between the first and the last, and proof
//!   after the first that our own path works. Intervals do not set how fast a page is; bursts do.
//! - **Anything the watched cluster must provide.** No cluster DNS, no object of the API, no agent. Names are resolved
//!   once and kept, and asked for again when their addresses fail.
//! - **Work that grows with the cluster.** Probes grow with endpoints only, and `observe/budget.rs` charges
//!   every request to its cluster, confirmations first.
//! - **Unbounded anything.** Queues, answers, chains, probes under way and mails at once have a limit, and what is
//!   dropped is counted.
//! - **Waiting for the disk.** A message waits at most two seconds for its record: a hung disk must not mute the pager.
//!   A mail may therefore be sent twice over a crash, under one Message-ID, but never lost.
//! - **Secrets in what is shown or kept.** Settings name sources; values are read on use, stay in memory only
//!   where a disk that hangs must not stop what needs them, and have no way into logs, snapshots or the store.
//! - **A second way to change state.** Operators, the store and the network all come in as inputs.
//!
//! # One outage, from a reset to the mail
//!
//! Somebody kills both apiservers of a cluster.
//!
//! 1. `collect/apiserver.rs` keeps one connection open to each for ordinary probes. `collect/watched.rs` sees it break
//!    without announcement and reports an observation that nobody asked for: phase idle, cause reset.
//! 2. `daemon/run.rs` hands it in as `Input::Observed`. In `engine/probing.rs` the view takes it:
//!    `observe/assessment.rs` calls it bad, `observe/track.rs` opens a bad run, and the subject counts as just turned
//!    bad.
//! 3. `observe/burst.rs` plans the same probe on new connections, the subjects of every rule that could be the cause,
//!    and the reference targets. They leave as `Action::Probe`, as far as `observe/budget.rs` lets them, before
//!    whatever the schedule wants.
//! 4. The probes come back refused, and the mail relay answers. Either proves that our way out works
//!    (`observe/path.rs`). With the third bad probe, a second after the first, `observe/track.rs` calls both instances
//!    confirmed bad.
//! 5. Only the touched cluster is judged. `judge/instance.rs` finds every instance down (F24), `judge/vip.rs` a dead
//!    API VIP (F23), each with the evidence it saw.
//! 6. `alert/lifecycle.rs` lets F24 fire at once, since its hold is zero. `alert/group.rs` waits half a second for
//!    company and asks `judge/edges.rs`: F24 explains F23, so both are one incident, and F24 names the thread.
//! 7. `engine/notifying.rs` composes the message from the incident and the latest probes and puts it into
//!    `alert/outbox.rs`. Two actions leave in this order: `Persist`, then `Send` once `store/` has said that it is on
//!    disk.
//! 8. `notify/email.rs` delivers. `render/message.rs` asks F24's words in `judge` what broke, what it means and what to
//!    type; `render/text.rs` and `render/html.rs` lay it out; `notify/smtp_session.rs` leads the session with the
//!    relay, a deadline for each step. The relay's final acceptance comes back as `Input::Delivered`, with whom it was
//!    for, and is recorded; until then the outbox tries again.
//! 9. The apiservers return. Three good probes over fifteen seconds move the alarms through clearing to gone, the
//!    incident is over, and one more message goes the same way, into the same thread.
//!
//! Killed etcd members instead: the same steps, but `observe/quorum.rs` counts the vote, F01 names the thread, and the
//! apiservers that turn unready seconds later are folded into it. Our own cable pulled: no reference target answers, so
//! nothing is confirmed, `judge/blind.rs` (F04) speaks of the vantage, and the heartbeat stops.
//!
//! # Holding it together
//!
//! `tests/it/layers.rs` holds who imports whom, `tests/it/bans.rs` the lints, `tests/it/docs_in_sync.rs` the README's
//! table of rules; `tests/it/scenarios` plays outages on virtual time, `tests/lab` real ones on real servers;
//! `tests/hostile` puts the daemon among servers that do all they can to hurt it.

pub mod alert;
pub mod cli;
pub mod collect;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod expose;
pub mod judge;
pub mod metered;
pub mod model;
pub mod notify;
pub mod observe;
pub mod parse;
pub mod render;
pub mod store;
