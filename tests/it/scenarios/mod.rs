//! Scripted worlds on virtual time: "at 30 s api-2 dies; expect one mail; at 90 s it is back; expect its all-clear".
//!
//! The engine is real, the world is a script. Nothing sleeps and no clock is read; an hour takes milliseconds.

mod again;
mod alarms;
mod answers;
mod balancer;
mod behind;
mod canaries;
mod ceiling;
mod chance;
mod checkpoints;
mod client_hellos;
mod clocks;
mod delivery;
mod disk;
mod durable;
mod etcd_splits;
mod faults;
mod filling;
mod instances_alike;
mod isolation;
mod load;
mod metrics;
mod metrics_rules;
mod mute;
mod ongoing;
mod overload;
mod page;
mod peers;
mod proxies;
mod recipients;
mod references;
mod regressions;
mod reloads;
mod replays;
mod restarts;
mod setup;
mod silences;
mod tape;
mod trust;
mod upgrades;
mod version_skew;
mod world;
mod zpages;
