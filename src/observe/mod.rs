//! What we believe now: the latest of every look, runs of good and bad ones, proof of our own path, and what to look
//! at next.
//!
//! Pure: observations and `now` come in, beliefs and due looks come out. Says nothing about right or wrong; that is
//! `judge`.

pub mod budget;
pub mod burst;
mod dates;
pub mod elections;
pub mod flight;
pub mod hello;
pub mod history;
pub mod latency;
pub mod lines;
pub mod membership;
pub mod path;
pub mod quorum;
pub mod references;
pub mod schedule;
pub mod sign;
pub mod sizes;
pub mod stored;
pub mod track;
pub mod trusting;
pub mod turnover;
pub mod view;

#[cfg(test)]
mod tests;
