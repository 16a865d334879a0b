//! Scripted worlds on virtual time: "at 30 s api-2 dies; expect one mail; at 90 s it is back; expect its all-clear".
//!
//! The engine is real, the world is a script. Nothing sleeps and no clock is read; an hour takes milliseconds.

mod again;
mod alarms;
mod answers;
mod blindness;
mod ceiling;
mod chance;
mod delivery;
mod disk;
mod durable;
mod faults;
mod filling;
mod hellos;
mod minds;
mod mute;
mod page;
mod peers;
mod proxies;
mod recipients;
mod reloads;
mod restarts;
mod second_thoughts;
mod setup;
mod silences;
mod standing;
mod trust;
mod upgrades;
mod witnesses;
mod world;
